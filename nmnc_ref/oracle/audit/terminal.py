"""The report of an audit for a person: verdict, what was measured against what was expected, explanation."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.audit.checks import DEFECT, UNDECIDED, Check
from nmnc_ref.oracle.audit.report import SOUND, Report

COLOURS = {SOUND: "bold green", DEFECT: "bold red", UNDECIDED: "bold yellow", "passed": "green"}
TITLES = {DEFECT: "What is wrong", UNDECIDED: "What is open"}
ROWS = 12
"""Findings shown; the JSON has all."""
UNITS = {"direction": "°"}


def show(report: Report, estimator: str) -> None:
    """Print a report."""
    console = command_line.console()
    console.print(Text(report.headline, COLOURS[report.verdict]))
    declared = report.declaration
    how = f"{declared.target} {declared.returns}, {declared.noise} noise, response of the {declared.response}"
    together = ", all layers at once" if declared.simultaneous else ""
    console.print(
        f"{estimator}: {how}{together}; {report.calls} calls in {report.seconds:.1f} s, seed {report.seed}",
        style="dim",
        highlight=False,
        markup=False,
        emoji=False,
    )
    if report.verdict != SOUND and any(not check.note for check in report.findings):
        console.print(_findings(report))
    if report.checks:
        console.print(_questions(report))
    if report.verdict == DEFECT:
        _explain(report, console)


def _findings(report: Report) -> Table:
    table = Table("question", "problem", "returned array", title=TITLES[report.verdict], title_justify="left")
    for heading in ("measured", "expected", "± s.e."):
        table.add_column(heading, justify="right", overflow="fold")
    findings = [check for check in report.findings if not check.note]
    for check in findings[:ROWS]:
        unit = UNITS.get(check.question, "")
        numbers = (f"{value:.4g}{unit}" for value in (check.measured, check.expected, check.se))
        table.add_row(check.question, check.probe, check.part, *numbers)
    if len(findings) > ROWS:
        table.caption = f"and {len(findings) - ROWS} more (--json has all)"
    return table


def _questions(report: Report) -> Table:
    """Return the table of questions, with the comparison of each that is furthest from its expectation."""
    table = Table("question", "status", "comparisons", title="What was asked", title_justify="left")
    for heading in ("furthest off", "expected", "± s.e.", "visible error"):
        table.add_column(heading, justify="right", overflow="fold")
    for question in dict.fromkeys(check.question for check in report.checks):
        checks = [check for check in report.checks if check.question == question]
        worst = max(checks, key=_standardised)
        statuses = {check.status for check in checks}
        status = next(status for status in (DEFECT, UNDECIDED, "passed") if status in statuses)
        unit = UNITS.get(question, "")
        numbers = ["–"] * 4
        if not worst.note:
            visible = report.visible_errors.get(question)
            values = (worst.measured, worst.expected, worst.se, visible)
            numbers = [f"{value:.3g}{unit}" if value is not None else "–" for value in values]
        table.add_row(question, Text(status, COLOURS[status]), str(len(checks)), *numbers)
    return table


def _standardised(check: Check) -> float:
    if math.isnan(check.measured):
        return 0.0
    return abs(check.measured - check.expected) / (check.se or 1.0)


def _explain(report: Report, console: Console) -> None:
    lines = [f"Fits all measurements: {each.name} (score {each.score:.2f})." for each in report.explanations]
    if not report.explanations and not any(check.note for check in report.findings):
        lines.append("Unexplained: no slip of the catalogue fits all measurements.")
    if report.advice:
        lines.append(report.advice)
    console.print("\n".join(lines), highlight=False, markup=False, emoji=False)
