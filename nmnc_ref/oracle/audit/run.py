"""The audit: draw until every question is decided or the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import numpy as np

from nmnc_ref.checked import checked
from nmnc_ref.oracle.audit.checks import (
    DEFECT,
    FEWEST,
    PASSED,
    RESOLUTIONS,
    UNDECIDED,
    Check,
    compare,
    defects,
    fault_check,
    unasked_checks,
)
from nmnc_ref.oracle.audit.diagnosis import MORE_TIME, explain
from nmnc_ref.oracle.audit.drawing import Drawing
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, ActivationName, Declaration, Response, Returns, Target, declare
from nmnc_ref.oracle.audit.report import SOUND, Explanation, Report
from nmnc_ref.oracle.audit.session import Fault, OutOfTime, Session
from nmnc_ref.scalars import Index, Positive, Some
from nmnc_ref.theory.estimator import Law

DIAGNOSED = 64
"""Calls of each probe before a defect is explained."""
MOST_DIAGNOSED = 512
"""Calls of each probe beyond which several explanations are left standing."""
GROWTH = 1.6
"""Calls of a probe grow by this factor until its questions are decided."""


@checked
def audit(
    estimate: Callable,
    returns: Returns,
    *,
    target: Target = "full",
    noise: Law = "gaussian",
    response: Response = "output",
    simultaneous: bool = False,
    budget: Positive = 60.0,
    seed: Index = 0,
    activations: Annotated[tuple[ActivationName, ...], Some] = tuple(ACTIVATIONS),
) -> Report:
    """Audit an estimator that is known only by what it returns.

    It is called in this process: what it raises is a defect, but for KeyboardInterrupt, and if it hangs, so does the
    audit.

    Args:
        estimate: (problem, seed) ↦ tuple of arrays (NumPy, JAX or PyTorch), with noise of its own made from the seed,
            an int from 0 to 2³² − 1.
        returns, target, noise, response, simultaneous: what it computes, see `problem.Declaration`.
        budget: seconds after which no further call is made; the audit ends before if everything is decided.
        seed: of the problems and of the seeds; another seed audits on other problems.
        activations: of the networks to ask about, for an estimator that does not know all.
    """
    declaration = declare(returns, target, noise, response, simultaneous)
    return conduct(Session(estimate, budget), declaration, seed, activations)


def conduct(session: Session, declaration: Declaration, seed: int, activations: tuple[str, ...]) -> Report:
    """Audit the estimator that a session calls; arguments as of `audit`, and valid."""
    drawing = Drawing(session, declaration, seed, activations)
    verdict, checks, fault = _decide(drawing)
    explanations, advice = _explain(drawing, checks, fault) if verdict == DEFECT else ([], "")
    if verdict == DEFECT and not fault and _verdict(later := _checks(drawing, _sharpest(drawing))) == DEFECT:
        checks = later  # sharper, from the calls that the explanation took
    spent = (session.seconds, session.calls)
    return Report(verdict, declaration, seed, session.budget, *spent, tuple(checks), tuple(explanations), advice)


def _decide(drawing: Drawing) -> tuple[str, list[Check], Fault | None]:
    """Draw to the verdict; return it with what led to it."""
    wanted = [FEWEST] * len(drawing.probes)
    sharpest = _sharpest(drawing)
    try:
        drawing.ask_twice(0)
        while True:
            for index, calls in enumerate(wanted):
                drawing.extend(index, calls)
                drawing.expect_variety(index)
            checks = _checks(drawing, sharpest)
            verdict = _verdict(checks)
            if verdict != UNDECIDED:
                return verdict, checks, None
            pending = {check.probe for check in checks if check.status == UNDECIDED}
            for index, probe in enumerate(drawing.probes):
                if probe.name in pending:
                    wanted[index] = math.ceil(GROWTH * wanted[index])
    except Fault as fault:
        return DEFECT, [fault_check(fault.kind, str(fault)), *_checks(drawing, sharpest)], fault
    except OutOfTime:
        checks = _checks(drawing, sharpest)
        return _verdict(checks) if checks else UNDECIDED, checks, None


def _verdict(checks: list[Check]) -> str:
    statuses = {check.status for check in checks}
    return next((status for status in (DEFECT, UNDECIDED) if status in statuses), SOUND)


def _explain(drawing: Drawing, checks: list[Check], fault: Fault | None) -> tuple[list[Explanation], str]:
    """Look for slips that fit, and draw more while more would tell those that do apart."""
    if fault:
        return ([Explanation("transposed", 1.0)] if fault.reversed_shape else []), ""
    calls = DIAGNOSED
    while True:
        try:
            for index in range(len(drawing.probes)):
                drawing.extend(index, calls)
            spent = False
        except (Fault, OutOfTime):
            spent = True
        measured = drawing.measurements()
        clearest = (defects(compare(measured, drawing.declaration)) or defects(checks))[0]
        found, advice = explain(measured, drawing.declaration, clearest, drawing.seed)
        calls *= 2
        if spent or calls > MOST_DIAGNOSED or not advice.startswith(MORE_TIME):
            return found, advice


def _checks(drawing: Drawing, sharpest: set[tuple[str, str, str]]) -> list[Check]:
    """Ask every question of what was drawn so far, and whether it was enough."""
    measured = drawing.measurements()
    unasked = [check for measurement in measured for check in unasked_checks(measurement)]
    return [*(_resolved(check, sharpest) for check in compare(measured, drawing.declaration)), *unasked]


def _resolved(check: Check, sharpest: set[tuple[str, str, str]]) -> Check:
    """Call undecided what agrees, but could hide an error that the audit must see."""
    if check.status != PASSED or check.question not in RESOLUTIONS:
        return check
    fine, coarse = RESOLUTIONS[check.question]
    resolution = fine if (check.question, check.probe, check.part) in sharpest else coarse
    return check if check.smallest_detectable <= resolution else check._replace(status=UNDECIDED)


def _sharpest(drawing: Drawing) -> set[tuple[str, str, str]]:
    """Return for each question about each returned array the probe that needs the fewest calls to see small errors."""
    best: dict[tuple[str, str], tuple[float, str]] = {}
    for probe, parts in zip(drawing.probes, drawing.parts, strict=True):
        for part in parts:
            trace, size = float(np.trace(part.covariance)), float(np.linalg.norm(part.mean))
            if not (probe.linear and trace and size):
                continue
            along = part.mean / size
            noise = {
                "scale": math.sqrt(along @ part.covariance @ along) / size,
                "direction": math.sqrt(trace) / size,
                "variance": float(np.linalg.norm(part.covariance)) / trace,
            }
            for question, level in noise.items():
                key = (question, part.name)
                best[key] = min(best.get(key, (math.inf, "")), (level, probe.name))
    return {(question, probe, part) for (question, part), (_, probe) in best.items()}
