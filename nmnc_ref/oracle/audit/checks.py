"""The questions of an audit, each a comparison of what was measured with what is expected.

Those about the mean need the claim alone: standard errors are measured. Those about the kind, that is, about variance
and correlations, are asked where the response is linear.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.experiment import Part
from nmnc_ref.oracle.audit.probes import Probe
from nmnc_ref.oracle.audit.problem import Declaration, basis
from nmnc_ref.oracle.audit.statistics import MISSED, bound, norm_bound, smallest_norm, spectrum

PASSED, DEFECT, UNDECIDED = "passed", "defect", "undecided"
ROUNDING = 1e-4
"""Relative error of exact quantities that single precision explains; absolute, where zero is expected."""
FEWEST = 16
"""Calls before anything is judged."""
ALL = "all problems"
MEAN = ("scale", "direction", "null", "exact value")
KIND = ("mean at large σ", "variance", "independence of layers", "independence of samples", "confinement")


class Resolution(NamedTuple):
    """The smallest errors that an audit must be able to see: `fine` in one probe at least, `coarse` in each."""

    fine: float
    coarse: float


RESOLUTIONS = {
    "scale": Resolution(0.05, 0.2),
    "direction": Resolution(3.0, 15.0),
    "mean at large σ": Resolution(0.2, 0.5),
    "variance": Resolution(0.10, 1.0),
    "independence of layers": Resolution(0.6, 1.5),
    "independence of samples": Resolution(0.6, 1.5),
}
"""By question: relative errors; degrees; correlations."""


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
        """How far from its expectation, in standard errors, or in roundings for exact quantities."""
        distance = abs(self.measured - self.expected) / (self.se or ROUNDING)
        return 0.0 if math.isnan(distance) else distance


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

    @property
    def pairs(self) -> list[tuple[Part, np.ndarray]]:
        """Each part and its samples."""
        return list(zip(self.parts, self.samples, strict=True))


def mean_checks(measurement: Measurement) -> Iterator[Check]:
    """Compare the mean of every part with the claim; past the linear response it is the kind's."""
    probe = measurement.probe
    if measurement.calls < FEWEST:
        return
    for part, sample in measurement.pairs:
        if is_constant(sample, part):
            yield from _exact(probe, part, sample)
        elif probe.linear:
            yield from part_checks(probe, part, sample)
        else:
            yield _of_norm(probe, part, sample)


def is_constant(sample: np.ndarray, part: Part) -> bool:
    """Tell whether nothing is random in a sample but rounding."""
    size, spread = float(np.linalg.norm(sample[0])), np.linalg.norm(sample - sample[0], axis=1).max()
    nothing = not (np.any(part.mean) or np.any(part.covariance))
    return bool(spread <= ROUNDING * (1.0 if nothing else size))


def _exact(probe: Probe, part: Part, sample: np.ndarray) -> Iterator[Check]:
    size = float(np.linalg.norm(part.mean))
    if size and np.any(part.covariance) and np.linalg.norm(sample[0]):  # a constant scale is a scale still
        scale = float(sample[0] @ part.mean) / size**2
        if np.linalg.norm(sample[0] - scale * part.mean) <= ROUNDING * size:
            yield Check("scale", probe.name, part.name, _status(abs(scale - 1), ROUNDING), scale, 1.0, 0.0, ROUNDING)
            return
    error = float(np.max(np.linalg.norm(sample - part.mean, axis=1))) / (size or 1.0)
    yield _vanishing("exact value" if size else "null", probe, part, error)


def _vanishing(question: str, probe: Probe, part: Part, error: float) -> Check:
    """Judge an error that is to be zero but for rounding."""
    return Check(question, probe.name, part.name, _status(error, ROUNDING), error, 0.0, 0.0, ROUNDING)


def _of_mean(probe: Probe, part: Part, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the mean, its measured covariance, and how many independent terms it is made of."""
    spread = np.cov(sample.T, ddof=1).reshape(part.covariance.shape)
    terms = len(sample) * (probe.problem.draws if probe.linear else 1)
    return sample.mean(axis=0), spread / len(sample) + part.uncertainty, terms


def part_checks(probe: Probe, part: Part, sample: np.ndarray) -> Iterator[Check]:
    """Judge the mean along its expectation (scale) and across it (direction)."""
    mean, covariance, terms = _of_mean(probe, part, sample)
    calls, size = len(sample), float(np.linalg.norm(part.mean))
    if size <= ROUNDING * math.sqrt(calls * np.trace(covariance)):
        yield _null(probe, part, mean, covariance, terms, calls)
        return
    along = part.mean / size
    scale = float(mean @ along) / size
    se = math.sqrt(along @ covariance @ along) / size
    yield _judged("scale", probe.name, part.name, scale, 1.0, se, bound(terms, calls=calls))

    across = np.eye(len(mean)) - np.outer(along, along)
    off = spectrum(across @ covariance @ across)
    error, chance = float(np.sum((across @ mean) ** 2)), float(off.sum())
    angle = math.atan2(math.sqrt(max(error - chance, 0.0)), abs(scale) * size)
    smallest = math.atan2(smallest_norm(off, terms, calls), size * abs(scale))
    status = _status(error, norm_bound(off, terms, calls) + (ROUNDING * size) ** 2)
    if status == PASSED and abs(scale) <= bound(terms, calls=calls) * se:
        yield Check("direction", probe.name, part.name, status, math.nan, 0.0, math.nan, 90.0)
        return
    se = math.degrees(math.atan(math.sqrt(chance) / (size * abs(scale) or 1.0)))
    yield Check("direction", probe.name, part.name, status, math.degrees(angle), 0.0, se, math.degrees(smallest))


def _null(probe: Probe, part: Part, mean: np.ndarray, covariance: np.ndarray, terms: int, calls: int) -> Check:
    """Judge a mean that is to be zero, in units of the standard deviation of one estimate."""
    chance = spectrum(covariance)
    unit = math.sqrt(calls * chance.sum())
    norm, se = float(np.linalg.norm(mean)) / unit, math.sqrt(chance.sum()) / unit
    status = _status(norm * unit, math.sqrt(norm_bound(chance, terms, calls)))
    return Check("null", probe.name, part.name, status, norm, 0.0, se, smallest_norm(chance, terms, calls) / unit)


def _of_norm(probe: Probe, part: Part, sample: np.ndarray) -> Check:
    """Judge the relative error of a mean in all directions together."""
    mean, covariance, terms = _of_mean(probe, part, sample)
    size, error = float(np.linalg.norm(part.mean)), float(np.sum((mean - part.mean) ** 2))
    off, calls = spectrum(covariance), len(sample)
    status = _status(error, norm_bound(off, terms, calls) + (ROUNDING * size) ** 2)
    excess, se = math.sqrt(max(error - off.sum(), 0.0)) / size, math.sqrt(off.sum()) / size
    visible = smallest_norm(off, terms, calls) / size
    return Check("mean at large σ", probe.name, part.name, status, excess, 0.0, se, visible)


def kind_checks(measurement: Measurement, declaration: Declaration) -> Iterator[Check]:
    """Compare variance and correlations with the kind's."""
    if not measurement.probe.linear or measurement.calls < FEWEST or declaration.noise == "other":
        return
    for part, sample in measurement.pairs:
        if np.any(part.covariance):
            yield _variance(measurement.probe, part, sample)
        elif not is_constant(sample, part):
            spread = math.sqrt(np.sum(np.var(sample, axis=0))) / (float(np.linalg.norm(part.mean)) or 1.0)
            yield _vanishing("variance", measurement.probe, part, spread)
    yield from _independence(measurement, declaration)
    yield from _confinement(measurement, declaration)


def _variance(probe: Probe, part: Part, sample: np.ndarray) -> Check:
    """Judge the total variance over its expectation.

    Its standard error is √(2 tr Σ²/(N − 1))/tr Σ if estimates are Gaussian, as means of many draws nearly are; as
    measured where larger.
    """
    expected, free = float(np.trace(part.covariance)), len(sample) - 1
    squares = np.sum((sample - sample.mean(axis=0)) ** 2, axis=1) / expected
    gaussian = math.sqrt(2 * np.sum(part.covariance**2)) / expected
    se = max(gaussian, float(squares.std(ddof=1))) / math.sqrt(free)
    return _judged("variance", probe.name, part.name, float(squares.sum()) / free, 1.0, se, bound(free))


def _judged(question: str, probe: str, part: str, measured: float, expected: float, se: float, allowed: float) -> Check:
    status = _status(abs(measured - expected), allowed * se + ROUNDING)
    return Check(question, probe, part, status, measured, expected, se, (allowed + MISSED) * se + ROUNDING)


def _status(error: float, allowed: float) -> str:
    return PASSED if error <= allowed else DEFECT


def _independence(measurement: Measurement, declaration: Declaration) -> Iterator[Check]:
    """Look for correlation between layers, and between samples where their estimates come apart."""
    known = [
        (part, sample - sample.mean(axis=0))
        for part, sample in measurement.pairs
        if np.any(part.covariance) and not is_constant(sample, part) and not part.name.startswith("db")
    ]
    for (part, errors), (other, others) in itertools.combinations(known, 2):
        name, expected = f"{part.name}, {other.name}", part.joint[np.ix_(part.rows, other.rows)]
        yield _correlation("independence of layers", measurement.probe, name, (part, errors), (other, others), expected)
    if declaration.returns == "activity-gradient" and len(measurement.probe.problem.x) > 1:
        for part, errors in known:
            batch, width = part.shape
            between = np.kron(1 - np.eye(batch), np.ones((width, width))) > 0
            yield _correlation(
                "independence of samples",
                measurement.probe,
                part.name,
                (part, errors),
                (part, errors),
                part.covariance,
                between,
            )


def _correlation(
    question: str,
    probe: Probe,
    name: str,
    first: tuple[Part, np.ndarray],
    second: tuple[Part, np.ndarray],
    expected: np.ndarray,
    counted: np.ndarray | bool = True,
) -> Check:
    """Judge the largest correlation of any two entries that are `counted`.

    The product of independent errors has the product of their deviations for deviation, correlated ones at most √2
    times that. Where the measured variances are the larger, they take the place of the theory's.
    """
    (part, errors), (other, others) = first, second
    calls = len(errors)
    theory, measured = (
        np.outer(np.sqrt(a), np.sqrt(b))
        for a, b in (
            (np.diag(part.covariance), np.diag(other.covariance)),
            (np.mean(errors**2, axis=0), np.mean(others**2, axis=0)),
        )
    )
    scales = np.maximum(theory, measured) * counted
    known = (theory * counted) > 1e-9 * scales.max()
    safe = np.where(known, scales, 1.0)
    correlations = np.where(known, errors.T @ others / calls / safe, 0.0)
    expected = np.where(known, expected / safe, 0.0)
    worst = np.unravel_index(np.argmax(abs(correlations - expected)), correlations.shape)
    se = math.sqrt((1 + np.max(expected**2)) / calls)
    allowed = bound(calls, entries=correlations.size)
    status = _status(float(abs(correlations - expected)[worst]), allowed * se)
    found = (float(correlations[worst]), float(expected[worst]), se, (allowed + MISSED) * se)
    return Check(question, probe.name, name, status, *found)


def _confinement(measurement: Measurement, declaration: Declaration) -> Iterator[Check]:
    """Ask whether estimates stay on the manifold, ‖Ĝ(I − P)‖/‖Ĝ‖ = 0, wherever no φ' bends them off it."""
    problem = measurement.probe.problem
    gated = declaration.returns == "weight-gradient" and problem.activation != "identity"
    if problem.bases is None or gated:
        return
    for part, sample in measurement.pairs:
        if part.site is None or part.site == len(problem.bases) or is_constant(sample, part):
            continue
        units = 1 if declaration.returns == "weight-gradient" else -1
        entries = np.moveaxis(sample.reshape(-1, *part.shape), units, -1)
        U = basis(problem, part.site)
        off = np.linalg.norm(entries - entries @ U @ U.T) / np.linalg.norm(entries)
        yield _vanishing("confinement", measurement.probe, part, float(off))


def compare(measurements: Iterable[Measurement], declaration: Declaration) -> list[Check]:
    """Ask every question of what was measured: each answer is "passed" or "defect"."""
    measured = list(measurements)
    checks = [check for each in measured for check in mean_checks(each)]
    checks += [check for each in measured for check in kind_checks(each, declaration)]
    return [*checks, *_pooled(checks, measured)]


def _pooled(checks: Sequence[Check], measured: Sequence[Measurement]) -> Iterator[Check]:
    """Judge the mean over all problems of the scales, and of the variances, of each returned array.

    Weighted as the theory's standard errors ask, which do not depend on what was measured.
    """
    weights = {}
    for each in measured:
        for part in each.parts:
            size, trace = float(np.linalg.norm(part.mean)), float(np.trace(part.covariance))
            if size and trace:
                along = part.mean / size
                weights["scale", each.probe.name, part.name] = each.calls * size**2 / (along @ part.covariance @ along)
                weights["variance", each.probe.name, part.name] = each.calls * trace**2 / np.sum(part.covariance**2)
    found: dict[tuple[str, str], list[tuple[float, Check]]] = {}
    for check in checks:
        weight = weights.get((check.question, check.probe, check.part), 0.0)
        if weight and check.se:
            found.setdefault((check.question, check.part), []).append((weight, check))
    calls = min((each.calls for each in measured), default=0)
    for (question, name), pairs in found.items():
        if len(pairs) > 1:
            w = np.array([weight for weight, _ in pairs]) / sum(weight for weight, _ in pairs)
            mean = float(w @ [check.measured for _, check in pairs])
            se = float(np.linalg.norm(w * [check.se for _, check in pairs]))
            allowed = bound(calls, calls=calls if question == "scale" else None)
            yield _judged(question, ALL, name, mean, 1.0, se, allowed)


def defects(checks: Iterable[Check], questions: Iterable[str] = ()) -> list[Check]:
    """Return the defects among checks, the clearest first; those of some questions, if any are named."""
    found = [check for check in checks if check.status == DEFECT and (not questions or check.question in questions)]
    return sorted(found, key=rank)


def rank(check: Check) -> tuple[bool, bool, float]:
    """Return by what checks are sorted: means first, what has no standard error last, the furthest off first."""
    return check.question not in MEAN, not check.se or math.isnan(check.se), -check.distance
