"""Closed forms for dimension estimates on finite samples (D1)."""

from __future__ import annotations

from nmnc_ref.arrays import Array, Float, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import scaled
from nmnc_ref.scalars import Count


@checked
def expected_participation_ratio(spectrum: Float[Array, "n"], samples: Count) -> Float[Array, ""]:
    """[t² + 2s/N]/[s (1 + 1/N) + t²/N] with t = Σλ and s = Σλ²: E[(tr C)²]/E[tr C²] of Gaussian data (D1) [derived].

    C is the sample covariance. For n equal variances about n N/(N + n): the bias is small only for N ≫ n.

    Args:
        spectrum: the true variances λ, none negative and not all 0.
        samples: N, the degrees of freedom: the number of samples, or one less on centred data.
    """
    xp = namespace(spectrum)
    expect(xp.all(spectrum >= 0), "spectrum: expected no negative variance, got one")
    expect(xp.any(spectrum > 0), "spectrum: expected a positive variance, got only zeros")
    spectrum = scaled(spectrum)  # its factor cancels
    total, square = xp.sum(spectrum) ** 2, xp.sum(spectrum**2)
    return (total + 2 * square / samples) / (square * (1 + 1 / samples) + total / samples)
