"""Closed forms for dimension estimates on finite samples (D1)."""

from __future__ import annotations

from nmnc_ref.arrays import Array, count, expect, is_false


def expected_participation_ratio(spectrum: Array, samples: int) -> Array:
    """Return E[(tr C)²]/E[tr C²] of the sample covariance C of Gaussian data (D1) [derived].

    [t² + 2s/N]/[s (1 + 1/N) + t²/N] with t = Σλ and s = Σλ². For n equal variances about n N/(N + n): the bias is
    small only for N ≫ n.

    Args:
        spectrum: the true variances λ [n].
        samples: N, the degrees of freedom: the number of samples, or one less on centred data.

    Returns:
        Scalar.

    Raises:
        TypeError: not an array of float32 or float64; N is not an integer.
        ValueError: not [n], empty, NaN, infinity, a negative variance or none above 0; N below 1.
    """
    xp = expect(spectrum=(spectrum, "n"))
    samples = count("samples", samples)
    if is_false(xp.all(spectrum >= 0) & xp.any(spectrum > 0)):
        raise ValueError(
            "spectrum: expected no negative and at least one positive variance, got none or a negative one"
        )
    total, square = xp.sum(spectrum) ** 2, xp.sum(spectrum**2)
    return (total + 2 * square / samples) / (square * (1 + 1 / samples) + total / samples)
