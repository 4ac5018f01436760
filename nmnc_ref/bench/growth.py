"""Rows: how time grows with draws, units, components and samples, against the scaling model; and memory with draws."""

from __future__ import annotations

import functools
import resource
import statistics
from collections.abc import Callable
from timeit import Timer
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmnc_ref import estimator, random
from nmnc_ref.bench.row import Cost, Finding, row
from nmnc_ref.fast import factored, streamed
from nmnc_ref.nn import feedforward, initialisation
from nmnc_ref.nn.activation import relu

ABOVE, OUTPUTS = 512, 10
START = {"K": 256, "n": 256, "d": 16, "B": 8}
DOUBLINGS = 4
ROWS = 2048
"""Perturbations at a time, so that what is between the products stays in cache."""
WORK = (
    "factored estimates from K one-sided draws for each of B samples, tail n-512-10 (ReLU), float32, z given, 2,048 "
    "perturbations at a time: slope of log time against log {axis} over four doublings from K = 256, n = 256, d = 16, "
    "B = 8"
)
PREDICTED = (
    "the slope that the scaling model predicts, with the machine's own seconds for a flop and for a byte; the value is "
    "the difference"
)
GOAL = 0.15


def modelled(K: int, n: int, d: int, B: int) -> Cost:
    """Return what a factored estimate costs: W U once, then for each of K·B rows the layers above and the correlation.

    Bytes: the activity above is written by a product, read and written by two sums and φ, and read by a product.
    """
    rows = K * B
    products = n * ABOVE * d + rows * (d * ABOVE + ABOVE * OUTPUTS + OUTPUTS * d)
    return Cost(2.0 * products, 4.0 * (n * ABOVE + rows * (d + 8 * ABOVE)))


def estimate(K: int, n: int, d: int, B: int) -> Callable[[], np.ndarray]:
    """Return the factored estimate as a function without arguments."""
    key = random.key(0, np)
    network = initialisation.dense_network(key, (4, n, ABOVE, OUTPUTS), np.float32)
    passed = feedforward.forward(network, random.normal(key, (B, 4), np.float32), relu)
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((n, d), dtype=np.float32))
    z = random.normal(key, (K, B, d), np.float32)

    def run() -> np.ndarray:
        tail = factored.feedforward_tail(network, passed, 1, basis, relu)

        def part(start: int, stop: int) -> np.ndarray:
            c = 0.01 * z[start:stop, ...]
            return estimator.batch_correlation(tail(c) - passed.output, c, 0.01)

        return estimator.in_chunks(part, K, ROWS // B)

    return run


def rates() -> tuple[float, float]:
    """Return seconds for a flop, of a product, and for a byte, of a sum that does not fit in cache."""
    square, long = np.ones((512, 512), np.float32), np.ones(2**23, np.float32)
    product, total = Timer(lambda: square @ square), Timer(lambda: long + long)
    flop = min(product.repeat(5, 5)) / 5 / (2 * 512**3)
    return flop, min(total.repeat(5, 2)) / 2 / (3 * long.nbytes)


def slope(sizes: list[int], values: list[float]) -> float:
    """Return the slope of a line through logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def grown(axis: str) -> Finding:
    """Compare slopes; sizes take turns, and the spread is that of the slopes of single turns."""
    sizes = [START[axis] * 2**step for step in range(DOUBLINGS + 1)]
    runs = [Timer(estimate(**(START | {axis: size}))) for size in sizes]
    costs = [modelled(**(START | {axis: size})) for size in sizes]
    flop, byte = rates()
    predicted = slope(sizes, [cost.flops * flop + cost.bytes * byte for cost in costs])
    for run in runs:
        run.timeit(1)
    turns = [[min(run.repeat(2, 1)) for run in runs] for _ in range(7)]
    slopes = [slope(sizes, times) for times in turns]
    low, middle, high = (each - predicted for each in statistics.quantiles(slopes, n=4))
    detail = {"slope": middle + predicted, "predicted": predicted, "seconds_at_most": statistics.median(turns[-1])}
    return Finding(abs(middle), (low, high), costs[-1], costs[0], detail)


for each in START:
    row(f"growth-{each.lower()}", work=WORK.format(axis=each), baseline=PREDICTED, goal=GOAL)(
        functools.partial(grown, each)
    )


@row(
    "peak-memory",
    work="fast.streamed.estimates of 10⁶ antithetic pairs in chunks of 1024, network 16-4096-64-10, n = 4096, d = 32, "
    "float32: peak of the process's memory",
    baseline="the same for 10³ pairs, before it in the same process",
    goal=1.05,
)
def peak_of_memory() -> Finding:
    """The largest resident set so far, which can only grow."""
    key = random.key(0, jnp)
    network = initialisation.dense_network(key, (16, 4096, 64, OUTPUTS), jnp.float32)
    bases = tuple(jnp.linalg.qr(random.normal(key, (n, 32), jnp.float32))[0] for n in (4096, 64))
    x, peaks = random.normal(key, (1, 16), jnp.float32), {}
    for exponent in (3, 4, 5, 6):
        given: dict[str, Any] = {
            "activation": relu,
            "sigma": 0.01,
            "draws": 10**exponent,
            "chunk": 1024,
            "mesh": streamed.mesh(),
        }
        jax.block_until_ready(jax.jit(functools.partial(streamed.estimates, **given))(key, network, x, bases))
        peaks[exponent] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    growth = peaks[6] / peaks[3]
    held = Cost(0.0, 4.0 * (4096 * (16 + 64 + 32) + 1024 * (32 + 64) * 4))
    return Finding(growth, (growth, growth), held, held, {f"bytes_at_1e{e}": peak for e, peak in peaks.items()})
