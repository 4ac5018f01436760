"""Recurrent networks of leak a: h_t = (1 − a) h_{t−1} + a φ(h_{t−1} Wᵀ + x_t Vᵀ + b), h_0 = 0, y_t = h_t Oᵀ + c."""
# ruff: noqa: D103

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nmnc_ref import credit
from nmnc_ref.arrays import Array
from nmnc_ref.nn import recurrent
from nmnc_ref.nn.dense import Dense
from nmnc_ref.oracle.vectors.operation import operation
from nmnc_ref.oracle.vectors.operations.network import LOSSES, phi


def cell_and_read_out(arrays: Mapping[str, Array]) -> tuple[recurrent.Cell, Dense]:
    """Return the network that the arrays of a `recurrent_network` make up."""
    cell = recurrent.Cell(arrays["weight"], arrays["input_weight"], arrays["bias"])
    return cell, Dense(arrays["read_weight"], arrays["read_bias"])


@operation("F4", "h_t", "nonlinear")
def recurrent_activity(
    x: Array,
    recurrent_network: Mapping[str, Array],
    *,
    step: int,
    activation: str,
    leak: float,
) -> Array:
    network = cell_and_read_out(recurrent_network)
    return recurrent.forward(network, x, phi(activation), leak=leak).activity[step]


@operation("E8", "y as a function of h_t: y_T, or y_t … y_T side by side if every is 1", "nonlinear")
def recurrent_tail_output(
    activity: Array,
    x: Array,
    recurrent_network: Mapping[str, Array],
    *,
    step: int,
    activation: str,
    leak: float,
    every: int,
) -> Array:
    network = cell_and_read_out(recurrent_network)
    return recurrent.tail(network, x, step, phi(activation), leak=leak, every=bool(every))(activity)


@operation("A1", "∂y/∂h_t = O Π_τ [(1 - a) I + a diag φ'(s_τ) W], τ from T down to t + 1", "nonlinear")
def recurrent_jacobian(
    x: Array,
    recurrent_network: Mapping[str, Array],
    *,
    step: int,
    activation: str,
    leak: float,
    every: int,
) -> Array:
    network = cell_and_read_out(recurrent_network)
    return recurrent.jacobian(network, x, step, phi(activation), leak=leak, every=bool(every))


@operation("F4", "∂loss/∂W = Σ_t δ_tᵀ h_{t-1} by backpropagation through time", "nonlinear")
def recurrent_loss_gradient(
    x: Array,
    target: Array,
    recurrent_network: Mapping[str, Array],
    *,
    activation: str,
    leak: float,
    every: int,
    loss: str,
) -> Array:
    network = cell_and_read_out(recurrent_network)
    kind: dict[str, Any] = {"leak": leak, "every": bool(every)}
    return recurrent.backpropagation(network, x, target, phi(activation), LOSSES[loss], **kind).gradient[0].weight


@operation("F5", "g_t = Σ_lag e_{t+lag} B_lag over the steps that are read out", "linear")
def recurrent_activity_gradient(
    signal: Array, feedback_0: Array, feedback_1: Array, feedback_2: Array, *, step: int, every: int
) -> Array:
    feedbacks = (feedback_0, feedback_1, feedback_2)
    return credit.activity_gradients_by_lag(signal, feedbacks, every=bool(every))[step - 1]


@operation("F4", "δ_t = a φ'(s_t) ⊙ g_t", "nonlinear")
def recurrent_delta(gradient: Array, preactivation: Array, *, activation: str, leak: float) -> Array:
    return recurrent.delta(gradient, preactivation, phi(activation), leak=leak)
