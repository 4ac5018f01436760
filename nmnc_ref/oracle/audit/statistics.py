"""How far chance can carry a measurement: bounds that hold together for all comparisons of an audit.

One estimate is a mean of quadratic forms of Gaussian coefficients, that is, of weighted χ² variables, whose tails are
heavier than Gaussian ones. For X = Σ_j λ_j(χ²_j − 1), with sd = √2 ‖λ‖ (Laurent and Massart 2000):

    P(X ≥ √2 sd √L + 2 λ_max L) ≤ exp(−L)        (and P(X ≤ −√2 sd √L) ≤ exp(−L) if no λ_j < 0).

With n independent terms λ_max ≤ sd/√(2n), so the mean of n terms stays within √(2L) + √2 L/√n standard errors. The
other laws of coefficients have lighter tails, squared errors of many draws are weighted χ² variables once more.

Where the standard error itself is measured, from N calls, √(2L) becomes the quantile of Student's t with N − 1 degrees
of freedom, of which P(t ≥ x) ≤ (1 + x²/ν)^(−(ν−1)/2)/2 gives x ≤ √(ν (exp(2L/(ν − 1)) − 1)).
"""

from __future__ import annotations

import math

import numpy as np

FALSE_ALARM = 1e-6
"""Probability at most that an audit blames a correct estimator, over all of its comparisons and looks."""
COMPARISONS = 20_000
"""Room for so many comparisons in one audit; each may err with FALSE_ALARM/COMPARISONS."""
MISSED = 3.0
"""An error of the smallest detectable size is missed with at most the probability of 3 standard errors, 0.13 %."""


def surprise(entries: int = 1) -> float:
    """Return L: exp(−L) is what one side of one comparison may err with, that looks at so many entries."""
    return math.log(2 * COMPARISONS * entries / FALSE_ALARM)


def bound(terms: int, entries: int = 1, calls: int | None = None) -> float:
    """Return how many standard errors a mean of independent terms may be off: √(2L) + √2 L/√terms.

    Args:
        terms: how many.
        entries: how many of the kind are looked at.
        calls: from whose scatter the standard error is measured, if it is not known.
    """
    L = surprise(entries)
    known = math.sqrt(2 * L)
    return (known + math.sqrt(2 / terms) * L) * (1.0 if calls is None else _student(calls - 1, L) / known)


def _student(freedom: int, L: float) -> float:
    return math.sqrt(freedom * math.expm1(2 * L / max(freedom - 1, 1)))


def spectrum(covariance: np.ndarray) -> np.ndarray:
    """Return the eigenvalues λ [m] of a covariance [m, m], none below 0 by rounding."""
    return np.maximum(np.linalg.eigvalsh(covariance), 0)


def norm_bound(eigenvalues: np.ndarray, terms: int, calls: int) -> float:
    """Return what the squared norm of a mean of independent terms may reach, given the `spectrum` of its covariance.

    tr + 2 ‖λ‖ √L + 2 λ_max L of a Gaussian vector, widened as `bound` widens √(2L).
    """
    L = surprise()
    gaussian = eigenvalues.sum() + 2 * np.linalg.norm(eigenvalues) * math.sqrt(L) + 2 * eigenvalues.max() * L
    return float(gaussian * (bound(terms, calls=calls) / math.sqrt(2 * L)) ** 2)


def smallest_norm(eigenvalues: np.ndarray, terms: int, calls: int) -> float:
    """Return the norm of an error that `norm_bound` reveals but for chances of 0.13 %."""
    spread = MISSED * math.sqrt(2) * np.linalg.norm(eigenvalues)
    excess = norm_bound(eigenvalues, terms, calls) - eigenvalues.sum() + spread
    return math.sqrt(excess) + MISSED * math.sqrt(eigenvalues.max())
