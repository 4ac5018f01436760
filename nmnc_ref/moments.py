"""Moments of activity that comes in parts: over batches, over shards, or over time with forgetting.

The moments of a whole follow from those of its parts, exactly and in any order (Chan, Golub and LeVeque 1983), so that
no part need be kept. The scatter is taken around the mean of each part. Sums of raw products x xᵀ would be simpler to
add, but lose the digits that the mean has before the deviations: at a mean of 1000 deviations, 6 of float32's 7.

`nmnc_ref.manifold.from_moments` fits a manifold to `mean` and `covariance`.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

from nmnc_ref.arrays import Array, expect, fraction, is_false


class Moments(NamedTuple):
    """Moments of samples x_i with weights w_i, 1 for each sample that was not forgotten in part.

    `count`: w = Σ w_i, a scalar; `mean`: m = Σ w_i x_i / w, [n]; `scatter`: S = Σ w_i (x_i − m)(x_i − m)ᵀ, [n, n].
    """

    count: Array
    mean: Array
    scatter: Array


def empty(activity: Array) -> Moments:
    """Return the moments of no samples, w = 0, m = 0, S = 0, for n units in the library and dtype of `activity` [B, n].

    Raises:
        TypeError: not an array of float32 or float64.
        ValueError: not [B, n], empty, NaN or infinity.
    """
    xp = expect(activity=(activity, "B n"))
    zero = xp.zeros_like(activity[0, :])
    return Moments(zero[0], zero, zero[:, None] * zero)


def of(activity: Array) -> Moments:
    """Return the moments of a batch: w = B, m = mean_i x_i, S = Σ_i (x_i − m)(x_i − m)ᵀ.

    Args:
        activity: x [B, n], one row for each sample.

    Raises:
        TypeError: not an array of float32 or float64.
        ValueError: not [B, n], empty, NaN or infinity.
    """
    xp = expect(activity=(activity, "B n"))
    mean = xp.mean(activity, axis=0)
    deviation = activity - mean
    rest = xp.mean(deviation, axis=0)  # what rounding in the sum over B samples left of the mean
    deviation = deviation - rest
    count = xp.zeros_like(mean[0]) + activity.shape[0]
    return Moments(count, mean + rest, deviation.T @ deviation)


def merge(moments: Moments, other: Moments) -> Moments:
    """Return the moments of two sets of samples together (Chan, Golub and LeVeque 1983).

    w = w₁ + w₂, m = m₁ + (w₂/w) Δ, S = S₁ + S₂ + (w₁w₂/w) Δ Δᵀ, with Δ = m₂ − m₁. Exact, up to rounding, for any
    parts; associative and commutative. Either may be `empty`.

    Raises:
        TypeError: not `Moments`; mixed libraries or dtypes, or not float32 or float64.
        ValueError: shapes that do not fit, NaN, infinity, or a negative count.
    """
    xp = _expect_moments(moments=moments, other=other)
    count = moments.count + other.count
    share = other.count / xp.where(count > 0, count, xp.ones_like(count))
    difference = other.mean - moments.mean
    between = (moments.count * share) * difference[:, None] * difference
    return Moments(count, moments.mean + share * difference, moments.scatter + other.scatter + between)


def forget(moments: Moments, rate: float) -> Moments:
    """Return the moments with every weight multiplied by 1 − η: w and S shrink, m stays.

    Args:
        moments: of the past.
        rate: η in [0, 1].

    Raises:
        TypeError: as `merge`; η is not a number.
        ValueError: as `merge`; η outside [0, 1].
    """
    _expect_moments(moments=moments)
    kept = 1 - fraction("rate", rate, like=moments.mean)
    return Moments(kept * moments.count, moments.mean, kept * moments.scatter)


def update(moments: Moments, activity: Array, rate: float) -> Moments:
    """Forget a share η of the past and add a batch: after batches 1, …, t a sample of batch s has weight (1 − η)^(t−s).

    The count of batches of B tends to B/η. It is the same average over time as that of the feedback weights (F1).

    Args:
        moments: of the past; `empty` to begin with.
        activity: x [B, n].
        rate: η in [0, 1], per batch. 0 forgets nothing, 1 everything.

    Raises:
        TypeError: as `forget`.
        ValueError: as `forget`; activity that is not [B, n], empty, NaN or infinity.
    """
    _expect_moments(moments=moments)
    expect(**{"moments.mean": (moments.mean, "n"), "activity": (activity, "B n")})
    return merge(forget(moments, rate), of(activity))


def covariance(moments: Moments) -> Array:
    """Return C = S/w [n, n], the covariance with divisor w.

    Raises:
        TypeError: as `merge`.
        ValueError: as `merge`; a count of 0 (under `jax.jit`: NaN).
    """
    _expect_moments(moments=moments)
    if is_false(moments.count > 0):
        raise ValueError("moments.count: expected at least one sample, got a count of 0")
    return moments.scatter / moments.count


def _expect_moments(**arguments: Moments) -> ModuleType:
    shapes: dict[str, tuple[Array, str]] = {}
    for name, moments in arguments.items():
        if not isinstance(moments, Moments):
            raise TypeError(f"{name}: expected Moments, got {type(moments).__name__}")
        shapes |= {
            f"{name}.count": (moments.count, ""),
            f"{name}.mean": (moments.mean, "n"),
            f"{name}.scatter": (moments.scatter, "n n"),
        }
    xp = expect(**shapes)
    for name, moments in arguments.items():
        if is_false(moments.count >= 0):
            raise ValueError(f"{name}.count: expected no negative count, got {float(moments.count):g}")
    return xp
