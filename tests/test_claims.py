"""The claims of the theory, through the same code as the command."""

from __future__ import annotations

import os

import pytest
from conftest import library

from paper_checks import catalogue, report
from paper_checks.claim import run
from paper_checks.comparison import FALSE_ALARM_OF_A_RUN
from paper_checks.lab import BACKENDS, Lab

SEED = int(os.environ.get("NMNC_SEED", "0"))
OTHERS = [(backend, dtype) for backend in BACKENDS for dtype in ("float64", "float32")][1:]
_labs: dict[tuple[str, str], Lab] = {}
_outcomes = []


def lab(backend: str, dtype: str) -> Lab:
    """Return the one lab of a backend and dtype, so that its trained networks are shared."""
    library(backend)
    return _labs.setdefault((backend, dtype), Lab(backend, dtype, SEED))


def assert_holds(outcome):
    assert outcome.status == "pass", "\n".join(report.details(outcome))


@pytest.mark.parametrize("claim", catalogue.claims(), ids=lambda claim: claim.id)
def test_claim(claim):
    outcome = run(claim, lab("numpy", "float64"))
    _outcomes.append(outcome)
    assert_holds(outcome)


def test_false_alarms_of_all_claims_together_are_bounded():
    outcomes = _outcomes or [run(claim, lab("numpy", "float64")) for claim in catalogue.claims()]
    assert 0 < report.false_alarm(outcomes) <= FALSE_ALARM_OF_A_RUN


@pytest.mark.parametrize(("backend", "dtype"), OTHERS)
@pytest.mark.parametrize(
    "claim", [each for each in catalogue.claims() if each.rung != "Monte Carlo"], ids=lambda claim: claim.id
)
def test_exact_claim_elsewhere(claim, backend, dtype):
    if claim.float64_only and dtype == "float32":
        outcome = run(claim, lab(backend, dtype))
        assert outcome.status == "skipped"
        pytest.skip(outcome.notes[0])
    assert_holds(run(claim, lab(backend, dtype)))
