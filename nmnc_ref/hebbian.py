"""The manifold learned by local rules: each weight changes with what its own two units do, and no covariance is stored.

A linear layer y = W x with d units reads the activity x of the layer whose manifold it learns. With correlations
M = E[x xᵀ] and eigenvalues λ_1 ≥ λ_2 ≥ … the rows of W converge to an orthonormal basis of the leading d eigenvectors
of M, provided λ_d > λ_{d+1}. M is uncentred; subtract a running mean from the activity for the centred manifold.

Where each step sees all of M, what W has outside of the subspace shrinks by 1 − η (λ_d − λ_{d+1}) a step in the end;
the norms of the rows settle where η λ_1 < 1. Where the steps see batches in turn, W goes on following the last ones,
with angles of order η.
"""

from __future__ import annotations

import math
from types import ModuleType

from nmnc_ref.arrays import Array, expect, is_false, positive


def oja_step(weight: Array, activity: Array, rate: float) -> Array:
    """Take a step of Oja's subspace rule: W ← W + η mean_i [y_i x_iᵀ − y_i y_iᵀ W] (Oja 1989).

    Rows converge to some orthonormal basis of the leading eigenvectors, which one depends on where they start.

    Args:
        weight: W [d, n]; random rows of norms about 1 to begin with.
        activity: x [B, n].
        rate: η > 0, in units of 1/activity².

    Returns:
        The new W [d, n].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64; η is not a number.
        ValueError: shapes that do not fit, d > n, empty, NaN, infinity; η ≤ 0.
    """
    _expect_weight(weight, activity=(activity, "B n"))
    rate = positive("rate", rate, like=weight)
    output = activity @ weight.T
    return weight + (rate / activity.shape[0]) * (output.T @ activity - (output.T @ output) @ weight)


def sanger_step(weight: Array, activity: Array, rate: float) -> Array:
    """Take a step of Sanger's rule: W ← W + η mean_i [y_i x_iᵀ − lower(y_i y_iᵀ) W] (Sanger 1989).

    `lower` keeps the diagonal and what is below, so that each unit sees the units before it alone: row k converges to
    the k-th eigenvector, up to its sign.

    Arguments, what is returned and errors are those of `oja_step`.
    """
    xp = _expect_weight(weight, activity=(activity, "B n"))
    rate = positive("rate", rate, like=weight)
    output = activity @ weight.T
    return weight + (rate / activity.shape[0]) * (output.T @ activity - xp.tril(output.T @ output) @ weight)


def basis(weight: Array) -> Array:
    """Return an orthonormal basis U [n, d] of the span of the rows of W, in their order (Gram–Schmidt).

    The rules make W orthonormal in the limit only.

    Args:
        weight: W [d, n].

    Raises:
        TypeError: not an array of float32 or float64.
        ValueError: not [d, n] with d ≤ n, empty, NaN, infinity, or rows that are linearly dependent (not checked under
            `jax.jit`, where columns are then arbitrary).
    """
    xp = _expect_weight(weight)
    orthonormal, triangle = xp.linalg.qr(weight.T)
    lengths = xp.abs(xp.linalg.diagonal(triangle))
    floor = xp.finfo(weight.dtype).eps * weight.shape[1] * math.sqrt(weight.shape[0])
    if is_false(xp.min(lengths) > floor * xp.max(lengths)):
        raise ValueError("weight: expected linearly independent rows, got dependent ones")
    return orthonormal


def _expect_weight(weight: Array, **others: tuple[Array, str]) -> ModuleType:
    xp = expect(weight=(weight, "d n"), **others)
    d, n = weight.shape
    if d > n:
        raise ValueError(f"weight: expected at most n = {n} rows, got d = {d}")
    return xp
