"""What an audit found."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from nmnc_ref.oracle.audit.check import ALL, DEFECT, MEAN, PASSED, UNDECIDED, Check, rank
from nmnc_ref.oracle.audit.problem import Declaration
from nmnc_ref.oracle.audit.session import Budget
from nmnc_ref.oracle.command_line import finite

SCHEMA = 2
SOUND, OTHER_KIND = "sound", "other kind"
UNITS = {"direction": "°"}


class Explanation(NamedTuple):
    """What fits all measurements; `score`: its share of the likelihood of all that fits; `detail`: what it does."""

    name: str
    score: float = 1.0
    detail: str = ""


class Question(NamedTuple):
    """All checks of one question; `visible`: the smallest error that every returned array would have shown, or NaN."""

    name: str
    checks: tuple[Check, ...]
    visible: float

    @property
    def status(self) -> str:
        """The worst status of a check."""
        statuses = {check.status for check in self.checks}
        return next(status for status in (DEFECT, UNDECIDED, PASSED) if status in statuses)

    @property
    def worst(self) -> Check:
        """The check that is furthest from its expectation."""
        return min(self.checks, key=rank)


class Report(NamedTuple):
    """The outcome of an audit.

    `verdict`: "sound", "other kind" (the mean is right, the variance that of another kind than declared), "defect" or
    "undecided"; `declaration`: what the estimator was said to compute; `judge`: "mean" or "kind"; `seed`, `budget` and
    `seconds` of the audit, of which `warm_up` in first calls; `calls` of the estimator; `checks`: all comparisons;
    `explanations`: best first, empty where nothing fits; `kinds`: those of which the variances are, best first;
    `advice`: what else there is to know, or which run would tell more.
    """

    verdict: str
    declaration: Declaration
    judge: str
    seed: int
    budget: Budget
    seconds: float
    warm_up: float
    calls: int
    checks: tuple[Check, ...]
    explanations: tuple[Explanation, ...] = ()
    kinds: tuple[Declaration, ...] = ()
    advice: str = ""

    def assert_ok(self) -> None:
        """Raise AssertionError, with the reason, unless the estimator is sound; undecided is not sound."""
        if self.verdict != SOUND:
            lines = [self.headline, *(describe(check) for check in self.findings[:10]), self.advice]
            raise AssertionError("\n".join(filter(None, lines)))

    @property
    def findings(self) -> list[Check]:
        """The checks that led to the verdict, those about means first, the furthest from their expectation first."""
        return sorted((check for check in self.checks if check.status == self.verdict), key=rank)

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        if self.verdict == SOUND:
            return f"Sound: {self._mean}, {self._variance}."
        if self.verdict == OTHER_KIND:
            kind, declared = self.kinds[0].kind, self.declaration.kind
            more = _or_others(len(self.kinds) - 1)
            seen = f"{self._variance} of" if "variance" in self.visible_errors else "variance, where it is predicted,"
            return f"Of another kind: {self._mean}; {seen} that of {kind}{more}, not of {declared}."
        if self.verdict == UNDECIDED:
            open_questions = ", ".join(dict.fromkeys(check.question for check in self.findings))
            if self.kinds:
                kind, declared = self.kinds[0].kind, self.declaration.kind
                variance = f"the mean is right; the variance is not that of {declared}, but may be that of {kind}"
                return f"Undecided after {self.seconds:.0f} s: {variance}."
            if not open_questions:
                return f"Undecided after {self.seconds:.0f} s: there was time for too few calls to ask anything."
            return f"Undecided after {self.seconds:.0f} s: no defect found, but {open_questions} could hide one."
        fault = next((check for check in self.findings if check.note), None)
        if fault and not self.explanations:
            return f"Defect: the estimator {fault.question}: {fault.note.partition(chr(10))[0]}."
        what = "unexplained"
        if self.explanations:
            what = self.explanations[0].name + _or_others(len(self.explanations) - 1)
        if fault or any(check.question in MEAN for check in self.findings):
            return f"Defect: {what}."
        return f"Defect: the mean is right, the variance is not, of this kind or another: {what}."

    @property
    def _mean(self) -> str:
        visible = self.visible_errors
        return f"mean correct within {visible['scale']:.1%} and {visible['direction']:.1f}°"

    @property
    def _variance(self) -> str:
        visible = self.visible_errors.get("variance")
        return "variance not judged" if visible is None else f"variance within {visible:.1%}"

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
            worst[question] = max(worst.get(question, smallest), smallest)
        return worst

    @property
    def questions(self) -> list[Question]:
        """The questions in the order in which they were asked."""
        found = []
        for name in dict.fromkeys(check.question for check in self.checks):
            visible = self.visible_errors.get(name, math.nan)
            seen = "independence" not in name or visible < 1  # no correlation is larger
            checks = tuple(check for check in self.checks if check.question == name)
            found.append(Question(name, checks, visible if seen else math.nan))
        return found

    @property
    def traceback(self) -> str:
        """The traceback of what the estimator raised, if it did."""
        return "\n".join(line for check in self.findings for line in check.note.splitlines()[1:])

    @property
    def remarks(self) -> list[str]:
        """What else there is to say to a person, a sentence or two each."""
        lines, wrong = [], self.findings if self.verdict == DEFECT else []
        if wrong and not self.explanations and not any(check.note for check in wrong):
            lines.append("Unexplained: no scale, no other kind and no slip of the catalogue fits all measurements.")
        if place := next((check.probe for check in wrong if check.probe not in ("", ALL)), ""):
            lines.append(
                f'To debug it, add to the same arguments: python -m pdb -m nmnc_ref audit … --problem "{place}" '
                f"--seed {self.seed}"
            )
        return [*lines, *filter(None, [self.advice])]

    def document(self) -> dict[str, Any]:
        """Return the report as an object for JSON, where what is not finite is null."""
        fields = ("name", "status", "measured", "expected", "se", "smallest_detectable", "note")
        checks = [{field: getattr(check, field) for field in fields} for check in self.checks]
        document = {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "judge": self.judge,
            **self.declaration._asdict(),
            "seed": self.seed,
            "budget": self.budget._asdict(),
            "seconds": round(self.seconds, 3),
            "warm_up": round(self.warm_up, 3),
            "calls": self.calls,
            "visible_errors": self.visible_errors,
            "checks": checks,
            "explanations": [explanation._asdict() for explanation in self.explanations],
            "kinds": [kind._asdict() for kind in self.kinds],
            "advice": self.advice,
        }
        return finite(document)


def _or_others(number: int) -> str:
    return f" (or one of {number} others)" if number > 1 else number * " (or another)"


def describe(check: Check) -> str:
    """Return a check in one line, or with the traceback of what was raised."""
    if check.note:
        return f"{check.name}: {check.note}"
    return f"{check.name}: measured {check.measured:.4g} ± {check.se:.2g}, expected {check.expected:.4g}"
