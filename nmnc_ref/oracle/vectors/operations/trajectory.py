"""Trajectories: the whole of training, many steps at a time, of dense, convolutional and recurrent networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from array_api_compat import array_namespace

from nmnc_ref import random, training
from nmnc_ref.arrays import Array
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.layer import each_parameter, parameters
from nmnc_ref.oracle.vectors.operation import operation
from nmnc_ref.oracle.vectors.operations.convolution import GEOMETRY, unbiased
from nmnc_ref.oracle.vectors.operations.network import ACTIVATIONS, LOSSES, layers
from nmnc_ref.oracle.vectors.operations.recurrent import NETWORK, cell_and_read_out
from nmnc_ref.route import Direct, Layerwise, Route, ThroughTime

TANH = ACTIVATIONS["tanh"]
ROUTES: dict[str, Route] = {"direct": Direct(TANH), "layerwise": Layerwise(TANH)}
RATES = ("learning_rate", "momentum", "decay", "feedback_rate", "sigma", "draws")
EQUATION = (
    "state after steps first + 1 … last (tanh, squared error, antithetic pairs, decay of all parameters): "
    "parameters by layer, their velocities, feedback, flat and in a row"
)

Start = tuple[tuple, tuple[Array, ...], Route]
"""What is trained, along which bases, by which route."""
Parts = dict[str, tuple[int, ...]]


def _dense(x: Array, basis_1: Array, basis_2: Array, *, route: str, **network: Array) -> Start:
    return layers(network), (basis_1, basis_2), ROUTES[route]


def _convolutional(
    x: Array, basis: Array, kernel: Array, kernel_bias: Array, weight: Array, bias: Array, **geometry: int
) -> Start:
    network = (unbiased(kernel, **geometry)._replace(bias=kernel_bias), Dense(weight, bias))
    return network, (basis,), ROUTES["direct"]


def _recurrent(x: Array, basis: Array, *, leak: float, every: int, **network: Array) -> Start:
    return cell_and_read_out(**network), (basis,) * x.shape[1], ThroughTime(TANH, leak, bool(every))


def _trained(start: Callable[..., Start]) -> Callable[..., Array]:
    """Return the training of what `start` makes of the inputs x and of arguments of its own."""

    def state_after(
        x: Array,
        target: Array,
        key: Array,
        state: Array | None = None,
        *,
        rule: str,
        first: int,
        last: int,
        compile: Callable | None = None,
        **more: Any,
    ) -> Array:
        rates = {name: more.pop(name) for name in RATES}
        settings = training.Settings(rule, **rates, samples=x.shape[0])  # every sample is perturbed
        network, bases, route = start(x, **more)
        at_rest = training.init(key, network, x, route=route, settings=training.Settings("backpropagation"))
        for _ in range(first):
            key = random.fold_in(key, 0)
        current = (at_rest if state is None else _filled(at_rest, state))._replace(bases=bases, key=key)
        step = compile(training.step, static_argnames=("route", "loss", "settings")) if compile else training.step
        for _ in range(first, last):
            current, _ = step(current, x, target, route=route, loss=LOSSES["squared_error"], settings=settings)
        arrays = list(_arrays(current))
        xp = array_namespace(*arrays)
        return xp.concat([xp.reshape(each, (-1,)) for each in arrays])

    return state_after


def _parts(parameters: tuple[str, ...], feedback: Mapping[str, tuple[int, ...]], inputs: Mapping[str, Any]) -> Parts:
    """Return names and shapes of the parts of the flat state."""
    shapes = {name: inputs[name].shape for name in parameters}
    return shapes | {f"velocity of {name}": shape for name, shape in shapes.items()} | dict(feedback)


def _dense_parts(inputs: Mapping[str, Any]) -> Parts:
    network = layers(inputs)
    names = tuple(f"{part}_{l}" for l in range(1, len(network) + 1) for part in ("weight", "bias"))
    tops = {"layerwise": network[1:], "direct": network[-1:] * len(network[1:])}[inputs["route"]]
    pairs = enumerate(zip(tops, network[1:], strict=True), 1)
    return _parts(names, {f"feedback_{l}": (top.outputs, above.inputs) for l, (top, above) in pairs}, inputs)


def _convolutional_parts(inputs: Mapping[str, Any]) -> Parts:
    names = ("kernel", "kernel_bias", "weight", "bias")
    return _parts(names, {"feedback_1": inputs["weight"].shape}, inputs)


def _recurrent_parts(inputs: Mapping[str, Any]) -> Parts:
    lags = range(inputs["x"].shape[1])
    return _parts(NETWORK, {f"feedback_{lag}": inputs["read_weight"].shape for lag in lags}, inputs)


def _arrays(state: training.State) -> Iterator[Array]:
    """Yield parameters by layer, velocities in the same order, and feedback."""
    for network in (state.network, state.velocity):
        for layer in network:
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


COMPOSITE = (
    operation("training_state", "F1", EQUATION, "trajectory")(
        ("x", "target", "key", "basis_1", "basis_2", "network", "state"),
        ("rule", "route", "first", "last", *RATES),
        _trained(_dense),
        parts=_dense_parts,
        loops=True,
    ),
    operation("convolutional_training_state", "F1", EQUATION, "trajectory")(
        ("x", "target", "key", "basis", "kernel", "kernel_bias", "weight", "bias", "state"),
        (*GEOMETRY, "rule", "first", "last", *RATES),
        _trained(_convolutional),
        parts=_convolutional_parts,
        loops=True,
    ),
    operation("recurrent_training_state", "F1", EQUATION, "trajectory")(
        ("x", "target", "key", "basis", *NETWORK, "state"),
        ("leak", "every", "rule", "first", "last", *RATES),
        _trained(_recurrent),
        parts=_recurrent_parts,
        loops=True,
    ),
)
