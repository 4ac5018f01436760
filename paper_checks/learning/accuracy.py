"""Claims L2 and L4: what learns better from scarce perturbations."""

from __future__ import annotations

import math
from collections.abc import Iterator

from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, exact, exceeds_in_pairs, reported
from paper_checks.lab import Lab
from paper_checks.learning import feedback, grid
from paper_checks.learning.experiments.accuracy import CONTROLS, Learner
from paper_checks.learning.experiments.tasks import FRESH, TASKS

SEEDS = range(5)
FEW = range(3)
"""Seeds of what no claim compares in pairs: random feedback, running averages, what is beside the crowded task."""
PAIRS = {"dense": 5, "narrow": 5, "convolutional": 10, "rows": 5, "memory": 15, "crowded": 5}
"""Networks that NMNC, its controls and VNC train: more where the differences of pairs spread more."""
NAMES = {"backpropagation": "backpropagation", "random feedback": "random feedback", "vnc": "VNC", "nmnc": "NMNC"}
NOISE = ("nmnc", "vnc")
SCARCE, CROSSED = "convolutional", "narrow"
"""Where the perturbations of a whole training are fewer than the units, and where they are more."""
SEQUENCES = ("rows", "memory")
PERTURBATIONS = {"dense": 4320, "narrow": 135, "convolutional": 34, "rows": 648, "memory": 324, "crowded": 21}
"""Of each site in a training with noise; in pairs, of two passes each."""
RATES = (0.8, 0.1)
"""Learning rate and η on the crowded task."""
NORMS = {"VNC": {"nmnc": 2.5, "vnc": 1.0}, "NMNC": {"nmnc": 1.0, "vnc": 0.4}}
"""Gains that bring the feedback of both noises there to the norm of one, about: by F1 VNC's is 2.2 times NMNC's."""
BESIDE = {"backpropagation": 1.0, "random feedback": 1.0, "random subspace": NORMS["VNC"]["nmnc"]}
"""What else learns that task, with its gain."""
EXCHANGED = {
    "a random subspace for the manifold": {"manifold": "random subspace"},
    "the complement for the manifold": {"manifold": "complement"},
    "the rules exchanged": {"manifold": "vnc", "isotropic": "nmnc"},
}


def _learners(task: str, rule: str, feedback_rates: tuple[float, ...] | None = None) -> list[Learner]:
    """Return the networks of a rule in the cell of the grid that did best; controls learn as NMNC does."""
    control = rule in CONTROLS
    rates = grid.best(task, "nmnc" if control else rule, feedback_rates)
    seeds = range(PAIRS[task]) if rule in NOISE or control else SEEDS if rule == "backpropagation" else FEW
    return [Learner(task, rule, *rates, seed) for seed in seeds]


def _averaging(task: str, rule: str) -> list[Learner]:
    """Return the networks of a rule with the best running average."""
    averages = tuple(rate for rate in TASKS[task].feedback_rates if rate not in FRESH)
    return [each for each in _learners(task, rule, averages) if each.seed in FEW]


def _noise(lab: Lab, task: str, rule: str, runs: feedback.Runs, kind: str = "") -> Iterator[Comparison]:
    """Compare the budget of a rule with the stated one, and report what its gradients and feedback are like."""
    sound = feedback.sound(runs)
    if len(sound) < 2:  # no interval
        return
    name = f"{task}, {NAMES[rule]}{kind}"
    first, *_ = sound.values()
    for quantity, number in (("perturbations", PERTURBATIONS[task]), ("passes", 2 * PERTURBATIONS[task])):
        yield exact(lab, f"{name}: {quantity}", number, first[quantity], scale=0.0)
    for layer in range(len(first["cosines"])):
        cosines = [run["cosines"][layer] for run in sound.values()]
        yield reported(f"{name}: cosine of the weight gradient, layer {layer + 1}", cosines)
    yield from feedback.cosines(name, sound)
    yield from feedback.limits(name, sound)


def _report(lab: Lab, task: str, rule: str, runs: feedback.Runs, kind: str = "") -> Iterator[Comparison]:
    """Report how well a rule does, and of noise what it has learned."""
    accuracy = reported(
        f"{task}: test accuracy of {NAMES.get(rule, rule)}{kind}", [run["test"] for run in runs.values()]
    )
    yield accuracy.at(quantity="test accuracy", task=task, rule=NAMES.get(rule, rule), kind=kind.removeprefix(", "))
    if rule in NOISE:
        yield from _noise(lab, task, rule, runs, kind)


def _contest(
    lab: Lab, results: Results, task: str, rules: tuple[str, str], feedback_rates: tuple[float, ...] | None = None
) -> Iterator[Comparison]:
    """Assert that the first of two rules learns a task better, and NMNC better than its controls, and report all."""
    runs = {
        rule: {each: results[each] for each in _learners(task, rule, feedback_rates)} for rule in (*NAMES, *CONTROLS)
    }
    test = {rule: [run["test"] for run in found.values()] for rule, found in runs.items()}
    better, worse = rules
    low, high = zip(*zip(test[worse], test[better], strict=False), strict=True)  # of networks that both have trained
    yield exceeds_in_pairs(f"{task}: test accuracy, {better} > {worse}", low, high)
    for control in CONTROLS:
        yield exceeds_in_pairs(f"{task}: test accuracy, nmnc > {control}", test[control], test["nmnc"])
    networks = zip(test["vnc"], test["nmnc"], test["backpropagation"], strict=False)
    shares = [(value - low) / (high - low) if high != low else math.nan for low, value, high in networks]
    yield reported(f"{task}: share of the gap of VNC to backpropagation that NMNC closes", shares)
    for rule, found in runs.items():
        yield from _report(lab, task, rule, found)


def _averages(lab: Lab, results: Results, task: str) -> Iterator[Comparison]:
    """Report how well a running average of the perturbations does."""
    for rule in NOISE:
        yield from _report(lab, task, rule, {each: results[each] for each in _averaging(task, rule)}, ", averaged")


def _crowded(rule: str, gain: float = 1.0) -> list[Learner]:
    """Return the networks of a rule on the crowded task."""
    learning_rate, feedback_rate = RATES
    rate = feedback_rate if rule in (*NOISE, *CONTROLS) else None
    seeds = SEEDS if rule in NOISE else FEW
    return [Learner("crowded", rule, learning_rate, rate, seed, gain=gain) for seed in seeds]


def _at_norms(lab: Lab, results: Results) -> Iterator[Comparison]:
    """Report how well averages of few perturbations do on the crowded task, at the norm of VNC's and at NMNC's."""
    for norm, gains in NORMS.items():
        runs = {rule: {each: results[each] for each in _crowded(rule, gain)} for rule, gain in gains.items()}
        kind = f", at the norm of {norm}'s"
        pairs = zip(*([run["test"] for run in runs[rule].values()] for rule in NOISE), strict=True)
        yield reported(f"crowded: test accuracy, nmnc − vnc{kind}", [own - other for own, other in pairs])
        for rule, found in runs.items():
            yield from _report(lab, "crowded", rule, found, kind)
    for rule, gain in BESIDE.items():
        yield from _report(lab, "crowded", rule, {each: results[each] for each in _crowded(rule, gain)})


def _compared(task: str, feedback_rates: tuple[float, ...] | None = None) -> list[Learner]:
    return [each for rule in (*NAMES, *CONTROLS) for each in _learners(task, rule, feedback_rates)]


def _averaged(task: str) -> list[Learner]:
    return [each for rule in NOISE for each in _averaging(task, rule)]


def _images() -> list[Learner]:
    crossed = [each for rule in NAMES for each in _learners(CROSSED, rule)]
    return [*_compared("dense", FRESH), *_averaged("dense"), *_compared(SCARCE), *crossed]


def _sequences() -> list[Learner]:
    crowded = [each for gains in (*NORMS.values(), BESIDE) for args in gains.items() for each in _crowded(*args)]
    return [*(each for task in SEQUENCES for each in (*_compared(task, FRESH), *_averaged(task))), *crowded]


@claim(
    "L2",
    "NMNC learns to classify images better than VNC at an equal number of perturbations, where these are scarce: test "
    "accuracy of dense networks whose credit comes from fresh perturbations alone, and of convolutional ones that "
    "average few of them, each rule at its best learning rate and η.",
    formula=r"""
        \mathrm{accuracy}_{\mathrm{NMNC}} > \mathrm{accuracy}_{\mathrm{VNC}} \quad\text{where } K < K^{\dagger} =
            \frac{\alpha(n+1) - (d+1)}{1-\alpha}
    """,
    source="abstract",
    rung="trained networks",
    twins=EXCHANGED,
    experiments=_images,
)
def classification(lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc") -> Iterator[Comparison]:
    """Classifiers of 5,000 MNIST digits with direct feedback: 784-500-500-500-10 with the estimate of each step from 16
    perturbed samples (η = 1), and 8·14·14, 16·7·7, 2000, 2000, 10 with averages of one pair at every eighth step; five
    epochs, decay 5e-3, d = 16; rates by validation accuracy, five other networks tested. Beside them the dense ones
    with averages, and 784-64-64-64-64-64-10 by mirrors, where perturbations are more than units.
    """
    yield from _contest(lab, results, "dense", (manifold, isotropic), FRESH)
    yield from _averages(lab, results, "dense")
    yield from _contest(lab, results, SCARCE, (manifold, isotropic))
    for rule in NAMES:
        yield from _report(lab, CROSSED, rule, {each: results[each] for each in _learners(CROSSED, rule)})


@claim(
    "L4",
    "NMNC trains recurrent networks better than VNC where credit comes from fresh perturbations of h_t alone: test "
    "accuracy on digits row by row and on a task of memory, each rule at its best learning rate.",
    formula=r"\mathrm{accuracy}_{\mathrm{NMNC}} > \mathrm{accuracy}_{\mathrm{VNC}} \quad\text{for } \eta = 1",
    source="abstract",
    rung="trained networks",
    twins=EXCHANGED,
    experiments=_sequences,
)
def sequences(lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc") -> Iterator[Comparison]:
    """Leaky tanh networks of 256 units on MNIST digits in 28 rows, and on the first of ten symbols among eight; three
    epochs, decay 1e-3, feedback that is the estimate of the step (η = 1), from four perturbed samples with d = 16 and
    from two with d = 8. The same with a running average, which makes a static feedback of VNC's noise, is reported; and
    averages of 21 pairs in networks of 128 units on the first of ten symbols among sixteen, six epochs, d = 16, a task
    that random feedback by lag does not solve: both noises with the norm of VNC's feedback and with that of NMNC's.
    """
    for task in SEQUENCES:
        yield from _contest(lab, results, task, (manifold, isotropic), FRESH)
        yield from _averages(lab, results, task)
    yield from _at_norms(lab, results)
