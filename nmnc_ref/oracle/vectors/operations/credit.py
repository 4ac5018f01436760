"""Feedback, credit and gradient descent."""
# ruff: noqa: D103

from __future__ import annotations

from typing import NamedTuple

from nmnc_ref import credit as credits
from nmnc_ref import feedback as feedbacks
from nmnc_ref.arrays import Array
from nmnc_ref.nn import sgd
from nmnc_ref.nn.dense import Dense
from nmnc_ref.oracle.vectors.operation import operation


@operation("F1", "B ← (1 - η) B + η Ĵ", "linear")
def running_average(feedback: Array, estimate: Array, *, rate: float) -> Array:
    return feedbacks.running_average(feedback, estimate, rate)


@operation("F5", "g = e B (direct) or δ_{l+1} M (layer-wise)", "linear")
def activity_gradient(signal: Array, feedback: Array) -> Array:
    return credits.activity_gradient(signal, feedback)


@operation("F4", "δ_l = φ'(s_l) ⊙ (e B_l), or ⊙ (δ_{l+1} M_l)", "linear")
def delta(signal: Array, feedback: Array, slope: Array) -> Array:
    return credits.delta(signal, feedback, slope)


def _dense_like(delta: Array, activity: Array) -> Dense:
    return Dense(delta[:1, :].T * activity[:1, :], delta[0, :])


@operation("F4", "∂W_l = δ_lᵀ x_{l-1}", "linear")
def weight_gradient(delta: Array, activity: Array) -> Array:
    return _dense_like(delta, activity).gradient(delta, activity).weight


@operation("F4", "∂b_l = Σ_i δ_l", "linear")
def bias_gradient(delta: Array, activity: Array) -> Array:
    return _dense_like(delta, activity).gradient(delta, activity).bias


class Parameter(NamedTuple):
    """One array of parameters as a layer."""

    value: Array


def _descend(parameter: Array, gradient: Array, velocity: Array, **rates: float) -> tuple[Array, Array]:
    moved, speed = sgd.step((Parameter(parameter),), (Parameter(gradient),), (Parameter(velocity),), **rates)
    return moved[0].value, speed[0].value


@operation("A2", "v ← μ v + g + λ W", "linear")
def velocity(
    parameter: Array, gradient: Array, velocity: Array, *, learning_rate: float, momentum: float, decay: float
) -> Array:
    rates = {"learning_rate": learning_rate, "momentum": momentum, "decay": decay}
    return _descend(parameter, gradient, velocity, **rates)[1]


@operation("A2", "W ← W - η v, with v ← μ v + g + λ W", "linear")
def parameter(
    parameter: Array, gradient: Array, velocity: Array, *, learning_rate: float, momentum: float, decay: float
) -> Array:
    rates = {"learning_rate": learning_rate, "momentum": momentum, "decay": decay}
    return _descend(parameter, gradient, velocity, **rates)[0]
