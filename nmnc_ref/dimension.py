"""How many dimensions the activity of a layer has: from its spectrum, or from distances between neighbours."""

from __future__ import annotations

import math
from types import ModuleType

from array_api_compat import device

from nmnc_ref.arrays import Array, Float, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import of_rank, scaled
from nmnc_ref.scalars import Share

ROWS = 32
"""Rows of the distance matrix that are held at a time."""
DIFFERENCES = 2**21
"""Differences of coordinates that are held at a time, or one for each pair in these rows if that is more."""


@checked
def participation_ratio(spectrum: Float[Array, "*batch m"]) -> Float[Array, "*batch"]:
    """(Σλ)²/Σλ², from 1 to m: the participation ratio (D1), k for k equal variances, 1 for a single one.

    On a finite sample it is biased downwards: see `theory.dimension.expected_participation_ratio`.

    Args:
        spectrum: variances λ, none negative and not all 0.
    """
    _expect_variances(spectrum)
    xp = namespace(spectrum)
    spectrum = scaled(spectrum, -1)
    share = spectrum / xp.sum(spectrum, axis=-1, keepdims=True)
    return xp.clip(1 / xp.sum(share**2, axis=-1), min=1.0, max=float(spectrum.shape[-1]))


@checked
def explained_variance_dimension(spectrum: Float[Array, "*batch m"], explained: Share) -> Array:
    """The fewest leading variances whose share of the total is at least `explained`, integers from 1 to m.

    A share that misses it by no more than the rounding of sums, 4·eps·√m, counts as reached.

    Args:
        spectrum: variances λ, descending, none negative and not all 0.
        explained: share of the variance.
    """
    _expect_variances(spectrum)
    xp = namespace(spectrum)
    descending = xp.all(spectrum[..., 1:] <= spectrum[..., :-1])
    expect(descending, "spectrum: expected descending variances, got an increase")
    total = xp.cumulative_sum(scaled(spectrum, -1), axis=-1)
    rounding = 4 * xp.finfo(spectrum.dtype).eps * math.sqrt(spectrum.shape[-1])
    below = total[..., :-1] < total[..., -1:] * (explained * (1 - rounding))
    return xp.sum(xp.astype(below, xp.int32), axis=-1) + 1


def _expect_variances(spectrum: Array) -> None:
    xp = namespace(spectrum)
    least = xp.min(spectrum)
    expect(least >= 0, "spectrum: expected no negative variance, got {:g}", least)
    some = xp.all(xp.max(spectrum, axis=-1) > 0)
    expect(some, "spectrum: expected a positive variance, got only zeros")


@checked
def two_nearest_neighbours(points: Float[Array, "*batch N n"]) -> Float[Array, "*batch"]:
    """1/mean(log(r₂/r₁)): the TwoNN dimension, in its maximum-likelihood form (D2; Facco et al. 2017).

    r₁ and r₂ are the distances of a point to its two nearest neighbours. Where the density is locally uniform,
    log(r₂/r₁) is exponential with mean 1/d. Points that occur several times count once; nearer to each other than
    1e-19 (float32) or 1e-154 (float64) of the largest coordinate may count as the same point.

    Args:
        points: at least three of them distinct, and with some r₂ > r₁, unlike a regular lattice (under `jax.jit` these
            give NaN or infinity).
    """
    xp, total = namespace(points), points.shape[-2]
    expect(total >= 3, f"points: expected at least N = 3 points, got {total}")
    points = scaled(points, (-2, -1))
    index = xp.arange(total, device=device(points))
    chunks = [slice(start, min(start + ROWS, total)) for start in range(0, total, ROWS)]
    repeated = xp.concat([_repeats(xp, points, index, rows) for rows in chunks], axis=-1)
    distinct = xp.sum(xp.astype(~repeated, points.dtype), axis=-1)
    fewest = xp.min(distinct)
    expect(fewest >= 3, "points: expected at least 3 distinct points, got {:g}", fewest)
    log_ratios = xp.concat([_log_ratios(xp, points, index, rows, repeated) for rows in chunks], axis=-1)
    log_sum = xp.sum(xp.where(repeated, xp.zeros_like(log_ratios), log_ratios), axis=-1)
    expect(xp.all(log_sum > 0), "points: expected distances to neighbours that differ, got r₂ = r₁ everywhere")
    return distinct / log_sum


def _squared_distances(xp: ModuleType, points: Array, rows: slice) -> Array:
    """Return [..., rows, N], summed over a few coordinates at a time."""
    units = max(DIFFERENCES // (ROWS * math.prod(points.shape[:-1])), 1)
    found = None
    for start in range(0, points.shape[-1], units):
        part = points[..., start : min(start + units, points.shape[-1])]
        square = xp.sum((part[..., rows, None, :] - part[..., None, :, :]) ** 2, axis=-1)
        found = square if found is None else found + square
    return found


def _repeats(xp: ModuleType, points: Array, index: Array, rows: slice) -> Array:
    """Tell which rows equal an earlier point."""
    earlier = index[None, :] < index[rows, None]
    return xp.any((_squared_distances(xp, points, rows) == 0) & of_rank(earlier, points.ndim), axis=-1)


def _log_ratios(xp: ModuleType, points: Array, index: Array, rows: slice, repeated: Array) -> Array:
    """Return log(r₂/r₁) of each row, leaving out itself and repeated points as neighbours."""
    square = _squared_distances(xp, points, rows)
    far = xp.full_like(square, xp.inf)
    itself = of_rank(index[None, :] == index[rows, None], points.ndim)
    square = xp.where(itself | repeated[..., None, :], far, square)
    nearest = xp.argmin(square, axis=-1)
    first = xp.min(square, axis=-1)
    second = xp.min(xp.where(of_rank(index, points.ndim) == nearest[..., None], far, square), axis=-1)
    return xp.log(second / xp.where(first > 0, first, second)) / 2  # first is 0 only where the row is repeated
