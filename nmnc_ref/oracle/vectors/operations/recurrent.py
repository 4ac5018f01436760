"""Recurrent networks of leak a: h_t = (1 − a) h_{t−1} + a φ(h_{t−1} Wᵀ + x_t Vᵀ + b), h_0 = 0, y_t = h_t Oᵀ + c."""

from __future__ import annotations

from nmnc_ref import credit
from nmnc_ref.arrays import Array
from nmnc_ref.nn import recurrent
from nmnc_ref.nn.dense import Dense
from nmnc_ref.oracle.vectors.operation import operation
from nmnc_ref.oracle.vectors.operations.network import ACTIVATIONS, LOSSES

NETWORK = ("weight", "input_weight", "bias", "read_weight", "read_bias")


def cell_and_read_out(
    weight: Array, input_weight: Array, bias: Array, read_weight: Array, read_bias: Array
) -> tuple[recurrent.Cell, Dense]:
    """Return the network that the arrays of `NETWORK` make up."""
    return recurrent.Cell(weight, input_weight, bias), Dense(read_weight, read_bias)


def _activity(x: Array, *, step: int, activation: str, leak: float, **network: Array) -> Array:
    return recurrent.forward(cell_and_read_out(**network), x, ACTIVATIONS[activation], leak=leak).activity[step]


def _tail_output(
    activity: Array, x: Array, *, step: int, activation: str, leak: float, every: int, **network: Array
) -> Array:
    start = (cell_and_read_out(**network), x, step, ACTIVATIONS[activation])
    return recurrent.tail(*start, leak=leak, every=bool(every))(activity)


def _jacobian(x: Array, *, step: int, activation: str, leak: float, every: int, **network: Array) -> Array:
    start = (cell_and_read_out(**network), x, step, ACTIVATIONS[activation])
    return recurrent.jacobian(*start, leak=leak, every=bool(every))


def _loss_gradient(
    x: Array, target: Array, *, activation: str, leak: float, every: int, loss: str, **network: Array
) -> Array:
    start = (cell_and_read_out(**network), x, target, ACTIVATIONS[activation], LOSSES[loss])
    return recurrent.backpropagation(*start, leak=leak, every=bool(every)).gradient[0].weight


ELEMENTARY = (
    operation(
        "recurrent_activity_gradient", "F5", "g_t = Σ_lag e_{t+lag} B_lag over the steps that are read out", "linear"
    )(
        ("signal", "feedback_0", "feedback_1", "feedback_2"),
        ("step", "every"),
        lambda signal, feedback_0, feedback_1, feedback_2, step, every: credit.activity_gradients_by_lag(
            signal, (feedback_0, feedback_1, feedback_2), every=bool(every)
        )[step - 1],
    ),
    operation("recurrent_delta", "F4", "δ_t = a φ'(s_t) ⊙ g_t", "nonlinear")(
        ("gradient", "preactivation"),
        ("activation", "leak"),
        lambda gradient, preactivation, activation, leak: recurrent.delta(
            gradient, preactivation, ACTIVATIONS[activation], leak=leak
        ),
    ),
)
COMPOSITE = (
    operation("recurrent_activity", "F4", "h_t", "nonlinear")(
        ("x", *NETWORK), ("step", "activation", "leak"), _activity
    ),
    operation(
        "recurrent_tail_output",
        "E8",
        "y as a function of h_t: y_T, or y_t … y_T side by side if every is 1",
        "nonlinear",
    )(("activity", "x", *NETWORK), ("step", "activation", "leak", "every"), _tail_output),
    operation(
        "recurrent_jacobian",
        "A1",
        "∂y/∂h_t = O Π_τ [(1 - a) I + a diag φ'(s_τ) W], τ from T down to t + 1",
        "nonlinear",
    )(("x", *NETWORK), ("step", "activation", "leak", "every"), _jacobian),
    operation(
        "recurrent_loss_gradient", "F4", "∂loss/∂W = Σ_t δ_tᵀ h_{t-1} by backpropagation through time", "nonlinear"
    )(("x", "target", *NETWORK), ("activation", "leak", "every", "loss"), _loss_gradient),
)
