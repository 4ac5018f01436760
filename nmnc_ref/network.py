"""Feedforward networks: s_l = x_{l−1} W_lᵀ + b_l, x_l = φ(s_l), the last layer linear (y = x_L = s_L).

A network is a tuple of layers, such as `dense.Dense`. Every function below asks no more of a layer than `Layer`
states, so that any kind can take part. The same φ follows each hidden layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from array_api_compat import device

from nmnc_ref.arrays import Array, count, expect, expect_tuple, leaves


class Activation(Protocol):
    """An elementwise φ: `value` is s ↦ φ(s), `slope` is s ↦ φ'(s)."""

    @property
    def value(self) -> Callable[[Array], Array]: ...  # noqa: D102
    @property
    def slope(self) -> Callable[[Array], Array]: ...  # noqa: D102


class Loss(Protocol):
    """A loss of output and target: `value` is the batch mean, `error` is ∂loss/∂y."""

    @property
    def value(self) -> Callable[[Array, Array], Array]: ...  # noqa: D102
    @property
    def error(self) -> Callable[[Array, Array], Array]: ...  # noqa: D102


class Layer(Protocol):
    """An affine map from the activity of one layer to the preactivation of the next; a NamedTuple of arrays."""

    @property
    def inputs(self) -> int:
        """The number n_{l−1} of units below."""

    @property
    def positions(self) -> int:
        """The number of places that share each weight: 1 for a dense layer."""

    def preactivation(self, activity: Array) -> Array:
        """Return s [..., n_l] of the activity [..., n_{l−1}] below."""

    def pull_back(self, delta: Array) -> Array:
        """Return the gradient [..., n_{l−1}] with respect to the activity below of a gradient [..., n_l] at s."""

    def gradient(self, delta: Array, activity: Array) -> Layer:
        """Return the gradient of the parameters, in a layer, summed over the batch."""


Network = tuple[Layer, ...]


class Forward(NamedTuple):
    """A forward pass: `activity` is (x_0, …, x_L), `preactivation` is (s_1, …, s_L), each [..., n_l]."""

    activity: tuple[Array, ...]
    preactivation: tuple[Array, ...]

    @property
    def output(self) -> Array:
        """The output y = x_L [..., n_o]."""
        return self.activity[-1]


class Backpropagation(NamedTuple):
    """Everything that backpropagation computes.

    `forward`: the forward pass; `loss`: scalar; `error`: e = ∂loss/∂y [B, n_o];
    `activity_gradient`: (∂loss/∂x_0, …, ∂loss/∂x_L); `delta`: (∂loss/∂s_1, …, ∂loss/∂s_L);
    `gradient`: the gradients of the parameters, in layers.
    """

    forward: Forward
    loss: Array
    error: Array
    activity_gradient: tuple[Array, ...]
    delta: tuple[Array, ...]
    gradient: tuple[Any, ...]


def forward(network: Network, x: Array, activation: Activation) -> Forward:
    """Run the network on `x` [..., n_0] and keep every activity.

    Raises:
        TypeError: not arrays of one library and one of the dtypes float32 and float64.
        ValueError: an empty network, shapes that do not fit, empty arrays, NaN or infinity.
    """
    _expect_layers(network)
    parameters = {name: (array, "**") for name, array in leaves("network", network)}
    expect(**parameters, x=(x, "... m"))
    if x.shape[-1] != network[0].inputs:
        units = f"a last axis of {network[0].inputs} units as in network[0]"
        raise ValueError(f"x: expected {units}, got shape {list(x.shape)}")
    return _run(network, x, activation)


def _run(network: Network, activity: Array, activation: Activation) -> Forward:
    activities, preactivations = [activity], []
    for index, layer in enumerate(network):
        s = layer.preactivation(activities[-1])
        preactivations.append(s)
        activities.append(s if index + 1 == len(network) else activation.value(s))
    return Forward(tuple(activities), tuple(preactivations))


def tail(network: Network, layer: int, activation: Activation) -> Callable[[Array], Array]:
    """Return the tail f_l with y = f_l(x_l): [..., n_l] → [..., n_o].

    Args:
        network: its layers.
        layer: l, from 0 (the tail is the whole network) to L (the identity).
        activation: φ.

    Raises:
        TypeError: `layer` is not an integer.
        ValueError: an empty network, or a layer that it does not have. The tail raises as `forward` does.
    """
    _expect_layers(network)
    above = network[count("layer", layer, 0, len(network)) :]

    def output(activity: Array) -> Array:
        expect(activity=(activity, "... n"))
        return _run(above, activity, activation).output

    return output


def injection(network: Network, x: Array, activation: Activation) -> Callable[[Array], Array]:
    """Return the output as a function of offsets to all hidden activities at once: x_l = φ(s_l) + offset_l.

    The offsets of the layers 1 … L−1 stand side by side in one array [..., B, n_1 + … + n_{L−1}], so this is one
    more tail to the estimators, whose Jacobian at zero holds those of all hidden layers side by side.

    Args:
        network: its layers, at least two.
        x: [B, n_0].
        activation: φ.

    Raises:
        TypeError, ValueError: as `forward`; ValueError also for a network without a hidden layer.
    """
    forward(network, x, activation)  # for its checks
    bounds = list(itertools.accumulate((layer.inputs for layer in network[1:]), initial=0))
    if len(bounds) == 1:
        raise ValueError("network: expected at least one hidden layer, got none")

    def injected(offset: Array) -> Array:
        expect(x=(x, "B m"), offset=(offset, "... B *"))
        if offset.shape[-1] != bounds[-1]:
            raise ValueError(f"offset: expected a last axis of {bounds[-1]} units, got {offset.shape[-1]}")
        activity = x
        for layer, (start, stop) in zip(network, itertools.pairwise(bounds), strict=False):
            activity = activation.value(layer.preactivation(activity)) + offset[..., start:stop]
        return network[-1].preactivation(activity)

    return injected


def jacobian(network: Network, x: Array, layer: int, activation: Activation) -> Array:
    """Return the exact Jacobian J_l = ∂y/∂x_l = W_L diag φ'(s_{L−1}) W_{L−1} … diag φ'(s_{l+1}) W_{l+1} (A1).

    Args:
        network: its layers.
        x: the network's input [..., n_0].
        layer: l, from 0 to L.
        activation: φ.

    Returns:
        [..., n_o, n_l].

    Raises:
        TypeError, ValueError: as `forward` and `tail`.
    """
    passed = forward(network, x, activation)
    xp = expect(x=(x, "... m"))
    n_o = passed.output.shape[-1]
    rows = xp.broadcast_to(xp.eye(n_o, dtype=x.dtype, device=device(x)), (*x.shape[:-1], n_o, n_o))
    for index in reversed(range(count("layer", layer, 0, len(network)), len(network))):
        if index + 1 < len(network):
            rows = rows * activation.slope(passed.preactivation[index])[..., None, :]
        rows = network[index].pull_back(rows)
    return rows


def backpropagation(network: Network, x: Array, target: Array, activation: Activation, loss: Loss) -> Backpropagation:
    """Compute the exact gradients: δ_L = e, g_l = δ_{l+1} W_{l+1}, δ_l = φ'(s_l) ⊙ g_l, ∂W_l = δ_lᵀ x_{l−1} (F4).

    Args:
        network: its layers.
        x: [B, n_0].
        target: [B, n_o].
        activation: φ.
        loss: of the output, with the batch mean inside.

    Raises:
        TypeError, ValueError: as `forward`; ValueError also for a target that does not fit the output.
    """
    expect(x=(x, "B m"), target=(target, "B o"))
    passed = forward(network, x, activation)
    error = loss.error(passed.output, target)
    activity_gradients, deltas = [error], [error]
    for index in reversed(range(len(network))):
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


def _expect_layers(network: Network) -> None:
    expect_tuple("network", network, of="layers", filled=True)
    for index, layer in enumerate(network):
        if not all(hasattr(layer, method) for method in ("inputs", "preactivation", "pull_back", "gradient")):
            raise TypeError(f"network[{index}]: expected a layer, got {type(layer).__name__}")
