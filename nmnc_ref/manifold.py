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
from nmnc_ref.dimension import explained_variance_dimension
from nmnc_ref.numerics import centred, compressed, expect_squares, expect_symmetric, signed
from nmnc_ref.scalars import Choice, Count, Share

CENTRINGS = ("uncentred", "centred", "mean-added")
Centring = Annotated[str, Choice(*CENTRINGS)]


class RankError(ValueError):
    """More components were asked for than the activity has dimensions."""


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
    rank are arbitrary. A singular value of X/√B (centred, where that is asked for) counts as rounding if it is at most
    4·eps·n of the largest, or eps of the largest mean.

    Args:
        activity: X, one row for each input.
        dimension: number d of principal components to keep; or
        explained: keep the fewest components whose share of Σλ is at least this (not under `jax.jit`).
        centring: "uncentred": of X, so that Σλ is the mean squared norm; "centred": of X minus its mean;
            "mean-added": the centred components and, as column d + 1, the part of the mean orthogonal to them.

    Returns:
        The manifold. Each component has the sign that makes its largest entry positive, the first of those within 1 %
        of the largest, so that noise along it is the same on every library. The `mean` is that of X whatever the
        centring, the spectrum has divisor B.
    """
    expect_one(dimension, explained)
    samples, n = activity.shape
    most = expect_components(samples, n, dimension or 1, centring)
    xp, (mean, deviation) = namespace(activity), centred(activity)
    decomposed = activity if centring == "uncentred" else deviation
    expect_squares("activity", decomposed)
    _, singular, components = xp.linalg.svd(compressed(decomposed / math.sqrt(samples)), full_matrices=False)
    spectrum = singular**2
    d = _columns("activity", spectrum, (singular > _rounding(singular, mean, 1))[:most], dimension, explained, centring)
    basis = signed(components[:d, :].T)
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
    time (`nmnc_ref.moments`). A variance counts as rounding if it is at most 4·eps·n of the largest, where `fit`
    resolves down to its square, or eps² of the largest squared mean. Refused is what `fit` refuses, and a covariance
    that is not symmetric or, with what the centring adds, has a negative variance.

    Args:
        mean: m.
        covariance: C, with divisor B.
        dimension: number d of principal components to keep; or
        explained: keep the fewest components whose share of Σλ is at least this (not under `jax.jit`).
        centring: "uncentred": C + m mᵀ; "centred": C; "mean-added": C, with the column that `fit` adds.

    Returns:
        The manifold; variances that rounding made negative are 0.
    """
    expect_one(dimension, explained)
    xp, n = namespace(mean), mean.shape[0]
    expect(n >= (dimension or 1), f"dimension: expected at most n = {n} units, got {dimension}")
    expect_symmetric("covariance", covariance)
    moment = covariance + mean[:, None] * mean[None, :] if centring == "uncentred" else covariance
    expect(xp.all(xp.isfinite(moment)), "mean: expected values whose squares are in range, got larger ones")
    ascending, components = xp.linalg.eigh(moment)
    spectrum, least = xp.clip(xp.flip(ascending), min=0.0), xp.min(ascending)
    rounding = _rounding(xp.abs(ascending), mean, 2)
    expect(least >= -rounding, "covariance: expected no negative variance, got {:.2g}", least)
    d = _columns("covariance", spectrum, spectrum > rounding, dimension, explained, centring)
    basis = signed(xp.flip(components, axis=1)[:, :d])
    if centring == "mean-added":
        basis = _append_direction("mean", basis, mean)
    return Manifold(basis, spectrum, mean)


@checked
def projector(basis: Basis[Array, "n d"]) -> Float[Array, "n n"]:
    """P = U Uᵀ.

    Args:
        basis: U.
    """
    return basis @ basis.T


def expect_components(samples: int, n: int, dimension: int, centring: str) -> int:
    """Return how many components so many samples of n units have at most, which must be `dimension` or more."""
    expect(n >= dimension, f"dimension: expected at most n = {n} units, got {dimension}")
    most = min(samples if centring == "uncentred" else samples - 1, n)
    wanted = f"enough samples for d = {dimension} {centring} components"
    expect(most >= dimension, f"activity: expected {wanted}, got shape [{samples}, {n}]")
    return most


def expect_one(dimension: int | None, explained: float | None) -> None:
    """Raise ValueError unless exactly one of the two is given."""
    got = "neither" if dimension is None else "both"
    expect((dimension is None) != (explained is None), f"dimension, explained: expected one of the two, got {got}")


def _rounding(values: Array, mean: Array, power: int) -> Array:
    """Return what singular values, or their squares if `power` is 2, may be by rounding of the matrix or the mean."""
    xp, eps = namespace(values), namespace(values).finfo(values.dtype).eps
    return xp.maximum(4 * eps * mean.shape[0] * xp.max(values), (eps * xp.max(xp.abs(mean))) ** power)


def _columns(
    name: str, spectrum: Array, resolved: Array, dimension: int | None, explained: float | None, centring: str
) -> int:
    """Return how many components to keep; `resolved` tells of each that there can be whether it exceeds rounding."""
    xp = namespace(spectrum)
    independent = xp.sum(xp.astype(resolved, xp.int32))
    rank = int(independent) if is_concrete(independent) else resolved.shape[0]
    if explained is not None:
        known = is_concrete(independent)
        expect(known, "explained: expected `dimension` in its place while tracing, got traced values")
        dimension = min(int(explained_variance_dimension(spectrum, explained)), rank) if rank else 1
    columns = dimension or 1
    if columns > rank:
        raise RankError(f"{name}: expected rank of at least d = {columns} ({centring}), got rank {rank}")
    return columns


def _append_direction(name: str, basis: Array, direction: Array) -> Array:
    xp, rest = namespace(basis), direction
    for _ in range(2):  # once more, as the first projection leaves rounding errors inside the span
        rest = rest - basis @ (basis.T @ rest)
    length = xp.linalg.vector_norm(rest)
    outside = length > math.sqrt(xp.finfo(basis.dtype).eps) * xp.linalg.vector_norm(direction)
    expect(outside, f"{name}: expected a mean outside the span of the centred components, got one inside it")
    return xp.concat([basis, (rest / length)[:, None]], axis=1)
