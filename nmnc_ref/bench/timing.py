"""Times of two functions that take turns, so that whatever else the machine does hits both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from timeit import Timer

from nmnc_ref.bench.row import Cost, Finding

TURN = 0.02
"""Seconds that a turn lasts at least: the function is repeated until it does."""
MOST = 101
"""How many turns are taken at most."""


def paired(
    subject: Callable[[], object],
    baseline: Callable[[], object],
    *,
    cost: Cost,
    of_baseline: Cost,
    seconds: float = 10.0,
    least: int = 7,
) -> Finding:
    """Return the median of the ratios of neighbouring turns, with their quartiles.

    Args:
        subject: what is measured.
        baseline: what it is compared with.
        cost: of the subject.
        of_baseline: cost of the baseline.
        seconds: for all turns together.
        least: turns, whatever time they take.
    """
    timers = [Timer(subject), Timer(baseline)]
    for timer in timers:
        timer.timeit(1)  # which compiles, and touches memory for the first time
    repetitions = [max(1, round(TURN / timer.timeit(1))) for timer in timers]
    turns: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(turns) < least or (time.perf_counter() < end and len(turns) < MOST):
        own, other = (timer.timeit(number) / number for timer, number in zip(timers, repetitions, strict=True))
        turns.append((own, other))
    low, middle, high = statistics.quantiles([own / other for own, other in turns], n=4)
    own, other = (statistics.median(times) for times in zip(*turns, strict=True))
    detail = {"seconds": own, "baseline_seconds": other, "turns": float(len(turns))}
    return Finding(middle, (low, high), cost, of_baseline, detail)
