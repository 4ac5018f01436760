"""The report of an audit for a person: verdict, what was measured against what was expected, explanation."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.audit.check import DEFECT, UNDECIDED
from nmnc_ref.oracle.audit.report import OTHER_KIND, SOUND, UNITS, Report

COLOURS = {
    SOUND: "bold green",
    OTHER_KIND: "bold cyan",
    DEFECT: "bold red",
    UNDECIDED: "bold yellow",
    "passed": "green",
}
TITLES = {DEFECT: "What is wrong", UNDECIDED: "What is open"}
ROWS = 12
"""Findings shown; the JSON has all."""
STYLE = {**command_line.style(), "title_justify": "left"}


def show(report: Report, estimator: str, *, quiet: bool = False) -> None:
    """Print a report, or where that should be quiet, its verdict and what led to it if that is not sound."""
    console = command_line.console()
    console.print(Text(report.headline, COLOURS[report.verdict]))
    declared = report.declaration
    judged = {"kind": declared.kind, "mean": "mean alone"}[report.judge]
    how = f"{declared.target} {declared.returns}, {judged}"
    warm_up = f", of which {report.warm_up:.1f} s in first calls, not counted" if report.warm_up > 1 else ""
    if quiet and report.verdict == SOUND:
        return
    console.print(
        f"{estimator}: {how}; {report.calls} calls in {report.seconds:.1f} s{warm_up}, seed {report.seed}",
        style="dim",
        highlight=False,
        markup=False,
        emoji=False,
    )
    if report.verdict in TITLES and any(not check.note for check in report.findings):
        console.print(_findings(report))
    if report.checks and not quiet:
        console.print(_questions(report))
    _explain(report, console)


def _findings(report: Report) -> Table:
    table = Table("question", "problem", "returned array", title=TITLES[report.verdict], **STYLE)
    for heading in ("measured", "expected", "± s.e."):
        table.add_column(heading, justify="right", overflow="fold")
    findings = [check for check in report.findings if not check.note]
    for check in findings[:ROWS]:
        unit = UNITS.get(check.question, "")
        numbers = (_number(value, unit) for value in (check.measured, check.expected, check.se))
        table.add_row(check.question, check.probe, check.part, *numbers)
    if len(findings) > ROWS:
        table.caption = f"and {len(findings) - ROWS} more (--json has all)"
    return table


def _questions(report: Report) -> Table:
    """Return the table of questions, with the comparison of each that is furthest from its expectation."""
    table = Table("question", "status", "comparisons", title="What was asked", **STYLE)
    for heading in ("furthest off", "expected", "± s.e.", "visible error"):
        table.add_column(heading, justify="right", overflow="fold")
    for question in report.questions:
        worst, unit = question.worst, UNITS.get(question.name, "")
        values = (worst.measured, worst.expected, worst.se, question.visible)
        status = Text(question.status, COLOURS[question.status])
        numbers = (_number(value, unit, 3) for value in values)
        table.add_row(question.name, status, str(len(question.checks)), *numbers)
    return table


def _number(value: float, unit: str = "", digits: int = 4) -> str:
    return f"{value:.{digits}g}{unit}" if math.isfinite(value) else "–"


def _explain(report: Report, console: Console) -> None:
    lines = report.traceback.splitlines()
    for each in report.explanations:
        lines.append(f"Fits all measurements: {each.name} (score {each.score:.2f}).")
        lines += [f"That is: {each.detail}."] if each.detail not in ("", each.name) else []
    lines += report.remarks
    if lines:
        console.print("\n".join(lines), highlight=False, markup=False, emoji=False)
