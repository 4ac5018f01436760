"""The neural manifold of a layer: the linear span of its activity.

It is estimated by principal component analysis, global and linear [summary]: of the activity itself, or of its mean and
covariance. Weight updates span the uncentred activity (A4): with non-negative units the centred components miss the
mean direction. All three versions are here.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from nmnc_ref.arrays import Array, Basis, Float, expect, is_concrete, namespace
from nmnc_ref.checked import checked
from nmnc_ref.scalars import Choice, Count, Share

CENTRINGS = ("uncentred", "centred", "mean-added")
Centring = Annotated[str, Choice(*CENTRINGS)]


class RankError(ValueError):
    """More components were asked for than the activity has dimensions, or it is too large to tell."""


class Manifold(NamedTuple):
    """`basis`: U; `spectrum`: all variances λ_1 ≥ λ_2 ≥ …, in units of activity squared; `mean`: of the activity."""

    basis: Basis[Array, "n d"]
    spectrum: Float[Array, "_"]
    mean: Float[Array, "n"]


@checked
def fit(
    activity: Float[Array, "B n"],
    *,
    dimension: Count | None = None,
    explained: Share | None = None,
    centring: Centring = "uncentred",
) -> Manifold:
    """X/√B = V diag(√λ) Uᵀ, keeping the first columns of U: the manifold of an activity matrix by PCA [summary].

    More components than the activity has numerical rank are refused (a constant matrix has rank 0 after centring), as
    is for "mean-added" a mean that lies in the span already. Under `jax.jit` that is not checked: columns beyond the
    rank are arbitrary.

    Args:
        activity: X, one row for each input.
        dimension: number d of principal components to keep; or
        explained: keep the fewest components whose share of Σλ is at least this (not under `jax.jit`).
        centring: "uncentred": of X, so that Σλ is the mean squared norm; "centred": of X minus its mean;
            "mean-added": the centred components and, as column d + 1, the part of the mean orthogonal to them.

    Returns:
        The manifold. Each component has the sign that makes its largest entry positive, so that noise along it is the
        same on every library. The `mean` is that of X whatever the centring, the spectrum has divisor B.
    """
    xp = namespace(activity)
    expect_one(dimension, explained)
    samples, n = activity.shape
    mean = xp.mean(activity, axis=0)
    deviation = activity if centring == "uncentred" else activity - mean
    most = min(samples if centring == "uncentred" else samples - 1, n)
    wanted = f"enough samples and units for d = {dimension or 1} {centring} components"
    expect(most >= (dimension or 1), f"activity: expected {wanted}, got shape [{samples}, {n}]")
    norm = xp.linalg.vector_norm(activity)
    if is_concrete(norm) and not math.isfinite(float(norm)):  # the SVD of some libraries fails on such values
        raise RankError(f"activity: expected a finite norm, got {float(norm)}")
    _, singular, components = xp.linalg.svd(deviation / math.sqrt(samples), full_matrices=False)
    spectrum = singular**2
    floor = xp.finfo(activity.dtype).eps * max(samples, n) * norm / math.sqrt(samples)
    d = _columns("activity", spectrum, (singular > floor)[:most], dimension, explained, centring)
    basis = _signed(components[:d, :].T)
    if centring == "mean-added":
        basis = _append_direction("activity", basis, mean)
    return Manifold(basis, spectrum, mean)


@checked
def from_moments(
    mean: Float[Array, "n"],
    covariance: Float[Array, "n n"],
    *,
    dimension: Count | None = None,
    explained: Share | None = None,
    centring: Centring = "uncentred",
) -> Manifold:
    """The manifold from the mean m and the covariance C of the activity: eigenvectors of C, or of C + m mᵀ [summary].

    The same as `fit` gives for the activity itself, to rounding, for activity too large to hold or that arrives over
    time (`nmnc_ref.moments`). A variance below eps·n of the largest is rounding here, where `fit` resolves down to its
    square. Refused is what `fit` refuses, and a covariance that is not symmetric or has a negative variance.

    Args:
        mean: m.
        covariance: C, with divisor B.
        dimension: number d of principal components to keep; or
        explained: keep the fewest components whose share of Σλ is at least this (not under `jax.jit`).
        centring: "uncentred": C + m mᵀ; "centred": C; "mean-added": C, with the column that `fit` adds.

    Returns:
        The manifold; variances that rounding made negative are 0.
    """
    xp = namespace(mean)
    expect_one(dimension, explained)
    n, eps = mean.shape[0], xp.finfo(mean.dtype).eps
    expect(n >= (dimension or 1), f"covariance: expected at least n = d = {dimension} units, got n = {n}")
    asymmetry = xp.max(xp.abs(covariance - covariance.T))
    symmetric = asymmetry <= math.sqrt(eps) * xp.max(xp.abs(covariance))
    expect(symmetric, "covariance: expected a symmetric matrix, got max |C − Cᵀ| = {:.2g}", asymmetry)
    moment = covariance + mean[:, None] * mean if centring == "uncentred" else covariance
    ascending, components = xp.linalg.eigh(moment)
    spectrum = xp.flip(ascending)
    # Rounding of the mean by c units in the last place leaves a variance of (c·eps·‖m‖)²: c = eps^-¼ is admitted.
    floor = eps * n * xp.max(xp.abs(spectrum)) + eps**1.5 * xp.sum(mean**2)
    least = xp.min(spectrum)
    expect(least >= -floor, "covariance: expected no negative variance, got {:.2g}", least)
    d = _columns("covariance", spectrum, spectrum > floor, dimension, explained, centring)
    basis = _signed(xp.flip(components, axis=1)[:, :d])
    if centring == "mean-added":
        basis = _append_direction("mean", basis, mean)
    return Manifold(basis, xp.clip(spectrum, min=0.0), mean)


@checked
def projector(basis: Basis[Array, "n d"]) -> Float[Array, "n n"]:
    """P = U Uᵀ.

    Args:
        basis: U.
    """
    return basis @ basis.T


def expect_one(dimension: int | None, explained: float | None) -> None:
    """Raise ValueError unless exactly one of the two is given."""
    got = "neither" if dimension is None else "both"
    expect((dimension is None) != (explained is None), f"dimension, explained: expected one of the two, got {got}")


def _columns(
    name: str, spectrum: Array, resolved: Array, dimension: int | None, explained: float | None, centring: str
) -> int:
    """Return how many components to keep; `resolved` tells of each that there can be whether it exceeds rounding."""
    xp = namespace(spectrum)
    independent = xp.sum(xp.astype(resolved, xp.int32))
    rank = int(independent) if is_concrete(independent) else resolved.shape[0]
    if dimension is None:
        known = is_concrete(independent)
        expect(known, "explained: expected `dimension` in its place while tracing, got traced values")
        share = xp.cumulative_sum(spectrum) / xp.sum(spectrum) if rank else spectrum
        dimension = min(1 + int(xp.sum(xp.astype(share < explained, xp.int32))), max(rank, 1))
    if dimension > rank:
        raise RankError(f"{name}: expected rank of at least d = {dimension} ({centring}), got rank {rank}")
    return dimension


def _signed(basis: Array) -> Array:
    """Return the columns with the sign that makes the entry of largest magnitude positive."""
    xp = namespace(basis)
    negative = xp.max(basis, axis=0) + xp.min(basis, axis=0) < 0
    return xp.where(negative, -basis, basis)


def _append_direction(name: str, basis: Array, direction: Array) -> Array:
    xp, rest = namespace(basis), direction
    for _ in range(2):  # once more, as the first projection leaves rounding errors inside the span
        rest = rest - basis @ (basis.T @ rest)
    length = xp.linalg.vector_norm(rest)
    outside = length > math.sqrt(xp.finfo(basis.dtype).eps) * xp.linalg.vector_norm(direction)
    expect(outside, f"{name}: expected a mean outside the span of the centred components, got one inside it")
    return xp.concat([basis, (rest / length)[:, None]], axis=1)
