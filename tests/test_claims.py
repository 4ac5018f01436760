"""The claims of the theory, through the same code as the command, on NumPy."""

from __future__ import annotations

import os

import pytest

from paper_checks import catalogue, report
from paper_checks.claim import run
from paper_checks.comparison import FALSE_ALARM_OF_A_RUN
from paper_checks.lab import Lab

pytestmark = pytest.mark.xdist_group("claims")
SEED = int(os.environ.get("NMNC_SEED", "0"))
LAB = Lab(seed=SEED)
_outcomes = []


def assert_holds(outcome):
    assert outcome.status == "pass", "\n".join(report.details(outcome))


@pytest.mark.parametrize("claim", catalogue.claims(tier="theory"), ids=lambda claim: claim.id)
def test_claim(claim):
    outcome = run(claim, LAB)
    _outcomes.append(outcome)
    assert_holds(outcome)
    assert all(each.coordinates for each in outcome.comparisons), "with .at(n=…, d=…), --show tells the parameters"


def test_false_alarms_of_all_claims_together_are_bounded():
    outcomes = _outcomes or [run(claim, LAB) for claim in catalogue.claims(tier="theory")]
    assert 0 < report.false_alarm(outcomes) <= FALSE_ALARM_OF_A_RUN
