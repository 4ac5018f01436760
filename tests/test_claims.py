"""The claims of the theory, through the same code as the command, on NumPy."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from scipy import stats

from nmnc_ref import theory
from paper_checks import catalogue, report
from paper_checks.campaigns import calibration
from paper_checks.claim import REGISTER, run
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


def test_calibration_knows_every_claim_that_chance_plays_a_part_in():
    outcomes = _outcomes or [run(claim, LAB) for claim in catalogue.claims(tier="theory")]
    by_chance = {each.claim.id for each in outcomes if any(c.false_alarm is not None for c in each.comparisons)}
    assert by_chance == set(calibration.IDS)


def test_calibration_notices_tolerances_that_are_too_small():
    z = stats.norm.ppf((np.arange(1000) + 0.5) / 1000)  # quantiles: nothing is left to chance
    assert calibration.summary({"right": list(z), "a bound": list(0.5 * z)})[1]
    assert not calibration.summary({"right": list(z), "wrong": list(1.2 * z)})[1]
    assert not calibration.summary({"one false alarm": [*z, 6.1]})[1]


@pytest.mark.parametrize(
    ("id", "twin"), [("E14", "one noise shared over the batch"), ("E15", "noise of the other layer left out")]
)
def test_twins_that_spare_the_mean_are_caught_by_the_variance(id, twin):
    claim = REGISTER[id]
    failed = [each.name for each in claim.measure(Lab(), **claim.twins[twin]) if each.used > 1]
    assert failed
    assert all(name.startswith("variance") for name in failed)


def test_noise_along_a_manifold_that_holds_everything_is_never_overtaken():
    assert theory.estimator.error_crossover(1.0, 3, 9) == math.inf
    assert theory.estimator.cosine_crossover(1.0, 3, 9) == math.inf
