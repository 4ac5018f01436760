"""Pages of reports to look at: runs of the claims that passed, failed or could not be made, an audit, a check."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from nmnc_ref import oracle
from nmnc_ref.oracle.audit import adapters
from nmnc_ref.oracle.audit import page as audit_page
from nmnc_ref.oracle.audit.report import Report
from nmnc_ref.oracle.page.rendering import Page
from nmnc_ref.oracle.vectors import pack
from nmnc_ref.oracle.vectors import page as vectors_page
from nmnc_ref.oracle.vectors.adapter import on_numpy
from nmnc_ref.oracle.vectors.check import check
from nmnc_ref.oracle.vectors.implementation import Missing, implemented
from paper_checks import catalogue, report
from paper_checks import page as claims_page
from paper_checks.claim import Claim, run
from paper_checks.comparison import at_most, exact, reported
from paper_checks.figures import Drawn
from paper_checks.lab import Lab

LAB = Lab()
CASES = ("random_draws_float32", "manifold_centred", "perturbation_manifold", "estimator_manifold", "estimator_batch")
"""Of the pack, enough to look at."""
CLAIMS = {claim.id: claim for claim in catalogue.claims()}
STRANGE = "<script>alert('&amp;')</script> \"ξ\" ‮ \x07 漢 \udcff"
"""Characters that mean something in HTML, that turn the direction of text, that control, and that are none."""


SVG = '<svg role="img" aria-label="{}" viewBox="0 0 30 10"><path d="M1 9 L29 1" stroke="black"/></svg>'
FIGURES = [
    Drawn(name, f"Error over {name}", "Points lie on the line.", SVG.format(name), "K,error\n1,0.5\n")
    for name in ("draws", "dimension", "width")
]


def measured(lab: Lab, value: float = 1.0):
    """One is one, whatever is reported beside it."""
    yield exact(lab, "one", 1.0, value)
    yield exact(lab, "not a number at times", 1.0, value / value)
    yield at_most("a bound", 2.0, abs(value))
    yield reported("in trained networks", [0.9, 1.1, 1.0])


def claim(id: str, statement: str = "1 = 1", *, twin: float = 2.0, name: str = "two for one", **options) -> Claim:
    """Return a claim with one twin, which is not caught where it is 1."""
    family, twins = "estimator", {name: {"value": twin}}
    found = Claim(id, family, statement, "exact, derived", "identity", measured, twins, "", formula=r"\frac{1}{1} = 1")
    return found._replace(**options)


def broken(lab: Lab, value: float = 1.5):
    """One is one and a half."""
    yield from measured(lab, value)


def infinite(lab: Lab, value: float = float("nan")):
    """One is not a number."""
    yield from measured(lab, value)


def raising(lab: Lab, value: float = 1.0):
    """It raises something strange."""
    yield from measured(lab, value)
    raise RuntimeError(STRANGE)


def document(*claims: Claim) -> dict:
    """Return the document of a run of claims."""
    return report.document([run(each, LAB) for each in claims])


@functools.cache
def passing() -> dict:
    """Return a run in which all held, among it real claims."""
    return document(claim("X1"), claim("X2"), CLAIMS["E16"], CLAIMS["A1"], CLAIMS["D1"])


@functools.cache
def failing() -> dict:
    """Return a run with everything that can go wrong."""
    return document(
        claim("X1"),
        claim("X2", measure=broken),
        claim("X3", measure=infinite),
        claim("X4", measure=raising),
        claim("X5", twin=1.0),
        claim("X6", STRANGE, name=STRANGE),
        CLAIMS["E16"],
        CLAIMS["L8"],
        CLAIMS["L6-neurons"],
    )


@functools.cache
def audited(name: str) -> Report:
    """Return an audit that ends in a verdict; what would take thousands of calls to be sound is called so after 40."""
    if name == "sound":
        undecided = audited("undecided")
        checks = tuple(check._replace(status="passed") for check in undecided.checks)
        return undecided._replace(verdict="sound", checks=checks, advice="")
    estimators = {
        "defect": (
            lambda problem, seed: tuple(2 * each for each in adapters.ADAPTERS["nmnc"](problem, seed)),
            {"calls": 400},
        ),
        "undecided": (adapters.ADAPTERS["nmnc"], {"calls": 40}),
        "raises": (_raises, {"calls": 10}),
    }
    estimate, budget = estimators[name]
    return oracle.audit(estimate, "jacobian", target="projected", activations=("tanh",), **budget)


def _raises(problem, seed):
    raise RuntimeError(STRANGE)


@functools.cache
def checked(name: str):
    """Return the results of checking an implementation with some of the pack."""
    right = implemented(on_numpy)

    def answer(case, stage, inputs):
        if name == "nothing":
            raise Missing("no function", stage.name)
        value = right(case, stage, inputs)
        return value if name == "right" or stage.operation != "correlation" else np.asarray(value) * 2

    return check([case for case in pack.read_pack().cases if case.name in CASES], answer)


NAMES = (
    "passing",
    "failing",
    *(f"audit, {name}" for name in ("sound", "defect", "undecided", "raises")),
    *(f"vectors, {name}" for name in ("right", "wrong", "nothing")),
)


def page(name: str) -> tuple[Page, Path]:
    """Return a page of each kind and its template."""
    kind, _, which = name.partition(", ")
    if kind == "audit":
        return audit_page.page(audited(which), f"module:{STRANGE}"), audit_page.TEMPLATE
    if kind == "vectors":
        settings = {"Implementation": STRANGE, "Mode": "isolated"}
        return vectors_page.page(checked(which), settings, which == "right"), vectors_page.TEMPLATE
    return claims_page.page(passing() if kind == "passing" else failing()), claims_page.TEMPLATE
