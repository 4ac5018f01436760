"""Which slips of the catalogue fit everything that was measured.

A slip predicts by example: estimates made with it are compared with those measured, problem by problem and array by
array, in mean, variance, and correlation between layers and samples. One clear difference rules it out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.checks import ROUNDING, Check, Measurement, compare
from nmnc_ref.oracle.audit.probes import probes
from nmnc_ref.oracle.audit.problem import TARGETS, Declaration, Problem
from nmnc_ref.oracle.audit.reference import estimates
from nmnc_ref.oracle.audit.report import Explanation
from nmnc_ref.oracle.audit.slips import Slip, candidates

CALLS = 256
"""Estimates made of a slip on each problem, at least."""
MORE_TIME = "More time"
LIMIT = 6.0
"""Standard errors beyond which a slip is ruled out."""


class Fit(NamedTuple):
    """How well a slip fits: the sum of squares of all deviations, in standard errors, and whether one rules it out."""

    slip: Slip
    squares: float
    fits: bool


def explain(
    measured: Sequence[Measurement], declaration: Declaration, defect: Check, seed: int
) -> tuple[list[Explanation], str]:
    """Return the slips that fit, best first, and which further run would tell them apart.

    Args:
        measured: what an estimator with a defect returned.
        declaration: what it was said to compute.
        defect: the clearest of its deviations from the theory, which a slip must not only allow but predict.
        seed: of the estimates that the slips predict.
    """
    fits = [fit for slip in candidates(declaration) if (fit := _fit(slip, measured, declaration, defect, seed)).fits]
    fits.sort(key=lambda fit: fit.squares)
    likelihoods = [math.exp((fits[0].squares - fit.squares) / 2) for fit in fits]
    found = [
        Explanation(fit.slip.name, likelihood / sum(likelihoods))
        for fit, likelihood in zip(fits, likelihoods, strict=True)
    ]
    return found, _advice([fit.slip for fit in fits], measured, declaration, seed) if len(fits) > 1 else ""


def _fit(slip: Slip, measured: Sequence[Measurement], declaration: Declaration, defect: Check, seed: int) -> Fit:
    squares = 0.0
    alike = []
    for index, measurement in enumerate(measured):
        # the same seed for all slips, so that like slips fit alike
        made = _made(slip, measurement.probe.problem, declaration, [seed, index], max(CALLS, measurement.calls))
        if _shapes(made) != [part.shape for part in measurement.parts]:
            return Fit(slip, math.inf, False)
        predicted = _flat(made)
        for deviation in _deviations(measurement, predicted):
            squares += min(deviation**2, 1e12)
            if not deviation <= LIMIT:
                return Fit(slip, squares, False)
        alike.append(measurement._replace(samples=predicted))
    return Fit(slip, squares, _predicts(alike, declaration, defect))


def _predicts(alike: Sequence[Measurement], declaration: Declaration, defect: Check) -> bool:
    """Tell whether a defect shows in estimates with a slip too: at least half of it, more than chance would make.

    A slip that changes nothing on these problems, or next to nothing, fits whatever a small defect leaves nearly right.
    """
    same = next((check for check in compare(alike, declaration) if check.name == defect.name), None)
    if same is None:
        return False
    return abs(same.measured - same.expected) >= abs(defect.measured - defect.expected) / 2


def _made(slip: Slip, problem: Problem, declaration: Declaration, seed: list[int], calls: int) -> list[np.ndarray]:
    """Return estimates with a slip, [calls, …] for each part."""
    return estimates(problem, declaration._replace(**slip.instead), np.random.default_rng(seed), calls, **slip.steps)


def _shapes(samples: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
    return [sample.shape[1:] for sample in samples]


def _flat(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return samples as [calls, m]."""
    return tuple(sample.reshape(len(sample), -1) for sample in samples)


def _deviations(measurement: Measurement, predicted: Sequence[np.ndarray]) -> Iterator[float]:
    """Yield the deviations between what was measured and what is predicted, in standard errors."""
    pairs = list(zip(measurement.samples, predicted, strict=True))
    for sample, prediction in pairs:
        yield from _mean_deviations(sample, prediction)
        if measurement.probe.linear:
            yield _variance_deviation(sample, prediction)
    if measurement.probe.linear:
        random = [pair for pair in pairs if _spread(pair[0])[0] and _spread(pair[1])[0]]
        for (sample, prediction), (other, other_prediction) in itertools.combinations_with_replacement(random, 2):
            yield _correlation_deviation((sample, other), (prediction, other_prediction))


def _mean_deviations(sample: np.ndarray, prediction: np.ndarray) -> Iterator[float]:
    """Yield the deviation along the predicted mean, and that in all directions."""
    mean = prediction.mean(axis=0)
    difference = sample.mean(axis=0) - mean
    size = float(np.linalg.norm(mean)) or 1.0
    covariance = _covariance(sample) / len(sample) + _covariance(prediction) / len(prediction)
    covariance += np.eye(len(mean)) * (ROUNDING * size / LIMIT) ** 2 / len(mean)
    yield float(abs(difference @ mean) / size / math.sqrt(mean @ covariance @ mean / size**2 + (ROUNDING * size) ** 2))
    eigenvalues = np.maximum(np.linalg.eigvalsh(covariance), 0)
    # of a weighted χ² variable: √ of its excess in units of the largest weight, which has Gaussian tails at most
    excess = float(difference @ difference) - eigenvalues.sum() - 2 * LIMIT * np.linalg.norm(eigenvalues) / math.sqrt(2)
    yield math.sqrt(max(excess, 0.0) / eigenvalues[-1])


def _variance_deviation(sample: np.ndarray, prediction: np.ndarray) -> float:
    (first, first_error), (second, second_error) = _spread(sample), _spread(prediction)
    if not (first and second):
        return 0.0 if first == second else math.inf
    return abs(math.log(first / second)) / math.hypot(first_error, second_error)


def _spread(sample: np.ndarray) -> tuple[float, float]:
    """Return the total variance and the relative standard error of its measurement."""
    squares = np.sum((sample - sample.mean(axis=0)) ** 2, axis=1)
    size = float(np.sum(sample**2)) / len(sample)
    total = float(squares.mean())
    if total <= (ROUNDING**2 * size):
        return 0.0, 0.0
    covariance = _covariance(sample)
    gaussian = math.sqrt(2 * np.sum(covariance**2)) / total
    return total, max(gaussian, float(squares.std()) / total) / math.sqrt(len(sample))


def _correlation_deviation(measured: tuple[np.ndarray, np.ndarray], predicted: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the largest difference of any correlation, each of which errs by 1/√N at most."""
    (first, first_known), (second, second_known) = _correlations(*measured), _correlations(*predicted)
    both = first_known & second_known
    if not np.any(both):
        return 0.0
    error = math.sqrt(1 / len(measured[0]) + 1 / len(predicted[0]))
    widened = LIMIT / math.sqrt(LIMIT**2 + 2 * math.log(both.sum()))
    return float(np.max(abs(first - second) * both)) / error * widened


def _correlations(sample: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    errors, others = sample - sample.mean(axis=0), other - other.mean(axis=0)
    scales = np.outer(np.sqrt(np.mean(errors**2, axis=0)), np.sqrt(np.mean(others**2, axis=0)))
    known = scales > 1e-6 * max(np.max(scales), 1e-300)
    return errors.T @ others / len(sample) / np.where(known, scales, 1.0), known


def _covariance(sample: np.ndarray) -> np.ndarray:
    errors = sample - sample.mean(axis=0)
    return errors.T @ errors / max(len(sample) - 1, 1)


def _advice(slips: list[Slip], measured: Sequence[Measurement], declaration: Declaration, seed: int) -> str:
    """Name a run in which the two best explanations differ."""
    names = " from ".join(slip.name for slip in slips[:2])
    runs = {MORE_TIME: declaration}
    runs |= {f"A run with --target {target}": declaration._replace(target=target) for target in TARGETS}
    runs["A run with --simultaneous"] = declaration._replace(simultaneous=True)
    if declaration.returns != "weight-gradient":
        runs["A run with --returns weight-gradient"] = declaration._replace(returns="weight-gradient")
    activations = tuple(dict.fromkeys(measurement.probe.problem.activation for measurement in measured))
    for name, other in runs.items():
        if _differ(slips[0], slips[1], other, seed, activations):
            return f"{name} would tell {names}."
    return f"No run of this audit would tell {names}."


def _differ(first: Slip, second: Slip, declaration: Declaration, seed: int, activations: tuple[str, ...]) -> bool:
    """Tell whether two slips differ in a run of that declaration."""
    if not (first.applies(declaration) and second.applies(declaration)):
        return False
    for index, probe in enumerate(probes(declaration, seed, activations)):
        one, other = (
            _made(slip, probe.problem, declaration, [seed, index, number], 2 * CALLS)
            for number, slip in enumerate((first, second))
        )
        if _shapes(one) != _shapes(other):
            return True
        if any(deviation > LIMIT for deviation in _deviations(Measurement(probe, (), _flat(one)), _flat(other))):
            return True
    return False
