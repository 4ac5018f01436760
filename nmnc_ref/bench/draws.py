"""Rows: normal random numbers."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nmnc_ref import random
from nmnc_ref.bench.row import Cost, Finding, row
from nmnc_ref.bench.timing import paired

SIZE = 10**7
CIPHER = 20 * 5 + 10 * 2
"""Integer operations of Threefry-2x32: 20 rounds of add, two shifts, or, xor, and a key every fourth."""


@row(
    "normals-numpy",
    work="random.normal: 10⁷ float64 by Threefry-2x32 (two words of 64 bits for each) and Box–Muller",
    baseline="numpy.random.Generator.standard_normal (PCG64, ziggurat), 10⁷ float64",
    goal=4.0,
)
def normals_on_numpy() -> Finding:
    """NumPy, block by block."""
    key, generator = random.key(0, np), np.random.default_rng(0)
    return paired(
        lambda: random.normal(key, (SIZE,), np.float64),
        lambda: generator.standard_normal(SIZE),
        cost=Cost((2 * CIPHER + 10.0) * SIZE, 8.0 * SIZE),
        of_baseline=Cost(10.0 * SIZE, 8.0 * SIZE),
    )


@row(
    "normals-jax",
    work="jitted random.normal: 10⁷ float32 by Threefry-2x32 (two words of 32 bits for each) and Box–Muller",
    baseline="jitted jax.random.normal (Threefry-2x32, inverse error function), 10⁷ float32",
    goal=1.2,
)
def normals_on_jax() -> Finding:
    """JAX, fused by XLA."""
    own = jax.jit(functools.partial(random.normal, shape=(SIZE,), dtype=jnp.float32))
    theirs = jax.jit(functools.partial(jax.random.normal, shape=(SIZE,)))
    key, typed = random.key(0, jnp), jax.random.key(0)
    return paired(
        lambda: own(key).block_until_ready(),
        lambda: theirs(typed).block_until_ready(),
        cost=Cost((2 * CIPHER + 30.0) * SIZE, 4.0 * SIZE),
        of_baseline=Cost((CIPHER + 30.0) * SIZE, 4.0 * SIZE),
    )
