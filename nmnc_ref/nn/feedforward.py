"""Feedforward networks: s_l = x_{l−1} W_lᵀ + b_l, x_l = φ(s_l), the last layer linear (y = x_L = s_L).

A network is a tuple of layers, such as `dense.Dense`. Every function below asks no more of a layer than `layer.Layer`
states, so that any kind can take part. The same φ follows each hidden layer.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from array_api_compat import device

from nmnc_ref.arrays import Array, Float, Layers, at_most, expect, expect_length, namespace
from nmnc_ref.checked import checked
from nmnc_ref.nn.activation import Activation
from nmnc_ref.nn.layer import Layer
from nmnc_ref.nn.loss import Loss
from nmnc_ref.numerics import of_rank
from nmnc_ref.scalars import Index, Some

Network = Annotated[tuple[Layer, ...], Some]


class Forward(NamedTuple):
    """A forward pass: `activity` is (x_0, …, x_L), `preactivation` is (s_1, …, s_L)."""

    activity: tuple[Float[Array, "*batch _"], ...]
    preactivation: tuple[Float[Array, "*batch _"], ...]

    @property
    def hidden(self) -> tuple[Array, ...]:
        """The activities of the hidden layers, x_1 … x_{L−1}."""
        return self.activity[1:-1]

    @property
    def output(self) -> Array:
        """The output y = x_L."""
        return self.activity[-1]


class Backpropagation(NamedTuple):
    """Everything that backpropagation computes.

    `error`: e = ∂loss/∂y; `activity_gradient`: (∂loss/∂x_0, …, ∂loss/∂x_L), that of x_0 if asked for;
    `delta`: (∂loss/∂s_1, …, ∂loss/∂s_L); `gradient`: the gradients of the parameters, in layers.
    """

    forward: Forward
    loss: Float[Array, ""]
    error: Float[Array, "B o"]
    activity_gradient: tuple[Float[Array, "B _"], ...]
    delta: tuple[Float[Array, "B _"], ...]
    gradient: Layers


@checked
def forward(network: Network, x: Float[Array, "*batch m"], activation: Activation) -> Forward:
    """x_l = φ(s_l), y = s_L: run the network and keep every activity.

    Args:
        network: its layers.
        x: input x_0.
        activation: φ.
    """
    expect_length("x", x, -1, network[0].inputs, "network[0]")
    return _run(network, x, activation)


def _run(network: tuple[Layer, ...], activity: Array, activation: Activation) -> Forward:
    for below, layer in itertools.pairwise(network):
        fits = layer.inputs == below.outputs
        expect(fits, f"network: expected layers that fit, got {layer.inputs} inputs above {below.outputs} outputs")
    activities, preactivations = [activity], []
    for index, layer in enumerate(network):
        s = layer.preactivation(activities[-1])
        preactivations.append(s)
        activities.append(s if index + 1 == len(network) else activation.value(s))
    return Forward(tuple(activities), tuple(preactivations))


@dataclass(frozen=True, eq=False)
class Tail:
    """The tail f_l with y = f_l(x_l): the layers above l."""

    layers: tuple[Layer, ...]
    activation: Activation

    @checked
    def __call__(self, activity: Float[Array, "*batch n"]) -> Float[Array, "*batch o"]:
        """y of the activity x_l."""
        return _run(self.layers, activity, self.activation).output


@checked
def tail(network: Network, layer: Index, activation: Activation) -> Tail:
    """f_l with y = f_l(x_l).

    Args:
        network: its layers.
        layer: l, from 0 (the tail is the whole network) to L (the identity).
        activation: φ.
    """
    at_most("layer", layer, len(network), "the number of layers of network")
    return Tail(tuple(network[layer:]), activation)


@dataclass(frozen=True, eq=False)
class Injection:
    """The output as a function of offsets to all hidden activities at once, side by side."""

    network: Network
    x: Float[Array, "B m"]
    activation: Activation

    @checked
    def __call__(self, offset: Float[Array, "*draws B n"]) -> Float[Array, "*draws B o"]:
        """y with x_l = φ(s_l) + offset_l in every hidden layer."""
        bounds = list(itertools.accumulate((layer.inputs for layer in self.network[1:]), initial=0))
        expect_length("offset", offset, -1, bounds[-1], "the hidden layers of network")
        activity = of_rank(self.x, offset.ndim)
        for layer, (start, stop) in zip(self.network, itertools.pairwise(bounds), strict=False):
            activity = self.activation.value(layer.preactivation(activity)) + offset[..., start:stop]
        return self.network[-1].preactivation(activity)


@checked
def injection(network: Network, x: Float[Array, "B m"], activation: Activation) -> Injection:
    """y as a function of offsets to all hidden activities at once: x_l = φ(s_l) + offset_l (E15).

    The offsets of the layers 1 … L−1 stand side by side in one array, so this is one more tail to the estimators,
    whose Jacobian at zero holds those of all hidden layers side by side.

    Args:
        network: its layers, at least two.
        x: input x_0.
        activation: φ.
    """
    forward(network, x, activation)  # for its checks
    expect(len(network) > 1, "network: expected at least one hidden layer, got none")
    return Injection(network, x, activation)


@checked
def jacobian(
    network: Network, x: Float[Array, "*batch m"], layer: Index, activation: Activation
) -> Float[Array, "*batch o n"]:
    """J_l = ∂y/∂x_l = W_L diag φ'(s_{L−1}) W_{L−1} … diag φ'(s_{l+1}) W_{l+1}, exactly (A1).

    Args:
        network: its layers.
        x: input x_0.
        layer: l, from 0 to L.
        activation: φ.
    """
    passed = forward(network, x, activation)
    at_most("layer", layer, len(network), "the number of layers of network")
    xp, o = namespace(x), passed.output.shape[-1]
    rows = xp.broadcast_to(xp.eye(o, dtype=x.dtype, device=device(x)), (*x.shape[:-1], o, o))
    for index in reversed(range(layer, len(network))):
        if index + 1 < len(network):
            rows = rows * activation.slope(passed.preactivation[index])[..., None, :]
        rows = network[index].pull_back(rows)
    return rows


@checked
def backpropagation(
    network: Network,
    x: Float[Array, "B m"],
    target: Float[Array, "B o"],
    activation: Activation,
    loss: Loss,
    *,
    to_input: bool = True,
) -> Backpropagation:
    """δ_L = e, g_l = δ_{l+1} W_{l+1}, δ_l = φ'(s_l) ⊙ g_l, ∂W_l = δ_lᵀ x_{l−1}: the exact gradients (F4).

    Args:
        network: its layers.
        x: input x_0.
        target: of the output.
        activation: φ.
        loss: of the output, with the batch mean inside.
        to_input: compute ∂loss/∂x_0 too, which no learning needs.
    """
    passed = forward(network, x, activation)
    error = loss.error(passed.output, target)
    activity_gradients, deltas = [error], [error]
    for index in reversed(range(len(network))):
        if index or to_input:
            activity_gradients.append(network[index].pull_back(deltas[-1]))
        if index:
            deltas.append(activation.slope(passed.preactivation[index - 1]) * activity_gradients[-1])
    deltas.reverse()
    activity_gradients.reverse()
    gradient = tuple(
        layer.gradient(delta, activity)
        for layer, delta, activity in zip(network, deltas, passed.activity, strict=False)
    )
    value = loss.value(passed.output, target)
    return Backpropagation(passed, value, error, tuple(activity_gradients), tuple(deltas), gradient)
