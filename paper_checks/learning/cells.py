"""A file with the cells of a grid: what distinguishes each, and what its networks found on validation data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nmnc_ref.oracle import files
from paper_checks.lab import Lab


def write(
    file: Path,
    results: Mapping[Any, Mapping[str, Any]],
    lab: Lab,
    place: Sequence[str],
    kept: Sequence[str] = (),
) -> None:
    """Write every cell, a line each, and where it was measured; nothing that was found on test data.

    Args:
        file: to write.
        results: what was found, by learner.
        lab: where.
        place: fields of a learner that distinguish the cells.
        kept: what the first network of a cell found beside its accuracy.

    Raises:
        OSError: the file cannot be written.
    """
    cells: dict[tuple, dict[str, Any]] = {}
    for each, found in results.items():
        values = {name: getattr(each, name) for name in place}
        more = {name: found.get(name) for name in kept}
        cell = cells.setdefault(tuple(values.values()), values | {"validation": [], "diverged": 0} | more)
        cell["validation"].append(found["validation"])
        cell["diverged"] += found["diverged"] is not None
    head = json.dumps({"backend": lab.backend, "dtype": lab.dtype_name, "seed": lab.seed})
    lines = ",\n  ".join(json.dumps(cell) for cell in cells.values())
    files.write(file, f'{head[:-1]}, "cells": [\n  {lines}\n]}}\n')


def away_from_divergence(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cells, of one rule, that do not diverge, nor does the next larger learning rate with their η.

    In the last cell before divergence other networks would now and then diverge.
    """
    places = {(cell["learning_rate"], cell["feedback_rate"]): cell for cell in found}
    larger = dict(itertools.pairwise(sorted({learning_rate for learning_rate, _ in places})))
    next_to = {place: places[larger.get(place[0], place[0]), place[1]] for place in places}
    return [cell for place, cell in places.items() if not cell["diverged"] and not next_to[place]["diverged"]]


def read(file: Path) -> list[dict[str, Any]]:
    """Return what was measured in every cell."""
    return json.loads(file.read_text(encoding="utf-8"))["cells"]
