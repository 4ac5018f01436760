"""Feedback, credit and gradient descent."""

from __future__ import annotations

from typing import NamedTuple

from nmnc_ref import credit, feedback
from nmnc_ref.arrays import Array
from nmnc_ref.nn import sgd
from nmnc_ref.nn.dense import Dense
from nmnc_ref.oracle.vectors.operation import operation


def _gradient(delta: Array, activity: Array) -> Dense:
    like = Dense(delta[:1, :].T * activity[:1, :], delta[0, :])
    return like.gradient(delta, activity)


class Parameter(NamedTuple):
    """One array of parameters as a layer."""

    value: Array


def _descend(parameter: Array, gradient: Array, velocity: Array, **rates: float) -> tuple[Array, Array]:
    """Return parameter and velocity after a step."""
    moved, speed = sgd.step((Parameter(parameter),), (Parameter(gradient),), (Parameter(velocity),), **rates)
    return moved[0].value, speed[0].value


ELEMENTARY = (
    operation("running_average", "F1", "B ← (1 - η) B + η Ĵ", "linear")(
        ("feedback", "estimate"), ("rate",), feedback.running_average
    ),
    operation("activity_gradient", "F5", "g = e B (direct) or δ_{l+1} M (layer-wise)", "linear")(
        ("signal", "feedback"), (), credit.activity_gradient
    ),
    operation("delta", "F4", "δ_l = φ'(s_l) ⊙ (e B_l), or ⊙ (δ_{l+1} M_l)", "linear")(
        ("signal", "feedback", "slope"), (), credit.delta
    ),
    operation("weight_gradient", "F4", "∂W_l = δ_lᵀ x_{l-1}", "linear")(
        ("delta", "activity"), (), lambda delta, activity: _gradient(delta, activity).weight
    ),
    operation("bias_gradient", "F4", "∂b_l = Σ_i δ_l", "linear")(
        ("delta", "activity"), (), lambda delta, activity: _gradient(delta, activity).bias
    ),
    operation("velocity", "A2", "v ← μ v + g + λ W", "linear")(
        ("parameter", "gradient", "velocity"),
        ("learning_rate", "momentum", "decay"),
        lambda **inputs: _descend(**inputs)[1],
    ),
    operation("parameter", "A2", "W ← W - η v, with v ← μ v + g + λ W", "linear")(
        ("parameter", "gradient", "velocity"),
        ("learning_rate", "momentum", "decay"),
        lambda **inputs: _descend(**inputs)[0],
    ),
)
