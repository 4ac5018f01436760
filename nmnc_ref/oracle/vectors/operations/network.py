"""Networks: forward pass, loss, tails, Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation as activations
from nmnc_ref.nn import feedforward
from nmnc_ref.nn import loss as losses
from nmnc_ref.nn.dense import Dense
from nmnc_ref.oracle.vectors.operation import operation

ACTIVATIONS = {each.name: each for each in (activations.identity, activations.relu, activations.tanh)}
LOSSES = {"squared_error": losses.squared_error, "softmax_cross_entropy": losses.softmax_cross_entropy}


def layers(arrays: Mapping[str, Array]) -> tuple[Dense, ...]:
    """Return the network that the arrays weight_1, bias_1, weight_2, … make up."""
    depth = sum(name.startswith("weight_") for name in arrays)
    return tuple(Dense(arrays[f"weight_{l}"], arrays[f"bias_{l}"]) for l in range(1, depth + 1))


def tail(network: Mapping[str, Array], layer: int, activation: str) -> Callable[[Array], Array]:
    """Return the tail above a layer of the network that arrays make up."""
    return feedforward.tail(layers(network), layer, ACTIVATIONS[activation])


def _loss_gradient(x: Array, target: Array, *, layer: int, activation: str, loss: str, **network: Array) -> Array:
    passed = feedforward.backpropagation(layers(network), x, target, ACTIVATIONS[activation], LOSSES[loss])
    return passed.gradient[layer - 1].weight


ELEMENTARY = (
    operation("preactivation", "F4", "s_l = x_{l-1} W_lᵀ + b_l", "linear")(
        ("activity", "weight", "bias"), (), lambda activity, weight, bias: Dense(weight, bias).preactivation(activity)
    ),
    operation("activity", "F4", "x_l = φ(s_l)", "nonlinear")(
        ("preactivation",),
        ("activation",),
        lambda preactivation, activation: ACTIVATIONS[activation].value(preactivation),
    ),
    operation("slope", "F4", "φ'(s_l), with φ'(0) = 0 for ReLU", "nonlinear")(
        ("preactivation",),
        ("activation",),
        lambda preactivation, activation: ACTIVATIONS[activation].slope(preactivation),
    ),
    operation("loss_value", "F4", "mean_i ½‖y_i - t_i‖², or mean_i -t_i · log softmax(y_i)", "nonlinear")(
        ("output", "target"), ("loss",), lambda output, target, loss: LOSSES[loss].value(output, target)
    ),
    operation("error", "F4", "e = ∂loss/∂y: (y - t)/B, or (softmax(y) - t)/B", "nonlinear")(
        ("output", "target"), ("loss",), lambda output, target, loss: LOSSES[loss].error(output, target)
    ),
)
COMPOSITE = (
    operation("tail_output", "E8", "y = f_l(x_l), the layers above l", "nonlinear")(
        ("activity", "network"),
        ("layer", "activation"),
        lambda activity, layer, activation, **network: tail(network, layer, activation)(activity),
    ),
    operation("injected_output", "E15", "y with x_l = φ(s_l) + offset_l at every hidden layer", "nonlinear")(
        ("offset", "x", "network"),
        ("activation",),
        lambda offset, x, activation, **network: feedforward.injection(layers(network), x, ACTIVATIONS[activation])(
            offset
        ),
    ),
    operation("jacobian", "A1", "J_l = ∂y/∂x_l = W_L diag φ'(s_{L-1}) W_{L-1} … diag φ'(s_{l+1}) W_{l+1}", "nonlinear")(
        ("x", "network"),
        ("layer", "activation"),
        lambda x, layer, activation, **network: feedforward.jacobian(
            layers(network), x, layer, ACTIVATIONS[activation]
        ),
    ),
    operation("loss_gradient", "F4", "∂loss/∂W_l by exact backpropagation", "nonlinear")(
        ("x", "target", "network"), ("layer", "activation", "loss"), _loss_gradient
    ),
)
