"""The audit: draw until every question is decided or the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from nmnc_ref.checked import checked
from nmnc_ref.oracle.audit import diagnosis
from nmnc_ref.oracle.audit.checks import (
    ALL,
    DEFECT,
    FEWEST,
    KIND,
    MEAN,
    PASSED,
    RESOLUTIONS,
    UNDECIDED,
    Check,
    compare,
    defects,
    fault_check,
    mean_checks,
)
from nmnc_ref.oracle.audit.diagnosis import Diagnosis
from nmnc_ref.oracle.audit.drawing import Drawing
from nmnc_ref.oracle.audit.probes import probes
from nmnc_ref.oracle.audit.problem import (
    ACTIVATIONS,
    ActivationName,
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
from nmnc_ref.oracle.audit.session import Budget, Fault, Session, Spent
from nmnc_ref.scalars import Choice, Count, Index, Positive, Some

JUDGED = ("mean", "kind")
SECONDS = 60.0
"""Of an audit that is given no budget."""
DIAGNOSED = 64
"""Calls of each probe before a defect is explained."""
MOST_DIAGNOSED = 512
"""Calls of each probe beyond which several explanations are left standing."""
GROWTH = 1.6
"""Calls of a probe grow by this factor at most until its questions are decided."""
MARGIN = 1.1
"""By which more calls are made than would decide as far as is known."""


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
    activations: Annotated[tuple[ActivationName, ...], Some] = tuple(ACTIVATIONS),
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


def problems(returns: str, *, seed: int = 0, **kind: Any) -> dict[str, Problem]:
    """Return the problems of an audit by name, as `audit` would ask them; `kind` has other words of its declaration."""
    return {probe.name: probe.problem for probe in probes(declare(returns, **kind), seed)}


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
        found = Diagnosis((Explanation(fault.explanation, 1.0),) if fault.explanation else ())
    elif verdict == DEFECT:
        checks, found = _explain(drawing, checks)
        if found.kinds and not found.explanations:
            drawing, verdict, checks, found = _of_another_kind(drawing, checks, found.kinds)
    if verdict == UNDECIDED:
        found = found._replace(advice=_what_would_decide(drawing, checks))
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
                return DEFECT, _checks(drawing), None
        while True:
            for index, calls in enumerate(wanted):
                drawing.extend(index, calls)
            checks = _checks(drawing)
            verdict = _verdict(checks)
            if verdict != UNDECIDED:
                return verdict, checks, None
            wanted = _next(drawing, checks)
    except Fault as fault:
        return DEFECT, [fault_check(fault.kind, str(fault)), *_checks(drawing)], fault
    except Spent:
        checks = _checks(drawing)
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
        if defects(later := _checks(drawing)):
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

    Where none is right after all, the one that fits best is explained.
    """
    tried = []
    for index, kind in enumerate(kinds):
        other = drawing.of_kind(kind)
        verdict, asked, fault = _decide(other)
        if verdict != DEFECT:
            alike = diagnosis.of_kinds(other.measurements(), kinds[index + 1 :])
            left = (kind, *(each for each in kinds[index + 1 :] if each in alike))
            return other, OTHER_KIND if verdict == SOUND else UNDECIDED, asked, Diagnosis(kinds=left)
        tried.append((other, asked, fault))
    best, asked, fault = tried[0]
    return best, DEFECT, *((checks, Diagnosis()) if fault else _explain(best, asked))


def _checks(drawing: Drawing) -> list[Check]:
    """Ask every question of what was drawn so far, and whether it was enough."""
    measured = [each for each in drawing.measurements() if each.calls >= FEWEST]
    asked = {each.probe.name for each in measured}
    questions = MEAN if drawing.judge == "mean" else (*MEAN, *KIND)
    checks = [check for check in compare(measured, drawing.declaration) if check.question in questions]
    sharpest = _sharpest(checks)
    unasked = [
        Check(
            "scale" if probe.linear else "mean at large σ", probe.name, "", UNDECIDED, math.nan, 1.0, math.nan, math.inf
        )
        for probe in drawing.probes
        if probe.name not in asked
    ]
    return [*(_resolved(check, check.name in sharpest) for check in checks), *unasked] if measured else []


def _resolved(check: Check, sharpest: bool) -> Check:
    """Call undecided what agrees, but could hide an error that the audit must see."""
    if check.status != PASSED or check.question not in RESOLUTIONS:
        return check
    return check if check.smallest_detectable <= _wanted(check, sharpest) else check._replace(status=UNDECIDED)


def _wanted(check: Check, sharpest: bool) -> float:
    fine, coarse = RESOLUTIONS[check.question]
    return fine if sharpest else coarse


def _sharpest(checks: Iterable[Check]) -> set[str]:
    """Return for each question about each returned array the check that comes nearest to seeing small errors."""
    best: dict[tuple[str, str], Check] = {}
    for check in checks:
        key = check.question, check.part
        if key not in best or check.smallest_detectable < best[key].smallest_detectable:
            best[key] = check
    return {check.name for check in best.values()}


def _needed(drawing: Drawing, checks: list[Check]) -> dict[str, float]:
    """Return the calls of each probe that would decide, as far as is known: visible errors shrink like their root."""
    sharpest, needed = _sharpest(checks), {name: float(max(calls, FEWEST)) for name, calls in drawing.calls.items()}
    for check in checks:
        if check.status == UNDECIDED:
            ratio = check.smallest_detectable / _wanted(check, check.name in sharpest)
            ratio = ratio if math.isfinite(ratio) else GROWTH
            for name in needed if check.probe == ALL else [check.probe]:
                needed[name] = max(needed[name], drawing.calls[name] * ratio**2)
    return needed


def _next(drawing: Drawing, checks: list[Check]) -> list[int]:
    """Return the calls of each probe after which to look again: not too often, as every look may err."""
    pairs = zip(drawing.calls.values(), _needed(drawing, checks).values(), strict=True)
    return [calls if needed <= calls else math.ceil(min(GROWTH * calls, MARGIN * needed)) for calls, needed in pairs]


def _what_would_decide(drawing: Drawing, checks: list[Check]) -> str:
    """Say how many more calls would."""
    needed = _needed(drawing, checks)
    calls = sum(MARGIN * max(needed[name] - have, 0) for name, have in drawing.calls.items())
    if not math.isfinite(calls):
        return ""
    rate = max(drawing.session.seconds - drawing.session.warm_up, 0.0) / max(drawing.session.calls, 1)
    wanted = f"--calls {_rounded(drawing.session.calls + calls)}"
    if math.isfinite(drawing.session.budget.seconds):
        wanted += f", or --budget {_rounded((drawing.session.calls + calls) * rate + 1)}"
    return f"About {_rounded(calls)} more calls would decide it: {wanted}."


def _rounded(value: float) -> int:
    """Return two digits of a number, rounded up."""
    digits = max(int(math.log10(max(value, 1))) - 1, 0)
    return math.ceil(value / 10**digits) * 10**digits
