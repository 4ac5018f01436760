"""Measured against predicted: the four rungs of evidence, each with its tolerance and the reason for it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from paper_checks.lab import Lab

ROUNDING_FACTOR = 32
Z_SCORE = 6.0
"""Half-width of the Monte Carlo tolerance, in standard errors."""
Z_POWER = 3.0
"""An error this many standard errors beyond the tolerance goes unseen with probability 0.13 %."""
DETECTABLE = 0.05
"""Every Monte Carlo comparison must be able to see an error of this share of the prediction."""
FALSE_ALARM_OF_A_RUN = 1e-6
FALSE_ALARM = math.erfc(Z_SCORE / math.sqrt(2))
"""Of one Monte Carlo comparison: 2.0e-9, so that a run may hold up to 500 of them."""
SLOPE_TOLERANCE = 0.05
CONFIDENCE = 0.95
"""Of the intervals over seeds."""
POWER = 0.999
"""With which an assertion about pairs of networks is to see a difference that matters."""
NOWHERE: Mapping[str, str | float] = {}


class Comparison(NamedTuple):
    """One measured quantity held against its prediction: it holds if `used` is at most 1.

    `used` is the share of the tolerance that the deviation takes (for a bound: the ratio of the two numbers).
    `relation` is "=", "≥" or "≤" where the prediction is a bound, ">" where it is another measured mean, or "reported"
    where a number is only to be seen beside its prediction, NaN if there is none. `false_alarm` is the probability that
    a correct quantity fails, `detectable` the relative error that is seen all but surely; both are None where chance
    plays no part or its law is not known. `seeds` are the independent runs behind a measured mean, `tolerance` then the
    half of its 95 % interval. `shape` is that of arrays, of which predicted and measured are the norms. `coordinates`
    are the parameters at which it was measured, by name, so that no reader has to understand `name`.
    """

    name: str
    predicted: float
    measured: float
    tolerance: float
    used: float
    reason: str
    relation: str = "="
    false_alarm: float | None = None
    detectable: float | None = None
    seeds: int | None = None
    shape: tuple[int, ...] = ()
    coordinates: Mapping[str, str | float] = NOWHERE

    def at(self, **coordinates: str | float) -> Comparison:
        """Return it with the place where it was measured: `quantity`, and parameters as THEORY.md names them."""
        return self._replace(coordinates=coordinates)

    @property
    def asserted(self) -> bool:
        """Tell whether it could have failed."""
        return self.relation != "reported"

    @property
    def held(self) -> bool:
        """Tell whether the deviation is within the tolerance, which NaN never is."""
        return self.used <= 1

    @property
    def underpowered(self) -> bool:
        """Tell whether an error that matters could go unseen."""
        return self.detectable is not None and not self.detectable <= DETECTABLE


def exact(
    lab: Lab, name: str, predicted: Any, measured: Any, *, terms: int = 1, scale: float | None = None
) -> Comparison:
    """Compare numbers or arrays that differ by rounding alone: max|Δ| ≤ 32·eps·√terms·scale.

    Args:
        lab: whose dtype sets eps.
        name: of the quantity.
        predicted: a number or an array.
        measured: a number or an array of the same shape.
        terms: how many terms the longest sum behind the measurement has; their rounding errors add up like √terms.
        scale: of the terms; by default the largest predicted magnitude.

    For arrays, the Frobenius norms are reported as predicted and measured.
    """
    want, got = lab.numpy(predicted), lab.numpy(measured)
    if want.shape != got.shape:
        raise ValueError(f"{name}: predicted shape {want.shape}, measured shape {got.shape}")
    size = float(abs(want).max()) if scale is None else float(scale)
    tolerance = ROUNDING_FACTOR * lab.eps * math.sqrt(terms) * size
    error = float(abs(want - got).max())
    values = (float(want), float(got)) if want.ndim == 0 else (_norm(want), _norm(got))
    used = error / tolerance if tolerance else (0.0 if error == 0 else math.inf)
    reason = f"rounding: {ROUNDING_FACTOR}·eps·√{terms}·scale"
    return Comparison(name, *values, tolerance, used, reason, shape=want.shape)


def order(name: str, predicted: float, measured: float) -> Comparison:
    """Compare orders of convergence, log–log slopes, which finite σ changes by far less than the tolerance."""
    error = abs(measured - predicted)
    reason = "slope between scales small enough for the next order, large enough for rounding"
    return Comparison(name, predicted, measured, SLOPE_TOLERANCE, error / SLOPE_TOLERANCE, reason)


def at_least(name: str, bound: float, measured: float) -> Comparison:
    """Assert a lower bound that the claim itself states."""
    used = bound / measured if measured > 0 else math.inf
    return Comparison(name, bound, measured, 0.0, used, "the bound that the claim states", "≥")


def at_most(name: str, bound: float, measured: float) -> Comparison:
    """Assert a positive upper bound that the claim itself states."""
    return Comparison(name, bound, measured, 0.0, measured / bound, "the bound that the claim states", "≤")


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and half-width of the 95 % t-interval of independent values, at least two.

    Raises:
        ValueError: fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"values: expected at least two, got {len(values)}")
    from scipy import stats  # which takes a second, and no claim of the theory needs

    error = float(stats.sem(values))
    return float(np.mean(values)), float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error


def exceeds(name: str, smaller: Sequence[float], larger: Sequence[float]) -> Comparison:
    """Assert that the mean of `larger` is above that of `smaller`, with 95 % t-intervals that do not overlap."""
    (low, half_low), (high, half_high) = mean_interval(smaller), mean_interval(larger)
    used = (half_low + half_high) / (high - low) if high > low else math.inf
    reason = f"95 % intervals, ± {half_low:.3g} and ± {half_high:.3g}, must not overlap"
    return Comparison(name, low, high, half_high, used, reason, ">", seeds=len(larger))


def exceeds_in_pairs(name: str, smaller: Sequence[float], larger: Sequence[float]) -> Comparison:
    """Assert that the mean of `larger` is above that of `smaller`, with the 95 % t-interval of the differences of pairs
    above zero; the reason tells which difference would be seen all but surely, at the spread that was measured.

    Raises:
        ValueError: not as many of the one as of the other, or fewer than two.
    """
    mean, half = mean_interval([high - low for low, high in zip(smaller, larger, strict=True)])
    used = half / mean if mean > 0 else math.inf
    pairs = len(larger)
    reason = (
        f"95 % interval of the difference in {pairs} pairs, ± {half:.3g}, must be above 0; "
        f"a difference of {half * seen_in_pairs(pairs):.3g} would be seen with probability {POWER:.1%}"
    )
    return Comparison(name, float(np.mean(smaller)), float(np.mean(larger)), half, used, reason, ">", seeds=pairs)


@functools.cache
def seen_in_pairs(pairs: int) -> float:
    """Return which mean difference has an interval above zero with probability `POWER`, in half-widths of the interval;
    for differences that are normal.
    """
    from scipy import optimize, stats

    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, pairs - 1))

    def missed(shift: float) -> float:
        return float(stats.nct.cdf(quantile, pairs - 1, shift)) - (1 - POWER)

    return float(optimize.brentq(missed, quantile, 100 * quantile)) / quantile


def reported(name: str, values: Sequence[float], predicted: float = math.nan) -> Comparison:
    """Report a mean with its 95 % t-interval, beside a prediction if there is one, and assert nothing."""
    mean, half = mean_interval(values)
    reason = "reported, not asserted"
    return Comparison(name, predicted, mean, half, 0.0, reason, "reported", seeds=len(values))


def resampled(name: str, value: float, values: Any, predicted: float = math.nan) -> Comparison:
    """Report a value with the half of the 95 % interval of what it is in samples drawn anew, and assert nothing."""
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    reason = f"reported, not asserted; 95 % of samples from {low:.3g} to {high:.3g}"
    return Comparison(name, predicted, float(value), float(high - low) / 2, 0.0, reason, "reported")


def shown(name: str, value: float) -> Comparison:
    """Report a value, and assert nothing."""
    return Comparison(name, math.nan, float(value), 0.0, 0.0, "reported, not asserted", "reported")


def above_zero(name: str, value: float, values: Any) -> Comparison:
    """Assert that a value is above zero, with the 95 % interval of what it is in samples drawn anew."""
    found = resampled(name, value, values)
    low = float(np.quantile(values, (1 - CONFIDENCE) / 2))
    used = (value - low) / value if value > 0 else math.inf
    reason = f"{(1 + CONFIDENCE) / 2:.1%} of samples above {low:.3g}, which must be more than 0"
    return found._replace(predicted=0.0, used=float(used), reason=reason, relation="≥")


def slope_interval(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return slope and half of its 95 % interval of a straight line through (log size, log value), all runs together;
    NaN if a value is not finite.

    Raises:
        ValueError: fewer than three points.
    """
    if len(sizes) < 3:
        raise ValueError(f"sizes: expected at least three, got {len(sizes)}")
    if not np.all(np.isfinite(values)):
        return math.nan, math.nan
    from scipy import stats

    fit = stats.linregress(np.log(sizes), np.log(values))
    return float(fit.slope), float(stats.t.ppf((1 + CONFIDENCE) / 2, len(sizes) - 2) * fit.stderr)


def slope_at_least(name: str, bound: float, sizes: Sequence[float], values: Sequence[float], seeds: int) -> Comparison:
    """Assert that the lower end of the interval of a log–log slope is at least a positive bound."""
    slope, half = slope_interval(sizes, values)
    reason = "the lower end of the 95 % interval"
    return at_least(name, bound, slope - half)._replace(measured=slope, tolerance=half, reason=reason, seeds=seeds)


def slope_at_most(name: str, bound: float, sizes: Sequence[float], values: Sequence[float], seeds: int) -> Comparison:
    """Assert that the upper end of the interval of a log–log slope is at most a positive bound."""
    slope, half = slope_interval(sizes, values)
    reason = "the upper end of the 95 % interval"
    return at_most(name, bound, slope + half)._replace(measured=slope, tolerance=half, reason=reason, seeds=seeds)


def monte_carlo(name: str, predicted: float, measured: float, standard_error: float) -> Comparison:
    """Compare a mean over independent draws: |Δ| ≤ 6 standard errors.

    The claim fails also if an error of 5 % of the prediction could go unseen, that is, lie within 6 + 3 standard
    errors.
    """
    tolerance = Z_SCORE * standard_error
    detectable = (Z_SCORE + Z_POWER) * standard_error / abs(predicted) if predicted else math.inf
    used = abs(measured - predicted) / tolerance if tolerance else math.inf
    reason = f"{Z_SCORE:g} standard errors; an error of {detectable:.1%} would be seen"
    return Comparison(
        name, predicted, measured, tolerance, used, reason, false_alarm=FALSE_ALARM, detectable=detectable
    )


def sampled(name: str, predicted: float, samples: Any) -> Comparison:
    """Compare a squared error or variance with the mean of at least 1,000 independent NumPy `samples`."""
    count = samples.shape[0]
    if count < 1000:
        raise ValueError(f"{name}: expected at least 1000 independent repetitions, got {count}")
    return monte_carlo(name, predicted, float(samples.mean()), float(samples.std(ddof=1)) / math.sqrt(count))


def ratio_of_means(name: str, predicted: float, part: Any, whole: Any) -> Comparison:
    """Compare E[part]/E[whole] from at least 1,000 independent repetitions (NumPy), with the error of the residual
    part − predicted·whole, whose mean is zero if the prediction is right.
    """
    residual = part - predicted * whole
    checked = sampled(name, predicted, predicted + residual / whole.mean())
    return checked._replace(measured=float(part.mean() / whole.mean()))


def _norm(array: Any) -> float:
    return float((array**2).sum() ** 0.5)
