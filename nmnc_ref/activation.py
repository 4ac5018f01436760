"""Activation functions φ(s) of the hidden layers, each with its derivative φ'(s)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nmnc_ref.arrays import Array, expect


class Activation(NamedTuple):
    """An elementwise non-linearity: `value` is s ↦ φ(s), `slope` is s ↦ φ'(s); both keep shape and dtype.

    Both raise TypeError for what is not an array of float32 or float64, and ValueError for an empty array, NaN or
    infinity.
    """

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def _identity(preactivation: Array) -> Array:
    expect(preactivation=(preactivation, "..."))
    return preactivation


def _one(preactivation: Array) -> Array:
    xp = expect(preactivation=(preactivation, "..."))
    return xp.ones_like(preactivation)


def _relu(preactivation: Array) -> Array:
    xp = expect(preactivation=(preactivation, "..."))
    return xp.where(preactivation > 0, preactivation, xp.zeros_like(preactivation))


def _step(preactivation: Array) -> Array:
    xp = expect(preactivation=(preactivation, "..."))
    return xp.astype(preactivation > 0, preactivation.dtype)


def _tanh(preactivation: Array) -> Array:
    xp = expect(preactivation=(preactivation, "..."))
    return xp.tanh(preactivation)


def _tanh_slope(preactivation: Array) -> Array:
    value = _tanh(preactivation)
    return (1 - value) * (1 + value)


def _softplus(preactivation: Array) -> Array:
    xp = expect(preactivation=(preactivation, "..."))
    return xp.logaddexp(preactivation, xp.zeros_like(preactivation))


def _sigmoid(preactivation: Array) -> Array:
    xp = expect(preactivation=(preactivation, "..."))
    return (1 + xp.tanh(preactivation / 2)) / 2


identity = Activation("identity", _identity, _one)
relu = Activation("relu", _relu, _step)
"""max(s, 0), with slope 0 at s = 0."""
tanh = Activation("tanh", _tanh, _tanh_slope)
softplus = Activation("softplus", _softplus, _sigmoid)
"""log(1 + eˢ), with the logistic function as slope."""
