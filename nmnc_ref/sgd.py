"""Stochastic gradient descent with weight decay and heavy-ball momentum (A2)."""

from __future__ import annotations

from typing import Any

from nmnc_ref.arrays import expect, expect_tuple, fraction, leaves, positive


def zero_velocity(network: tuple[Any, ...]) -> tuple:
    """Return the velocity v_0 = 0 of a network, in layers of the same shapes.

    Raises:
        TypeError: not a tuple of layers, each a NamedTuple of arrays of float32 or float64.
        ValueError: empty arrays, NaN or infinity.
    """
    _expect_layers("network", network)
    return tuple(type(layer)(*(0 * parameter for parameter in layer)) for layer in network)


def step(
    network: tuple[Any, ...],
    gradient: tuple[Any, ...],
    velocity: tuple[Any, ...],
    *,
    learning_rate: float,
    momentum: float = 0.0,
    decay: float = 0.0,
) -> tuple[tuple, tuple]:
    """Take one step: v ← μ v + g + λ W, W ← W − η v, on every parameter, biases included.

    No Nesterov look-ahead, no dampening, and the decay is not decoupled.

    Args:
        network: layers, each a NamedTuple of arrays.
        gradient: g, in layers of the same shapes.
        velocity: v, in layers of the same shapes; `zero_velocity` to begin with.
        learning_rate: η > 0.
        momentum: μ in [0, 1].
        decay: λ ≥ 0.

    Returns:
        The new network and the new velocity.

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64; a rate that is not a number.
        ValueError: numbers of layers or shapes that differ, NaN, infinity; a rate out of its range.
    """
    for name, layers in (("network", network), ("gradient", gradient), ("velocity", velocity)):
        _expect_layers(name, layers)
        expect_tuple(name, layers, len(network), of="layers")
    like = network[0][0]
    learning_rate = positive("learning_rate", learning_rate, like)
    decay = positive("decay", decay, like, zero=True)
    momentum = fraction("momentum", momentum, like)
    moved, velocities = [], []
    for l, layer in enumerate(network):
        parameters, speeds = [], []
        expect_tuple(f"gradient[{l}]", gradient[l], len(layer), of="arrays")
        expect_tuple(f"velocity[{l}]", velocity[l], len(layer), of="arrays")
        for w, g, v in zip(layer, gradient[l], velocity[l], strict=True):
            expect(**{f"network[{l}]": (w, "..."), f"gradient[{l}]": (g, "..."), f"velocity[{l}]": (v, "...")})
            v = momentum * v + g + decay * w
            speeds.append(v)
            parameters.append(w - learning_rate * v)
        moved.append(type(layer)(*parameters))
        velocities.append(type(layer)(*speeds))
    return tuple(moved), tuple(velocities)


def _expect_layers(name: str, network: tuple[Any, ...]) -> None:
    expect_tuple(name, network, of="layers", filled=True)
    for l, layer in enumerate(network):
        if not hasattr(layer, "_fields"):
            raise TypeError(f"{name}[{l}]: expected a layer, a NamedTuple of arrays, got {type(layer).__name__}")
    expect(**{path: (array, "**") for path, array in leaves(name, network)})
