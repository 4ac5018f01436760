"""Losses, averaged over the batch, each with its error e = ∂loss/∂y (the 1/B is inside).

Losses and errors keep their relative accuracy however small they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from array_api_compat import device

from nmnc_ref.arrays import Array, Float, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import of_rank


class Loss(NamedTuple):
    """A loss of output y and target: `value` is the batch mean, `error` is e = ∂value/∂y.

    `each` is the loss of each sample on its own, of outputs with any axes before the batch, such as draws.
    """

    name: str
    value: Callable[[Float[Array, "B o"], Float[Array, "B o"]], Float[Array, ""]]
    error: Callable[[Float[Array, "B o"], Float[Array, "B o"]], Float[Array, "B o"]]
    each: Callable[[Float[Array, "*draws B o"], Float[Array, "B o"]], Float[Array, "*draws B"]]


@checked
def _half_squared_norms(output: Float[Array, "*draws B o"], target: Float[Array, "B o"]) -> Float[Array, "*draws B"]:
    return namespace(output).sum((output - of_rank(target, output.ndim)) ** 2, axis=-1) / 2


@checked
def _half_squared_norm(output: Float[Array, "B o"], target: Float[Array, "B o"]) -> Float[Array, ""]:
    return namespace(output).mean(_half_squared_norms(output, target))


@checked
def _difference(output: Float[Array, "B o"], target: Float[Array, "B o"]) -> Float[Array, "B o"]:
    return (output - target) / output.shape[0]


def _log_softmax(output: Array) -> Array:
    xp = namespace(output)
    shifted = output - xp.max(output, axis=-1, keepdims=True)
    index = of_rank(xp.arange(output.shape[-1], device=device(output)), output.ndim)
    largest = index == xp.argmax(output, axis=-1, keepdims=True)
    others = xp.where(largest, xp.zeros_like(shifted), xp.exp(shifted))
    return shifted - xp.log1p(xp.sum(others, axis=-1, keepdims=True))


@checked
def _cross_entropies(output: Float[Array, "*draws B o"], target: Float[Array, "B o"]) -> Float[Array, "*draws B"]:
    xp, target, logarithm = namespace(output), of_rank(target, output.ndim), _log_softmax(output)
    return -xp.sum(target * xp.where(target == 0, xp.zeros_like(logarithm), logarithm), axis=-1)


@checked
def _cross_entropy(output: Float[Array, "B o"], target: Float[Array, "B o"]) -> Float[Array, ""]:
    return namespace(output).mean(_cross_entropies(output, target))


@checked
def _cross_entropy_error(output: Float[Array, "B o"], target: Float[Array, "B o"]) -> Float[Array, "B o"]:
    share = namespace(output).exp(_log_softmax(output))
    return (_others(target) * share - target * _others(share)) / output.shape[0]


def _others(array: Array) -> Array:
    """Return for each entry of the last axis the sum of the others, which would lose its digits in a difference."""
    xp = namespace(array)

    def before(array: Array) -> Array:
        return xp.concat([xp.zeros_like(array[..., :1]), xp.cumulative_sum(array, axis=-1)[..., :-1]], axis=-1)

    return before(array) + xp.flip(before(xp.flip(array, axis=-1)), axis=-1)


squared_error = Loss("squared error", _half_squared_norm, _difference, _half_squared_norms)
"""mean_i ½‖y_i − t_i‖², so that e = (y − t)/B."""
softmax_cross_entropy = Loss("softmax cross-entropy", _cross_entropy, _cross_entropy_error, _cross_entropies)
"""mean_i −t_i · log softmax(y_i), so that e = (softmax(y) − t)/B for targets that sum to 1."""
