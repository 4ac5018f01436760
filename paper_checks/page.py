"""A run of the claims as a page, made from its document alone."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.command_line import UsageError
from nmnc_ref.oracle.page import rendering
from nmnc_ref.oracle.page.rendering import BAD, GOOD, OPEN, Cell, Column, Count, Page, Row, Verdict
from paper_checks.claim import Claim

TEMPLATE = Path(__file__).with_name("page.html")
TONES = {"pass": GOOD, "fail": BAD, "skipped": OPEN, "needs-data": OPEN}
TAGS = {
    "abstract": "the paper's abstract says it",
    "summary": "second-hand summaries of the paper say it",
    "derived": "worked out for this library",
    "literature": "published elsewhere",
    "choice": "a convention of this library",
    "exact": "an algebraic identity",
}
COLUMNS = (
    Column("id"),
    Column("status"),
    Column("claim", long=True),
    Column("family", minor=True),
    Column("source", minor=True),
    Column("evidence", minor=True),
    Column("tolerance used", numeric=True, minor=True),
    Column("twins caught", numeric=True, minor=True),
)


class Contents(NamedTuple):
    """What the page has besides its rows: figures, why there are none, and what is said of each claim."""

    figures: Sequence[Any]
    without: str
    facts: Callable[[Mapping[str, Any]], Mapping[str, str]]


def page(document: Mapping[str, Any]) -> Page:
    """Return the page of a run, as complete where it failed."""
    claims = [_judged(claim) for claim in document["claims"]]
    figures, without = _figures(document)
    chance = sum(each["false_alarm"] or 0 for claim in claims for each in claim["comparisons"])
    return Page(
        title="Neural manifold noise correlation, claim by claim",
        verdict=_verdict(claims, document["unfinished"]),
        counts=_counts(claims),
        settings={
            "Array library": document["backend"],
            "Precision": ", ".join(dict.fromkeys(claim["dtype"] for claim in claims)),
            "Seed": str(document["seed"]),
            **({"False alarm": f"probability at most {chance:.0e}"} if chance else {}),
            "Versions": _versions(document),
            **({"Not reached": ", ".join(document["unfinished"])} if document["unfinished"] else {}),
        },
        what="Claims",
        columns=COLUMNS,
        rows=[_row(claim) for claim in claims],
        contents=Contents(figures, without, lambda claim: _facts(claim, document)),
        seconds=sum(claim["seconds"] for claim in claims),
    )


def write(folder: Path, document: Mapping[str, Any]) -> None:
    """Write the page of a run into a folder, or raise UsageError."""
    rendering.write(folder, page(document), TEMPLATE)


def expect_formulas(claims: Sequence[Claim]) -> None:
    """Raise UsageError, before any work is done that could not be shown, if the formula of a claim is no LaTeX."""
    for claim in claims:
        try:
            rendering.formula(claim.formula)
        except ValueError as error:
            raise UsageError(f"--report: claim {claim.id} at {claim.place}: formula: {error}") from None


def _judged(claim: Mapping[str, Any]) -> dict[str, Any]:
    """Return a claim whose comparisons say whether they held; what is not finite never does."""
    held = [each["used"] is not None and each["used"] <= 1 for each in claim["comparisons"]]
    comparisons = [each | {"held": yes} for each, yes in zip(claim["comparisons"], held, strict=True)]
    return {**claim, "comparisons": comparisons}


def _verdict(claims: Sequence[Mapping[str, Any]], unfinished: Sequence[str]) -> Verdict:
    if unfinished:
        found = _verdict(claims, ())
        tone, every = BAD if found.tone == BAD else OPEN, len(claims) + len(unfinished)
        return Verdict(tone, "Interrupted", f"After {len(claims)} of {every} claims. Until then: {found.line}")
    number = Counter(claim["status"] for claim in claims)
    passed = f"{number['pass']} of {len(claims)} claims hold"
    rest = [f"{number['skipped']} skipped"] * bool(number["skipped"])
    rest += [f"{number['needs-data']} without the data they need"] * bool(number["needs-data"])
    if number["fail"]:
        failed = ", ".join(claim["id"] for claim in claims if claim["status"] == "fail")
        parts = [f"{passed}, {number['fail']} failed: {failed}", *rest]
        return Verdict(BAD, "Failed", f"{'; '.join(parts)}.")
    if number["pass"]:
        return Verdict(GOOD, "Passed", f"{'; '.join([passed, *rest])}.")
    word = "Needs data" if number["needs-data"] else "Nothing was checked"
    return Verdict(BAD, word, f"None of {len(claims)} claims was checked: {'; '.join(rest)}.")


def _counts(claims: Sequence[Mapping[str, Any]]) -> list[Count]:
    number = Counter(claim["status"] for claim in claims)
    words = {"pass": "passed", "fail": "failed", "skipped": "skipped", "needs-data": "need data"}
    caught = [twin["caught"] for claim in claims for twin in claim["twins"]]
    return [
        *(Count(number[status], word, TONES[status]) for status, word in words.items()),
        Count(sum(caught), f"of {len(caught)} wrong twins caught", GOOD if all(caught) else BAD),
    ]


def _row(claim: Mapping[str, Any]) -> Row:
    caught = sum(twin["caught"] for twin in claim["twins"])
    asserted = any(each["relation"] != "reported" for each in claim["comparisons"])
    cells = (
        Cell(claim["id"]),
        Cell(claim["status"], tone=TONES[claim["status"]]),
        Cell(claim["statement"]),
        Cell(claim["family"]),
        Cell(claim["source"]),
        Cell(claim["evidence"]),
        Cell(rendering.share(claim["used"]) if asserted else "–", claim["used"]),
        Cell(f"{caught}/{len(claim['twins'])}", caught / len(claim["twins"]) if claim["twins"] else None),
    )
    return Row(cells, {"family": claim["family"], "status": claim["status"]}, claim)


def _facts(claim: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, str]:
    """Return where a claim comes from, what it rests on, and what it was computed by and with."""
    sources = claim["source"].split(", ")
    experiments = {"Rests on": _runs(claim["experiments"])} if claim["experiments"] else {}
    return {
        "Source": "; ".join(f"{source}: {TAGS[source]}" for source in sources),
        "Evidence": claim["evidence"],
        **experiments,
        "Computed by": claim["function"],
        "Run with": f"{document['backend']}, {claim['dtype']}, seed {document['seed']}",
        "Versions": _versions(document),
    }


def _runs(experiments: Sequence[Mapping[str, Any]]) -> str:
    kinds = Counter(each["experiment"].lower() for each in experiments)
    seeds = sorted({each["parameters"]["seed"] for each in experiments})
    runs = ", ".join(f"{number} runs of {kind}" for kind, number in kinds.items())
    return f"{runs}; seeds {', '.join(map(str, seeds))}"


def _versions(document: Mapping[str, Any]) -> str:
    return ", ".join(f"{package} {version}" for package, version in document["versions"].items())


def _figures(document: Mapping[str, Any]) -> tuple[Sequence[Any], str]:
    """Return the figures, or why there are none."""
    try:
        return importlib.import_module("paper_checks.figures").drawn(document), ""
    except ModuleNotFoundError as error:
        return (), f"Figures are drawn where {error.name} is installed: {command_line.install('figures')}."
