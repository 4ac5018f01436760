"""The report of an audit for a person: verdict, what was measured against what was expected, explanation."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.audit.checks import ALL, DEFECT, UNDECIDED, rank
from nmnc_ref.oracle.audit.report import OTHER_KIND, SOUND, Report

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
UNITS = {"direction": "°"}


def show(report: Report, estimator: str) -> None:
    """Print a report."""
    console = command_line.console()
    console.print(Text(report.headline, COLOURS[report.verdict]))
    declared = report.declaration
    how = f"{declared.target} {declared.returns}, {declared.kind if report.judge == 'kind' else 'mean alone'}"
    warm_up = f", of which {report.warm_up:.1f} s in first calls, not counted" if report.warm_up > 1 else ""
    console.print(
        f"{estimator}: {how}; {report.calls} calls in {report.seconds:.1f} s{warm_up}, seed {report.seed}",
        style="dim",
        highlight=False,
        markup=False,
        emoji=False,
    )
    if report.verdict in TITLES and any(not check.note for check in report.findings):
        console.print(_findings(report))
    if report.checks:
        console.print(_questions(report))
    _explain(report, console)


def _findings(report: Report) -> Table:
    table = Table("question", "problem", "returned array", title=TITLES[report.verdict], title_justify="left")
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
    table = Table("question", "status", "comparisons", title="What was asked", title_justify="left")
    for heading in ("furthest off", "expected", "± s.e.", "visible error"):
        table.add_column(heading, justify="right", overflow="fold")
    for question in dict.fromkeys(check.question for check in report.checks):
        checks = [check for check in report.checks if check.question == question]
        worst = min(checks, key=rank)
        statuses = {check.status for check in checks}
        status = next(status for status in (DEFECT, UNDECIDED, "passed") if status in statuses)
        unit = UNITS.get(question, "")
        visible = report.visible_errors.get(question, math.nan)
        numbers = [_number(value, unit, 3) for value in (worst.measured, worst.expected, worst.se)]
        numbers.append(_number(visible if "independence" not in question or visible < 1 else math.nan, unit, 3))
        table.add_row(question, Text(status, COLOURS[status]), str(len(checks)), *numbers)
    return table


def _number(value: float, unit: str = "", digits: int = 4) -> str:
    return f"{value:.{digits}g}{unit}" if math.isfinite(value) else "–"


def _explain(report: Report, console: Console) -> None:
    lines = [line for check in report.findings for line in check.note.splitlines()[1:]]  # of a traceback
    for each in report.explanations:
        lines.append(f"Fits all measurements: {each.name} (score {each.score:.2f}).")
        lines += [f"That is: {each.detail}."] if each.detail not in ("", each.name) else []
    if report.verdict == DEFECT and not report.explanations and not any(check.note for check in report.findings):
        lines.append("Unexplained: no scale, no other kind and no slip of the catalogue fits all measurements.")
    place = next((check.probe for check in report.findings if check.probe not in ("", ALL)), "")
    if report.verdict == DEFECT and place:
        lines.append(
            f'The same command with --problem "{place}" --seed {report.seed} gives that problem to a debugger.'
        )
    if report.advice:
        lines.append(report.advice)
    if lines:
        console.print("\n".join(lines), highlight=False, markup=False, emoji=False)
