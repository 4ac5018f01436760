"""Stochastic gradient descent with weight decay and heavy-ball momentum (A2)."""

from __future__ import annotations

from typing import Any

from nmnc_ref.arrays import Layers, expect, expect_number
from nmnc_ref.checked import checked
from nmnc_ref.nn.layer import each_parameter, parameters
from nmnc_ref.scalars import Fraction, NonNegative, Positive


@checked
def zero_velocity(network: Layers) -> Layers:
    """v_0 = 0, in layers of the shapes of a network's.

    Args:
        network: its layers.
    """
    return tuple(each_parameter(lambda parameter: 0 * parameter, layer) for layer in network)


@checked
def step(
    network: Layers,
    gradient: Layers,
    velocity: Layers,
    *,
    learning_rate: Positive,
    momentum: Fraction = 0.0,
    decay: NonNegative = 0.0,
) -> tuple[Layers, Layers]:
    """v ← μ v + g + λ W, W ← W − η v: one step, of every parameter, biases included (A2).

    No Nesterov look-ahead, no dampening, and the decay is not decoupled.

    Args:
        network: its layers, with parameters W.
        gradient: g, in layers of the same shapes.
        velocity: v, in layers of the same shapes; `zero_velocity` to begin with.
        learning_rate: η.
        momentum: μ.
        decay: λ.

    Returns:
        The new network and the new velocity.
    """
    for name, layers in (("gradient", gradient), ("velocity", velocity)):
        _expect_alike(name, layers, network)
    moved, speeds = [], []
    for layer, g, v in zip(network, gradient, velocity, strict=True):
        speeds.append(each_parameter(lambda w, g, v: momentum * v + g + decay * w, layer, g, v))
        moved.append(each_parameter(lambda w, v: w - learning_rate * v, layer, speeds[-1]))
    return tuple(moved), tuple(speeds)


def _expect_alike(name: str, layers: tuple[Any, ...], network: tuple[Any, ...]) -> None:
    expect_number(name, layers, len(network), "network")
    for l, (own, layer) in enumerate(zip(layers, network, strict=True)):
        if getattr(own, "_fields", None) != layer._fields:
            raise TypeError(f"{name}[{l}]: expected a {type(layer).__name__} as in network, got {type(own).__name__}")
        for field in parameters(layer):
            got, wanted = list(getattr(own, field).shape), list(getattr(layer, field).shape)
            expect(got == wanted, f"{name}[{l}].{field}: expected shape {wanted} as in network, got {got}")
