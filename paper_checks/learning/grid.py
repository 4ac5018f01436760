"""The grid of learning rates and feedback rates, and the cell of each rule that does best on the validation set.

`--profile full` trains every cell and writes what it found to `grid.json`, from where the claims choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmnc_ref import training
from paper_checks.lab import Lab
from paper_checks.learning import cells
from paper_checks.learning.experiments.accuracy import Learner
from paper_checks.learning.experiments.tasks import TASKS

SEEDS = (100, 101)
"""Of the networks of each cell, which no comparison uses."""
FILE = Path(__file__).with_name("grid.json")
PLACE = ("task", "rule", "learning_rate", "feedback_rate")
"""What distinguishes the cells."""


def experiments() -> list[Learner]:
    """Return the whole grid: for each task the same learning rates for every rule, the same η for both noises."""
    return [
        Learner(name, rule, learning_rate, feedback_rate, seed)
        for name, task in TASKS.items()
        for rule in training.RULES
        for learning_rate in task.learning_rates
        for feedback_rate in (task.feedback_rates if rule in training.PERTURBING else (None,))
        for seed in SEEDS
    ]


def write(results: Mapping[Learner, Mapping[str, Any]], lab: Lab) -> None:
    """Write what was found in every cell.

    Raises:
        OSError: the file cannot be written.
    """
    cells.write(FILE, results, lab, PLACE)


def best(task: str, rule: str, feedback_rates: tuple[float, ...] | None = None) -> tuple[float, float | None]:
    """Return learning rate and feedback rate of the cell whose worst network is best; of equal ones the smallest rates.

    The worst, not the mean, and only of cells away from divergence. `feedback_rates` are those to choose from, all if
    None.

    Raises:
        ValueError: there is no such cell.
    """
    found = [
        cell
        for cell in cells.read(FILE)
        if (cell["task"], cell["rule"]) == (task, rule)
        and (feedback_rates is None or cell["feedback_rate"] in (None, *feedback_rates))
    ]
    sound = [
        (-min(cell["validation"]), cell["learning_rate"], cell["feedback_rate"])
        for cell in cells.away_from_divergence(found)
    ]
    if not sound:
        raise ValueError(f"grid of {task}: expected a cell of {rule} away from divergence, got none")
    _, learning_rate, feedback_rate = min(sound)
    return learning_rate, feedback_rate
