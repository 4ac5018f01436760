"""What a row of the benchmark is: work, a baseline, a goal, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

ROWS: dict[str, Row] = {}
"""All rows by name, in the order of the table."""


class Cost(NamedTuple):
    """The least that some work takes: floating-point operations, and bytes moved between memory and processor."""

    flops: float
    bytes: float


class Finding(NamedTuple):
    """What was measured: a value, the quartiles around it, the costs of work and baseline, and what it is made of."""

    value: float
    quartiles: tuple[float, float]
    cost: Cost
    baseline_cost: Cost
    detail: dict[str, float]


class Row(NamedTuple):
    """A row: `goal` is the largest value that meets it; `threads`, for each of which it is measured, and `devices`."""

    work: str
    baseline: str
    goal: float
    threads: tuple[int, ...]
    devices: int
    measure: Callable[[], Finding]


def row(
    name: str, *, work: str, baseline: str, goal: float, threads: tuple[int, ...] = (1,), devices: int = 1
) -> Callable[[Callable[[], Finding]], Callable[[], Finding]]:
    """Register a function that measures as a row of the benchmark."""

    def register(measure: Callable[[], Finding]) -> Callable[[], Finding]:
        ROWS[name] = Row(work, baseline, goal, threads, devices, measure)
        return measure

    return register
