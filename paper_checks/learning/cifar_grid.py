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
from paper_checks.learning.experiments.cifar import DIMENSIONS as DIMENSIONS_TRIED
from paper_checks.learning.experiments.cifar import CifarLearner

SEEDS = (100,)
"""Of the networks of each cell, which no comparison uses."""
LEARNING_RATES = (0.00125, 0.0025, 0.005, 0.01, 0.02)
DIMENSIONS = {0.003: 256, 0.01: 64}
"""By η, d of the manifold: within 5 % of the largest of `squared_cosines`."""
NONE = ((None, 64),)
"""For rules that learn no feedback."""
FILE = Path(__file__).with_name("cifar_grid.json")
PLACE = ("rule", "learning_rate", "feedback_rate", "dimension")
"""What distinguishes the cells."""


def experiments(archive: Archive) -> list[CifarLearner]:
    """Return the whole grid: the same learning rates for every rule, the same η for both noises."""
    return [
        CifarLearner(archive, rule, learning_rate, feedback_rate, seed, dimension=dimension)
        for rule in training.RULES
        for feedback_rate, dimension in (DIMENSIONS.items() if rule in training.PERTURBING else NONE)
        for learning_rate in LEARNING_RATES
        for seed in SEEDS
    ]


def write(results: Mapping[CifarLearner, Mapping[str, Any]], lab: Lab) -> None:
    """Write what was found in every cell, and the course of its first network.

    Raises:
        OSError: the file cannot be written.
    """
    cells.write(FILE, results, lab, PLACE, ("course", "feedback", "alignments"))


def squared_cosines(feedback_rate: float) -> dict[int, float]:
    """Return by d, of 1, 2, 4, …, 256, the sum over layers of A(d)/(K + d + 1) in the window K of η (E17).

    A(d) is that of the mean Jacobian in backpropagation's best cell.
    """
    window = round(1 / theory.feedback.averaging_gain(feedback_rate))
    layers = [layer["mean"] for layer in best("backpropagation")["alignments"]]
    sums = map(sum, zip(*layers, strict=True))
    return {d: each / (window + d + 1) for d, each in zip(DIMENSIONS_TRIED, sums, strict=True)}


def best(rule: str) -> Mapping[str, Any]:
    """Return the cell of a rule that has the best validation accuracy.

    Raises:
        ValueError: every training in the cells of the rule diverged, or there is none.
    """
    found = [cell for cell in cells.read(FILE) if cell["rule"] == rule and not cell["diverged"]]
    if not found:
        raise ValueError(f"CIFAR-10: expected a cell of {rule} without divergence, got none")
    return max(found, key=lambda cell: np.mean(cell["validation"]))
