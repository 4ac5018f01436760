"""What explains all that was measured: a scale, another kind than declared, or a slip of the catalogue.

Each of these predicts moments, and explains if what was measured agrees with them in every question of the audit.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nmnc_ref.oracle.audit import scaling
from nmnc_ref.oracle.audit.check import ALL, KIND, MEAN, ROUNDING, Check, Measurement, defects, is_constant
from nmnc_ref.oracle.audit.comparison import compare
from nmnc_ref.oracle.audit.expected import expected_parts
from nmnc_ref.oracle.audit.means import mean_checks
from nmnc_ref.oracle.audit.probes import expected_at
from nmnc_ref.oracle.audit.problem import Declaration, kinds, variants
from nmnc_ref.oracle.audit.report import Explanation
from nmnc_ref.oracle.audit.slips import candidates
from nmnc_ref.oracle.audit.variances import kind_checks

ZEROS = "zeros in place of estimates"
CLIPPED = "estimates clipped, or scaled to a size"
OFTEN = 0.1
"""Share of the calls in which the largest size of all recurs, where something clips."""
ALIKE = 1e-6
"""Relative difference of sizes that are the same in float32."""
DROWNED = (
    "The mean is so small that it is not seen under the noise, nor with it what scale it has. "
    "If no baseline is subtracted, --measures value asks problems on which there is less noise."
)
FEW_POINTS = 8192
"""Of the integral that tells kinds apart at large σ, of which many are compared with little data."""
SHARE = 0.5
"""Of the clearest defect's distance that an explanation may leave at most: others explain it by chance."""


class Diagnosis(NamedTuple):
    """Explanations, best first; the kinds that the variances are those of; what else there is to say.

    `settled`: more calls on the same problems would tell nothing more.
    """

    explanations: tuple[Explanation, ...] = ()
    kinds: tuple[Declaration, ...] = ()
    advice: str = ""
    settled: bool = True


def of_mean(measured: Sequence[Measurement], declaration: Declaration, checks: Sequence[Check]) -> Diagnosis:
    """Explain a mean that is not what was claimed: by its scale if that has a law, else by a slip."""
    if known := _zeros(measured) or _clipped(measured):
        return Diagnosis((known,))
    slips, law = _slips(measured, declaration, checks), scaling.fit(measured)
    if law is None and not slips and _drowned(checks):
        return Diagnosis(advice=DROWNED)
    if law is None or law.trivial or (slips and law.factors > 1):
        return _told_apart(slips) if slips else _kinds_elsewhere(measured, declaration)
    corrected = [_divided(each, law.divisors(each)) for each in measured if each.probe.linear]
    fitting = _kinds(corrected, declaration)
    if slips and not fitting:
        return _told_apart(slips)
    explained = (Explanation(law.name, detail=law.text),)
    if not fitting:
        return Diagnosis(explained, advice="This explains the means alone: the variances fit no kind.")
    note = "" if declaration in fitting else f"The variances are then those of {fitting[0].kind}."
    alike = declaration in fitting or len(fitting) == len(variants(fitting[0]))
    return Diagnosis(explained, fitting, note, settled=alike and law.name != law.text)  # others may be chance


def _kinds(measured: Sequence[Measurement], declaration: Declaration) -> tuple[Declaration, ...]:
    """Return the kinds that fit, best first: the declared one and its variants, if they do."""
    declared, *others = kinds(declaration)
    return of_kinds(measured, [declared]) or of_kinds(measured, others)


def of_kinds(measured: Sequence[Measurement], among: Iterable[Declaration]) -> tuple[Declaration, ...]:
    """Return those of some kinds, and of their variants, that fit everything that was measured, best first."""
    linear = [each for each in measured if each.probe.linear]
    linear.sort(key=lambda each: len(each.probe.problem.x))  # a small one excludes most kinds
    curved = [each for each in measured if not each.probe.linear]
    left: dict[Declaration, float] = {}
    for kind in among:
        expected: list[Measurement] = []
        for measurement in linear:
            one = measurement._replace(parts=expected_parts(measurement.probe.problem, kind))
            if defects(kind_checks(one, kind)):
                break
            expected.append(one)
        else:
            checks = compare(expected, kind)
            if not defects(checks, KIND):
                fitting = (variant for variant in variants(kind) if not _contradicted(curved, variant))
                left |= dict.fromkeys(fitting, _squares(checks))
    return tuple(sorted(left, key=left.__getitem__))


def _contradicted(curved: Sequence[Measurement], kind: Declaration) -> bool:
    """Tell whether the mean at large σ is that of another kind."""
    expected = (each._replace(parts=expected_at(each.probe, kind, 0, FEW_POINTS)) for each in curved)
    return any(defects(mean_checks(each)) for each in expected)


def _kinds_elsewhere(measured: Sequence[Measurement], declaration: Declaration) -> Diagnosis:
    """Return the other kinds that fit without ReLU, at whose kink the means of kinds differ."""
    smooth = [each for each in measured if each.probe.problem.activation != "relu"]
    if not smooth or defects(compare(smooth, declaration), MEAN):
        return Diagnosis()
    return Diagnosis(kinds=of_kinds(smooth, itertools.islice(kinds(declaration), 1, None)))


def of_variance(measured: Sequence[Measurement], declaration: Declaration, checks: Sequence[Check]) -> Diagnosis:
    """Explain variances that the declared kind does not have: by another kind, or by a slip that spares the mean."""
    found, slips = _kinds(measured, declaration), of_slips(measured, declaration, checks)
    return Diagnosis(kinds=found, settled=not slips.explanations) if found else slips


def of_slips(measured: Sequence[Measurement], declaration: Declaration, checks: Sequence[Check]) -> Diagnosis:
    """Explain what is wrong by the slips of the catalogue alone."""
    return _told_apart(_slips(measured, declaration, checks))


def _slips(
    measured: Sequence[Measurement], declaration: Declaration, checks: Sequence[Check]
) -> list[tuple[str, float]]:
    """Return the slips that fit, and their squared deviations, best first."""
    linear = [each for each in measured if each.probe.linear]
    asked = {ALL, *(each.probe.name for each in linear)}
    clearest = next((check for check in defects(checks) if check.probe in asked), None)
    if clearest is None:
        return []
    found = []
    for slip in candidates(declaration):
        expected: list[Measurement] = []
        for measurement in linear:
            predicted = slip.expects(measurement.probe.problem, declaration, measurement.parts)
            if predicted is None:
                break
            one = measurement._replace(parts=predicted)
            if defects(compare([one], declaration)):
                break
            expected.append(one)
        else:
            alike = compare(expected, declaration)
            if not defects(alike) and _explains(alike, clearest):
                found.append((slip.name, _squares(alike)))
    return sorted(found, key=lambda pair: pair[1])


def _explains(alike: Iterable[Check], clearest: Check) -> bool:
    same = [check for check in alike if (check.probe, check.part) == (clearest.probe, clearest.part)]
    return bool(same) and max(check.distance for check in same) <= SHARE * clearest.distance


def _squares(checks: Iterable[Check]) -> float:
    return sum(min(check.distance, 1e6) ** 2 for check in checks if check.se)


def _divided(measurement: Measurement, factors: Sequence[float]) -> Measurement:
    return measurement._replace(samples=tuple(map(operator.truediv, measurement.samples, factors)))


def _drowned(checks: Sequence[Check]) -> bool:
    """Tell whether every scale may be 0."""
    scales = [check for check in checks if check.question == "scale" and check.se > 0]  # NaN where nothing was asked
    return bool(scales) and all(abs(check.measured) <= scaling.LIMIT * check.se for check in scales)


def _zeros(measured: Sequence[Measurement]) -> Explanation | None:
    """Return that arrays are zero at every call, in every problem where something else was claimed."""
    zero: dict[str, bool] = {}
    for part, sample in (pair for each in measured for pair in each.pairs if np.any(pair[0].mean)):
        zero[part.name] = zero.get(part.name, True) and not np.any(sample)
    names = [name for name, always in zero.items() if always]
    return Explanation(ZEROS, detail=f"{', '.join(names)}: 0 at every call") if names else None


def _clipped(measured: Sequence[Measurement]) -> Explanation | None:
    """Return that random estimates reach the very same size again and again, and the same in every problem."""
    for what, order in (("norm", 2), ("entries", np.inf)):
        tops = []
        for part, sample in (pair for each in measured for pair in each.pairs if not is_constant(pair[1], pair[0])):
            sizes = np.linalg.norm(sample, order, axis=1)
            often = np.mean(sizes >= (1 - ALIKE) * sizes.max()) >= OFTEN
            tops += [float(sizes.max())] * bool(often and part.mean.size > 1)
        if len(tops) > 1 and np.ptp(tops) <= ROUNDING * max(tops):
            detail = f"many arrays have {what} of size {tops[0]:.4g} and none has larger ones"
            return Explanation(CLIPPED, detail=detail)
    return None


def _told_apart(fits: list[tuple[str, float]]) -> Diagnosis:
    """Return the fits with their likelihoods, and what would tell them apart."""
    likelihoods = {name: math.exp((fits[0][1] - squares) / 2) for name, squares in fits}
    total = sum(likelihoods.values())
    found = tuple(Explanation(name, likelihood / total) for name, likelihood in likelihoods.items())
    advice = f"More calls would tell {found[0].name} from {found[1].name}." if len(found) > 1 else ""
    return Diagnosis(found, advice=advice, settled=len(found) < 2)
