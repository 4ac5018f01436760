"""What the runner found as a page."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import nmnc_ref
from nmnc_ref.oracle.page import rendering
from nmnc_ref.oracle.page.rendering import BAD, GOOD, OPEN, Cell, Column, Count, Page, Row, Verdict
from nmnc_ref.oracle.vectors import report
from nmnc_ref.oracle.vectors.check import Result
from nmnc_ref.oracle.vectors.operations import OPERATIONS

TEMPLATE = Path(__file__).with_name("page.html")
TONES = {"passed": GOOD, "failed": BAD, "unanswered": OPEN, "skipped": OPEN}
COLUMNS = (
    Column("family"),
    Column("status"),
    Column("cases", numeric=True, minor=True),
    *(Column(status, numeric=True, minor=status not in ("passed", "failed")) for status in report.STATUSES),
)


class Contents(NamedTuple):
    """What the page has besides its rows: the stage to look at first, and why others were not checked."""

    first: Result | None
    details: Mapping[str, str]
    notes: Sequence[str]
    equations: Mapping[str, str]
    tones: Mapping[str, str]


def page(results: Sequence[Result], settings: Mapping[str, str], passed: bool) -> Page:
    """Return the page of a check; `passed`: whether the command counts it as such."""
    results = list(results)
    counts = Counter(result.status for result in results)
    failed = [result for result in results if result.failed]
    first = report.first_of(failed) if failed else None
    word = "Failed" if failed else "Passed" if passed else "Incomplete" if counts["passed"] else "Nothing was checked"
    versions = f"python {platform.python_version()}, nmnc_ref {nmnc_ref.__version__}, numpy {np.__version__}"
    return Page(
        title="Golden vectors",
        verdict=Verdict(GOOD if passed else BAD, word, f"{report.summary(results)}."),
        counts=[Count(counts[status], status, TONES[status]) for status in report.STATUSES],
        settings={**settings, "Versions": versions},
        what="Families",
        columns=COLUMNS,
        rows=[
            _row(family, [result for result in results if result.case.family == family])
            for family in dict.fromkeys(result.case.family for result in results)
        ],
        contents=Contents(
            first,
            dict(report.details(first)) if first else {},
            report.unchecked(results),
            {name: operation.equation for name, operation in OPERATIONS.items()},
            TONES,
        ),
    )


def write(folder: Path, results: Sequence[Result], settings: Mapping[str, str], passed: bool) -> None:
    """Write the page of a check into a folder, or raise UsageError."""
    rendering.write(folder, page(results, settings, passed), TEMPLATE)


def _row(family: str, results: Sequence[Result]) -> Row:
    counts = Counter(result.status for result in results)
    status = next(status for status in ("failed", "passed", "unanswered", "skipped") if counts[status])
    cells = (
        Cell(family),
        Cell(status, tone=TONES[status]),
        Cell(str(len({result.case.name for result in results}))),
        *(Cell(str(counts[each])) for each in report.STATUSES),
    )
    return Row(cells, {"status": status}, results)
