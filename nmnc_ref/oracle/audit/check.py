"""A check: one measured quantity against its expectation, and what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.expected import Part
from nmnc_ref.oracle.audit.probes import Probe
from nmnc_ref.oracle.audit.statistics import MISSED

PASSED, DEFECT, UNDECIDED = "passed", "defect", "undecided"
ROUNDING = 1e-4
"""Relative error of exact quantities that single precision explains; absolute, where zero is expected."""
FEWEST = 16
"""Calls before anything is judged."""
ALL = "all problems"
MEAN = ("scale", "direction", "null", "exact value")
KIND = ("mean at large σ", "variance", "independence of layers", "independence of samples", "confinement")


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
    se: float
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


def is_constant(sample: np.ndarray, part: Part) -> bool:
    """Tell whether nothing is random in a sample but rounding."""
    size, spread = float(np.linalg.norm(sample[0])), np.linalg.norm(sample - sample[0], axis=1).max()
    nothing = not (np.any(part.mean) or np.any(part.covariance))
    return bool(spread <= ROUNDING * (1.0 if nothing else size))


def status_of(error: float, allowed: float) -> str:
    """Return "passed" for an error within what is allowed, else "defect"."""
    return PASSED if error <= allowed else DEFECT


def judged(question: str, probe: str, part: str, measured: float, expected: float, se: float, allowed: float) -> Check:
    """Judge a number whose bound is so many of its standard errors."""
    status = status_of(abs(measured - expected), allowed * se + ROUNDING)
    return Check(question, probe, part, status, measured, expected, se, (allowed + MISSED) * se + ROUNDING)


def vanishing(question: str, probe: Probe, part: Part, error: float) -> Check:
    """Judge an error that is to be zero but for rounding."""
    return Check(question, probe.name, part.name, status_of(error, ROUNDING), error, 0.0, 0.0, ROUNDING)


def defects(checks: Iterable[Check], questions: Iterable[str] = ()) -> list[Check]:
    """Return the defects among checks, the clearest first; those of some questions, if any are named."""
    found = [check for check in checks if check.status == DEFECT and (not questions or check.question in questions)]
    return sorted(found, key=rank)


def rank(check: Check) -> tuple[bool, bool, float]:
    """Return by what checks are sorted: means first, what has no standard error last, the furthest off first."""
    return check.question not in MEAN, not check.se or math.isnan(check.se), -check.distance
