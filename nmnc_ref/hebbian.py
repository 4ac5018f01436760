"""The manifold learned by local rules: each weight changes with what its own two units do, and no covariance is stored.

A linear layer y = W x with d units reads the activity x of the layer whose manifold it learns. With correlations
M = E[x xᵀ] and eigenvalues λ_1 ≥ λ_2 ≥ … the rows of W converge to an orthonormal basis of the leading d eigenvectors
of M, provided λ_d > λ_{d+1}. M is uncentred; subtract a running mean from the activity for the centred manifold.

Where each step sees all of M, what W has outside of the subspace shrinks by 1 − η (λ_d − λ_{d+1}) a step in the end;
the norms of the rows settle where η λ_1 < 1. Where the steps see batches in turn, W goes on following the last ones,
with angles of order η.
"""

from __future__ import annotations

from nmnc_ref.arrays import Array, Basis, Float, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import orthonormalised
from nmnc_ref.scalars import Positive


@checked
def oja_step(weight: Float[Array, "d n"], activity: Float[Array, "B n"], rate: Positive) -> Float[Array, "d n"]:
    """W ← W + η mean_i [y_i x_iᵀ − y_i y_iᵀ W]: a step of Oja's subspace rule (Oja 1989).

    Rows converge to some orthonormal basis of the leading eigenvectors, which one depends on where they start.

    Args:
        weight: W; d ≤ n random rows of norms about 1 to begin with.
        activity: x.
        rate: η, in units of 1/activity².
    """
    _expect_rows(weight)
    output = activity @ weight.T
    return weight + (rate / activity.shape[0]) * (output.T @ activity - (output.T @ output) @ weight)


@checked
def sanger_step(weight: Float[Array, "d n"], activity: Float[Array, "B n"], rate: Positive) -> Float[Array, "d n"]:
    """W ← W + η mean_i [y_i x_iᵀ − lower(y_i y_iᵀ) W]: a step of Sanger's rule (Sanger 1989).

    `lower` keeps the diagonal and what is below, so that each unit sees the units before it alone: row k converges to
    the k-th eigenvector, up to its sign.

    Args:
        weight: W; d ≤ n random rows of norms about 1 to begin with.
        activity: x.
        rate: η, in units of 1/activity².
    """
    _expect_rows(weight)
    output, lower = activity @ weight.T, namespace(weight).tril
    return weight + (rate / activity.shape[0]) * (output.T @ activity - lower(output.T @ output) @ weight)


@checked
def basis(weight: Float[Array, "d n"]) -> Basis[Array, "n d"]:
    """An orthonormal basis U of the span of the rows of W, in their order (Gram–Schmidt).

    The rules make W orthonormal in the limit only.

    Args:
        weight: W; d ≤ n linearly independent rows (not checked under `jax.jit`, where columns are then arbitrary).
    """
    _expect_rows(weight)
    return orthonormalised("weight", weight.T)


def _expect_rows(weight: Array) -> None:
    d, n = weight.shape
    expect(d <= n, f"weight: expected at most n = {n} rows, got d = {d}")
