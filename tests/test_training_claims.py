"""The claims about training: what they assert, on made-up results."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from nmnc_ref import theory, training
from paper_checks import catalogue
from paper_checks.claim import REGISTER, run
from paper_checks.comparison import (
    at_most,
    exact,
    exceeds,
    exceeds_in_pairs,
    mean_interval,
    reported,
    seen_in_pairs,
    slope_at_least,
    slope_at_most,
    slope_interval,
)
from paper_checks.data.cifar import Archive
from paper_checks.data.neural import Recorded, Recording
from paper_checks.data.supplied import Supplied
from paper_checks.lab import Lab
from paper_checks.learning import accuracy as accuracy_claims
from paper_checks.learning import cells, cifar_grid, feedback, grid, neurons
from paper_checks.learning import cifar as cifar_claims
from paper_checks.learning import scale as claimed_scale
from paper_checks.learning.experiments import gradient
from paper_checks.learning.experiments.accuracy import CONTROLS, Learner
from paper_checks.learning.experiments.alignment import Alignment
from paper_checks.learning.experiments.cifar import MIRRORS, STEPS, CifarLearner
from paper_checks.learning.experiments.cifar_alignment import CifarAlignment
from paper_checks.learning.experiments.cifar_measures import pack
from paper_checks.learning.experiments.cifar_width import CifarWidth
from paper_checks.learning.experiments.dimension import DIMENSIONS, Dimensions
from paper_checks.learning.experiments.gradient import Frozen
from paper_checks.learning.experiments.representation import Resemblance
from paper_checks.learning.experiments.width import Width
from paper_checks.report import exit_status

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


SUPPLIED = Supplied(Archive("folder", "0" * 64), Recording("responses.npz", "0" * 64))
STIMULI = 20


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    """Give recordings that no file has."""
    pairs = STIMULI * (STIMULI - 1) // 2
    known = {"one": _pairs(0), "other": _pairs(1)}
    assert len(known["one"]) == pairs
    monkeypatch.setattr(Recording, "read", lambda self: Recorded(np.zeros((STIMULI, 2, 2, 3)), known))


def _pairs(seed):
    return np.random.default_rng(seed).random(STIMULI * (STIMULI - 1) // 2)


def test_pairs_are_compared_by_their_differences():
    low, high = [1.0, 2.0, 3.0, 4.0], [1.1, 2.12, 3.09, 4.1]
    assert not exceeds("", low, high).held
    found = exceeds_in_pairs("", low, high)
    mean, half = mean_interval([0.1, 0.12, 0.09, 0.1])
    assert (found.tolerance, found.used) == (pytest.approx(half), pytest.approx(half / mean))
    assert (found.predicted, found.measured, found.seeds) == (2.5, pytest.approx(mean + 2.5), 4)
    assert f"{half * seen_in_pairs(4):.3g} would be seen with probability 99.9%" in found.reason
    assert not exceeds_in_pairs("", high, low).held
    assert not exceeds_in_pairs("", low, low).held
    assert not exceeds_in_pairs("", low, [math.nan, *high[1:]]).held
    assert not exceeds_in_pairs("", low, [1.5, 2.0, 3.0, 4.0]).held  # one pair in four
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        exceeds_in_pairs("", low, high[:3])


@pytest.mark.parametrize("pairs", [5, 20])
def test_the_difference_that_pairs_see_is_seen(pairs):
    """By simulation of normal differences with the standard deviation 1."""
    drawn = np.random.default_rng(pairs).normal(size=(100_000, pairs))
    half = mean_interval([-1.0, 1.0] * (pairs // 2) + [0.0] * (pairs % 2))[1]  # of so many with this spread
    half /= np.std([-1.0, 1.0] * (pairs // 2) + [0.0] * (pairs % 2), ddof=1)
    means, spreads = drawn.mean(axis=1), drawn.std(axis=1, ddof=1)
    missed = np.mean(seen_in_pairs(pairs) * half + means < half * spreads)
    assert missed == pytest.approx(0.001, abs=6 * math.sqrt(0.001 / 100_000))


def invented(claim, spoilt=False, supplied=SUPPLIED):
    """Return results that have what a claim says, or have it not."""
    rng = np.random.default_rng(0)
    noise = lambda: 1 + 0.001 * rng.standard_normal()  # noqa: E731
    found = {}
    for each in claim.wanted(supplied):
        if isinstance(each, Alignment):
            final = 0.02 if spoilt else 0.3 + 20 * each.decay
            course = [[0.02 * noise()] * 3] + [[(final - 0.01 * (10 - t)) * noise()] * 3 for t in range(1, 11)]
            raised = [0.0 if spoilt else value + 0.01 * noise() for value in course[-1]]
            end = {"uncentred": course[-1], "centred": course[-1], "mean-added": raised}
            found[each] = {"course": course, "end": end}
        elif isinstance(each, Width):
            found[each] = _invented_width(each, 2, noise, spoilt)
        elif isinstance(each, CifarWidth):
            found[each] = _invented_width(each, 3, noise, spoilt)
        elif isinstance(each, CifarAlignment):
            final = 0.02 if spoilt else 0.3 + 20 * each.decay
            alphas = [0.02, *(final - 0.02 * (4 - look) for look in range(1, 5))]
            course = [{"step": 240 * look, "alignment": [a * noise()] * 3} for look, a in enumerate(alphas)]
            found[each] = {"course": course}
        elif isinstance(each, Learner):
            found[each] = _invented_learner(each, noise, spoilt)
        elif isinstance(each, Frozen):
            found[each] = _invented_gradients(noise, 0.02 if spoilt else 0.5)
        elif isinstance(each, Dimensions):
            found[each] = {str(layer): _invented_ratios(noise, spoilt) for layer in gradient.LAYERS}
        elif isinstance(each, Resemblance):
            found[each] = _invented_similarities(noise, spoilt)
        elif isinstance(each, CifarLearner):
            found[each] = _invented_classifier(each, noise, spoilt)
        else:
            wrong = {"W": 1.0, "W C, summed over places": 1.0}
            mirrors = [{"W C": 1e-7 + 0.1 * spoilt, "size": 0.1, "terms": 100} | wrong] * 7
            found[each] = {
                "units": list(claimed_scale.UNITS),
                "gradients": [1e-20] * 8,
                "peak": 3e9,
                "mirrors": mirrors,
            }
    return found


def _invented_width(network, layers, noise, spoilt):
    found = {}
    for layer in range(1, layers + 1):
        n, power = network.units(layer), 1.0 if spoilt else 0.1
        quantities = dict.fromkeys(("participation ratio", "90 % of variance", "TwoNN"), n**power)
        quantities |= {"alignment": 0.5, "random alignment": 10 / n, "random": None}
        quantities |= {"NMNC": 11 * n**power, "VNC": n / 3}
        for name, value in quantities.items():
            found.setdefault(name, []).append(value and value * noise())
    return found


def _invented_learner(learner, noise, spoilt):
    target = {"cosine": 0.5, "width": 2000, "dimension": 16, "mean": 1.0, "its part in the manifold": 0.6}
    target |= {"each": 2.0, "their part in the manifold": 1.0}
    accuracy = 0.92 if learner.rule == ("vnc" if spoilt else "nmnc") else 0.9
    if learner.rule == "backpropagation":
        accuracy = 0.95
    found = {"validation": accuracy, "test": accuracy * noise(), "diverged": None}
    number = accuracy_claims.PERTURBATIONS[learner.task]
    return found | {"cosines": [0.5] * 5, "perturbations": number, "passes": 2 * number, "feedback": [target] * 4}


def _invented_ratios(noise, spoilt):
    shares = [0.9 * (1 - math.exp(-d / 8)) for d in range(1, 257)]
    best = theory.estimator.best_dimension_for_cosine, theory.estimator.best_dimension_for_error
    ratios = {}
    for d in {*DIMENSIONS, *(choice(shares, gradient.DRAWS) for choice in best)}:
        ratio = theory.estimator.cosine_ratio(shares[d - 1], gradient.DRAWS, d) * noise() * (1 - 0.1 * spoilt * (d > 8))
        ratios[str(d)] = [ratio, 0.003 * ratio]
    return {"alignments": shares, "ratios": ratios}


def _invented_similarities(noise, spoilt):
    likeness = {"nmnc": 0.7 if spoilt else 0.9, "vnc": 0.8, "untrained": 0.5, "chance": 0.0}
    return {
        rule: {measure: [value * noise() for _ in range(4)] for measure in ("debiased CKA", "CKA", "RSA")}
        for rule, value in likeness.items()
    }


def _invented_classifier(learner, noise, spoilt):
    """Accuracy grows with the number of perturbations, of NMNC as of VNC with 16 times as many."""
    number = STEPS // learner.perturb_every * learner.samples
    better = learner.rule == ("vnc" if spoilt else "nmnc")
    accuracy = 0.3 + 0.02 * math.log2(number / 60) + 0.08 * better + 0.3 * (learner.rule == "backpropagation")
    target = {"cosine": 0.3, "energy of feedback": 4.0, "width": 2048, "dimension": 64, "mean": 1.0, "each": 2.0}
    target |= {"its part in the manifold": 0.3, "their part in the manifold": 0.5}
    if learner.delivery == MIRRORS:
        target = {"cosine": 0.3, "cosine of its mean": 0.35}
    alike = 0.0 if spoilt else {"vnc": 0.2, "nmnc": 0.4, "backpropagation": 0.5}.get(learner.rule, 0.1)
    layer = pack(alike * (_pairs(0) + _pairs(1)) + (1 - alike) * _pairs(2 + learner.seed))
    found = {"validation": accuracy, "test": accuracy * noise(), "diverged": None, "perturbations": number}
    return found | {
        "cosines": [0.5] * 3,
        "feedback": [target] * 3,
        "after": [layer] * 4,
        "before": [pack(_pairs(9))] * 4,
    }


def _invented_gradients(noise, alpha):
    def site(alpha, d):
        weight = {"mean energy": alpha**2, "direct": alpha, "spread": 20.0, "weight energy": 1.0}
        energy = alpha**2 + (alpha + 20.0) / gradient.DRAWS
        ratio = math.sqrt(alpha * gradient.DRAWS / (gradient.DRAWS + d + 1))
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
    outcome = run(claim, LAB, invented(claim), None, SUPPLIED)
    assert outcome.status == "pass", (outcome.notes, [each for each in outcome.comparisons if not each.held])
    assert all(twin.caught for twin in outcome.twins)
    assert set(outcome.results) == set(claim.wanted(SUPPLIED))
    assert run(claim, LAB, invented(claim, spoilt=True), None, SUPPLIED).status == "fail"


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.needs], ids=lambda claim: claim.id)
def test_a_claim_that_needs_data_says_which_and_from_where(claim):
    outcome = run(claim, LAB, {})
    assert outcome.status == "needs-data"
    assert all(f"--{name} " in note for name, note in zip(claim.needs, outcome.notes, strict=True))
    assert all("https://" in note for note in outcome.notes)
    assert exit_status([outcome]) == 1  # nothing passed
    for name in claim.needs:
        partly = SUPPLIED._replace(**{name: None})
        assert run(claim, LAB, {}, None, partly).status == "needs-data"
        assert claim.wanted(partly) == ()
    assert run(claim, LAB, {}, None, SUPPLIED).status == "fail"  # there are data, but no results


def test_a_comparison_of_rules_holds_them_to_one_budget_and_shows_who_diverged():
    claim = REGISTER["L2"]
    for rule in training.PERTURBING:
        found = invented(claim)
        first = next(each for each in found if (each.task, each.rule, each.seed) == ("convolutional", rule, 0))
        unequal = found | {first: found[first] | {"perturbations": 35}}
        assert [each.name for each in claim.measure(LAB, unequal) if not each.held] == [
            f"convolutional, {rule.upper()}: perturbations"
        ]
        found[first] = {"validation": 0.1, "test": found[first]["test"], "diverged": "infinity"}
        outcome = run(claim, LAB, found)
        assert outcome.status == "pass"
        shown = [each.seeds for each in outcome.comparisons if f"{rule.upper()}: cosine of" in each.name]
        assert set(shown) == {accuracy_claims.PAIRS["convolutional"] - 1, 5}  # in the one task and the others


@pytest.mark.parametrize("name", ["L2", "L4", "L2-CIFAR"])
@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_that_learns_as_nmnc_does_refutes_the_claim(name, control):
    claim = REGISTER[name]
    found = invented(claim)
    own = [run["test"] for each, run in found.items() if each.rule == "nmnc"]
    found |= {each: run | {"test": np.mean(own)} for each, run in found.items() if each.rule == control}
    refuted = [each.name for each in claim.measure(LAB, found) if not each.held]
    assert refuted
    assert all(f"nmnc > {control}" in each for each in refuted)


@pytest.mark.parametrize(("name", "tasks"), [("L2", {"dense"}), ("L4", {"rows", "memory"})])
def test_averages_are_reported_beside_the_fresh_perturbations_that_are_asserted(name, tasks):
    claim = REGISTER[name]
    for task in tasks:
        learners = [each for each in claim.wanted() if each.task == task]
        assert {each.feedback_rate == 1.0 for each in learners if each.rule in training.PERTURBING} == {True, False}
        assert {each.feedback_rate for each in learners if each.rule in CONTROLS} == {1.0}
    averaged = [each for each in run(claim, LAB, invented(claim)).comparisons if each.name.endswith(", averaged")]
    assert len(averaged) == 2 * len(tasks)  # two rules
    assert not any(each.asserted for each in averaged)


def test_the_prediction_for_feedback_is_that_of_a_running_average():
    """By simulation of what the numbers of a run stand for: one draw on each of two inputs a step, t steps."""
    rng = np.random.default_rng(1)
    n, d, rate, steps, samples = 12, 3, 0.3, 5, 2
    targets = rng.normal(size=(40, 4, n)) + rng.normal(size=(4, n))
    basis = np.linalg.qr(rng.normal(size=(n, d)))[0]
    mean = targets.mean(axis=0)
    energies = {"mean": np.sum(mean**2), "its part in the manifold": np.sum((mean @ basis) ** 2), "width": n}
    energies |= {"each": np.sum(targets**2) / 40, "their part in the manifold": np.sum((targets @ basis) ** 2) / 40}
    settings = training.Settings(feedback_rate=rate, samples=samples)
    for rule, along in (("nmnc", basis), ("vnc", np.eye(n))):
        progress = energy = 0.0
        for _ in range(2000):
            average = np.zeros_like(mean)
            for _ in range(steps):
                each = targets[rng.integers(40, size=samples)]
                noise = rng.normal(size=(samples, along.shape[1])) @ along.T
                average = (1 - rate) * average + rate * np.einsum("son,sn,sm->om", each, noise, noise) / samples
            progress, energy = progress + np.sum(average * mean), energy + np.sum(average**2)
        want = progress / 2000 / np.sqrt(energies["mean"] * energy / 2000)
        learner = SimpleNamespace(settings=dataclasses.replace(settings, rule=rule))
        got = feedback.predicted_cosine(learner, energies | {"dimension": d}, steps * samples)
        assert got == pytest.approx(want, rel=0.02)
        size = feedback.predicted_norm(learner, energies | {"dimension": d}, steps * samples)
        assert size == pytest.approx(np.sqrt(energy / 2000 / energies["mean"]), rel=0.02)
    assert math.isnan(feedback.predicted_cosine(learner, dict.fromkeys(energies, 0.0) | {"dimension": d}, 4))


def test_what_bounds_the_feedback_is_shown():
    one = {"each": 4.0, "mean": 3.0, "its part in the manifold": 1.0}
    other = {"each": 4.0, "mean": 1.0, "its part in the manifold": 1.0}
    dead = dict.fromkeys(one, 0.0)
    size = {"dimension": 16, "width": 128}
    known = {"feedback": [one | size, other | size], "perturbations": 500}
    runs = {Learner("dense", "nmnc", 0.1, 0.1, seed): known for seed in (0, 1)}
    share, alpha = feedback.limits("", runs)
    assert (share.measured, alpha.measured) == (0.5, 0.5)  # 4 of 8, and 2 of 4
    assert alpha.predicted == pytest.approx((16 * 19 + 17) / (16 * 19 + 129))  # 19 steps of 16 perturbations
    few = {each: known | {"perturbations": 32} for each in runs}
    assert list(feedback.limits("", few))[1].predicted == pytest.approx((32 + 17) / (32 + 129))
    lost = {each: known | {"feedback": [dead | size, dead | size]} for each in runs}
    assert all(math.isnan(each.measured) for each in feedback.limits("", lost))


def test_the_grid_is_kept_and_the_best_cell_is_found(tmp_path, monkeypatch):
    kept = {
        (cell["task"], cell["rule"], cell["learning_rate"], cell["feedback_rate"]): cell
        for cell in cells.read(grid.FILE)
    }
    asked = {(each.task, each.rule, each.learning_rate, each.feedback_rate) for each in grid.experiments()}
    assert set(kept) == asked  # what is kept is the whole grid
    assert all(len(cell["validation"]) == len(grid.SEEDS) for cell in kept.values())
    monkeypatch.setattr(grid, "FILE", tmp_path / "grid.json")
    accuracies = {
        (0.01, 0.1): (0.8, 0.8),
        (0.02, 0.1): (0.8, 0.8),
        (0.04, 0.1): (0.7, 0.9),
        (0.01, 0.2): (0.7, 0.9),
        (0.02, 0.2): (0.95, 0.95),  # the best, were it not for what is next to it
        (0.04, 0.2): (0.1, 0.1),
        (0.01, 1.0): (0.6, 0.6),
        (0.02, 1.0): (0.1, 1.0),
        (0.04, 1.0): (0.1, 0.1),
    }
    found = {
        Learner("dense", "nmnc", *rates, seed): {"validation": value, "diverged": "infinity" if value < 0.5 else None}
        for rates, values in accuracies.items()
        for seed, value in zip(grid.SEEDS, values, strict=True)
    }
    grid.write(found, LAB)
    assert grid.best("dense", "nmnc") == (0.01, 0.1)  # its worst network is best, its rates are the smallest
    assert grid.best("dense", "nmnc", (0.2, 1.0)) == (0.01, 0.2)
    assert [cell["diverged"] for cell in cells.read(grid.FILE)] == [0, 0, 0, 0, 0, 2, 0, 1, 2]
    with pytest.raises(ValueError, match="grid of dense: expected a cell of nmnc"):
        grid.best("dense", "nmnc", (1.0,))


def test_the_grid_on_cifar_is_kept_and_its_dimensions_are_those_of_theory():
    kept = {tuple(cell[name] for name in cifar_grid.PLACE): cell for cell in cells.read(cifar_grid.FILE)}
    asked = {tuple(getattr(each, name) for name in cifar_grid.PLACE) for each in cifar_grid.experiments(SUPPLIED.cifar)}
    assert set(kept) == asked
    assert all(len(cell["validation"]) == len(cifar_grid.SEEDS) for cell in kept.values())
    for (rate, samples), dimension in cifar_grid.DIMENSIONS.items():
        cosines = cifar_grid.squared_cosines(rate, samples)
        assert cosines[dimension] > 0.95 * max(cosines.values())
    assert cifar_grid.FILE.stat().st_size < 500_000


def test_stimuli_are_drawn_anew_with_the_pairs_that_they_are_in():
    claim = REGISTER["L6-neurons"]
    found = neurons.likeness(invented(claim))
    drawn = np.random.default_rng(0).integers(0, STIMULI, STIMULI)
    weights = neurons.pair_weights(np.bincount(drawn, minlength=STIMULI))
    assert weights.sum() == np.sum(drawn[:, None] != drawn) / 2
    pairs = [(i, j) for k, i in enumerate(drawn) for j in drawn[:k] if i != j]
    position = {pair: k for k, pair in enumerate(zip(*np.triu_indices(STIMULI, 1), strict=True))}
    chosen = [position[min(pair), max(pair)] for pair in pairs]
    want = np.corrcoef(found.ranks[1, 2, 3, chosen], found.of_references[1, chosen])[0, 1]
    got = found.correlations(np.stack([weights, weights]))
    assert got.shape == (2, 4, 4, 5, 2)  # samples, rules, layers, networks, references
    assert got[1, 1, 2, 3, 1] == pytest.approx(want)


@pytest.mark.parametrize(
    ("accuracies", "wanted", "found"),
    [
        ((0.1, 0.2, 0.3), 0.2, 40.0),
        ((0.1, 0.2, 0.3), 0.25, 80.0),  # half way in the logarithm
        ((0.1, 0.05, 0.3), 0.2, 40 * 4**0.6),
        ((0.1, 0.2, 0.3), 0.05, 10.0),  # no more than the least that was tried
        ((0.1, 0.2, 0.3), 0.4, 160.0),  # no less than the most
    ],
)
def test_perturbations_needed_lie_between_budgets(accuracies, wanted, found):
    assert cifar_claims.needed((10, 40, 160), accuracies, wanted) == pytest.approx(found)
