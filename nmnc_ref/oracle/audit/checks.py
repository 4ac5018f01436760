"""The questions of an audit, each a comparison of what was measured with what is expected."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.expectation import Part, cross_covariance
from nmnc_ref.oracle.audit.probes import Probe
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, Declaration, basis
from nmnc_ref.oracle.audit.statistics import MISSED, bound, norm_bound, smallest_norm

PASSED, DEFECT, UNDECIDED = "passed", "defect", "undecided"
ROUNDING = 1e-4
"""Relative error of exact quantities that single precision explains."""
FEWEST = 4
"""Calls before anything is judged."""
FEWEST_WITHOUT_THEORY = 64
"""Calls before anything is judged whose covariance is known from these calls alone."""


class Resolution(NamedTuple):
    """The smallest errors that an audit must be able to see: `fine` in one probe at least, `coarse` in each."""

    fine: float
    coarse: float


RESOLUTIONS = {
    "scale": Resolution(0.05, 0.2),
    "direction": Resolution(3.0, 15.0),
    "variance": Resolution(0.10, 0.50),
    "independence of layers": Resolution(0.6, 0.6),
    "independence of samples": Resolution(0.6, 0.6),
    "variance ~ 1/K": Resolution(0.3, 0.3),
    "variance ~ 1/B": Resolution(0.3, 0.3),
}
"""By question: relative errors; degrees; correlations; exponents."""


class Check(NamedTuple):
    """One measured quantity against its expectation.

    `question`, `probe` and `part` say what was compared, `note` what else there is to say. `status` is "passed",
    "defect", or "undecided" for what agrees but could hide an error that matters. `se` is the standard error of
    `measured`; `smallest_detectable` is the error that would be seen but for chances of 0.13 %. Scales and variances
    are ratios to the theory's, directions angles to the theory's in degrees.
    """

    question: str
    probe: str
    part: str
    status: str
    measured: float
    expected: float
    se: float = 0.0
    smallest_detectable: float = 0.0
    note: str = ""

    @property
    def name(self) -> str:
        """All three in one line."""
        return " · ".join(filter(None, (self.question, self.probe, self.part)))

    @property
    def distance(self) -> float:
        """How far from its expectation, in standard errors; infinite for exact quantities and misbehaviour."""
        distance = abs(self.measured - self.expected) / self.se if self.se else math.inf
        return math.inf if math.isnan(distance) else distance


def fault_check(kind: str, message: str) -> Check:
    """Return the check that an estimator failed by what it did, not by a number."""
    return Check(kind, "", "", DEFECT, math.nan, math.nan, math.nan, note=message)


class Measurement(NamedTuple):
    """What an estimator returned on one probe: `samples` of each part [N, m], independent calls, and what to expect."""

    probe: Probe
    parts: tuple[Part, ...]
    samples: tuple[np.ndarray, ...]

    @property
    def calls(self) -> int:
        """N."""
        return len(self.samples[0])


def part_checks(measurement: Measurement) -> Iterator[Check]:
    """Compare mean and variance of every part with the theory."""
    for part, sample in zip(measurement.parts, measurement.samples, strict=True):
        if not np.any(part.covariance):
            yield _exact(measurement.probe, part, sample)
        elif len(sample) >= _fewest(measurement.probe):
            yield from _mean(measurement.probe, part, sample)
            if measurement.probe.linear:
                yield _variance(measurement.probe, part, sample)


def unasked_checks(measurement: Measurement) -> Iterator[Check]:
    """Yield an undecided check for every part whose mean cannot be judged from so few calls."""
    for part in measurement.parts:
        if np.any(part.covariance) and measurement.calls < _fewest(measurement.probe):
            yield Check("scale", measurement.probe.name, part.name, UNDECIDED, math.nan, 1.0, math.inf, math.inf)


def _fewest(probe: Probe) -> int:
    return FEWEST if probe.linear else FEWEST_WITHOUT_THEORY


def _exact(probe: Probe, part: Part, sample: np.ndarray) -> Check:
    size = float(np.linalg.norm(part.mean))
    error = float(np.max(np.linalg.norm(sample - part.mean, axis=1))) / (size or 1.0)
    return _vanishing("exact value" if size else "null", probe, part, error)


def _vanishing(question: str, probe: Probe, part: Part, error: float) -> Check:
    """Judge an error that is to be zero but for rounding."""
    return Check(question, probe.name, part.name, _status(error, ROUNDING), error, 0.0, 0.0, ROUNDING)


def _mean(probe: Probe, part: Part, sample: np.ndarray) -> Iterator[Check]:
    """Judge the mean along its expectation (scale) and across it (direction).

    The covariance is the theory's, or the measured one where it is the larger: what a variance in excess does to the
    mean is the variance's defect. Beyond the linear response there is no theory for it, and the calls themselves, not
    their draws, are the terms from whose scatter it is known.
    """
    calls = len(sample)
    terms = calls * probe.problem.draws if probe.linear else calls
    size = float(np.linalg.norm(part.mean))
    spread = np.cov(sample.T, ddof=1).reshape(part.covariance.shape)
    if probe.linear:
        excess = np.trace(spread) / np.trace(part.covariance)
        spread = part.covariance * max(1.0, excess)
    covariance = spread / calls + part.uncertainty
    mean = sample.mean(axis=0)
    if size <= ROUNDING * math.sqrt(np.trace(part.covariance)):  # noise of other layers at a layer that is silent
        yield _null_mean(probe, part, mean, covariance, terms)
        return
    along = part.mean / size
    scale = float(mean @ along) / size
    se = math.sqrt(along @ covariance @ along) / size
    yield _judged("scale", probe, part, scale, 1.0, se, bound(terms))

    across = np.eye(len(mean)) - np.outer(along, along)
    off = across @ covariance @ across
    error = float(np.sum((across @ mean) ** 2))
    chance = max(float(np.trace(off)), 0.0)
    angle = math.atan2(math.sqrt(max(error - chance, 0.0)), abs(scale) * size)
    smallest = math.atan2(smallest_norm(off, terms), size)
    status = _status(error, norm_bound(off, terms) + (ROUNDING * size) ** 2)
    se = math.degrees(math.sqrt(chance) / size)
    yield Check("direction", probe.name, part.name, status, math.degrees(angle), 0.0, se, math.degrees(smallest))


def _null_mean(probe: Probe, part: Part, mean: np.ndarray, covariance: np.ndarray, terms: int) -> Check:
    """Judge a mean that is to be zero, in units of the standard deviation of one estimate."""
    unit = math.sqrt(np.trace(part.covariance))
    norm, se = float(np.linalg.norm(mean)) / unit, math.sqrt(np.trace(covariance)) / unit
    status = _status(norm * unit, math.sqrt(norm_bound(covariance, terms)))
    return Check("null", probe.name, part.name, status, norm, 0.0, se, smallest_norm(covariance, terms) / unit)


def _variance(probe: Probe, part: Part, sample: np.ndarray) -> Check:
    measured, se = _relative_variance(part, sample)
    return _judged("variance", probe, part, measured, 1.0, se, bound(len(sample) - 1))


def _relative_variance(part: Part, sample: np.ndarray) -> tuple[float, float]:
    """Return the total variance over its expectation (E3), and the standard error of that ratio.

    √(2 tr Σ²/(N − 1))/tr Σ if estimates are Gaussian, as means of many draws nearly are; as measured where larger.
    """
    expected = float(np.trace(part.covariance))
    squares = np.sum((sample - sample.mean(axis=0)) ** 2, axis=1) / expected
    free = len(sample) - 1
    gaussian = math.sqrt(2 * np.sum(part.covariance**2)) / expected
    return float(squares.sum()) / free, max(gaussian, float(squares.std(ddof=1))) / math.sqrt(free)


def _judged(
    question: str, probe: Probe, part: Part, measured: float, expected: float, se: float, allowed: float
) -> Check:
    status = _status(abs(measured - expected), allowed * se + ROUNDING)
    return Check(question, probe.name, part.name, status, measured, expected, se, (allowed + MISSED) * se + ROUNDING)


def _status(error: float, allowed: float) -> str:
    return PASSED if error <= allowed else DEFECT


def slope_checks(question: str, few: Measurement, many: Measurement, ratio: float) -> Iterator[Check]:
    """Compare how variance falls with draws or samples, the log–log slope, with −1."""
    for part, other, sample, others in zip(few.parts, many.parts, few.samples, many.samples, strict=True):
        if np.any(part.covariance) and min(len(sample), len(others)) >= FEWEST:
            (low, low_se), (high, high_se) = _relative_variance(part, sample), _relative_variance(other, others)
            theory = math.log(np.trace(other.covariance) / np.trace(part.covariance)) / math.log(ratio)
            slope = theory + math.log(max(high, 1e-300) / max(low, 1e-300)) / math.log(ratio)
            # under the theory both ratios are 1, and measured errors of ratios far from it are not to blur it
            se = math.hypot(low_se / max(low, 1), high_se / max(high, 1)) / math.log(ratio)
            yield _judged(question, few.probe, part, slope, -1.0, se, bound(min(len(sample), len(others))))


def independence_checks(measurement: Measurement, declaration: Declaration) -> Iterator[Check]:
    """Look for correlation between layers, and between samples where their estimates come apart."""
    probe, calls = measurement.probe, measurement.calls
    if not probe.linear or calls < FEWEST:
        return
    known = [
        (part, sample - part.mean)
        for part, sample in zip(measurement.parts, measurement.samples, strict=True)
        if np.any(part.covariance) and not part.name.startswith("db")
    ]
    for (part, errors), (other, others) in itertools.combinations(known, 2):
        expected = cross_covariance(probe.problem, declaration, part, other)
        scales = np.sqrt(np.outer(np.diag(part.covariance), np.diag(other.covariance)))
        yield _correlation(
            "independence of layers", probe, f"{part.name}, {other.name}", errors, others, expected, scales
        )
    if declaration.returns == "activity-gradient" and len(probe.problem.x) > 1:
        for part, errors in known:
            batch, width = part.shape
            deviations = np.sqrt(np.diag(part.covariance))
            scales = np.outer(deviations, deviations)
            same = np.kron(np.eye(batch), np.ones((width, width))) > 0
            scales = np.where(same, 0.0, scales)
            yield _correlation("independence of samples", probe, part.name, errors, errors, 0 * scales, scales)


def _correlation(
    question: str,
    probe: Probe,
    name: str,
    errors: np.ndarray,
    others: np.ndarray,
    expected: np.ndarray,
    scales: np.ndarray,
) -> Check:
    """Judge the largest correlation of any two entries; those of scale zero do not count.

    The product of independent errors has the standard deviation `scales`, correlated ones at most √2 times that.
    Where the measured variances are the larger, they take the place of the theory's.
    """
    calls = len(errors)
    scales = np.maximum(
        scales, (scales > 0) * np.sqrt(np.outer(np.mean(errors**2, axis=0), np.mean(others**2, axis=0)))
    )
    known = scales > 1e-9 * scales.max()
    safe = np.where(known, scales, 1.0)
    measured = np.where(known, errors.T @ others / calls / safe, 0.0)
    expected = np.where(known, expected / safe, 0.0)
    worst = np.unravel_index(np.argmax(abs(measured - expected)), measured.shape)
    se = math.sqrt((1 + np.max(expected**2)) / calls)
    allowed = bound(calls, entries=measured.size)
    status = _status(float(abs(measured - expected)[worst]), allowed * se)
    return Check(
        question, probe.name, name, status, float(measured[worst]), float(expected[worst]), se, (allowed + MISSED) * se
    )


def confinement_checks(measurement: Measurement, declaration: Declaration) -> Iterator[Check]:
    """Ask whether estimates stay on the manifold, ‖Ĝ(I − P)‖/‖Ĝ‖ = 0, wherever no φ' bends them off it."""
    problem = measurement.probe.problem
    gated = declaration.returns == "weight-gradient" and problem.activation != "identity"
    if problem.bases is None or gated:
        return
    for part, sample in zip(measurement.parts, measurement.samples, strict=True):
        if part.site is None or not np.any(sample):
            continue
        units = 1 if declaration.returns == "weight-gradient" else -1
        entries = np.moveaxis(sample.reshape(-1, *part.shape), units, -1)
        U = basis(problem, part.site)
        off = np.linalg.norm(entries - entries @ U @ U.T) / np.linalg.norm(entries)
        yield _vanishing("confinement", measurement.probe, part, float(off))


def compare(measurements: Iterable[Measurement], declaration: Declaration) -> list[Check]:
    """Ask every question of what was measured: each answer is "passed" or "defect"."""
    found: list[Check] = []
    measured = {measurement.probe.name: measurement for measurement in measurements}
    for measurement in measured.values():
        found += part_checks(measurement)
        found += independence_checks(measurement, declaration)
        found += confinement_checks(measurement, declaration)
    for activation in ACTIVATIONS:
        base, few, single, equal = (
            measured.get(f"{activation}, {name}") for name in ("base", "few draws", "one sample", "equal samples")
        )
        if few and base:
            ratio = base.probe.problem.draws / few.probe.problem.draws
            found += slope_checks("variance ~ 1/K", few, base, ratio)
        if single and equal:
            found += slope_checks("variance ~ 1/B", single, equal, len(equal.probe.problem.x))
    return found


def defects(checks: Iterable[Check]) -> list[Check]:
    """Return the defects among checks, the clearest first."""
    return sorted((check for check in checks if check.status == DEFECT), key=lambda check: -check.distance)
