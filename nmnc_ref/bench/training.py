"""Rows: one training step against one step of backpropagation, on a 784-500-500-10 ReLU network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmnc_ref import random, training
from nmnc_ref.bench.plain import RATE, NumpyBackpropagation, jax_backpropagation, perturbed_cost, step_cost
from nmnc_ref.bench.row import Finding, row
from nmnc_ref.bench.timing import paired
from nmnc_ref.fast import training as fast_training
from nmnc_ref.nn import initialisation, loss
from nmnc_ref.nn.activation import relu
from nmnc_ref.route import Direct

WIDTHS = (784, 500, 500, 10)
BATCH, DIMENSION = 128, 50
WORK = (
    "a training step of 784-500-500-10 (ReLU, cross-entropy, momentum), batch 128, float32: forward pass, feedback to "
    "both hidden layers updated from one one-sided perturbation of {samples}{along}, deltas, gradients, new weights"
)
JITTED = "a jitted step of backpropagation by jax.value_and_grad, same network, batch, momentum; state donated"


def problem(xp: Any, rule: str, samples: int) -> tuple[training.State, Any, Any, dict[str, Any]]:
    """Return a state, a batch, and what the step is given."""
    key = random.key(0, xp)
    x = random.uniform(random.fold_in(key, 1), (BATCH, WIDTHS[0]), xp.float32)
    target = xp.eye(WIDTHS[-1], dtype=xp.float32)[xp.arange(BATCH) % WIDTHS[-1]]
    network = initialisation.dense_network(random.fold_in(key, 2), WIDTHS, xp.float32)
    settings = training.Settings(
        rule,  # type: ignore[arg-type]
        learning_rate=RATE,
        dimension=DIMENSION,
        samples=samples,
        antithetic=False,
    )
    given: dict[str, Any] = {"route": Direct(relu), "settings": settings}
    state = training.init(random.fold_in(key, 3), network, x, **given)
    return state, x, target, given | {"loss": loss.softmax_cross_entropy}


class Stepping:
    """A step as a function without arguments, of a state that it carries on."""

    def __init__(self, step: Callable, state: Any, *arguments: Any) -> None:
        self.step, self.state, self.arguments = step, jax.tree.map(lambda each: each + 0, state), arguments

    def __call__(self) -> None:
        """Take a step, and wait for it."""
        self.state, _ = jax.block_until_ready(self.step(self.state, *self.arguments))


def on_jax(rule: str, samples: int) -> Finding:
    """Compare jitted steps."""
    state, x, target, given = problem(jnp, rule, samples)
    step = jax.jit(functools.partial(fast_training.step, **given), donate_argnums=0)
    plain = tuple((layer.weight, layer.bias) for layer in state.network)
    return paired(
        Stepping(step, state, x, target),
        Stepping(jax_backpropagation(), (plain, jax.tree.map(lambda each: 0 * each, plain)), x, target),
        cost=perturbed_cost(WIDTHS, BATCH, samples, DIMENSION if rule == "nmnc" else None),
        of_baseline=step_cost(WIDTHS, BATCH),
    )


@row(
    "nmnc-step-jax",
    work=WORK.format(samples="every sample", along=" along d = 50 components"),
    baseline=JITTED,
    goal=1.0,
    threads=(1, 2),
)
def nmnc_on_jax() -> Finding:
    """Every sample perturbed along the manifold."""
    return on_jax("nmnc", BATCH)


@row(
    "nmnc-step-jax-one",
    work=WORK.format(samples="one sample", along=" along d = 50 components"),
    baseline=JITTED,
    goal=1.0,
    threads=(1, 2),
)
def nmnc_on_jax_of_one() -> Finding:
    """One sample perturbed along the manifold."""
    return on_jax("nmnc", 1)


@row(
    "vnc-step-jax",
    work=WORK.format(samples="every sample", along=" in all directions"),
    baseline=JITTED,
    goal=1.2,
    threads=(1, 2),
)
def vnc_on_jax() -> Finding:
    """Every sample perturbed in all directions."""
    return on_jax("vnc", BATCH)


@row(
    "nmnc-step-numpy",
    work=WORK.format(samples="every sample", along=" along d = 50 components"),
    baseline="a step of backpropagation in bare NumPy, same network, batch, momentum",
    goal=1.1,
)
def nmnc_on_numpy() -> Finding:
    """Every sample perturbed along the manifold, in NumPy."""
    state, x, target, given = problem(np, "nmnc", BATCH)
    plain = NumpyBackpropagation(state.network)
    return paired(
        Stepping(functools.partial(fast_training.step, **given), state, x, target),
        lambda: plain.step(x, target),
        cost=perturbed_cost(WIDTHS, BATCH, BATCH, DIMENSION),
        of_baseline=step_cost(WIDTHS, BATCH),
    )
