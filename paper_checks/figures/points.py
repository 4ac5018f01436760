"""What figures read in the document of a run: comparisons by their coordinates, and results of experiments."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paper_checks.comparison import mean_interval
from paper_checks.figures.sheet import Look, Position, Series

Claim = Mapping[str, Any]
"""The entry of a claim in the document."""
Point = Mapping[str, Any]
"""That of a comparison."""


def points(claim: Claim, **at: Position) -> list[Point]:
    """Return the comparisons that were measured at these coordinates."""
    return [each for each in claim["comparisons"] if at.items() <= each["coordinates"].items()]


def values(found: Sequence[Point], coordinate: str) -> list[Any]:
    """Return the values of a coordinate, each once."""
    return list(dict.fromkeys(each["coordinates"][coordinate] for each in found))


def number(value: float | None) -> float:
    """Return a number of the document, NaN for null."""
    return math.nan if value is None else value


def measured(name: str, look: Look, found: Sequence[Point], along: str) -> Series:
    """Return what was measured along a coordinate, with tolerances or half intervals as bars."""
    x = [each["coordinates"][along] for each in found]
    y, half = ([number(each[field]) for each in found] for field in ("measured", "tolerance"))
    return Series(name, look, "measured", x, y, half)


def exact(name: str, look: Look, found: Sequence[Point], along: str) -> Series:
    """Return what was measured along a coordinate up to rounding, which no bar could show."""
    return measured(name, look, found, along)._replace(half=[])


def experiments(claim: Claim, kind: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield parameters and result of each experiment of a kind."""
    for each in claim["experiments"]:
        if each["experiment"] == kind:
            yield each["parameters"], each["result"]


def over_seeds(name: str, look: Look, samples: Mapping[Any, Sequence[float]], kind: str = "measured") -> Series:
    """Return means over seeds at each place, with 95 % intervals; a single value has none."""
    found = [mean_interval(each) if len(each) > 1 else (each[0], math.nan) for each in samples.values()]
    return Series(name, look, kind, list(samples), [mean for mean, _ in found], [half for _, half in found])
