"""The claims about training: what they assert, on made-up results."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmnc_ref import training
from paper_checks import catalogue
from paper_checks.claim import REGISTER, run
from paper_checks.comparison import (
    at_most,
    exact,
    exceeds,
    mean_interval,
    reported,
    slope_at_least,
    slope_at_most,
    slope_interval,
)
from paper_checks.lab import Lab
from paper_checks.learning import grid
from paper_checks.learning import scale as claimed_scale
from paper_checks.learning.experiments import frozen
from paper_checks.learning.experiments.alignment import Alignment
from paper_checks.learning.experiments.frozen import Frozen
from paper_checks.learning.experiments.learner import Learner
from paper_checks.learning.experiments.width import Width

LAB = Lab("numpy", "float32", 0)
CLAIMS = catalogue.claims(tier="training")


def test_what_is_only_reported_passes_no_claim():
    claim = REGISTER["L7"]._replace(
        measure=lambda lab, results, bad=False: iter([reported("", [1.0, 2.0])] + [exact(lab, "", 1.0, 2.0)] * bad),
        twins={"bad": {"bad": True}},
        experiments=list,
    )
    outcome = run(claim, LAB, {})
    assert outcome.twins[0].caught
    assert outcome.status == "fail"


def test_intervals_over_seeds():
    mean, half = mean_interval([1.0, 2.0, 3.0])
    assert mean == pytest.approx(2.0)
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)  # the quantile of a table
    assert exceeds("", [1.0, 1.1, 0.9], [2.0, 2.1, 1.9]).held
    assert not exceeds("", [1.0, 1.1, 0.9], [1.3, 1.4, 1.2]).held  # apart, but the intervals overlap
    assert not exceeds("", [2.0, 2.1, 1.9], [1.0, 1.1, 0.9]).held
    assert not exceeds("", [1.0, 1.0], [1.0, 1.0]).held
    assert not exceeds("", [1.0, 1.1], [math.nan, 2.0]).held
    assert not reported("", [1.0, 2.0]).asserted
    with pytest.raises(ValueError, match="at least two"):
        mean_interval([1.0])


def test_slopes():
    sizes = [1.0, 10.0, 100.0]
    line = [2 * size**0.5 for size in sizes]
    assert slope_at_least("", 0.49, sizes, line, 1).measured == pytest.approx(0.5)
    assert slope_at_least("", 0.49, sizes, line, 1).held
    assert not slope_at_least("", 0.51, sizes, line, 1).held
    assert slope_at_most("", 0.51, sizes, line, 1).held
    assert not slope_at_most("", 0.49, sizes, line, 1).held
    assert not slope_at_most("", 0.49, sizes, [1.0, math.inf, 1.0], 1).held
    scattered = ([1.0, 2.0, 4.0, 8.0, 16.0], [1.0, 2.6, 3.2, 9.6, 16.0])
    slope, half = slope_interval(*scattered)
    assert slope - half < 0.8 < slope
    assert slope > half
    assert not slope_at_least("", 0.8, *scattered, 1).held  # the lower end counts
    assert not slope_at_most("", 0.5, sizes, [1.0, 2.0, 1.0], 1).held  # an interval as wide as that says nothing
    assert at_most("", 2.0, 1.0).held
    assert not at_most("", 2.0, 3.0).held


def invented(claim, spoilt=False):
    """Return results that have what a claim says, or have it not."""
    rng = np.random.default_rng(0)
    noise = lambda: 1 + 0.001 * rng.standard_normal()  # noqa: E731
    found = {}
    for each in claim.experiments():
        if isinstance(each, Alignment):
            final = 0.02 if spoilt else 0.3 + 20 * each.decay
            course = [[0.02 * noise()] * 3] + [[(final - 0.01 * (10 - t)) * noise()] * 3 for t in range(1, 11)]
            raised = [[0.0 if spoilt else value + 0.01 * noise() for value in row] for row in course]
            found[each] = {"uncentred": course, "centred": course, "mean-added": raised}
        elif isinstance(each, Width):
            n, power = each.width, 1.0 if spoilt else 0.1
            quantities = dict.fromkeys(("participation ratio", "90 % of variance", "TwoNN"), n**power)
            quantities |= {"alignment": 0.5, "random alignment": 10 / n, "random": None}
            quantities |= {"NMNC": 11 * n**power, "VNC": n / 3}
            found[each] = {name: [value and value * noise()] * 2 for name, value in quantities.items()}
        elif isinstance(each, Learner):
            found[each] = _invented_learner(each, noise, spoilt)
        elif isinstance(each, Frozen):
            found[each] = _invented_gradients(noise, 0.02 if spoilt else 0.5)
        else:
            mirrors = [{"W C": [1 + 0.5 * spoilt, 0.005], "W": [1e-3, 1e-6]}] * 7
            found[each] = {
                "units": list(claimed_scale.UNITS),
                "gradients": [1e-20] * 8,
                "peak": 3e9,
                "mirrors": mirrors,
            }
    return found


def _invented_learner(learner, noise, spoilt):
    layer = {"cosine": 0.5, "width": 2000, "mean Jacobian": 1.0, "its part in the manifold": 0.6}
    layer |= {"Jacobians": 2.0, "their part in the manifold": 1.0}
    accuracy = 0.92 if learner.rule == ("vnc" if spoilt else "nmnc") else 0.9
    if learner.rule == "backpropagation":
        accuracy = 0.95
    found = {"validation": accuracy, "test": accuracy * noise(), "diverged": None}
    return found | {"cosines": [0.5] * 5, "perturbations": 34, "passes": 68, "feedback": [layer] * 4}


def _invented_gradients(noise, alpha):
    def site(alpha, d):
        weight = {"mean energy": alpha**2, "direct": alpha, "spread": 20.0, "weight energy": 1.0}
        energy = alpha**2 + (alpha + 20.0) / frozen.DRAWS
        ratio = math.sqrt(alpha * frozen.DRAWS / (frozen.DRAWS + d + 1))
        return weight | {
            "alignment": alpha,
            "alignment of the Jacobian": 0.8 * alpha,
            "dimension": d,
            "activity": [ratio * noise(), 0.005 * ratio, 1.0, 0.01],
            "weight": [ratio * noise(), 0.005 * ratio, energy, 0.005 * energy],
        }

    return {"NMNC": [site(alpha, 16)] * 3, "VNC": [site(1.0, 512)] * 3, "random": [site(0.03, 16)] * 3}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_about_training_tells_results_that_have_it_from_those_that_have_not(claim):
    outcome = run(claim, LAB, invented(claim))
    assert outcome.status == "pass", (outcome.notes, [each for each in outcome.comparisons if not each.held])
    assert set(outcome.results) == set(claim.experiments())
    assert run(claim, LAB, invented(claim, spoilt=True)).status == "fail"


def test_a_comparison_of_rules_holds_them_to_one_budget_and_shows_who_diverged():
    claim = REGISTER["L2"]
    for rule in training.PERTURBING:
        found = invented(claim)
        first = next(each for each in found if (each.task, each.rule, each.seed) == ("convolutional", rule, 0))
        unequal = found | {first: found[first] | {"perturbations": 35}}
        assert [each.name for each in claim.measure(LAB, unequal) if not each.held] == [
            f"convolutional: perturbations of {rule.upper()}"
        ]
        found[first] = {"validation": 0.1, "test": found[first]["test"], "diverged": "infinity"}
        outcome = run(claim, LAB, found)
        assert outcome.status == "pass"
        shown = [each.seeds for each in outcome.comparisons if f"cosine of {rule.upper()}" in each.name]
        assert set(shown) == {4, 5}  # in the one task and the other


def test_the_grid_is_kept_and_the_best_cell_is_found(tmp_path, monkeypatch):
    asked = [(cell["task"], cell["rule"]) for rule in training.RULES for cell in grid.cells("dense", rule)]
    assert len(asked) == sum(each.task == "dense" for each in grid.experiments())  # what is kept is the whole grid
    monkeypatch.setattr(grid, "FILE", tmp_path / "grid.json")
    cells = [Learner("dense", "nmnc", rate, eta, 100) for rate in (0.01, 0.02) for eta in (0.1, 0.2)]
    found = {each: {"validation": 0.5, "diverged": None} for each in cells}
    found[cells[1]] = found[cells[2]] = {"validation": 0.9, "diverged": None}
    found[Learner("dense", "vnc", 0.5, 0.1, 100)] = {"validation": 0.1, "diverged": "infinity"}
    grid.write(found, LAB)
    assert grid.best("dense", "nmnc") == (0.01, 0.2)
    assert [cell["diverged"] for cell in grid.cells("dense", "vnc")] == [True]
