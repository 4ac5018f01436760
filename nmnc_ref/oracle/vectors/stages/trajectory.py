"""Trajectories: the whole of training, many steps at a time."""
# ruff: noqa: D103

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace

from nmnc_ref import credit, random, training
from nmnc_ref.arrays import Array
from nmnc_ref.dense import Dense
from nmnc_ref.oracle.vectors.operation import operation
from nmnc_ref.oracle.vectors.stages.network import LOSSES, phi

ROUTES = {"direct": credit.direct, "layerwise": credit.layerwise}


@operation(
    "F1",
    "state after steps first + 1 … last: weights and biases by layer, their velocities, feedback, flat and in a row",
    "trajectory",
)
def training_state(
    x: Array,
    target: Array,
    key: Array,
    basis_1: Array,
    basis_2: Array,
    network: tuple,
    state: Array | None = None,
    *,
    rule: str,
    route: str,
    first: int,
    last: int,
    learning_rate: float,
    momentum: float,
    decay: float,
    feedback_rate: float,
    sigma: float,
    draws: int,
    compile: Callable | None = None,
) -> Array:
    for _ in range(first):
        key = random.fold_in(key, 0)
    settings = training.Settings(
        rule=rule,
        learning_rate=learning_rate,
        momentum=momentum,
        decay=decay,
        feedback_rate=feedback_rate,
        sigma=sigma,
        draws=draws,
        samples=x.shape[0],
    )
    advance = _advance(route, settings, compile)
    current = _unflattened(state, network, route, (basis_1, basis_2), key)
    for _ in range(first, last):
        current, _ = advance(current, x, target)
    return _flattened(current)


@functools.cache
def _advance(route: str, settings: training.Settings, compile: Callable | None) -> Callable:
    """Return one step, compiled if there is a compiler; the same for the same arguments, to compile it once."""
    parts: dict[str, Any] = {"route": ROUTES[route](phi("tanh")), "loss": LOSSES["squared_error"], "settings": settings}
    step = functools.partial(training.step, **parts)
    return compile(step) if compile else step


def _flattened(state: training.State) -> Array:
    parts = [each for layers in (state.network, state.velocity) for layer in layers for each in layer]
    xp = array_namespace(*parts)
    return xp.concat([xp.reshape(each, (-1,)) for each in (*parts, *state.feedback)])


def _unflattened(flat: Array | None, network: tuple, route: str, bases: tuple, key: Array) -> training.State:
    """Return the state that a flat one stands for, or that to begin with: velocity and feedback zero."""
    xp = array_namespace(bases[0])
    outputs, widths = network[-1].bias.shape[0], [layer.bias.shape[0] for layer in network]
    above = widths[1:] if route == "layerwise" else [outputs] * (len(network) - 1)
    shapes = [tuple(each.shape) for _ in range(2) for layer in network for each in layer]
    shapes += list(zip(above, widths[:-1], strict=True))
    if flat is None:
        parts = [each for layer in network for each in layer]
        parts += [xp.zeros(shape, dtype=parts[0].dtype) for shape in shapes[len(parts) :]]
    else:
        parts, start = [], 0
        for shape in shapes:
            parts.append(xp.reshape(flat[start : start + math.prod(shape)], shape))
            start += math.prod(shape)
    layers = [Dense(*parts[2 * l : 2 * l + 2]) for l in range(2 * len(network))]
    depth = len(network)
    return training.State(tuple(layers[:depth]), tuple(layers[depth:]), tuple(parts[4 * depth :]), bases, key)
