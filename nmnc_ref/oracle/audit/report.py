"""What an audit found."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from nmnc_ref.oracle.audit.checks import UNDECIDED, Check
from nmnc_ref.oracle.audit.problem import Declaration

SCHEMA = 1
SOUND = "sound"


class Explanation(NamedTuple):
    """A slip that fits all measurements; `score`: its likelihood among those that fit, which add to 1."""

    name: str
    score: float


class Report(NamedTuple):
    """The outcome of an audit.

    `verdict`: "sound", "defect" or "undecided"; `declaration`: what the estimator was said to compute; `seed`, `budget`
    and `seconds` of the audit; `calls` of the estimator; `checks`: all comparisons; `explanations`: best first, empty
    where nothing in the catalogue fits; `advice`: which further run would tell more.
    """

    verdict: str
    declaration: Declaration
    seed: int
    budget: float
    seconds: float
    calls: int
    checks: tuple[Check, ...]
    explanations: tuple[Explanation, ...] = ()
    advice: str = ""

    def assert_ok(self) -> None:
        """Raise AssertionError, with the reason, unless the estimator is sound; undecided is not sound."""
        if self.verdict != SOUND:
            raise AssertionError("\n".join([self.headline, *(describe(check) for check in self.findings[:10])]))

    @property
    def findings(self) -> list[Check]:
        """The checks that led to the verdict, those furthest from their expectation first."""
        found = [check for check in self.checks if check.status == self.verdict]
        return sorted(found, key=lambda check: -check.distance)

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        if self.verdict == SOUND:
            visible = self.visible_errors
            mean = f"mean correct within {visible['scale']:.1%} and {visible['direction']:.1f}°"
            return f"Sound: {mean}, variance within {visible['variance']:.1%}."
        if self.verdict == UNDECIDED:
            open_questions = ", ".join(dict.fromkeys(check.question for check in self.findings))
            if not open_questions:
                return f"Undecided after {self.seconds:.0f} s: there was time for too few calls to ask anything."
            return f"Undecided after {self.seconds:.0f} s: no defect found, but {open_questions} could hide one."
        if self.explanations:
            others = len(self.explanations) - 1
            return f"Defect: {self.explanations[0].name}{f' (or one of {others} others)' if others else ''}."
        fault = next((check for check in self.findings if check.note), None)
        return f"Defect: the estimator {fault.question}: {fault.note}." if fault else "Defect: unexplained."

    @property
    def visible_errors(self) -> dict[str, float]:
        """By question, the smallest error that would have been seen in every returned array."""
        best: dict[tuple[str, str], float] = {}
        for check in self.checks:
            key = (check.question, check.part)
            if check.smallest_detectable:
                best[key] = min(best.get(key, math.inf), check.smallest_detectable)
        worst: dict[str, float] = {}
        for (question, _), smallest in best.items():
            worst[question] = max(worst.get(question, 0.0), smallest)
        return worst

    def document(self) -> dict[str, Any]:
        """Return the report as an object for JSON, where what is not finite is null."""
        fields = ("name", "status", "measured", "expected", "se", "smallest_detectable", "note")
        checks = [{field: _finite(getattr(check, field)) for field in fields} for check in self.checks]
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            **self.declaration._asdict(),
            "seed": self.seed,
            "budget": self.budget,
            "seconds": round(self.seconds, 3),
            "calls": self.calls,
            "visible_errors": {question: _finite(error) for question, error in self.visible_errors.items()},
            "checks": checks,
            "explanations": [explanation._asdict() for explanation in self.explanations],
            "advice": self.advice,
        }


def describe(check: Check) -> str:
    """Return a check in one line."""
    if check.note:
        return f"{check.name}: {check.note}"
    return f"{check.name}: measured {check.measured:.4g} ± {check.se:.2g}, expected {check.expected:.4g}"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
