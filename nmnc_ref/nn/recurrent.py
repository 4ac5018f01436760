"""Recurrent networks: s_t = h_{t−1} Wᵀ + x_t Vᵀ + b, h_t = (1 − a) h_{t−1} + a φ(s_t), h_0 = 0, y_t = h_t Oᵀ + c.

A network is a pair (cell, read-out). The perturbed activity is h_t, t = 1 … T, and its tail runs from step t to the
read-out: y_T, or if `every` is true all of y_1 … y_T side by side (from t on, for the tail), so that the output is one
vector in either case.

The leak a is 1 for the vanilla network, dt/τ for leaky units of time constant τ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from array_api_compat import device

from nmnc_ref.arrays import Array, Float, Layers, at_most, expect_length, expect_number, namespace
from nmnc_ref.checked import checked
from nmnc_ref.nn.activation import Activation
from nmnc_ref.nn.layer import Layer, each_parameter
from nmnc_ref.nn.loss import Loss
from nmnc_ref.numerics import of_rank
from nmnc_ref.scalars import Count, PositiveFraction


class Cell(NamedTuple):
    """The recurrent weights: W, V and b."""

    weight: Float[Array, "n n"]
    input_weight: Float[Array, "n m"]
    bias: Float[Array, "n"]

    @checked
    def drive(self, x: Float[Array, "B T m"]) -> Float[Array, "B T n"]:
        """x_t Vᵀ + b: what the inputs add to s_t."""
        return x @ self.input_weight.T + self.bias[None, None, :]


Network = tuple[Cell, Layer]
"""A cell, and the read-out from h_t to y_t."""


class Forward(NamedTuple):
    """A forward pass: `activity` is (h_0, …, h_T), `preactivation` is (s_1, …, s_T), `output` is y."""

    activity: tuple[Float[Array, "B n"], ...]
    preactivation: tuple[Float[Array, "B n"], ...]
    output: Float[Array, "B o"]

    @property
    def hidden(self) -> tuple[Array, ...]:
        """The activities h_1 … h_T."""
        return self.activity[1:]


class Backpropagation(NamedTuple):
    """Everything that backpropagation through time computes.

    `error`: e = ∂loss/∂y; `activity_gradient`: (g_1, …, g_T) with g_t = ∂loss/∂h_t along all paths;
    `delta`: (∂loss/∂s_1, …, ∂loss/∂s_T); `gradient`: of the parameters, as a cell and a read-out.
    """

    forward: Forward
    loss: Float[Array, ""]
    error: Float[Array, "B o"]
    activity_gradient: tuple[Float[Array, "B n"], ...]
    delta: tuple[Float[Array, "B n"], ...]
    gradient: Layers


@checked
def forward(
    network: Network,
    x: Float[Array, "B T m"],
    activation: Activation,
    *,
    leak: PositiveFraction = 1.0,
    every: bool = False,
) -> Forward:
    """h_t = (1 − a) h_{t−1} + a φ(h_{t−1} Wᵀ + x_t Vᵀ + b): run the network on sequences and keep every activity.

    Args:
        network: cell and read-out.
        x: inputs.
        activation: φ.
        leak: a.
        every: read out at every step, not at the last alone.
    """
    cell, read_out = network
    drive = cell.drive(x)
    activities, preactivations = _run(cell, drive, 0 * drive[:, 0, :], 0, activation, leak)
    output = _read(read_out, activities[1:], every)
    return Forward(tuple(activities), tuple(preactivations), output)


@dataclass(frozen=True, eq=False)
class Tail:
    """The tail h_t ↦ y: y_T, or y_t … y_T side by side if `every`; `drive` is what inputs add to s, x_t Vᵀ + b."""

    network: Network
    drive: Float[Array, "B T n"]
    step: Count
    activation: Activation
    leak: PositiveFraction
    every: bool

    @checked
    def __call__(self, activity: Float[Array, "*draws B n"]) -> Float[Array, "*draws B o"]:
        """y of the activity h_t."""
        cell, read_out = self.network
        activities, _ = _run(cell, self.drive, activity, self.step, self.activation, self.leak)
        return _read(read_out, activities, self.every)


@checked
def tail(
    network: Network,
    x: Float[Array, "B T m"],
    step: Count,
    activation: Activation,
    *,
    leak: PositiveFraction = 1.0,
    every: bool = False,
) -> Tail:
    """h_t ↦ y_T, or (y_t, …, y_T) side by side if `every`.

    Args:
        network: cell and read-out.
        x: inputs, of which those after step t drive the tail.
        step: t, from 1 to T.
        activation: φ.
        leak: a.
        every: read out at every step, not at the last alone.
    """
    at_most("step", step, x.shape[1], "the number of steps of x")
    return Tail(network, network[0].drive(x), step, activation, leak, every)


@checked
def jacobian(
    network: Network,
    x: Float[Array, "B T m"],
    step: Count,
    activation: Activation,
    *,
    leak: PositiveFraction = 1.0,
    every: bool = False,
) -> Float[Array, "B o n"]:
    """∂y/∂h_t = O Π_τ [(1 − a) I + a diag φ'(s_τ) W], τ from T down to t + 1, exactly: the Jacobian of `tail` (A1).

    Args:
        network: cell and read-out.
        x: inputs.
        step: t, from 1 to T.
        activation: φ.
        leak: a.
        every: read out at every step from t on, side by side, not at the last alone.
    """
    at_most("step", step, x.shape[1], "the number of steps of x")
    return _jacobians(network, x, step, activation, leak, every)[-1]


@checked
def jacobians(
    network: Network,
    x: Float[Array, "B T m"],
    activation: Activation,
    *,
    leak: PositiveFraction = 1.0,
    every: bool = False,
) -> tuple[Float[Array, "B _ n"], ...]:
    """(∂y/∂h_T, …, ∂y/∂h_1): `jacobian` of each state, by lag, as feedback through time is kept, in one sweep (A1).

    Args:
        network: cell and read-out.
        x: inputs.
        activation: φ.
        leak: a.
        every: read out at every step, side by side, not at the last alone.
    """
    return _jacobians(network, x, 1, activation, leak, every)


def _jacobians(
    network: Network, x: Array, first: int, activation: Activation, leak: Any, every: bool
) -> tuple[Array, ...]:
    """Return ∂y/∂h_t for t from T down to the first."""
    cell, read_out = network
    xp = namespace(x)
    passed = forward(network, x, activation, leak=leak, every=every)
    read = read_out.pull_back(xp.eye(read_out.outputs, dtype=x.dtype, device=device(x)))
    found = [xp.broadcast_to(read, (x.shape[0], *read.shape))]
    for index in reversed(range(first, x.shape[1])):  # from h_{index+1} to h_index, through s_{index+1}
        slope = activation.slope(passed.preactivation[index])[:, None, :]
        rows = (1 - leak) * found[-1] + leak * (found[-1] * slope) @ cell.weight
        found.append(xp.concat([found[0], rows], axis=1) if every else rows)
    return tuple(found)


@checked
def backpropagation(
    network: Network,
    x: Float[Array, "B T m"],
    target: Float[Array, "B o"],
    activation: Activation,
    loss: Loss,
    *,
    leak: PositiveFraction = 1.0,
    every: bool = False,
) -> Backpropagation:
    """g_t = e_t O + (1 − a) g_{t+1} + δ_{t+1} W, δ_t = a φ'(s_t) ⊙ g_t: the exact gradients through time (F4).

    Args:
        network: cell and read-out.
        x: inputs.
        target: of the shape of the output.
        activation: φ.
        loss: of the output, with the batch mean inside.
        leak: a.
        every: read out at every step, not at the last alone.
    """
    cell, read_out = network
    passed = forward(network, x, activation, leak=leak, every=every)
    error = loss.error(passed.output, target)
    errors = by_step(error, x.shape[1], read_out.outputs, every)
    gradients: list[Array] = []
    deltas: list[Array] = []
    for index in reversed(range(x.shape[1])):
        g = 0 * passed.activity[0] if errors[index] is None else read_out.pull_back(errors[index])
        if gradients:
            g = g + (1 - leak) * gradients[-1] + deltas[-1] @ cell.weight
        gradients.append(g)
        deltas.append(delta(g, passed.preactivation[index], activation, leak=leak))
    gradients.reverse()
    deltas.reverse()
    value = loss.value(passed.output, target)
    gradient = weight_gradients(network, x, passed.activity, tuple(deltas), error, every=every)
    return Backpropagation(passed, value, error, tuple(gradients), tuple(deltas), gradient)


@checked
def delta(
    activity_gradient: Float[Array, "B n"],
    preactivation: Float[Array, "B n"],
    activation: Activation,
    *,
    leak: PositiveFraction = 1.0,
) -> Float[Array, "B n"]:
    """δ_t = a φ'(s_t) ⊙ g_t (F4).

    Args:
        activity_gradient: g_t.
        preactivation: s_t.
        activation: φ.
        leak: a.
    """
    return leak * activation.slope(preactivation) * activity_gradient


@checked
def weight_gradients(
    network: Network,
    x: Float[Array, "B T m"],
    activities: tuple[Float[Array, "B n"], ...],
    deltas: tuple[Float[Array, "B n"], ...],
    error: Float[Array, "B o"],
    *,
    every: bool = False,
) -> Layers:
    """(∂W, ∂V, ∂b) = Σ_t (δ_tᵀ h_{t−1}, δ_tᵀ x_t, Σ_i δ_t) of the cell, and the gradient of the read-out (F4).

    Args:
        network: cell and read-out.
        x: inputs.
        activities: (h_0, …, h_T).
        deltas: (δ_1, …, δ_T), with the 1/B of the batch mean inside.
        error: e of the last step, or of all steps side by side if `every`.
        every: read out at every step, not at the last alone.
    """
    _, read_out = network
    steps = x.shape[1]
    expect_number("deltas", deltas, steps, "the steps of x")
    expect_number("activities", activities, steps + 1, "the steps of x, and h_0")
    xp = namespace(x)
    slopes = xp.stack(list(deltas), axis=1)  # [B, T, n]
    below = xp.stack(list(activities[:-1]), axis=1)
    gradient = Cell(
        xp.tensordot(slopes, below, axes=([0, 1], [0, 1])),
        xp.tensordot(slopes, x, axes=([0, 1], [0, 1])),
        xp.sum(slopes, axis=(0, 1)),
    )
    errors = by_step(error, steps, read_out.outputs, every)
    read = [read_out.gradient(e, h) for e, h in zip(errors, activities[1:], strict=True) if e is not None]
    return gradient, each_parameter(lambda *parts: sum(parts[1:], parts[0]), *read)


@checked
def by_step(error: Float[Array, "B _"], steps: Count, outputs: Count, every: bool) -> list[Array]:
    """(e_1, …, e_T): the errors of the outputs at each step, None where nothing is read out.

    Args:
        error: e of the last step, or of all steps side by side if `every`.
        steps: T.
        outputs: n_o.
        every: read out at every step, not at the last alone.
    """
    expect_length("error", error, 1, (steps if every else 1) * outputs, f"the outputs of {steps if every else 1} steps")
    if not every:
        return [None] * (steps - 1) + [error]
    return [error[:, t * outputs : (t + 1) * outputs] for t in range(steps)]


def _run(
    cell: Cell, drive: Array, activity: Array, step: int, activation: Activation, leak: Any
) -> tuple[list[Array], list[Array]]:
    activities, preactivations = [activity], []
    for index in range(step, drive.shape[1]):
        s = activities[-1] @ cell.weight.T + of_rank(drive[:, index, :], activity.ndim)
        preactivations.append(s)
        activities.append((1 - leak) * activities[-1] + leak * activation.value(s))
    return activities, preactivations


def _read(read_out: Layer, activities: list[Array], every: bool) -> Array:
    outputs = [read_out.preactivation(activity) for activity in (activities if every else activities[-1:])]
    return namespace(outputs[0]).concat(outputs, axis=-1)
