"""Networks: forward pass, loss, tails, Jacobians."""
# ruff: noqa: D103

from __future__ import annotations

from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation as activations
from nmnc_ref.nn import feedforward as networks
from nmnc_ref.nn import loss as losses
from nmnc_ref.nn.dense import Dense
from nmnc_ref.oracle.vectors.operation import operation

LOSSES = {"squared_error": losses.squared_error, "softmax_cross_entropy": losses.softmax_cross_entropy}


def phi(name: str) -> activations.Activation:
    """Return the activation of a name."""
    return {each.name: each for each in (activations.identity, activations.relu, activations.tanh)}[name]


@operation("F4", "s_l = x_{l-1} W_lᵀ + b_l", "linear")
def preactivation(activity: Array, weight: Array, bias: Array) -> Array:
    return Dense(weight, bias).preactivation(activity)


@operation("F4", "x_l = φ(s_l)", "nonlinear")
def activity(preactivation: Array, *, activation: str) -> Array:
    return phi(activation).value(preactivation)


@operation("F4", "φ'(s_l), with φ'(0) = 0 for ReLU", "nonlinear")
def slope(preactivation: Array, *, activation: str) -> Array:
    return phi(activation).slope(preactivation)


@operation("F4", "mean_i ½‖y_i - t_i‖², or mean_i -t_i · log softmax(y_i)", "nonlinear")
def loss_value(output: Array, target: Array, *, loss: str) -> Array:
    return LOSSES[loss].value(output, target)


@operation("F4", "e = ∂loss/∂y: (y - t)/B, or (softmax(y) - t)/B", "nonlinear")
def error(output: Array, target: Array, *, loss: str) -> Array:
    return LOSSES[loss].error(output, target)


@operation("E8", "y = f_l(x_l), the layers above l", "nonlinear")
def tail_output(activity: Array, network: tuple, *, layer: int, activation: str) -> Array:
    return networks.tail(network, layer, phi(activation))(activity)


@operation("E15", "y with x_l = φ(s_l) + offset_l at every hidden layer", "nonlinear")
def injected_output(offset: Array, x: Array, network: tuple, *, activation: str) -> Array:
    return networks.injection(network, x, phi(activation))(offset)


@operation("A1", "J_l = ∂y/∂x_l = W_L diag φ'(s_{L-1}) W_{L-1} … diag φ'(s_{l+1}) W_{l+1}", "nonlinear")
def jacobian(x: Array, network: tuple, *, layer: int, activation: str) -> Array:
    return networks.jacobian(network, x, layer, phi(activation))


@operation("F4", "∂loss/∂W_l by exact backpropagation", "nonlinear")
def loss_gradient(x: Array, target: Array, network: tuple, *, layer: int, activation: str, loss: str) -> Array:
    passed = networks.backpropagation(network, x, target, phi(activation), LOSSES[loss])
    return passed.gradient[layer - 1].weight
