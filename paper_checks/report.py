"""What a run of the claims shows a person, and what it writes for a machine."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmnc_ref.oracle.command_line import finite, style
from paper_checks.claim import Claim, Outcome, in_training
from paper_checks.comparison import Comparison
from paper_checks.lab import BACKENDS
from paper_checks.learning.notebook import description

SCHEMA = 2
COLOURS = {"pass": "green", "fail": "bold red", "skipped": "yellow", "needs-data": "yellow"}
CAPTION = "used: share of its tolerance that the tightest of so many comparisons takes; --show ID has all of them"


def listing(claims: Sequence[Claim]) -> Table:
    """Return the table of claims, without running them."""
    table = Table("id", "claim, family, evidence and source", **style())
    for claim in claims:
        about = f"\n{claim.family} · {claim.rung} · {claim.source}"
        table.add_row(claim.id, Text(claim.statement).append(about, "dim"))
    return table


def results(outcomes: Sequence[Outcome]) -> Table:
    """Return the table of outcomes, a line each, with the comparison that used most of its tolerance."""
    table = Table("id", caption=CAPTION, caption_justify="left", expand=True, **style())
    table.add_column("claim", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("status", no_wrap=True)
    for heading in ("used", "of", "twins"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        tightest, caught = outcome.tightest, sum(twin.caught for twin in outcome.twins)
        table.add_row(
            outcome.claim.id,
            Text(outcome.claim.statement),
            Text(outcome.status, COLOURS[outcome.status]),
            share(tightest.used) if tightest else "–",
            str(sum(each.asserted for each in outcome.comparisons)),
            f"{caught}/{len(outcome.twins)}",
        )
    return table


def predicted(comparison: Comparison, digits: int) -> str:
    """Return the prediction of a comparison, with the relation where it is a bound."""
    relation = comparison.relation if comparison.relation in "≥≤>" else ""
    return f"{relation} {comparison.predicted:.{digits}g}".strip()


def share(used: float) -> str:
    """Return how much of a tolerance was used."""
    return f"{used:.1%}" if used < 10 else f"{used:.2g}×"


def details(outcome: Outcome) -> list[str]:
    """Return what went wrong with a claim that failed, or why it was not run, a line each."""
    lines = [f"{outcome.claim.id}: {outcome.claim.statement}"]
    lines += [
        f"  {each.name}: predicted {each.predicted:.10g}, measured {each.measured:.10g}, "
        f"{each.used:.3g} times the tolerance ({each.reason})"
        for each in outcome.comparisons
        if not each.held
    ]
    lines += [f"  wrong twin not caught: {twin.name}" for twin in outcome.twins if not twin.caught]
    return lines + [f"  {note}" for note in outcome.notes]


def false_alarm(outcomes: Sequence[Outcome]) -> float:
    """Return an upper bound on the probability that chance alone fails one of the comparisons."""
    return sum(each.false_alarm or 0 for outcome in outcomes for each in outcome.comparisons)


def seconds(outcomes: Sequence[Outcome]) -> str:
    """Return how long the comparisons took, and the training runs that they rest on, each counted once."""
    compared, trained = sum(outcome.seconds for outcome in outcomes), in_training(outcomes)
    return f"{compared:.1f} s" + (f" after {trained:.0f} s of training runs" if trained else "")


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the verdict of a run in one line."""
    number = Counter(outcome.status for outcome in outcomes)
    twins = [twin for outcome in outcomes for twin in outcome.twins]
    text = (
        f"{number['pass']} of {len(outcomes)} claims passed, {number['fail']} failed, {number['skipped']} skipped, "
        f"{number['needs-data']} need data; {sum(twin.caught for twin in twins)} of {len(twins)} wrong twins caught; "
        f"{seconds(outcomes)}"
    )
    chance = false_alarm(outcomes)
    return f"{text}; probability of a false alarm at most {chance:.0e}" if chance else text


def exit_status(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if something was checked and all of it held, else 1."""
    statuses = {outcome.status for outcome in outcomes}
    return 0 if "pass" in statuses and "fail" not in statuses else 1


def document(outcomes: Sequence[Outcome], unfinished: Sequence[Claim] = ()) -> dict[str, Any]:
    """Return the run as an object for JSON, where infinity and NaN are null.

    Args:
        outcomes: at least one.
        unfinished: the claims that an interrupted run did not come to.
    """
    lab = outcomes[0].lab
    packages = dict.fromkeys(("nmnc_ref", "numpy", "array-api-compat", BACKENDS[lab.backend].package))
    versions = {"python": platform.python_version(), **{package: metadata.version(package) for package in packages}}
    found = {
        "schema": SCHEMA,
        "versions": versions,
        "backend": lab.backend,
        "seed": lab.seed,
        "unfinished": [claim.id for claim in unfinished],
        "claims": [_claim_document(outcome) for outcome in outcomes],
    }
    return finite(found)


def _claim_document(outcome: Outcome) -> dict[str, Any]:
    claim, tightest = outcome.claim, outcome.tightest
    numbers = tightest._asdict() if tightest else {}
    return {
        "id": claim.id,
        "family": claim.family,
        "statement": claim.statement,
        "source": claim.source,
        "status": outcome.status,
        **{field: numbers.get(field) for field in ("predicted", "measured", "tolerance", "used")},
        "twins": [twin._asdict() for twin in outcome.twins],
        "seconds": round(outcome.seconds, 3),
        "training": round(in_training([outcome]), 1),
        "notes": [claim.notes, *outcome.notes],
        "tier": claim.tier,
        "dtype": outcome.lab.dtype_name,
        "evidence": claim.rung,
        "formula": claim.formula,
        "function": claim.function,
        "comparisons": [each._asdict() for each in outcome.comparisons],
        "experiments": [description(experiment) | {"result": result} for experiment, result in outcome.results.items()],
    }


def show(outcomes: Sequence[Outcome], console: Console, *, quiet: bool = False) -> None:
    """Print the table, unless the run is quiet, what went wrong, and the summary."""
    if not quiet:
        console.print(results(outcomes))
    for outcome in outcomes:
        if outcome.status != "pass":
            console.print("\n".join(details(outcome)), markup=False, highlight=False)
    console.print(summary(outcomes), style="bold", highlight=False, soft_wrap=True)
