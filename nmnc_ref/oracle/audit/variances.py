"""The questions about the kind, about variance and correlations: asked where the response is linear."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from nmnc_ref.oracle.audit.check import FEWEST, ROUNDING, Check, Measurement, is_constant, judged, status_of, vanishing
from nmnc_ref.oracle.audit.expected import Part
from nmnc_ref.oracle.audit.probes import Probe
from nmnc_ref.oracle.audit.problem import Declaration, basis
from nmnc_ref.oracle.audit.statistics import MISSED, bound


def kind_checks(measurement: Measurement, declaration: Declaration) -> Iterator[Check]:
    """Compare variance and correlations with the kind's."""
    if not measurement.probe.linear or measurement.calls < FEWEST or declaration.noise == "other":
        return
    if not measurement.probe.curved:
        yield from _variances(measurement)
        yield from _independence(measurement, declaration)
    yield from _confinement(measurement, declaration)


def _variances(measurement: Measurement) -> Iterator[Check]:
    for part, sample in measurement.pairs:
        if np.any(part.covariance):
            yield _variance(measurement.probe, part, sample)
        elif not is_constant(sample, part):
            spread = math.sqrt(np.sum(np.var(sample, axis=0))) / (float(np.linalg.norm(part.mean)) or 1.0)
            yield vanishing("variance", measurement.probe, part, spread)


def _variance(probe: Probe, part: Part, sample: np.ndarray) -> Check:
    """Judge the total variance over its expectation.

    Its standard error is √(2 tr Σ²/(N − 1))/tr Σ if estimates are Gaussian, as means of many draws nearly are; as
    measured where larger.
    """
    expected, free = float(np.trace(part.covariance)), len(sample) - 1
    squares = np.sum((sample - sample.mean(axis=0)) ** 2, axis=1) / expected
    gaussian = math.sqrt(2 * np.sum(part.covariance**2)) / expected
    se = max(gaussian, float(squares.std(ddof=1))) / math.sqrt(free)
    return judged("variance", probe.name, part.name, float(squares.sum()) / free, 1.0, se, bound(free))


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
    status = status_of(float(abs(correlations - expected)[worst]), allowed * se)
    found = (float(correlations[worst]), float(expected[worst]), se, (allowed + MISSED) * se)
    return Check(question, probe.name, name, status, *found)


def _confinement(measurement: Measurement, declaration: Declaration) -> Iterator[Check]:
    """Ask whether estimates stay on the manifold, ‖Ĝ(I − P)‖/‖Ĝ‖ = 0, wherever it is predicted that they do.

    Some slips leave it, and so does each φ'.
    """
    problem = measurement.probe.problem
    if problem.bases is None:
        return
    for part, sample in measurement.pairs:
        if part.site is None or part.site == len(problem.bases) or is_constant(sample, part):
            continue
        units = 1 if declaration.returns == "weight-gradient" else -1
        U = basis(problem, part.site)
        if _off(U, part.covariance.reshape(-1, *part.shape), units) <= ROUNDING:
            yield vanishing("confinement", measurement.probe, part, _off(U, sample.reshape(-1, *part.shape), units))


def _off(U: np.ndarray, entries: np.ndarray, units: int) -> float:
    """Return the share of entries off the span of U; `units`: their axis."""
    entries = np.moveaxis(entries, units, -1)
    return float(np.linalg.norm(entries - entries @ U @ U.T) / (np.linalg.norm(entries) or 1.0))
