"""Rows: many devices, as the processor divided into 8; and compiling recurrent networks."""

from __future__ import annotations

import functools
import math
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmnc_ref import random
from nmnc_ref.bench.growth import slope
from nmnc_ref.bench.row import Cost, Finding, row
from nmnc_ref.fast import streamed
from nmnc_ref.nn import initialisation
from nmnc_ref.nn.activation import tanh

WIDTHS, BATCH, DRAWS, DIMENSION = (32, 512, 256, 10), 8, 1024, 32
MESHES = ((1, 1), (2, 1), (2, 2), (4, 2))
WORK = (
    "fast.streamed.estimates of 1024 antithetic pairs for each of 8 samples, network 32-512-256-10, d = 32, float32, "
    "on meshes of 1, 2, 2 × 2 and 4 × 2 host devices"
)


def compiled() -> dict[tuple[int, int], Any]:
    """Return the estimates on each mesh as functions without arguments."""
    key = random.key(0, jnp)
    network = initialisation.dense_network(key, WIDTHS, jnp.float32)
    x = random.normal(key, (BATCH, WIDTHS[0]), jnp.float32)
    bases = tuple(jnp.linalg.qr(random.normal(key, (n, DIMENSION), jnp.float32))[0] for n in WIDTHS[1:-1])
    found = {}
    for draws, batch in MESHES:
        mesh = streamed.mesh(draws=draws, batch=batch)
        given: dict[str, Any] = {"activation": tanh, "sigma": 0.1, "draws": DRAWS, "chunk": 64, "mesh": mesh}
        placed = jax.device_put(
            (key, network, x, bases), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        )
        found[draws, batch] = functools.partial(jax.jit(functools.partial(streamed.estimates, **given)), *placed)
    return found


def cost_of_device(devices: int) -> Cost:
    """Return what one device computes, and sends and receives: each layer's sums, twice in a ring."""
    rows, products, sums = 2 * DRAWS * BATCH / devices, 0.0, 0
    for l, n in enumerate(WIDTHS[1:-1], start=1):
        above = sum(a * b for a, b in zip(WIDTHS[l + 1 :], WIDTHS[l + 2 :], strict=False))
        products += n * WIDTHS[l + 1] * DIMENSION + rows * (
            DIMENSION * WIDTHS[l + 1] + above + WIDTHS[-1] * DIMENSION / 2
        )
        sums += WIDTHS[-1] * DIMENSION
    return Cost(2.0 * products, 2.0 * 4 * sums * (devices - 1) / devices)


@row(
    "devices-alike",
    work=WORK + ": the largest difference between them, as a share of what rounding may do, 4·eps·√(K·B)·max|C|",
    baseline="the estimate on one device",
    goal=1.0,
    devices=8,
)
def alike() -> Finding:
    """The same draws on every mesh."""
    every = [[np.asarray(C) for C in run()] for run in compiled().values()]
    allowed = 4 * float(np.finfo(np.float32).eps) * math.sqrt(DRAWS * BATCH)
    off = max(
        float(np.abs(C - own).max() / np.abs(own).max()) / allowed
        for found in every
        for C, own in zip(found, every[0], strict=True)
    )
    return Finding(off, (off, off), cost_of_device(8), cost_of_device(1), {})


@row(
    "devices-time",
    work=WORK + ": slope of log processor time per device against log devices; bytes are those sent",
    baseline="the slope of the model's flops per device; the value is the difference",
    goal=0.15,
    devices=8,
)
def time_of_devices() -> Finding:
    """Devices that share a processor share its time, so what counts is the processor's time over all of them."""
    runs, times = compiled(), []
    counts = [math.prod(mesh) for mesh in runs]
    for run in runs.values():
        jax.block_until_ready(run())
    for _ in range(7):
        turn = []
        for devices, run in zip(counts, runs.values(), strict=True):
            start = time.process_time()
            jax.block_until_ready(run())
            turn.append((time.process_time() - start) / devices)
        times.append(turn)
    predicted = slope(counts, [cost_of_device(devices).flops for devices in counts])
    low, middle, high = (each - predicted for each in statistics.quantiles([slope(counts, t) for t in times], n=4))
    detail = {"slope": middle + predicted, "predicted": predicted}
    return Finding(abs(middle), (low, high), cost_of_device(8), cost_of_device(1), detail)
