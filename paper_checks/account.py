"""One claim in full: what it says, how it was measured, with what parameters, and everything that was compared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmnc_ref.oracle.command_line import style
from paper_checks import report
from paper_checks.claim import Outcome
from paper_checks.comparison import Comparison

EVIDENCE = {
    "identity": "exact up to rounding",
    "enumeration": "an expectation summed over all outcomes of a finite law",
    "convergence": "the order in which an error vanishes, a log–log slope",
    "Monte Carlo": "a mean over independent draws",
    "trained networks": "means over independent seeds with 95 % intervals",
}
"""What the rungs are."""
MEANING = {
    "=": "measured equals predicted within the tolerance; used is the difference over the tolerance",
    "≥": "a bound from below; used is how much of the room above it is gone",
    "≤": "a bound from above; used is how much of the room below it is gone",
    ">": "predicted is the mean of the other group; used is the sum of both intervals over the difference",
    "reported": "to be seen beside its prediction; nothing is asserted",
}
"""What the numbers of a comparison mean, by its relation."""
ARRAYS = "arrays: both numbers are Frobenius norms; used is the largest difference of two entries over the tolerance"


def show(outcomes: Sequence[Outcome], console: Console, *, quiet: bool = False) -> None:
    """Print all there is to say about each claim, and the summary; of a quiet run what `report.show` does."""
    if quiet:
        report.show(outcomes, console, quiet=True)
        return
    for outcome in outcomes:
        console.print(Text(f"{outcome.claim.id}  {outcome.claim.statement}", "bold"))
        console.print(_about(outcome))
        if outcome.comparisons:
            console.print(_comparisons(outcome))
            console.print(Text("\n".join(_meanings(outcome.comparisons)), "dim"))
        console.print()
    console.print(report.summary(outcomes), style="bold", highlight=False, soft_wrap=True)


def _about(outcome: Outcome) -> Table:
    """Return the table of all that the claim is, but for what was compared."""
    claim, lab = outcome.claim, outcome.lab
    rows: list[tuple[str, str | Text]] = [
        ("status", Text(outcome.status, report.COLOURS[outcome.status])),
        ("source", claim.source),
        ("evidence", f"{claim.rung}: {EVIDENCE[claim.rung]}"),
        ("asserted at", f"{claim.place}, {claim.measure.__name__}"),
        ("derived in", f"THEORY.md, {claim.id}"),
        ("measured", claim.notes),
        ("computed with", f"{lab.backend}, {lab.dtype_name}, seed {lab.seed}, {report.seconds([outcome])}"),
        *(("parameters", line) for line in _common(each.coordinates for each in outcome.comparisons)),
        *(("trained", line) for line in _experiments(outcome.results)),
        *(("wrong twin", _twin(twin.name, twin.caught)) for twin in outcome.twins),
        *(("note", note) for note in outcome.notes),
    ]
    table = Table.grid(padding=(0, 2))
    last = ""
    for heading, text in rows:
        table.add_row(Text("" if heading == last else heading, "dim"), text if isinstance(text, Text) else Text(text))
        last = heading
    return table


def _twin(name: str, caught: bool) -> Text:
    return Text(name).append(": caught" if caught else ": not caught", "green" if caught else "bold red")


def _common(parameters: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Say which values each parameter takes, in the order in which they come."""
    values: dict[str, dict[str, None]] = {}
    for each in parameters:
        for name, value in each.items():
            values.setdefault(name, {})[f"{value:.4g}" if isinstance(value, float) else str(value)] = None
    yield from (f"{name} = {', '.join(found)}" for name, found in values.items())


def _experiments(results: Mapping[Any, Any]) -> Iterator[str]:
    """Say how many experiments of each kind there are, and over what their parameters go."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for each in results:
        fields = {field.name: getattr(each, field.name) for field in dataclasses.fields(each)}
        kinds.setdefault(type(each).__name__, []).append(fields)
    for kind, runs in kinds.items():
        yield f"{len(runs)} × {kind}: {'; '.join(_common(runs))}"


def _comparisons(outcome: Outcome) -> Table:
    """Return the table of everything that was compared, the reason for its tolerance below the name."""
    table = Table("compared", **style())
    for heading in ("predicted", "measured", "tolerance", "used"):
        table.add_column(heading, justify="right", overflow="fold")  # a number must never be cut
    last = ""
    for each in outcome.comparisons:
        seeds = f", {each.seeds} seeds" if each.seeds is not None else ""
        why = f"{f'arrays {list(each.shape)}; ' if each.shape else ''}{each.reason}{seeds}"
        table.add_row(
            Text(each.name if each.held else f"{each.name}: failed", "" if each.held else "bold red").append(
                f"\n{why}" if why != last else "", "dim"
            ),
            "–" if math.isnan(each.predicted) else report.predicted(each, 6),
            f"{each.measured:.6g}",
            f"{each.tolerance:.2g}" if each.tolerance else "–",
            report.share(each.used) if each.asserted else "–",
        )
        last = why
    return table


def _meanings(comparisons: Sequence[Comparison]) -> Iterator[str]:
    relations = dict.fromkeys(each.relation for each in comparisons)
    yield from (f"{relation}: {MEANING[relation]}" for relation in relations)
    if any(each.shape for each in comparisons):
        yield ARRAYS
