"""Stochastic gradient descent with weight decay and heavy-ball momentum (A2)."""

from __future__ import annotations

from typing import Any

from nmnc_ref.arrays import expect, fraction, is_concrete, positive


def zero_velocity(network: tuple[Any, ...]) -> tuple:
    """Return the velocity v_0 = 0 of a network, in layers of the same shapes."""
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
    learning_rate = positive("learning_rate", learning_rate)
    decay = positive("decay", decay, zero=True)
    momentum = fraction("momentum", momentum) if is_concrete(momentum) else momentum
    for name, layers in (("gradient", gradient), ("velocity", velocity)):
        if len(layers) != len(network):
            raise ValueError(f"{name}: expected {len(network)} layers as in network, got {len(layers)}")
    moved, velocities = [], []
    for layer, slope, speed in zip(network, gradient, velocity, strict=True):
        parameters, speeds = [], []
        for w, g, v in zip(layer, slope, speed, strict=True):
            expect(network=(w, "..."), gradient=(g, "..."), velocity=(v, "..."))
            v = momentum * v + g + decay * w
            speeds.append(v)
            parameters.append(w - learning_rate * v)
        moved.append(type(layer)(*parameters))
        velocities.append(type(layer)(*speeds))
    return tuple(moved), tuple(velocities)
