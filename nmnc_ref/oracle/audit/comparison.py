"""All questions of an audit, each a comparison of what was measured with what is expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from nmnc_ref.oracle.audit.check import ALL, Check, Measurement, judged
from nmnc_ref.oracle.audit.means import mean_checks
from nmnc_ref.oracle.audit.problem import Declaration
from nmnc_ref.oracle.audit.statistics import bound
from nmnc_ref.oracle.audit.variances import kind_checks


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
    for (question, name), pairs in found.items():
        if len(pairs) > 1:
            calls = min(each.calls for each in measured)
            w = np.array([weight for weight, _ in pairs]) / sum(weight for weight, _ in pairs)
            mean = float(w @ [check.measured for _, check in pairs])
            se = float(np.linalg.norm(w * [check.se for _, check in pairs]))
            allowed = bound(calls, calls=calls if question == "scale" else None)
            yield judged(question, ALL, name, mean, 1.0, se, allowed)
