"""The grid of rates on CIFAR-10, and the cell of each rule that does best on the validation images.

`--profile full --cifar FOLDER` trains every cell and writes what it found to `cifar_grid.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmnc_ref import theory, training
from paper_checks.data.cifar import Archive
from paper_checks.lab import Lab
from paper_checks.learning import cells
from paper_checks.learning.experiments.cifar import DIRECT, MIRRORS, SCALED, CifarLearner
from paper_checks.learning.experiments.cifar_measures import DIMENSIONS as DIMENSIONS_TRIED

SEEDS = (100,)
"""Of the networks of each cell, which no comparison uses."""
LEARNING_RATES = (0.00125, 0.0025, 0.005, 0.01, 0.02)
DIMENSIONS = {(0.003, 1): 256, (0.01, 1): 64, (0.003, 4): 256, (0.01, 4): 256, (0.003, 16): 256, (0.01, 16): 256}
"""By η and samples perturbed at once, d of the manifold: within 5 % of the largest of `squared_cosines`."""
NONE = ((None, 64),)
"""For rules that learn no feedback."""
EVERY_STEP = (1, 1)
BUDGETS = {
    "nmnc": ((16, 1), (4, 1), EVERY_STEP, (1, 4)),
    "vnc": ((16, 1), (4, 1), EVERY_STEP, (1, 4), (1, 16)),
}
"""By rule, steps between perturbations and samples perturbed at once: a factor 4 apart. `EVERY_STEP` for the others."""
FILE = Path(__file__).with_name("cifar_grid.json")
PLACE = ("rule", "learning_rate", "feedback_rate", "dimension", "perturb_every", "samples", "delivery")
"""What distinguishes the cells."""
DELIVERED = {DIRECT: training.RULES, SCALED: training.PERTURBING, MIRRORS: ("random feedback", *training.PERTURBING)}
"""Rules by delivery of the error; what is not direct at one budget alone."""


def experiments(archive: Archive) -> list[CifarLearner]:
    """Return the whole grid: the same learning rates for every rule, the same η for both noises, at every budget."""
    return [
        CifarLearner(
            archive,
            rule,
            learning_rate,
            feedback_rate,
            seed,
            dimension=dimension,
            perturb_every=every,
            samples=samples,
            delivery=delivery,
        )
        for delivery, rules in DELIVERED.items()
        for rule in rules
        for every, samples in (BUDGETS.get(rule, (EVERY_STEP,)) if delivery == DIRECT else (EVERY_STEP,))
        for feedback_rate, dimension in (feedback_rates(samples) if rule in training.PERTURBING else NONE)
        for learning_rate in LEARNING_RATES
        for seed in SEEDS
    ]


def feedback_rates(samples: int) -> list[tuple[float, int]]:
    """Return the pairs of η and d for a number of samples that are perturbed at once."""
    return [(rate, dimension) for (rate, number), dimension in DIMENSIONS.items() if number == samples]


def write(results: Mapping[CifarLearner, Mapping[str, Any]], lab: Lab) -> None:
    """Write what was found in every cell, and the course of its first network.

    Raises:
        OSError: the file cannot be written.
    """
    cells.write(FILE, results, lab, PLACE, ("course", "feedback", "alignments"))


def squared_cosines(feedback_rate: float, samples: int) -> dict[int, float]:
    """Return by d, of 1, 2, 4, …, 256, the sum over layers of A(d)/(K + d + 1) in the window K of η (E17).

    A(d) is that of the mean Jacobian in backpropagation's best cell.
    """
    window = round(samples / theory.feedback.averaging_gain(feedback_rate))
    layers = [layer["mean"] for layer in best("backpropagation")["alignments"]]
    sums = map(sum, zip(*layers, strict=True))
    return {d: each / (window + d + 1) for d, each in zip(DIMENSIONS_TRIED, sums, strict=True)}


def best(
    rule: str, budget: tuple[int, int] = EVERY_STEP, feedback_rate: float | None = None, delivery: str = DIRECT
) -> Mapping[str, Any]:
    """Return the cell of a rule that has the best validation accuracy with a budget, and with one η if it is given, of
    the cells away from divergence.

    Raises:
        ValueError: there is no such cell.
    """
    found = [
        cell
        for cell in cells.read(FILE)
        if cell["rule"] == rule
        and (cell["perturb_every"], cell["samples"]) == budget
        and cell["delivery"] == delivery
        and feedback_rate in (None, cell["feedback_rate"])
    ]
    sound = cells.away_from_divergence(found)
    if not sound:
        raise ValueError(f"CIFAR-10: expected a cell of {rule} away from divergence, got none")
    return max(sound, key=lambda cell: np.mean(cell["validation"]))
