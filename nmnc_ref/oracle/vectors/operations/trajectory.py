"""Trajectories: the whole of training, many steps at a time, of dense, convolutional and recurrent networks."""
# ruff: noqa: D103

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from array_api_compat import array_namespace

from nmnc_ref import random, training
from nmnc_ref.arrays import Array
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.layer import each_parameter, parameters
from nmnc_ref.oracle.vectors.operation import operation
from nmnc_ref.oracle.vectors.operations.convolution import layer_without_bias
from nmnc_ref.oracle.vectors.operations.network import LOSSES, phi
from nmnc_ref.oracle.vectors.operations.recurrent import cell_and_read_out
from nmnc_ref.route import Direct, Layerwise, Route, ThroughTime

ROUTES: dict[str, Route] = {"direct": Direct(phi("tanh")), "layerwise": Layerwise(phi("tanh"))}
EQUATION = "state after steps first + 1 … last: parameters by layer, their velocities, feedback, flat and in a row"


@operation("F1", EQUATION, "trajectory")
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
    rates: Mapping[str, Any],
    compile: Callable | None = None,
) -> Array:
    start = (network, (basis_1, basis_2), key, state)
    return _run(start, x, target, (first, last), ROUTES[route], _settings(rule, x, rates), compile)


@operation("F1", EQUATION, "trajectory")
def convolutional_training_state(
    x: Array,
    target: Array,
    key: Array,
    basis: Array,
    kernel: Array,
    kernel_bias: Array,
    weight: Array,
    bias: Array,
    state: Array | None = None,
    *,
    geometry: Mapping[str, int],
    rule: str,
    first: int,
    last: int,
    rates: Mapping[str, Any],
    compile: Callable | None = None,
) -> Array:
    network = (layer_without_bias(kernel, geometry)._replace(bias=kernel_bias), Dense(weight, bias))
    start = (network, (basis,), key, state)
    return _run(start, x, target, (first, last), ROUTES["direct"], _settings(rule, x, rates), compile)


@operation("F1", EQUATION, "trajectory")
def recurrent_training_state(
    x: Array,
    target: Array,
    key: Array,
    basis: Array,
    recurrent_network: Mapping[str, Array],
    state: Array | None = None,
    *,
    leak: float,
    every: int,
    rule: str,
    first: int,
    last: int,
    rates: Mapping[str, Any],
    compile: Callable | None = None,
) -> Array:
    start = (cell_and_read_out(recurrent_network), (basis,) * x.shape[1], key, state)
    return _run(start, x, target, (first, last), _through_time(leak, bool(every)), _settings(rule, x, rates), compile)


@functools.cache
def _through_time(leak: float, every: bool) -> Route:
    return ThroughTime(phi("tanh"), leak=leak, every=every)


def _settings(rule: str, x: Array, rates: Mapping[str, Any]) -> training.Settings:
    """Return settings with every sample perturbed."""
    return training.Settings(rule, **rates, samples=x.shape[0])


def _run(
    start: tuple[tuple, tuple, Array, Array | None],
    x: Array,
    target: Array,
    steps: tuple[int, int],
    route: Route,
    settings: training.Settings,
    compile: Callable | None,
) -> Array:
    network, bases, key, flat = start
    at_rest = training.init(key, network, x, route=route, settings=training.Settings("backpropagation"))
    for _ in range(steps[0]):
        key = random.fold_in(key, 0)
    current = (at_rest if flat is None else _filled(at_rest, flat))._replace(bases=bases, key=key)
    advance = _advance(route, settings, compile)  # type: ignore[arg-type]  # routes are frozen
    for _ in range(*steps):
        current, _ = advance(current, x, target)
    arrays = list(_arrays(current))
    xp = array_namespace(*arrays)
    return xp.concat([xp.reshape(each, (-1,)) for each in arrays])


@functools.cache
def _advance(route: Route, settings: training.Settings, compile: Callable | None) -> Callable:
    """Return one step, compiled if there is a compiler; the same for the same arguments, to compile it once."""
    parts: dict[str, Any] = {"route": route, "loss": LOSSES["squared_error"], "settings": settings}
    step = functools.partial(training.step, **parts)
    return compile(step) if compile else step


def _arrays(state: training.State) -> Iterator[Array]:
    """Yield parameters by layer, velocities in the same order, and feedback."""
    for layers in (state.network, state.velocity):
        for layer in layers:
            yield from (getattr(layer, name) for name in parameters(layer))
    yield from state.feedback


def _filled(state: training.State, flat: Array) -> training.State:
    """Return a state like `state` with the numbers of `flat`."""
    xp, parts, start = array_namespace(flat), [], 0
    for each in _arrays(state):
        size = math.prod(each.shape)
        parts.append(xp.reshape(flat[start : start + size], each.shape))
        start += size
    filled = iter(parts)
    network, velocity = (
        tuple(each_parameter(lambda _: next(filled), layer) for layer in layers)
        for layers in (state.network, state.velocity)
    )
    return state._replace(network=network, velocity=velocity, feedback=tuple(filled))
