"""Claims L2-CIFAR and L8: accuracy and sample efficiency of convolutional networks on CIFAR-10."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from nmnc_ref import theory
from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, exact, exceeds, reported, shown
from paper_checks.data.neural import Recording
from paper_checks.data.supplied import Supplied
from paper_checks.lab import Lab
from paper_checks.learning import cifar_grid, feedback
from paper_checks.learning.accuracy import NAMES, NOISE
from paper_checks.learning.cifar_grid import EVERY_STEP
from paper_checks.learning.experiments.accuracy import CONTROLS
from paper_checks.learning.experiments.cifar import DIRECT, MIRRORS, SCALED, STEPS, CifarLearner

SEEDS = range(5)
EXCHANGED = {
    "a random subspace for the manifold": {"manifold": "random subspace"},
    "the complement for the manifold": {"manifold": "complement"},
    "the rules exchanged": {"manifold": "vnc", "isotropic": "nmnc"},
}
FEWER = (4, 1)
"""A perturbation at every fourth step: the budget of NMNC for which VNC's is asked."""
MANY_TIMES = 4.0


def learners(supplied: Supplied, rule: str) -> list[CifarLearner]:
    """Return the networks of a rule in the cell of the grid that did best; controls learn as NMNC does."""
    return _learners(supplied, rule, recording=supplied.neural if rule not in CONTROLS else None)


def _learners(
    supplied: Supplied,
    rule: str,
    budget: tuple[int, int] = EVERY_STEP,
    recording: Recording | None = None,
    delivery: str = DIRECT,
) -> list[CifarLearner]:
    cell = cifar_grid.best("nmnc" if rule in CONTROLS else rule, budget, delivery=delivery)
    every, samples = budget
    assert supplied.cifar is not None  # which the claims need
    return [
        CifarLearner(
            supplied.cifar,
            rule,
            cell["learning_rate"],
            cell["feedback_rate"],
            seed,
            dimension=cell["dimension"],
            perturb_every=every,
            samples=samples,
            delivery=delivery,
            recording=recording,
        )
        for seed in SEEDS
    ]


def _compared(supplied: Supplied) -> list[CifarLearner]:
    direct = [each for rule in (*NAMES, *CONTROLS) for each in learners(supplied, rule)]
    others = ((delivery, rule) for delivery in (SCALED, MIRRORS) for rule in cifar_grid.DELIVERED[delivery])
    return direct + [each for delivery, rule in others for each in _learners(supplied, rule, delivery=delivery)]


def _of(results: Results, rule: str, budget: tuple[int, int] = EVERY_STEP, delivery: str = DIRECT) -> Results:
    """Return the runs of a rule with a budget, by seed."""
    wanted = (rule, budget, delivery)
    found = {
        each: run
        for each, run in results.items()
        if (each.rule, (each.perturb_every, each.samples), each.delivery) == wanted
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
    test = {rule: _test(_of(results, rule)) for rule in (*NAMES, *CONTROLS)}
    yield exceeds(f"test accuracy, {manifold} > {isotropic}", test[isotropic], test[manifold])
    for control in CONTROLS:
        yield exceeds(f"test accuracy, nmnc > {control}", test[control], test["nmnc"])
    networks = zip(test["vnc"], test["nmnc"], test["backpropagation"], strict=True)  # of one initial state each
    shares = [(value - low) / (high - low) if high != low else math.nan for low, value, high in networks]
    yield reported("share of the gap of VNC to backpropagation that NMNC closes", shares)
    for rule, values in test.items():
        accuracy = reported(f"test accuracy of {NAMES.get(rule, rule)}", values)
        yield accuracy.at(quantity="test accuracy", rule=NAMES.get(rule, rule))
    for rule in NOISE:
        yield from _noise(lab, rule, feedback.sound(_of(results, rule)))
    for delivery in (SCALED, MIRRORS):
        yield from _delivered(results, delivery)
    yield from _mirrors(results)
    yield from _map()


def _delivered(results: Results, delivery: str) -> Iterator[Comparison]:
    """Report how well rules do with another delivery of the error."""
    test = {rule: _test(_of(results, rule, delivery=delivery)) for rule in cifar_grid.DELIVERED[delivery]}
    pairs = zip(*(test[rule] for rule in NOISE), strict=True)
    yield reported(f"{delivery}: test accuracy, nmnc − vnc", [own - other for own, other in pairs])
    for rule, values in test.items():
        yield reported(f"{delivery}: test accuracy of {NAMES[rule]}", values)


def _mirrors(results: Results) -> Iterator[Comparison]:
    """Report how like the weights mirrors are, and that of their mean on the manifold (F3)."""
    for rule in NOISE:
        runs = feedback.sound(_of(results, rule, delivery=MIRRORS))
        learned = zip(*(run["feedback"] for run in runs.values()), strict=True) if len(runs) > 1 else ()
        for layer, mirrors in enumerate(learned, start=2):
            name = f"mirrors: {NAMES[rule]}, cosine with the weights of layer {layer}"
            limit = _mean([mirror["cosine of its mean"] for mirror in mirrors]) if rule == "nmnc" else math.nan
            yield reported(f"{name}, that of its mean predicted", [each["cosine"] for each in mirrors], limit)


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
        norms = [math.sqrt(feedback.ratio(target["energy of feedback"], target["mean"])) for target in targets]
        sizes = [feedback.predicted_norm(each, target, STEPS) for each, target in zip(runs, targets, strict=True)]
        yield reported(f"{name}: norm of feedback in that of the mean Jacobian", norms, _mean(sizes))
        if rule == "nmnc":
            alphas = [feedback.ratio(target["its part in the manifold"], target["mean"]) for target in targets]
            yield reported(f"{name}: α of the mean Jacobian", alphas)


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _map() -> Iterator[Comparison]:
    """Show by how much NMNC is better in the grid, at each η and budget, beside where E6 has its boundary."""
    for budget in cifar_grid.BUDGETS["nmnc"]:
        _, samples = budget
        for rate, dimension in cifar_grid.feedback_rates(samples):
            manifold, isotropic = (cifar_grid.best(rule, budget, rate) for rule in NOISE)
            difference = _mean(manifold["validation"]) - _mean(isotropic["validation"])
            whole = _perturbations(budget)
            window = min(whole, round(samples / theory.feedback.averaging_gain(rate)))
            for layer, target in enumerate(manifold["feedback"], start=1):
                name = f"validation accuracy, NMNC − VNC, η = {rate}, {whole} perturbations"
                yield shown(f"{name}, beside α of layer {layer}", difference).at(
                    quantity="accuracy difference",
                    layer=layer,
                    K=window,
                    n=target["width"],
                    d=dimension,
                    alpha=feedback.ratio(target["its part in the manifold"], target["mean"]),
                )


def _perturbations(budget: tuple[int, int]) -> int:
    """Return the number of a whole training."""
    every, samples = budget
    return STEPS // every * samples


def _budgets(supplied: Supplied) -> list[CifarLearner]:
    return [
        each
        for rule, budgets in cifar_grid.BUDGETS.items()
        for budget in budgets
        for each in _learners(supplied, rule, budget, supplied.neural if budget == EVERY_STEP else None)
    ]


def needed(budgets: Sequence[int], accuracies: Sequence[float], wanted: float) -> float:
    """Return from how many perturbations on accuracies are as wanted, between budgets on a straight line in their
    logarithm; the largest budget, as the least that it may be, where they never are.
    """
    previous = budgets[0], accuracies[0]
    for budget, accuracy in zip(budgets, accuracies, strict=True):
        if accuracy >= wanted:
            (least, low), part = previous, 0.0
            if accuracy > low:
                part = (wanted - low) / (accuracy - low)
            return least * (budget / least) ** part
        previous = budget, accuracy
    return budgets[-1]


@claim(
    "L8",
    "On CIFAR-10 VNC needs more than four times the perturbations of a whole training for the accuracy that NMNC has.",
    formula=r"""
        \mathrm{accuracy}_{\mathrm{VNC}}(rK) = \mathrm{accuracy}_{\mathrm{NMNC}}(K), \quad r > 4
    """,
    source="abstract",
    rung="trained networks",
    twins={"the rules exchanged": {"manifold": "vnc", "isotropic": "nmnc"}},
    experiments=_budgets,
    needs=("cifar",),
)
def sample_efficiency(
    lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc"
) -> Iterator[Comparison]:
    """The networks of L2-CIFAR with 60 to 15,360 perturbations in 960 steps, each rule at the rates that are best for
    it with each budget; K is 240. Where no budget of VNC was enough, r is taken for what the largest says at least.
    """
    accuracies = {
        rule: {_perturbations(budget): _test(_of(results, rule, budget)) for budget in budgets}
        for rule, budgets in cifar_grid.BUDGETS.items()
    }
    fewer, test = _perturbations(FEWER), accuracies[isotropic]
    by_network = list(zip(*test.values(), strict=True))
    factors = [
        needed(list(test), each, wanted) / fewer
        for each, wanted in zip(by_network, accuracies[manifold][fewer], strict=True)
    ]
    logarithms = [math.log2(factor) for factor in factors]
    name = f"log₂ r: perturbations of {isotropic} to the accuracy of {manifold} from {fewer}"
    factor = exceeds(name, [math.log2(MANY_TIMES)] * len(logarithms), logarithms)
    yield factor.at(quantity="factor", K=fewer)
    unreached = sum(max(each) < wanted for each, wanted in zip(by_network, accuracies[manifold][fewer], strict=True))
    yield shown(f"networks of {isotropic} that no budget was enough for, of {len(factors)}", unreached)
    for rule, budgets in cifar_grid.BUDGETS.items():
        for budget in budgets:
            yield from _efficiency(NAMES[rule], _perturbations(budget), _of(results, rule, budget))


def _efficiency(name: str, perturbations: int, runs: Results) -> Iterator[Comparison]:
    """Report how well a rule does with a number of perturbations, and what its feedback is like."""
    title = f"{name}, {perturbations} perturbations"
    accuracy = reported(f"{title}: test accuracy", _test(runs))
    yield accuracy.at(quantity="test accuracy", rule=name, K=perturbations)
    yield from feedback.cosines(title, feedback.sound(runs))
