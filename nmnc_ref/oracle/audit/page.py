"""The report of an audit as a page."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import nmnc_ref
from nmnc_ref.oracle.audit.check import DEFECT, PASSED, UNDECIDED
from nmnc_ref.oracle.audit.report import OTHER_KIND, SOUND, UNITS, Explanation, Question, Report
from nmnc_ref.oracle.page import rendering
from nmnc_ref.oracle.page.rendering import BAD, GOOD, OPEN, Cell, Column, Count, Page, Row, Verdict

TEMPLATE = Path(__file__).with_name("page.html")
TONES = {PASSED: GOOD, DEFECT: BAD, UNDECIDED: OPEN}
WORDS = {
    SOUND: (GOOD, "Sound"),
    OTHER_KIND: (OPEN, "Another kind"),
    DEFECT: (BAD, "Defect"),
    UNDECIDED: (OPEN, "Undecided"),
}
MEANINGS = {
    "scale": "The part of the mean along what was claimed, over what was claimed: 1 for a right estimator (E1, E2). In "
    "each problem, and over all of them.",
    "direction": "The angle between the mean and what was claimed: 0° for a right estimator; no angle where the scale "
    "may be 0 (E1, E2).",
    "null": "The size of a mean that is claimed to be zero, in standard deviations of one estimate.",
    "exact value": "The relative error of an array in which nothing is random.",
    "variance": "The total variance over the theory's for the declared kind: 1 for a right estimator (E3, E14, E15, "
    "E18 to E20, F7). In each problem, and over all of them.",
    "independence of layers": "The largest correlation of an entry of one layer's estimate with one of another "
    "layer's: 0, unless the kind implies one.",
    "independence of samples": "The largest correlation of an entry of one sample's estimate with one of another "
    "sample's: 0, unless the kind implies one.",
    "mean at large σ": "The relative distance of the mean from that of the smoothed network, which depends on law and "
    "kind of the noise (E8, E21).",
    "confinement": "The share of the estimates off the span of the basis, which noise on the manifold cannot have "
    "(E2).",
}
COLUMNS = (
    Column("question"),
    Column("status"),
    Column("comparisons", numeric=True, minor=True),
    Column("furthest off", numeric=True),
    Column("expected", numeric=True, minor=True),
    Column("± s.e.", numeric=True, minor=True),
    Column("visible error", numeric=True, minor=True),
)


class Contents(NamedTuple):
    """What the page has besides its rows."""

    faults: Sequence[str]
    traceback: str
    explanations: Sequence[Explanation]
    remarks: Sequence[str]
    meanings: Mapping[str, str]
    tones: Mapping[str, str]


def page(report: Report, estimator: str) -> Page:
    """Return the page of an audit."""
    tone, word = WORDS[report.verdict]
    line, declared = report.headline.partition(": ")[2], report.declaration
    statuses = [check.status for check in report.checks]
    words = {PASSED: "passed", DEFECT: "off what is expected", UNDECIDED: "undecided"}
    return Page(
        title=f"Audit of {estimator}",
        verdict=Verdict(tone, word, line[:1].upper() + line[1:]),
        counts=[
            *(Count(statuses.count(status), f"comparisons {text}", TONES[status]) for status, text in words.items()),
            Count(report.calls, "calls of the estimator"),
        ],
        settings={
            "Returns": f"{declared.target} {declared.returns}",
            "Kind": {"kind": declared.kind, "mean": "not judged: the mean alone"}[report.judge],
            "Seed": str(report.seed),
            "Versions": f"python {platform.python_version()}, nmnc_ref {nmnc_ref.__version__}, numpy {np.__version__}",
        },
        what="What was asked",
        columns=COLUMNS,
        rows=[_row(question) for question in report.questions],
        contents=Contents(
            [f"{check.question}: {check.note.partition(chr(10))[0]}" for check in report.findings if check.note],
            report.traceback,
            report.explanations,
            report.remarks,
            MEANINGS,
            TONES,
        ),
        seconds=report.seconds,
    )


def write(folder: Path, report: Report, estimator: str) -> None:
    """Write the page of an audit into a folder, or raise UsageError."""
    rendering.write(folder, page(report, estimator), TEMPLATE)


def _row(question: Question) -> Row:
    unit, worst = UNITS.get(question.name, ""), question.worst
    values = (worst.measured, worst.expected, worst.se, question.visible)
    cells = (
        Cell(question.name),
        Cell(question.status, tone=TONES[question.status]),
        Cell(str(len(question.checks))),
        *(_number(value, unit) for value in values),
    )
    return Row(cells, {"status": question.status}, question)


def _number(value: float, unit: str) -> Cell:
    known = math.isfinite(value)
    return Cell(rendering.number(value, 4) + unit * known, value if known else None)
