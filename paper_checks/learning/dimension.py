"""Claim L5: how many dimensions of the manifold to perturb."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from nmnc_ref import theory
from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, monte_carlo, reported
from paper_checks.lab import Lab
from paper_checks.learning import feedback, grid
from paper_checks.learning.experiments.accuracy import Learner
from paper_checks.learning.experiments.dimension import DRAWS, HIDDEN, LAYERS, Dimensions
from paper_checks.learning.experiments.tasks import FRESH, TASKS

TASK = "dense"
TRAINED = (4, 16, 64)
SEEDS = range(3)


def _learners(dimension: int) -> list[Learner]:
    """Return networks that learn at the rates that are best for the dimension of the task."""
    given = None if dimension == TASKS[TASK].dimension else dimension  # those of L2, where it is theirs
    return [Learner(TASK, "nmnc", *grid.best(TASK, "nmnc", FRESH), seed, given) for seed in SEEDS]


def _experiments() -> list:
    return [Dimensions(0), *(each for dimension in TRAINED for each in _learners(dimension))]


def _of_random_subspaces(alignments: list[float]) -> list[float]:
    return [theory.estimator.random_alignment(d, HIDDEN["dense"][0]) for d in range(1, len(alignments) + 1)]


@claim(
    "L5",
    "In a frozen network the cosine ratio over the number d of perturbed dimensions is E6's at A(d), and largest where "
    "E17 says; accuracy and cosine over d in training are reported.",
    formula=r"""
        \text{cosine ratio} = \sqrt{\frac{A(d)\,K}{K+d+1}}
        d_{\mathrm{cosine}} = \mathrm{argmax}_d\,\frac{A(d)}{K+d+1}
    """,
    source="summary, derived",
    rung="trained networks",
    twins={
        "noise left out": {"ratio": lambda alpha, draws, dimension: math.sqrt(alpha)},
        "A(d) of random subspaces": {"alignment": _of_random_subspaces},
        "the best dimension for the squared error": {"best": theory.estimator.best_dimension_for_error},
    },
    experiments=_experiments,
)
def dimensions(
    lab: Lab,
    results: Results,
    ratio: Callable[[float, int, int], float] = theory.estimator.cosine_ratio,
    alignment: Callable[[list[float]], list[float]] = list,
    best: Callable[[list[float], int], int] = theory.estimator.best_dimension_for_cosine,
) -> Iterator[Comparison]:
    """A classifier of L1, ten draws for each of ten images, along the first 1, 2, 4, …, 256 components and the best
    number of them, 300 repetitions; and classifiers of L2 that learn with d = 4, 16 and 64, three of each.
    """
    for layer in LAYERS:
        run = results[Dimensions(0)][str(layer)]
        alignments = alignment(run["alignments"])
        measured = {int(d): pair for d, pair in run["ratios"].items()}
        for d, pair in measured.items():
            found = monte_carlo(f"layer {layer}, d = {d}: ratio", ratio(alignments[d - 1], DRAWS, d), *pair)
            yield found.at(quantity="cosine ratio", layer=layer, d=d, K=DRAWS)
        chosen, highest = best(alignments, DRAWS), max(measured, key=lambda d: measured[d][0])
        value, error = measured.get(chosen, (math.nan, 0.0))
        name = f"layer {layer}: ratio at d = {chosen}, against the highest, at d = {highest}"
        yield monte_carlo(name, measured[highest][0], value, math.hypot(error, measured[highest][1]))
    for dimension in TRAINED:
        name, runs = f"{TASK}, d = {dimension}", {each: results[each] for each in _learners(dimension)}
        accuracy = reported(f"{name}: test accuracy", [run["test"] for run in runs.values()])
        yield accuracy.at(quantity="test accuracy", d=dimension)
        sound = feedback.sound(runs)
        if len(sound) > 1:
            cosines = [float(np.mean(run["cosines"])) for run in sound.values()]
            cosine = reported(f"{name}: mean cosine of the weight gradient", cosines)
            yield cosine.at(quantity="cosine of the weight gradient", d=dimension)
        yield from feedback.cosines(name, sound)
