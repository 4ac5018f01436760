"""Claims L2-CIFAR and L8: accuracy and sample efficiency of convolutional networks on CIFAR-10."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, exact, exceeds, reported
from paper_checks.data.supplied import Supplied
from paper_checks.lab import Lab
from paper_checks.learning import cifar_grid, feedback
from paper_checks.learning.accuracy import NAMES, NOISE
from paper_checks.learning.experiments.accuracy import CONTROLS
from paper_checks.learning.experiments.cifar import STEPS, CifarLearner

SEEDS = range(5)
SEEDS_OF_CONTROLS = range(2)
EXCHANGED = {
    "a random subspace for the manifold": {"manifold": "random subspace"},
    "the rules exchanged": {"manifold": "vnc", "isotropic": "nmnc"},
}
BUDGETS = ((4, 1), (1, 1))
"""Of NMNC: steps between perturbations, and samples perturbed at once."""


def learners(supplied: Supplied, rule: str) -> list[CifarLearner]:
    """Return the networks of a rule in the cell of the grid that did best; controls learn as NMNC does."""
    control = rule in CONTROLS
    cell = cifar_grid.best("nmnc" if control else rule)
    return [_learner(supplied, rule, seed, cell) for seed in (SEEDS_OF_CONTROLS if control else SEEDS)]


def _learner(
    supplied: Supplied, rule: str, seed: int, cell: Mapping[str, Any], budget: tuple[int, int] = (1, 1)
) -> CifarLearner:
    every, samples = budget
    assert supplied.cifar is not None  # which the claims need
    return CifarLearner(
        supplied.cifar,
        rule,
        cell["learning_rate"],
        cell["feedback_rate"],
        seed,
        dimension=cell["dimension"],
        perturb_every=every,
        samples=samples,
        recording=supplied.neural if budget == (1, 1) and rule not in CONTROLS else None,
    )


def _compared(supplied: Supplied) -> list[CifarLearner]:
    return [each for rule in (*NAMES, "random subspace") for each in learners(supplied, rule)]


def _of(results: Results, rule: str, budget: tuple[int, int] = (1, 1)) -> Results:
    """Return the runs of a rule with a budget, by seed."""
    found = {
        each: run for each, run in results.items() if each.rule == rule and (each.perturb_every, each.samples) == budget
    }
    return dict(sorted(found.items(), key=lambda item: item[0].seed))


def _test(runs: Results) -> list[float]:
    return [run["test"] for run in runs.values()]


@claim(
    "L2-CIFAR",
    "On CIFAR-10 NMNC learns convolutional networks with thousands of units in a layer better than VNC, with feedback "
    "that is a running average of one perturbation a step: test accuracy, each rule at its best learning rate and η.",
    formula=r"""
        \mathrm{accuracy}_{\mathrm{NMNC}} > \mathrm{accuracy}_{\mathrm{VNC}}
        K = \frac{2-\eta}{\eta} \quad\text{draws in the window of the average}
        \cos(B, \bar J) \approx \sqrt{\frac{\alpha K}{K+d+1}} \text{ (NMNC)}, \quad \sqrt{\frac{K}{K+n+1}}
            \text{ (VNC, at most)}
        \frac{\mathbb{E}\|B\|^2}{\|\bar J\|^2} \approx \alpha\left(1 + \frac{d+1}{K}\right) \text{ (NMNC)}, \quad 1 +
            \frac{n+1}{K} \text{ (VNC)}
    """,
    source="abstract",
    rung="trained networks",
    twins=EXCHANGED,
    experiments=_compared,
    needs=("cifar",),
)
def classification(lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc") -> Iterator[Comparison]:
    """Three strided convolutions, 8,192, 4,096 and 2,048 units, and a dense read-out, direct feedback, 10,000 images,
    960 steps; rates by validation accuracy, five other networks tested, the same for every rule before training.
    """
    test = {rule: _test(_of(results, rule)) for rule in (*NAMES, "random subspace")}
    yield exceeds(f"test accuracy, {manifold} > {isotropic}", test[isotropic], test[manifold])
    networks = zip(test["vnc"], test["nmnc"], test["backpropagation"], strict=True)  # of one initial state each
    shares = [(value - low) / (high - low) if high != low else math.nan for low, value, high in networks]
    yield reported("share of the gap of VNC to backpropagation that NMNC closes", shares)
    for rule, values in test.items():
        accuracy = reported(f"test accuracy of {NAMES.get(rule, rule)}", values)
        yield accuracy.at(quantity="test accuracy", rule=NAMES.get(rule, rule))
    for rule in NOISE:
        yield from _noise(lab, rule, feedback.sound(_of(results, rule)))


def _noise(lab: Lab, rule: str, runs: Results) -> Iterator[Comparison]:
    """Compare the budget of a rule with the stated one, and report what its gradients and feedback are like."""
    if len(runs) < 2:  # no interval
        return
    first, *_ = runs.values()
    yield exact(lab, f"{NAMES[rule]}: perturbations", STEPS, first["perturbations"], scale=0.0)
    for index in range(len(first["feedback"])):
        name = f"{NAMES[rule]}, layer {index + 1}"
        yield reported(f"{name}: cosine of the weight gradient", [run["cosines"][index] for run in runs.values()])
        targets = [run["feedback"][index] for run in runs.values()]
        predicted = [feedback.predicted_cosine(each, target, STEPS) for each, target in zip(runs, targets, strict=True)]
        cosines = [target["cosine"] for target in targets]
        yield reported(f"{name}: cosine of feedback, that of a network at rest predicted", cosines, _mean(predicted))
        norms = [math.sqrt(target["energy of feedback"] / target["mean"]) for target in targets]
        sizes = [feedback.predicted_norm(each, target, STEPS) for each, target in zip(runs, targets, strict=True)]
        yield reported(f"{name}: norm of feedback in that of the mean Jacobian", norms, _mean(sizes))
        if rule == "nmnc":
            alphas = [target["its part in the manifold"] / target["mean"] for target in targets]
            yield reported(f"{name}: α of the mean Jacobian", alphas)


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _budgets(supplied: Supplied) -> list[CifarLearner]:
    nmnc, vnc = (cifar_grid.best(rule) for rule in ("nmnc", "vnc"))
    fewer = [_learner(supplied, "nmnc", seed, nmnc, budget) for budget in BUDGETS for seed in SEEDS]
    return [*fewer, *(_learner(supplied, "vnc", seed, vnc) for seed in SEEDS)]


@claim(
    "L8",
    "NMNC learns CIFAR-10 better than VNC from a quarter of the perturbations of a whole training.",
    formula=r"\mathrm{accuracy}_{\mathrm{NMNC}}\left(\tfrac{1}{4}K\right) > \mathrm{accuracy}_{\mathrm{VNC}}(K)",
    source="abstract",
    rung="trained networks",
    twins={"the rules exchanged": {"manifold": "vnc", "isotropic": "nmnc"}},
    experiments=_budgets,
    needs=("cifar",),
)
def sample_efficiency(
    lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc"
) -> Iterator[Comparison]:
    """The networks of L2-CIFAR: NMNC with perturbations at every fourth of 960 steps, VNC at every step, each at the
    rates that are best for it at every step.
    """
    runs = {"nmnc": _of(results, "nmnc", (4, 1)), "vnc": _of(results, "vnc")}
    name = f"test accuracy, {manifold} from {STEPS // 4} > {isotropic} from {STEPS}"
    yield exceeds(name, _test(runs[isotropic]), _test(runs[manifold]))
    for budget in BUDGETS:
        yield from _efficiency("NMNC", STEPS // budget[0], _of(results, "nmnc", budget))
    yield from _efficiency("VNC", STEPS, runs["vnc"])


def _efficiency(name: str, perturbations: int, runs: Results) -> Iterator[Comparison]:
    """Report how well a rule does with a number of perturbations, and what its feedback is like."""
    title = f"{name}, {perturbations} perturbations"
    accuracy = reported(f"{title}: test accuracy", _test(runs))
    yield accuracy.at(quantity="test accuracy", rule=name, K=perturbations)
    yield from feedback.cosines(title, feedback.sound(runs))
