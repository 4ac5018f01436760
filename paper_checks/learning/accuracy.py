"""Claim L2: what learns better from scarce perturbations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from nmnc_ref import theory
from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, exact, exceeds, reported
from paper_checks.lab import Lab
from paper_checks.learning import grid
from paper_checks.learning.experiments.learner import CONTROLS, DIMENSION, HIDDEN, Learner

SEEDS = range(5)
DECIDED = ("convolutional",)
"""Where the advantage is asserted; in the dense network the intervals overlap, and it is reported."""
BUDGET = {"perturbations": 34, "passes": 68}
"""Of each site in a training with noise: 270 steps, a pair at every eighth."""
NAMES = {"backpropagation": "backpropagation", "random feedback": "random feedback", "vnc": "VNC", "nmnc": "NMNC"}


def _learners(task: str, rule: str) -> list[Learner]:
    """Return the five networks of a rule in the cell of the grid that did best; controls learn as NMNC does."""
    rates = grid.best(task, "nmnc" if rule in CONTROLS else rule)
    return [Learner(task, rule, *rates, seed) for seed in SEEDS]


def _experiments() -> list[Learner]:
    return [each for task in HIDDEN for rule in (*NAMES, *CONTROLS) for each in _learners(task, rule)]


def _predicted(learner: Learner, layer: Mapping[str, float], steps: int) -> float:
    """Return ⟨E B, J̄⟩/√(‖J̄‖² E‖B‖²) of a running average in a network that stays as it is (F1, F2).

    NaN where units have died until nothing passes.
    """
    isotropic = learner.rule == "vnc"
    whole, inside = layer["mean Jacobian"], layer["mean Jacobian" if isotropic else "its part in the manifold"]
    energy = layer["Jacobians" if isotropic else "their part in the manifold"]
    if not inside:
        return math.nan
    dimension = int(layer["width"]) if isotropic else DIMENSION
    rate = learner.feedback_rate or 0.0
    reached = 1 - (1 - rate) ** steps
    spread = theory.feedback.feedback_variance_over_inputs(rate, dimension, energy, inside, steps)
    return reached * inside / math.sqrt(whole * (reached**2 * inside + spread))


@claim(
    "L2",
    "NMNC learns to classify images better than VNC at an equal number of perturbations, where these are scarce: test "
    "accuracy of convolutional networks with direct feedback, each rule at its best learning rate and η.",
    source="abstract",
    rung="trained networks",
    twins={
        "a random subspace for the manifold": {"manifold": "random subspace"},
        "the complement for the manifold": {"manifold": "complement"},
        "the rules exchanged": {"manifold": "vnc", "isotropic": "nmnc"},
    },
    experiments=_experiments,
)
def classification(lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc") -> Iterator[Comparison]:
    """Classifiers 784-2000-2000-2000-10 and 8·14·14, 16·7·7, 2000, 2000, 10 of 5,000 MNIST digits, five epochs, decay
    5e-3, d = 16, one pair of perturbations every eighth step; rates by validation accuracy, five other networks tested.
    """
    for task in HIDDEN:
        runs = {rule: {each: results[each] for each in _learners(task, rule)} for rule in (*NAMES, *CONTROLS)}
        test = {rule: [run["test"] for run in found.values()] for rule, found in runs.items()}
        if task in DECIDED:
            yield exceeds(f"{task}: test accuracy, {manifold} > {isotropic}", test[isotropic], test[manifold])
        for rule in (*NAMES, *CONTROLS):
            yield reported(f"{task}: test accuracy of {NAMES.get(rule, rule)}", test[rule])
        low, high = float(np.mean(test["vnc"])), float(np.mean(test["backpropagation"]))
        shares = [(value - low) / (high - low) for value in test["nmnc"]]
        yield reported(f"{task}: share of the gap of VNC to backpropagation that NMNC closes", shares)
        for rule in ("nmnc", "vnc"):
            sound = {each: run for each, run in runs[rule].items() if run["diverged"] is None}
            if len(sound) < 2:  # no interval
                continue
            first, *_ = sound.values()
            for quantity, number in BUDGET.items():
                yield exact(lab, f"{task}: {quantity} of {NAMES[rule]}", number, first[quantity], scale=0.0)
            for layer in range(len(first["feedback"])):
                name = f"{task}, layer {layer + 1}: cosine of {NAMES[rule]}'s"
                yield reported(f"{name} weight gradient", [run["cosines"][layer] for run in sound.values()])
                found = [run["feedback"][layer]["cosine"] for run in sound.values()]
                frozen = [_predicted(each, run["feedback"][layer], run["perturbations"]) for each, run in sound.items()]
                yield reported(f"{name} feedback, frozen predicted", found, float(np.mean(frozen)))
