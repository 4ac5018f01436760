"""Moments of activity that comes in parts: over batches, over shards, or over time with forgetting.

The moments of a whole follow from those of its parts, exactly and in any order (Chan, Golub and LeVeque 1983), so that
no part need be kept. The scatter is taken around the mean of each part. Sums of raw products x xᵀ would be simpler to
add, but lose the digits that the mean has before the deviations: at a mean of 1000 deviations, 6 of float32's 7.

`nmnc_ref.manifold.from_moments` fits a manifold to `mean` and `covariance`.
"""

from __future__ import annotations

from typing import NamedTuple

from nmnc_ref.arrays import Array, Float, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import centred, expect_squares, gram
from nmnc_ref.scalars import Fraction


class Moments(NamedTuple):
    """Moments of samples x_i with weights w_i, 1 for each sample that was not forgotten in part.

    `count`: w = Σ w_i; `mean`: m = Σ w_i x_i / w; `scatter`: S = Σ w_i (x_i − m)(x_i − m)ᵀ.
    """

    count: Float[Array, ""]
    mean: Float[Array, "n"]
    scatter: Float[Array, "n n"]


@checked
def empty(activity: Float[Array, "B n"]) -> Moments:
    """w = 0, m = 0, S = 0: the moments of no samples.

    Args:
        activity: of which only the number of units, the library and the dtype are used.
    """
    zero = namespace(activity).zeros_like(activity[0, :])
    return Moments(zero[0], zero, zero[:, None] * zero[None, :])


@checked
def of(activity: Float[Array, "B n"]) -> Moments:
    """w = B, m = mean_i x_i, S = Σ_i (x_i − m)(x_i − m)ᵀ: the moments of a batch.

    Args:
        activity: x, one row for each sample.
    """
    mean, deviation = centred(activity)
    expect_squares("activity", deviation)
    return Moments(namespace(mean).zeros_like(mean[0]) + activity.shape[0], mean, gram(deviation))


@checked
def merge(moments: Moments, other: Moments) -> Moments:
    """w = w₁ + w₂, m = m₁ + (w₂/w) Δ, S = S₁ + S₂ + (w₁w₂/w) Δ Δᵀ, with Δ = m₂ − m₁: two sets of samples together.

    Exact, up to rounding, for any parts; associative and commutative (Chan, Golub and LeVeque 1983).

    Args:
        moments: of the one set.
        other: of the other; either may be `empty`. Merge parts of like weight: what has a share of less than eps of
            the whole changes nothing.
    """
    _expect_count(moments=moments, other=other)
    xp = namespace(moments.mean)
    count = moments.count + other.count
    total = xp.where(count > 0, count, xp.ones_like(count))
    share, rest = other.count / total, moments.count / total
    difference = other.mean - moments.mean
    between = (moments.count * share) * difference[:, None] * difference[None, :]
    expect(xp.all(xp.isfinite(between)), "other.mean: expected means whose squared difference is in range, got others")
    # from the mean that weighs more, so that one of weight 0 leaves no rounding error of its own size
    mean = xp.where(share < rest, moments.mean + share * difference, other.mean - rest * difference)
    return Moments(count, mean, moments.scatter + other.scatter + between)


@checked
def forget(moments: Moments, rate: Fraction) -> Moments:
    """(1 − η) w, m, (1 − η) S: the moments with every weight multiplied by 1 − η.

    Args:
        moments: of the past.
        rate: η.
    """
    _expect_count(moments=moments)
    return Moments((1 - rate) * moments.count, moments.mean, (1 - rate) * moments.scatter)


@checked
def update(moments: Moments, activity: Float[Array, "B n"], rate: Fraction) -> Moments:
    """Forget a share η of the past and add a batch: after batches 1, …, t a sample of batch s has weight (1 − η)^(t−s).

    The count of batches of B tends to B/η. It is the same average over time as that of the feedback weights (F1).

    Args:
        moments: of the past; `empty` to begin with.
        activity: x.
        rate: η, per batch. 0 forgets nothing, 1 everything.
    """
    return merge(forget(moments, rate), of(activity))


@checked
def covariance(moments: Moments) -> Float[Array, "n n"]:
    """C = S/w, the covariance with divisor w.

    Args:
        moments: of one sample or more (under `jax.jit` those of none yield NaN).
    """
    _expect_count(moments=moments)
    expect(moments.count > 0, "moments.count: expected at least one sample, got a count of 0")
    return moments.scatter / moments.count


def _expect_count(**arguments: Moments) -> None:
    for name, moments in arguments.items():
        expect(moments.count >= 0, f"{name}.count: expected no negative count, got {{:g}}", moments.count)
