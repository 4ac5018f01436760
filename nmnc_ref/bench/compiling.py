"""Rows: how long JAX takes to compile. The bounds count operations of the network to compile, not flops."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nmnc_ref import estimator, random, training
from nmnc_ref.bench.row import Cost, Finding, row
from nmnc_ref.bench.timing import paired
from nmnc_ref.fast import convolved, scanned
from nmnc_ref.fast import training as fast_training
from nmnc_ref.nn import convolution, initialisation, loss, recurrent
from nmnc_ref.nn.activation import tanh
from nmnc_ref.nn.recurrent import Cell
from nmnc_ref.route import Direct

STEPS, UNITS, BATCH = 8, 32, 4


def compiling(function: Callable, *arguments: Any) -> Callable[[], object]:
    """Return what compiles a function anew each time."""
    return lambda: jax.jit(lambda *given: function(*given)).lower(*arguments).compile()


@row(
    "compile-recurrent",
    work="compiling the forward pass and the antithetic responses of all T = 8 states of a recurrent network, as loops",
    baseline="the same by the readable functions, unrolled",
    goal=0.25,
)
def recurrent_network() -> Finding:
    """One loop against T² / 2 unrolled steps."""
    key = random.key(0, jnp)
    draw = lambda i, *shape: random.normal(random.fold_in(key, i), shape, jnp.float32)  # noqa: E731
    network = (
        Cell(draw(1, UNITS, UNITS) / 6, draw(2, UNITS, 3), draw(3, UNITS)),
        *initialisation.dense_network(key, (UNITS, 2), jnp.float32),
    )
    x, noise = draw(4, BATCH, STEPS, 3), draw(5, STEPS, 2, BATCH, UNITS)

    def as_a_loop(network: Any, x: Any, noise: Any) -> Any:
        return scanned.responses(network, x, scanned.forward(network, x, tanh), noise, tanh)

    def unrolled(network: Any, x: Any, noise: Any) -> Any:
        hidden = recurrent.forward(network, x, tanh).hidden
        tails = [recurrent.tail(network, x, t, tanh) for t in range(1, STEPS + 1)]
        return [estimator.antithetic_response(*each) for each in zip(tails, hidden, noise, strict=True)]

    steps = 2.0 * STEPS
    return paired(
        compiling(as_a_loop, network, x, noise),
        compiling(unrolled, network, x, noise),
        cost=Cost(3.0, 0.0),
        of_baseline=Cost(steps / 2 + steps * (STEPS - 1) / 2, 0.0),
        least=3,
    )


@row(
    "compile-convolution",
    work="compiling a fast step of training (NMNC, one sample, one-sided) of a network of two convolutions (8 and 16 "
    "channels, 5 × 5, stride 2) and a read-out on 28 × 28 images, with fast.convolved",
    baseline="the same with the readable convolutions",
    goal=0.5,
)
def convolutional_network() -> Finding:
    """One operation against one for each pixel of a kernel."""
    key, sides = random.key(0, jnp), (28, 14, 7)
    layers = []
    for index, (below, above) in enumerate(((1, 8), (8, 16))):
        geometry = convolution.Geometry((below, sides[index], sides[index]), size=5, stride=2, padding=2)
        weight = random.normal(random.fold_in(key, index), (above, below, 5, 5), jnp.float32) / (5 * below**0.5)
        layers.append(convolution.layer(weight, weight[:, 0, 0, 0], geometry))
    read_out = initialisation.dense_network(key, (layers[-1].outputs, 10), jnp.float32)
    x, target = random.uniform(key, (32, 784), jnp.float32), random.uniform(key, (32, 10), jnp.float32)
    settings = training.Settings("nmnc", dimension=8, antithetic=False)
    given: dict[str, Any] = {"route": Direct(tanh), "settings": settings}
    step = functools.partial(fast_training.step, loss=loss.squared_error, **given)
    states = [
        training.init(key, (*map(kind, layers), *read_out), x, **given)
        for kind in (convolved.layer, lambda readable: readable)
    ]
    fast, slow = (compiling(step, state, x, target) for state in states)
    return paired(fast, slow, cost=Cost(2.0, 0.0), of_baseline=Cost(2.0 * 5**2, 0.0), least=3)
