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
from nmnc_ref.oracle.vectors.check import Result
from nmnc_ref.oracle.vectors.operations import OPERATIONS

STATUSES = ("passed", "failed", "skipped")


def families(results: list[Result]) -> Table:
    """Return the table of families: how many stages passed, failed and were skipped."""
    table = Table("family", "cases", *STATUSES)
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
    """Return all there is to know about the first stage that failed, or None if none did."""
    failed = [result for result in results if result.status == "failed"]
    if not failed:
        return None
    first = failed[0]
    details = Table.grid(padding=(0, 2))
    for name, value in _details(first):
        details.add_row(Text(name, style="dim"), Text(value))
    parts: list[Any] = [
        Text(f"first divergent stage: {first.case.name} · {first.stage.name}", style="bold red"),
        details,
    ]
    if len(failed) > 1:
        more = ", ".join(f"{each.case.name} · {each.stage.name}" for each in failed[1:6])
        parts.append(Text(f"{len(failed) - 1} more failed: {more}{', …' if len(failed) > 6 else ''}"))
    return Group(*parts)


def _details(result: Result) -> list[tuple[str, str]]:
    stage = result.stage
    rows = [("claim", stage.claim or "none"), ("equation", OPERATIONS[stage.operation].equation)]
    if result.note:
        rows.append(("problem", result.note))
    if result.element is not None:
        ulps = "" if result.ulps is None else f" ({result.ulps:.3g} ulps)"
        rows += [("index", str(list(result.element))), ("got", f"{result.got!r}"), ("want", f"{result.want!r}")]
        rows += [("error", f"{result.error:.3g}{ulps}")]
        rows += [("tolerance", f"{result.tolerance:.3g} ({stage.tolerance.kind})")]
    rows.append(("why", result.case.why))
    if result.hints:
        rows.append(("hint", ", or ".join(result.hints)))
    return rows


def summary(results: list[Result]) -> str:
    """Return the counts in one line."""
    counts = Counter(result.status for result in results)
    line = ", ".join(f"{counts[status]} {status}" for status in STATUSES)
    return f"{line} of {len(results)} stages" + (
        "" if counts["passed"] or counts["failed"] else ": nothing was checked"
    )


def show(results: list[Result], console: Console) -> None:
    """Print the table, the first divergent stage, why stages were skipped, and the counts."""
    console.print(families(results))
    divergence = first_divergence(results)
    if divergence is not None:
        console.print(divergence)
    skipped = Counter(result.note for result in results if result.status == "skipped")
    for reason, times in skipped.most_common():
        console.print(Text(f"skipped {times}: {reason}", style="dim"))
    console.print(Text(summary(results), style="bold"))


def document(results: list[Result], version: str, precision: str, mode: str) -> dict[str, Any]:
    """Return everything as an object of JSON."""
    counts = Counter(result.status for result in results)
    versions = {"python": platform.python_version(), "nmnc_ref": nmnc_ref.__version__, "numpy": np.__version__}
    return {
        "schema": 1,
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
