"""Activation functions φ(s) of the hidden layers, each with its derivative φ'(s).

Values and slopes keep their relative accuracy however small they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nmnc_ref.arrays import Array, Float, namespace
from nmnc_ref.checked import checked

Elementwise = Callable[[Float[Array, "*any"]], Float[Array, "*any"]]


class Activation(NamedTuple):
    """An elementwise non-linearity: `value` is s ↦ φ(s), `slope` is s ↦ φ'(s)."""

    name: str
    value: Elementwise
    slope: Elementwise


@checked
def _identity(preactivation: Float[Array, "*any"]) -> Float[Array, "*any"]:
    return preactivation


@checked
def _one(preactivation: Float[Array, "*any"]) -> Float[Array, "*any"]:
    return namespace(preactivation).ones_like(preactivation)


@checked
def _relu(preactivation: Float[Array, "*any"]) -> Float[Array, "*any"]:
    xp = namespace(preactivation)
    return xp.maximum(preactivation, xp.zeros_like(preactivation))


@checked
def _step(preactivation: Float[Array, "*any"]) -> Float[Array, "*any"]:
    return namespace(preactivation).astype(preactivation > 0, preactivation.dtype)


@checked
def _tanh(preactivation: Float[Array, "*any"]) -> Float[Array, "*any"]:
    return namespace(preactivation).tanh(preactivation)


@checked
def _tanh_slope(preactivation: Float[Array, "*any"]) -> Float[Array, "*any"]:
    xp = namespace(preactivation)
    tail = xp.exp(-2 * xp.abs(preactivation))  # 1 − tanh² is 0 by rounding where the slope is small
    return 4 * tail / (1 + tail) ** 2


@checked
def _softplus(preactivation: Float[Array, "*any"]) -> Float[Array, "*any"]:
    xp = namespace(preactivation)
    return xp.logaddexp(preactivation, xp.zeros_like(preactivation))


@checked
def _logistic(preactivation: Float[Array, "*any"]) -> Float[Array, "*any"]:
    xp = namespace(preactivation)
    tail = xp.exp(-xp.abs(preactivation))
    return xp.where(preactivation >= 0, xp.ones_like(tail), tail) / (1 + tail)


identity = Activation("identity", _identity, _one)
relu = Activation("relu", _relu, _step)
"""max(s, 0), with slope 0 at s = 0."""
tanh = Activation("tanh", _tanh, _tanh_slope)
softplus = Activation("softplus", _softplus, _logistic)
"""log(1 + eˢ), with the logistic function as slope."""
