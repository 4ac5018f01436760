"""The grid of learning rates and feedback rates, and the cell of each rule that does best on the validation set.

`--profile full` trains every cell and writes what it found to `grid.json`, from where the claims choose.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmnc_ref import training
from paper_checks.lab import Lab
from paper_checks.learning.experiments.accuracy import Learner
from paper_checks.learning.experiments.tasks import TASKS

SEEDS = (100, 101)
"""Of the networks of each cell, which no comparison uses."""
FILE = Path(__file__).with_name("grid.json")
Cell = tuple[str, str, float, float | None]
"""Task, rule, learning rate and feedback rate."""


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
    """Write the validation accuracies of every cell, a line each, and where they were measured.

    Raises:
        OSError: the file cannot be written.
    """
    cells: dict[Cell, dict[str, Any]] = {}
    for each, found in results.items():
        place = (each.task, each.rule, each.learning_rate, each.feedback_rate)
        named = dict(zip(("task", "rule", "learning_rate", "feedback_rate"), place, strict=True))
        cell = cells.setdefault(place, named | {"validation": [], "diverged": 0})
        cell["validation"].append(found["validation"])
        cell["diverged"] += found["diverged"] is not None
    head = json.dumps({"backend": lab.backend, "dtype": lab.dtype_name, "seed": lab.seed})
    lines = ",\n  ".join(json.dumps(cell) for cell in cells.values())
    FILE.write_text(f'{head[:-1]}, "cells": [\n  {lines}\n]}}\n', encoding="utf-8")


def all_cells() -> list[dict[str, Any]]:
    """Return what was measured in every cell."""
    return json.loads(FILE.read_text(encoding="utf-8"))["cells"]


def best(task: str, rule: str, feedback_rates: tuple[float, ...] | None = None) -> tuple[float, float | None]:
    """Return learning rate and feedback rate of the cell whose worst network is best; of equal ones the smallest rates.

    The worst, not the mean, and only of cells from where the next larger learning rate of the grid, if there is one,
    does not diverge either: in the last cell before, other networks would now and then diverge. `feedback_rates` are
    those to choose from, all if None.

    Raises:
        ValueError: there is no such cell.
    """
    found = {
        (cell["learning_rate"], cell["feedback_rate"]): cell
        for cell in all_cells()
        if (cell["task"], cell["rule"]) == (task, rule)
        and (feedback_rates is None or cell["feedback_rate"] in (None, *feedback_rates))
    }
    larger = dict(itertools.pairwise(sorted({learning_rate for learning_rate, _ in found})))
    sound = [
        (-min(cell["validation"]), *place)
        for place, cell in found.items()
        if not cell["diverged"] and not found[larger.get(place[0], place[0]), place[1]]["diverged"]
    ]
    if not sound:
        raise ValueError(f"grid of {task}: expected a cell of {rule} away from divergence, got none")
    _, learning_rate, feedback_rate = min(sound)
    return learning_rate, feedback_rate
