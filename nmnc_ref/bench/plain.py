"""Baselines written by hand: backpropagation with momentum in bare NumPy and in bare JAX, and what steps cost."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmnc_ref.bench.row import Cost

RATE, MOMENTUM = 1e-4, 0.9


def numpy_forward(weights: list, biases: list, x: np.ndarray) -> tuple[list, list]:
    """Return activities and preactivations of a ReLU network."""
    activities, preactivations = [x], []
    for l, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        preactivations.append(activities[-1] @ weight.T + bias)
        activities.append(preactivations[-1] if l + 1 == len(weights) else np.maximum(preactivations[-1], 0))
    return activities, preactivations


class NumpyBackpropagation:
    """Steps of backpropagation from the parameters of a network; the code is as functional as the library's."""

    def __init__(self, network: tuple) -> None:
        self.weights = [layer.weight for layer in network]
        self.biases = [layer.bias for layer in network]
        self.velocity = [[0 * each for each in part] for part in (self.weights, self.biases)]

    def step(self, x: np.ndarray, target: np.ndarray) -> float:
        """Take a step and return the loss."""
        activities, preactivations = numpy_forward(self.weights, self.biases, x)
        shifted = activities[-1] - activities[-1].max(axis=1, keepdims=True)
        logarithm = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        deltas = [(np.exp(logarithm) - target) / x.shape[0]]
        for l in reversed(range(1, len(self.weights))):
            deltas.insert(0, (preactivations[l - 1] > 0) * (deltas[0] @ self.weights[l]))
        for l, delta in enumerate(deltas):
            self._move(self.weights, self.velocity[0], l, delta.T @ activities[l])
            self._move(self.biases, self.velocity[1], l, delta.sum(axis=0))
        return -float((target * logarithm).sum(axis=1).mean())

    def _move(self, parameters: list, velocity: list, l: int, gradient: np.ndarray) -> None:
        velocity[l] = MOMENTUM * velocity[l] + gradient
        parameters[l] = parameters[l] - RATE * velocity[l]


def jax_backpropagation() -> Callable:
    """Return a jitted step, ((weights and biases), velocity), x, target ↦ the same and the loss; the state is given."""

    def loss(network: Any, x: Any, target: Any) -> Any:
        for l, (weight, bias) in enumerate(network):
            s = x @ weight.T + bias
            x = s if l + 1 == len(network) else jax.nn.relu(s)
        return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(x), axis=1))

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: tuple, x: Any, target: Any) -> tuple:
        network, velocity = state
        value, gradient = jax.value_and_grad(loss)(network, x, target)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
        return (jax.tree.map(lambda w, v: w - RATE * v, network, velocity), velocity), value

    return step


def step_cost(widths: tuple[int, ...], batch: int, itemsize: int = 4) -> Cost:
    """Return the cost of a step of backpropagation: three products for each layer but the first, which has two.

    Bytes: the weights are read three times and written once, their velocity read and written, the gradient both.
    """
    sizes = [below * above for below, above in itertools.pairwise(widths)]
    return Cost(2.0 * batch * (3 * sum(sizes) - sizes[0]), 8.0 * itemsize * sum(sizes))


def perturbed_cost(widths: tuple[int, ...], batch: int, samples: int, dimension: int | None, itemsize: int = 4) -> Cost:
    """Return the cost of a step by direct feedback that perturbs some samples, one-sided, along d components or all.

    There is no pull-back from layer to layer: 2·sum of weights for the forward pass and the gradient, B·n_o·n for the
    deltas. A perturbation takes d columns of W U, or n of W, the layers above, and the correlation. What is made once
    is W U and C Uᵀ; perturbations fewer than d take U z each in their place.
    """
    sizes = [below * above for below, above in itertools.pairwise(widths)]
    o, products = widths[-1], batch * 2 * sum(sizes)
    for l, n in enumerate(widths[1:-1], start=1):
        d = n if dimension is None or samples < dimension else dimension
        products += batch * o * n + samples * (d * widths[l + 1] + sum(sizes[l + 1 :]) + o * d)
        if d < n:
            products += d * sizes[l] + o * d * n
        elif dimension is not None:
            products += samples * dimension * n
    return Cost(2.0 * products, 8.0 * itemsize * sum(sizes))
