"""What the runner found: tables for people, a document of JSON for machines."""

from __future__ import annotations

import platform
from collections import Counter
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

import nmnc_ref
from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.vectors.check import Result
from nmnc_ref.oracle.vectors.operations import OPERATIONS

STATUSES = ("passed", "failed", "unanswered", "skipped")
FEW = 5
"""How many of what is missing are named one by one."""
ORDER = tuple(OPERATIONS)
"""Operations in the order in which they build on one another, the elementary ones first."""


def families(results: list[Result]) -> Table:
    """Return the table of families: how many stages have which status."""
    table = Table("family", "cases", *STATUSES, **command_line.style())
    for column in table.columns[1:]:
        column.justify = "right"
    for family in dict.fromkeys(result.case.family for result in results):
        of_family = [result for result in results if result.case.family == family]
        counts = Counter(result.status for result in of_family)
        cases = len({result.case.name for result in of_family})
        style = "red" if counts["failed"] else "" if counts["passed"] else "dim"
        table.add_row(family, str(cases), *(str(counts[status]) for status in STATUSES), style=style)
    return table


def first_divergence(results: list[Result]) -> Group | None:
    """Return all there is to know about the stage that failed to look at first, or None if none did."""
    failed = [result for result in results if result.failed]
    if not failed:
        return None
    first = first_of(failed)
    failed.remove(first)
    grid = Table.grid(padding=(0, 2))
    for name, value in details(first):
        grid.add_row(Text(name, style="dim"), Text(value))
    parts: list[Any] = [
        Text(f"first divergent stage: {first.case.name} · {first.stage.name}", style="bold red"),
        grid,
    ]
    if failed:
        more = ", ".join(f"{each.case.name} · {each.stage.name}" for each in failed[:FEW])
        follow = sum(each.follows for each in failed)
        of_these = f" ({follow} of them right for their own inputs, which are wrong)" if follow else ""
        parts.append(Text(f"{len(failed)} more failed{of_these}: {more}{', …' if len(failed) > FEW else ''}"))
    return Group(*parts)


def first_of(failed: list[Result]) -> Result:
    """Return the stage to look at first: of the most elementary operation that does not merely follow from inputs."""
    return min(failed, key=lambda result: (result.follows, ORDER.index(result.stage.operation)))


def details(result: Result) -> list[tuple[str, str]]:
    """Return all there is to know about a stage that failed, by name."""
    stage = result.stage
    rows = [("claim", stage.claim or "none"), ("equation", OPERATIONS[stage.operation].equation)]
    if result.note:
        rows.append(("problem", result.note))
    if result.element is not None:
        ulps = "" if result.ulps is None else f" ({result.ulps:.3g} ulps)"
        part = f" of the whole: {result.part}" if result.part else ""
        rows += [("index from 0", f"{list(result.element)}{part}")]
        rows += [
            (name, ", ".join(parts)) for name, parts in (("differ", result.differ), ("agree", result.agree)) if parts
        ]
        rows += [("got", _number(result.got)), ("want", _number(result.want))]
        rows += [("error", f"{result.error:.3g}{ulps}")]
        rows += [("tolerance", f"{result.tolerance:.3g} ({stage.tolerance.kind})")]
    rows.append(("why", result.case.why))
    if result.hints:
        rows.append(("hint", ", or ".join(result.hints)))
    return rows


def _number(value: float | None) -> str:
    """Return a number as text, an integer also as the word of 32 bits that it is."""
    return f"{value} ({value % 2**32:#010x})" if isinstance(value, int) else repr(value)


def unanswered(results: list[Result]) -> list[str]:
    """Return a line for each reason why stages have no answer: how many, and what is missing.

    That is `FEW` cases, stages or operations at most, or else the operations of each family, and of one that has no
    answer at all its name.
    """
    answered = {result.case.family for result in results if result.status in ("passed", "failed")}
    reasons: dict[str, list[Result]] = {}
    for result in results:
        if result.status == "unanswered":
            reasons.setdefault(result.note, []).append(result)
    lines = []
    for reason, found in reasons.items():
        missing = dict.fromkeys(each.missing for each in found)
        named = ", ".join(missing) if len(missing) <= FEW else _by_family(found, answered)
        lines.append(f"unanswered {len(found)}: {reason}: {named}")
    return lines


def _by_family(found: list[Result], answered: set[str]) -> str:
    families = dict.fromkeys(each.case.family for each in found)
    named = [f"all of {', '.join(whole)}"] if (whole := [each for each in families if each not in answered]) else []
    for family in (each for each in families if each in answered):
        counts = Counter(each.stage.operation for each in found if each.case.family == family)
        operations = (f"{operation} {times}" if times > 1 else operation for operation, times in counts.items())
        named.append(f"{family}: {', '.join(operations)}")
    return "; ".join(named)


def unchecked(results: list[Result]) -> list[str]:
    """Return a line for each reason why stages were not checked: they have no answer, or were skipped."""
    skipped = Counter(result.note for result in results if result.status == "skipped")
    return unanswered(results) + [f"skipped {times}: {reason}" for reason, times in skipped.most_common()]


def summary(results: list[Result]) -> str:
    """Return the counts in one line."""
    counts = Counter(result.status for result in results)
    line = ", ".join(f"{counts[status]} {status}" for status in STATUSES)
    return f"{line} of {len(results)} stages" + (
        "" if counts["passed"] or counts["failed"] else ": nothing was checked"
    )


def show(results: list[Result], console: Console, *, quiet: bool = False, required: bool = False) -> None:
    """Print the table, the first divergent stage, what has no answer, why stages were skipped, and the counts; where
    that should be quiet, the stage, what has no answer if it is required, and the counts.
    """
    if not quiet:
        console.print(families(results))
    divergence = first_divergence(results)
    if divergence is not None:
        console.print(divergence)
    for line in unchecked(results) if not quiet else unanswered(results) if required else ():
        console.print(Text(line, style="dim"))
    if not quiet and any(result.status == "unanswered" for result in results):
        console.print(Text("--json FILE and --report DIR have every stage", style="dim"))
    console.print(Text(summary(results), style="bold"))


def document(results: list[Result], version: str, precision: str, mode: str) -> dict[str, Any]:
    """Return everything as an object of JSON."""
    counts = Counter(result.status for result in results)
    versions = {"python": platform.python_version(), "nmnc_ref": nmnc_ref.__version__, "numpy": np.__version__}
    return {
        "schema": 2,
        "versions": versions,
        "pack": version,
        "precision": precision,
        "mode": mode,
        "counts": {status: counts[status] for status in STATUSES},
        "stages": [
            {"case": result.case.name, "family": result.case.family, "stage": result.stage.name}
            | {"operation": result.stage.operation, "claim": result.stage.claim}
            | {"index": result.element}
            | {name: value for name, value in result._asdict().items() if name not in ("case", "stage", "element")}
            for result in results
        ],
    }
