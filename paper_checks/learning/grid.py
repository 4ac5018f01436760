"""The grid of learning rates and feedback rates, and the cell of each rule that did best on the validation set.

`--profile full` trains every cell and writes what it found to `grid.json`, from where the claims choose.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmnc_ref import training
from paper_checks.lab import Lab
from paper_checks.learning.experiments.learner import HIDDEN, Learner

LEARNING_RATES = (0.00125, 0.0025, 0.005, 0.01, 0.02)
FEEDBACK_RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
SEED = 100
"""Of the networks of the grid, which no comparison uses."""
FILE = Path(__file__).with_name("grid.json")


def experiments() -> list[Learner]:
    """Return the whole grid: the same learning rates for every rule, the same η for both kinds of noise."""
    return [
        Learner(task, rule, learning_rate, feedback_rate, SEED)
        for task in HIDDEN
        for rule in training.RULES
        for learning_rate in LEARNING_RATES
        for feedback_rate in (FEEDBACK_RATES if rule in training.PERTURBING else (None,))
    ]


def write(results: Mapping[Learner, Mapping[str, Any]], lab: Lab) -> None:
    """Write the validation accuracy of every cell, a line each, and where it was measured.

    Raises:
        OSError: the file cannot be written.
    """
    cells = [
        {
            "task": each.task,
            "rule": each.rule,
            "learning_rate": each.learning_rate,
            "feedback_rate": each.feedback_rate,
            "validation": found["validation"],
            "diverged": found["diverged"] is not None,
        }
        for each, found in results.items()
    ]
    head = json.dumps({"backend": lab.backend, "dtype": lab.dtype_name, "seed": lab.seed})
    lines = ",\n  ".join(json.dumps(cell) for cell in cells)
    FILE.write_text(f'{head[:-1]}, "cells": [\n  {lines}\n]}}\n', encoding="utf-8")


def cells(task: str, rule: str) -> list[dict[str, Any]]:
    """Return what was measured in the cells of a rule."""
    found = json.loads(FILE.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if (cell["task"], cell["rule"]) == (task, rule)]


def best(task: str, rule: str) -> tuple[float, float | None]:
    """Return learning rate and feedback rate of the highest validation accuracy; of equal ones the smallest rates."""
    cell = max(
        cells(task, rule),
        key=lambda cell: (cell["validation"], -cell["learning_rate"], -(cell["feedback_rate"] or math.inf)),
    )
    return cell["learning_rate"], cell["feedback_rate"]
