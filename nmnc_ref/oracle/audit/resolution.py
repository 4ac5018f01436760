"""Whether what was drawn could hide an error that matters, and how much more would not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from nmnc_ref.oracle.audit.check import ALL, FEWEST, KIND, MEAN, PASSED, UNDECIDED, Check
from nmnc_ref.oracle.audit.comparison import compare
from nmnc_ref.oracle.audit.drawing import Drawing


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
GROWTH = 1.6
"""Calls of a probe grow by this factor at most until its questions are decided."""
MARGIN = 1.1
"""By which more calls are made than would decide as far as is known."""


def ask(drawing: Drawing) -> list[Check]:
    """Ask every question of what was drawn so far, and whether it was enough."""
    measured = drawing.measurements()
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


def next_calls(drawing: Drawing, checks: list[Check]) -> list[int]:
    """Return the calls of each probe after which to look again: not too often, as every look may err."""
    pairs = zip(drawing.calls.values(), _needed(drawing, checks).values(), strict=True)
    return [calls if needed <= calls else math.ceil(min(GROWTH * calls, MARGIN * needed)) for calls, needed in pairs]


def what_would_decide(drawing: Drawing, checks: list[Check]) -> str:
    """Say how many more calls would."""
    needed = _needed(drawing, checks)
    calls = sum(MARGIN * max(needed[name] - have, 0) for name, have in drawing.calls.items())
    if not math.isfinite(calls):
        return ""
    rate = (drawing.session.seconds - drawing.session.warm_up) / max(drawing.session.calls, 1)
    wanted = f"--calls {_rounded(drawing.session.calls + calls)}"
    if math.isfinite(drawing.session.budget.seconds):
        wanted += f", or --budget {_rounded((drawing.session.calls + calls) * rate + 1)}"
    return f"About {_rounded(calls)} more calls would decide it: {wanted}."


def _rounded(value: float) -> int:
    """Return two digits of a number, rounded up."""
    unit = 10 ** max(len(str(math.ceil(value))) - 2, 0)
    return math.ceil(value / unit) * unit
