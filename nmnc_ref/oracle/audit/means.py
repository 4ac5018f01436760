"""The questions about the mean, for which the claim is enough: standard errors are measured."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nmnc_ref.oracle.audit.check import (
    FEWEST,
    PASSED,
    ROUNDING,
    Check,
    Measurement,
    is_constant,
    judged,
    status_of,
    vanishing,
)
from nmnc_ref.oracle.audit.expected import Part
from nmnc_ref.oracle.audit.probes import Probe
from nmnc_ref.oracle.audit.statistics import bound, norm_bound, smallest_norm, spectrum


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


def _exact(probe: Probe, part: Part, sample: np.ndarray) -> Iterator[Check]:
    size, estimate = float(np.linalg.norm(part.mean)), sample[0]
    if size and np.any(part.covariance) and np.any(estimate):  # a constant scale is a scale still
        scale = float(estimate @ part.mean) / size**2
        if np.linalg.norm(estimate - scale * part.mean) <= ROUNDING * size:
            yield Check("scale", probe.name, part.name, status_of(abs(scale - 1), ROUNDING), scale, 1.0, 0.0, ROUNDING)
            return
    error = float(np.max(np.linalg.norm(sample - part.mean, axis=1))) / (size or 1.0)
    yield vanishing("exact value" if size else "null", probe, part, error)


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
    yield judged("scale", probe.name, part.name, scale, 1.0, se, bound(terms, calls=calls))

    across = np.eye(len(mean)) - np.outer(along, along)
    off = spectrum(across @ covariance @ across)
    error, chance = float(np.sum((across @ mean) ** 2)), float(off.sum())
    angle = math.atan2(math.sqrt(max(error - chance, 0.0)), abs(scale) * size)
    smallest = math.atan2(smallest_norm(off, terms, calls), size * abs(scale))
    status = status_of(error, norm_bound(off, terms, calls) + (ROUNDING * size) ** 2)
    if status == PASSED and abs(scale) <= bound(terms, calls=calls) * se:
        yield Check("direction", probe.name, part.name, status, math.nan, 0.0, math.nan, 90.0)
        return
    se = math.degrees(math.atan2(math.sqrt(chance), size * abs(scale)))
    yield Check("direction", probe.name, part.name, status, math.degrees(angle), 0.0, se, math.degrees(smallest))


def _null(probe: Probe, part: Part, mean: np.ndarray, covariance: np.ndarray, terms: int, calls: int) -> Check:
    """Judge a mean that is to be zero, in units of the standard deviation of one estimate."""
    chance = spectrum(covariance)
    unit = math.sqrt(calls * chance.sum())
    norm, se = float(np.linalg.norm(mean)) / unit, math.sqrt(chance.sum()) / unit
    status = status_of(norm * unit, math.sqrt(norm_bound(chance, terms, calls)))
    return Check("null", probe.name, part.name, status, norm, 0.0, se, smallest_norm(chance, terms, calls) / unit)


def _of_norm(probe: Probe, part: Part, sample: np.ndarray) -> Check:
    """Judge the relative error of a mean in all directions together."""
    mean, covariance, terms = _of_mean(probe, part, sample)
    size, error = float(np.linalg.norm(part.mean)), float(np.sum((mean - part.mean) ** 2))
    off, calls = spectrum(covariance), len(sample)
    status = status_of(error, norm_bound(off, terms, calls) + (ROUNDING * size) ** 2)
    excess, se = math.sqrt(max(error - off.sum(), 0.0)) / size, math.sqrt(off.sum()) / size
    visible = smallest_norm(off, terms, calls) / size
    return Check("mean at large σ", probe.name, part.name, status, excess, 0.0, se, visible)
