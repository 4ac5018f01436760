"""Claims L2 and L4: what learns better from scarce perturbations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from nmnc_ref import theory
from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, exact, exceeds, reported
from paper_checks.lab import Lab
from paper_checks.learning import grid
from paper_checks.learning.experiments.learner import CONTROLS, Learner
from paper_checks.learning.experiments.tasks import TASKS

SEEDS = range(5)
NAMES = {"backpropagation": "backpropagation", "random feedback": "random feedback", "vnc": "VNC", "nmnc": "NMNC"}
NOISE = ("nmnc", "vnc")
IMAGES, SEQUENCES = ("dense", "convolutional"), ("rows", "memory")
CROSSED = "narrow"
"""Where the perturbations are more than the units."""
PERTURBATIONS = {"dense": 135, "narrow": 135, "convolutional": 34, "rows": 648, "memory": 324}
"""Of each site in a training with noise; in pairs, of two passes each."""
FRESH = (1.0,)
"""The feedback rate that keeps nothing of earlier perturbations."""
EXCHANGED = {
    "a random subspace for the manifold": {"manifold": "random subspace"},
    "the complement for the manifold": {"manifold": "complement"},
    "the rules exchanged": {"manifold": "vnc", "isotropic": "nmnc"},
}


def _learners(task: str, rule: str, feedback_rates: tuple[float, ...] | None = None) -> list[Learner]:
    """Return the five networks of a rule in the cell of the grid that did best; controls learn as NMNC does."""
    rates = grid.best(task, "nmnc" if rule in CONTROLS else rule, feedback_rates)
    return [Learner(task, rule, *rates, seed) for seed in SEEDS]


def _averaged(task: str) -> tuple[float, ...]:
    return tuple(rate for rate in TASKS[task].feedback_rates if rate not in FRESH)


def _predicted(learner: Learner, layer: Mapping[str, float], steps: int) -> float:
    """Return ⟨E B, T̄⟩/√(‖T̄‖² E‖B‖²) of a running average of estimates of T in a network that stays as it is (F1, F2).

    NaN where units have died until nothing passes.
    """
    isotropic = learner.rule == "vnc"
    whole, inside = layer["mean"], layer["mean" if isotropic else "its part in the manifold"]
    energy = layer["each" if isotropic else "their part in the manifold"]
    if not inside:
        return math.nan
    task = TASKS[learner.task]
    dimension = int(layer["width"]) if isotropic else task.dimension
    rate = learner.feedback_rate or 0.0
    reached = 1 - (1 - rate) ** steps
    spread = theory.feedback.feedback_variance_over_inputs(rate, dimension, energy, inside, steps) / task.samples
    return reached * inside / math.sqrt(whole * (reached**2 * inside + spread))


def _feedback(lab: Lab, task: str, rule: str, runs: Mapping[Learner, Mapping]) -> Iterator[Comparison]:
    """Compare the budget of a rule with the stated one, and report what its feedback has learned."""
    sound = {each: run for each, run in runs.items() if run["diverged"] is None}
    if len(sound) < 2:  # no interval
        return
    first, *_ = sound.values()
    for quantity, number in (("perturbations", PERTURBATIONS[task]), ("passes", 2 * PERTURBATIONS[task])):
        yield exact(lab, f"{task}: {quantity} of {NAMES[rule]}", number, first[quantity], scale=0.0)
    for layer in range(len(first["cosines"])):
        name = f"{task}, layer {layer + 1}: cosine of {NAMES[rule]}'s weight gradient"
        yield reported(name, [run["cosines"][layer] for run in sound.values()])
    found = [float(np.mean([each["cosine"] for each in run["feedback"]])) for run in sound.values()]
    frozen = [
        _predicted(each, layer, run["perturbations"] // TASKS[task].samples)
        for each, run in sound.items()
        for layer in run["feedback"]
    ]
    yield reported(f"{task}: mean cosine of {NAMES[rule]}'s feedback, frozen predicted", found, float(np.mean(frozen)))


def _contest(
    lab: Lab, results: Results, task: str, rules: tuple[str, str], feedback_rates: tuple[float, ...] | None = None
) -> Iterator[Comparison]:
    """Assert that the first of two rules learns a task better than the second, and report all rules."""
    runs = {
        rule: {each: results[each] for each in _learners(task, rule, feedback_rates)} for rule in (*NAMES, *CONTROLS)
    }
    test = {rule: [run["test"] for run in found.values()] for rule, found in runs.items()}
    better, worse = rules
    yield exceeds(f"{task}: test accuracy, {better} > {worse}", test[worse], test[better])
    for rule, values in test.items():
        yield reported(f"{task}: test accuracy of {NAMES.get(rule, rule)}", values)
    low, high = float(np.mean(test["vnc"])), float(np.mean(test["backpropagation"]))
    shares = [(value - low) / (high - low) for value in test["nmnc"]]
    yield reported(f"{task}: share of the gap of VNC to backpropagation that NMNC closes", shares)
    for rule in NOISE:
        yield from _feedback(lab, task, rule, runs[rule])


def _images() -> list[Learner]:
    compared = [each for task in IMAGES for rule in (*NAMES, *CONTROLS) for each in _learners(task, rule)]
    return compared + [each for rule in NAMES for each in _learners(CROSSED, rule)]


def _sequences() -> list[Learner]:
    fresh = [each for task in SEQUENCES for rule in (*NAMES, *CONTROLS) for each in _learners(task, rule, FRESH)]
    return fresh + [each for task in SEQUENCES for rule in NOISE for each in _learners(task, rule, _averaged(task))]


@claim(
    "L2",
    "NMNC learns to classify images better than VNC at an equal number of perturbations, where these are scarce: test "
    "accuracy of dense networks with layer-wise and of convolutional ones with direct feedback, each rule at its best "
    "learning rate and η.",
    source="abstract",
    rung="trained networks",
    twins=EXCHANGED,
    experiments=_images,
)
def classification(lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc") -> Iterator[Comparison]:
    """Classifiers 784-1000-1000-1000-1000-1000-10 and 8·14·14, 16·7·7, 2000, 2000, 10 of 5,000 MNIST digits, five
    epochs, decay 5e-3, d = 16, a pair of perturbations at every second and at every eighth step; rates by validation
    accuracy, five other networks tested. Beside them 784-64-64-64-64-64-10, with fewer units than perturbations.
    """
    for task in IMAGES:
        yield from _contest(lab, results, task, (manifold, isotropic))
    for rule in NAMES:
        runs = {each: results[each] for each in _learners(CROSSED, rule)}
        yield reported(f"{CROSSED}: test accuracy of {NAMES[rule]}", [run["test"] for run in runs.values()])
        if rule in NOISE:
            yield from _feedback(lab, CROSSED, rule, runs)


@claim(
    "L4",
    "NMNC trains recurrent networks better than VNC where credit comes from fresh perturbations of h_t alone: test "
    "accuracy on digits row by row and on a task of memory, each rule at its best learning rate.",
    source="abstract",
    rung="trained networks",
    twins=EXCHANGED,
    experiments=_sequences,
)
def sequences(lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc") -> Iterator[Comparison]:
    """Leaky tanh networks of 256 units on MNIST digits in 28 rows, and on the first of ten symbols among eight; three
    epochs, feedback that is the estimate of the step (η = 1), from four and from two perturbed samples. The same with
    a running average, which makes a static feedback of VNC's noise, is reported.
    """
    for task in SEQUENCES:
        yield from _contest(lab, results, task, (manifold, isotropic), FRESH)
        for rule in NOISE:
            values = [results[each]["test"] for each in _learners(task, rule, _averaged(task))]
            yield reported(f"{task}: test accuracy of {NAMES[rule]}, averaged", values)
