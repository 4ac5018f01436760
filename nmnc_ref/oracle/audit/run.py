"""The audit: draw until every question is decided or the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

from nmnc_ref.checked import checked
from nmnc_ref.oracle.audit import diagnosis
from nmnc_ref.oracle.audit.check import DEFECT, FEWEST, MEAN, UNDECIDED, Check, defects, fault_check
from nmnc_ref.oracle.audit.diagnosis import Diagnosis
from nmnc_ref.oracle.audit.drawing import Drawing
from nmnc_ref.oracle.audit.means import mean_checks
from nmnc_ref.oracle.audit.probes import probes
from nmnc_ref.oracle.audit.problem import (
    ACTIVATIONS,
    Activations,
    Declaration,
    Measures,
    Noise,
    Perturbed,
    Problem,
    Response,
    Returns,
    Target,
    declare,
)
from nmnc_ref.oracle.audit.report import OTHER_KIND, SOUND, Explanation, Report
from nmnc_ref.oracle.audit.resolution import ask, next_calls, what_would_decide
from nmnc_ref.oracle.audit.session import Budget, Fault, Session, Spent
from nmnc_ref.scalars import Choice, Count, Index, Positive

JUDGED = ("mean", "kind")
SECONDS = 60.0
"""Of an audit that is given no budget."""
DIAGNOSED = 64
"""Calls of each probe before a defect is explained."""
MOST_DIAGNOSED = 512
"""Calls of each probe beyond which several explanations are left standing."""


@checked
def audit(
    estimate: Callable,
    returns: Returns,
    *,
    target: Target = "full",
    noise: Noise = "gaussian",
    response: Response = "output",
    simultaneous: bool = False,
    perturbs: Perturbed = "activity",
    measures: Measures = "difference",
    output_layer: bool = False,
    judge: Annotated[str, Choice(*JUDGED)] = "kind",
    budget: Positive | None = None,
    calls: Count | None = None,
    seed: Index = 0,
    activations: Activations = tuple(ACTIVATIONS),
) -> Report:
    """Audit an estimator that is known only by what it returns.

    It is called in this process: what it raises is a defect, but for KeyboardInterrupt, and if it hangs, so does the
    audit.

    Args:
        estimate: (problem, seed) ↦ tuple of arrays (NumPy, JAX or PyTorch), with noise of its own made from the seed,
            an int from 0 to 2³² − 1.
        returns: what it claims to return, see `problem.Declaration`, as for what follows.
        target: whether it claims all of that, or its part in the manifold.
        noise: law of its noise.
        response: what it correlates with the noise.
        simultaneous: it perturbs all sites at once.
        perturbs: what it adds noise to.
        measures: the response to the noise: a difference, a value without baseline, a derivative.
        output_layer: it estimates the gradient of the output layer too.
        judge: "mean" stops after the claim, "kind" judges variance and correlations too.
        budget: seconds after which no further call is made, 60 if `calls` is not given either; first calls of each
            shape of problem do not count; the audit ends before if everything is decided.
        calls: how many are made at most; without a budget in seconds the outcome does not depend on the machine's load.
        seed: of the problems and of the seeds; another seed audits on other problems.
        activations: of the networks to ask about, for an estimator that does not know all.
    """
    declaration = declare(returns, target, noise, response, simultaneous, perturbs, measures, output_layer)
    return conduct(Session(estimate, limits(budget, calls)), declaration, seed, activations, judge)


def problems(
    returns: str, *, seed: int = 0, activations: Activations = tuple(ACTIVATIONS), **kind: Any
) -> dict[str, Problem]:
    """Return the problems of an audit by name, as `audit` would ask them; `kind` has other words of its declaration."""
    return {probe.name: probe.problem for probe in probes(declare(returns, **kind), seed, activations)}


def limits(seconds: float | None, calls: int | None) -> Budget:
    """Return a budget of what is given: 60 seconds if nothing is."""
    if seconds is None:
        seconds = SECONDS if calls is None else math.inf
    return Budget(seconds, math.inf if calls is None else calls)


def conduct(
    session: Session, declaration: Declaration, seed: int, activations: tuple[str, ...], judge: str = "kind"
) -> Report:
    """Audit the estimator that a session calls; arguments as of `audit`, and valid."""
    judge = "mean" if declaration.noise == "other" else judge  # no variance is known of that
    drawing = Drawing(session, declaration, seed, activations, judge)
    verdict, checks, fault = _decide(drawing)
    found = Diagnosis()
    if fault:
        found = Diagnosis((Explanation(fault.explanation),) if fault.explanation else ())
    elif verdict == DEFECT:
        checks, found = _explain(drawing, checks)
        if found.kinds and not found.explanations:
            drawing, verdict, checks, found = _of_another_kind(drawing, checks, found.kinds)
    if verdict == UNDECIDED:
        found = found._replace(advice=what_would_decide(drawing, checks))
    return Report(
        verdict,
        declaration,
        judge,
        seed,
        session.budget,
        session.seconds,
        session.warm_up,
        session.calls,
        tuple(checks),
        found.explanations,
        found.kinds,
        found.advice,
    )


def _decide(drawing: Drawing) -> tuple[str, list[Check], Fault | None]:
    """Draw to the verdict; return it with what led to it."""
    wanted = [FEWEST] * len(drawing.probes)
    try:
        drawing.ask_twice(0)
        for index in range(len(wanted)):  # one shape after another, as each may have to be compiled
            drawing.extend(index, FEWEST)
            drawing.expect_variety(index)
            if defects(mean_checks(drawing.measurement(index)), MEAN):
                return DEFECT, ask(drawing), None
        while True:
            for index, calls in enumerate(wanted):
                drawing.extend(index, calls)
            checks = ask(drawing)
            verdict = _verdict(checks)
            if verdict != UNDECIDED:
                return verdict, checks, None
            wanted = next_calls(drawing, checks)
    except Fault as fault:
        return DEFECT, [fault_check(fault.kind, str(fault)), *ask(drawing)], fault
    except Spent:
        checks = ask(drawing)
        return _verdict(checks) if checks else UNDECIDED, checks, None


def _verdict(checks: list[Check]) -> str:
    statuses = {check.status for check in checks}
    return next((status for status in (DEFECT, UNDECIDED) if status in statuses), SOUND)


def _explain(drawing: Drawing, checks: list[Check]) -> tuple[list[Check], Diagnosis]:
    """Look for what explains a defect, and draw more while more would tell explanations apart."""
    calls = DIAGNOSED
    while True:
        try:
            for index in range(len(drawing.probes)):
                drawing.extend(index, calls)
            spent = False
        except (Fault, Spent):
            spent = True
        if defects(later := ask(drawing)):
            checks = later  # sharper
        explain = diagnosis.of_mean if defects(checks, MEAN) else diagnosis.of_variance
        found = explain(drawing.measurements(), drawing.declaration, checks)
        calls *= 2
        if spent or calls > MOST_DIAGNOSED or found.settled:
            return checks, found


def _of_another_kind(
    drawing: Drawing, checks: list[Check], kinds: tuple[Declaration, ...]
) -> tuple[Drawing, str, list[Check], Diagnosis]:
    """Audit as of each kind that fits what was measured, on problems of its own: without a baseline, others serve.

    Where none is right after all, a slip may be; else the kind that fits best is explained.
    """
    tried = []
    for index, kind in enumerate(kinds):
        other = drawing.of_kind(kind)
        verdict, asked, fault = _decide(other)
        if verdict != DEFECT:
            others = kinds[index + 1 :]
            alike = diagnosis.of_kinds(other.measurements(), others)
            left = (kind, *(each for each in others if each in alike))
            return other, OTHER_KIND if verdict == SOUND else UNDECIDED, asked, Diagnosis(kinds=left)
        tried.append((other, asked, fault))
    best, asked, fault = tried[0]
    slips = diagnosis.of_slips(drawing.measurements(), drawing.declaration, checks)
    if slips.explanations:
        return drawing, DEFECT, checks, slips
    asked, found = (asked, slips) if fault else _explain(best, asked)
    advice = f"What was drawn first has the variances of {best.declaration.kind}; on problems of that it is wrong."
    return best, DEFECT, asked, found._replace(advice=f"{advice} {found.advice}".rstrip())
