"""Losses, averaged over the batch, each with its error e = ∂loss/∂y (the 1/B is inside)."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from nmnc_ref.arrays import Array, expect


class Loss(NamedTuple):
    """A loss of `output` y [B, n_o] and `target` [B, n_o]: `value` is the batch mean, `error` is e [B, n_o].

    `each` is the loss of each sample on its own, [..., B], of outputs [..., B, n_o] with any axes before the batch,
    such as draws. All raise TypeError for arrays of two libraries or dtypes or of any but float32 and float64, and
    ValueError for shapes that differ or are not [B, n_o], an empty array, NaN or infinity.
    """

    name: str
    value: Callable[[Array, Array], Array]
    error: Callable[[Array, Array], Array]
    each: Callable[[Array, Array], Array]


def _expect_pair(output: Array, target: Array) -> ModuleType:
    return expect(output=(output, "B o"), target=(target, "B o"))


def _expect_outputs(output: Array, target: Array) -> ModuleType:
    return expect(output=(output, "... B o"), target=(target, "B o"))


def _half_squared_norms(output: Array, target: Array) -> Array:
    xp = _expect_outputs(output, target)
    return xp.sum((output - target) ** 2, axis=-1) / 2


def _half_squared_norm(output: Array, target: Array) -> Array:
    xp = _expect_pair(output, target)
    return xp.mean(_half_squared_norms(output, target))


def _difference(output: Array, target: Array) -> Array:
    _expect_pair(output, target)
    return (output - target) / output.shape[0]


def _log_softmax(xp: ModuleType, output: Array) -> Array:
    shifted = output - xp.max(output, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def _cross_entropies(output: Array, target: Array) -> Array:
    xp = _expect_outputs(output, target)
    return -xp.sum(target * _log_softmax(xp, output), axis=-1)


def _cross_entropy(output: Array, target: Array) -> Array:
    xp = _expect_pair(output, target)
    return xp.mean(_cross_entropies(output, target))


def _cross_entropy_error(output: Array, target: Array) -> Array:
    xp = _expect_pair(output, target)
    mass = xp.sum(target, axis=-1, keepdims=True)
    return (mass * xp.exp(_log_softmax(xp, output)) - target) / output.shape[0]


squared_error = Loss("squared error", _half_squared_norm, _difference, _half_squared_norms)
"""mean_i ½‖y_i − t_i‖², so that e = (y − t)/B."""
softmax_cross_entropy = Loss("softmax cross-entropy", _cross_entropy, _cross_entropy_error, _cross_entropies)
"""mean_i −t_i · log softmax(y_i), so that e = (softmax(y) − t)/B for targets that sum to 1."""
