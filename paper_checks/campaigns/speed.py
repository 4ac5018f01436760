"""What the checks and the generality cost: `python -m paper_checks.campaigns.speed`, on one thread.

Each function of the library and the same arithmetic written by hand in plain NumPy take turns in one process; the ratio
of their times is what counts, as its median over all turns.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from nmnc_ref import estimator, random, training
from nmnc_ref.nn import activation, initialisation, loss
from nmnc_ref.route import Direct

WIDTHS = (784, 500, 500, 10)
BATCH = 128
DIMENSION = 16
TURNS = 200


def plain_forward(weights: list, biases: list, x: np.ndarray) -> tuple[list, list]:
    """Return activities and preactivations of a ReLU network."""
    activities, preactivations = [x], []
    for l, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        preactivations.append(activities[-1] @ weight.T + bias)
        activities.append(preactivations[-1] if l + 1 == len(weights) else np.maximum(preactivations[-1], 0))
    return activities, preactivations


def plain_step(weights: list, biases: list, velocity: list, deltas: list, activities: list, rate: float) -> None:
    """Descend with momentum, in place of what was there."""
    for l, delta in enumerate(deltas):
        for parameters, gradient, speed in (
            (weights, delta.T @ activities[l], velocity[0]),
            (biases, delta.sum(axis=0), velocity[1]),
        ):
            speed[l] = 0.9 * speed[l] + gradient + 0.0 * parameters[l]
            parameters[l] = parameters[l] - rate * speed[l]


def plain_loss(y: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return softmax cross-entropy and its error."""
    shifted = y - y.max(axis=1, keepdims=True)
    logarithm = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    value = -(target * logarithm).sum(axis=1).mean()
    return value, (target.sum(axis=1, keepdims=True) * np.exp(logarithm) - target) / len(y)


class Plain:
    """Training written by hand, with the numbers of a state of the library's."""

    def __init__(self, state: training.State, settings: training.Settings) -> None:
        self.weights = [layer.weight for layer in state.network]
        self.biases = [layer.bias for layer in state.network]
        self.velocity = [[0 * each for each in part] for part in (self.weights, self.biases)]
        self.feedback, self.bases, self.settings = list(state.feedback), state.bases, settings
        self.generator = np.random.default_rng(0)

    def backpropagation(self, x: np.ndarray, target: np.ndarray) -> None:
        """Take a step by backpropagation."""
        activities, preactivations = plain_forward(self.weights, self.biases, x)
        _, error = plain_loss(activities[-1], target)
        deltas = [error]
        for l in (2, 1):
            deltas.insert(0, (preactivations[l - 1] > 0) * (deltas[0] @ self.weights[l]))
        plain_step(self.weights, self.biases, self.velocity, deltas, activities, self.settings.learning_rate)

    def nmnc(self, x: np.ndarray, target: np.ndarray) -> None:
        """Take a step by NMNC from antithetic pairs, with direct feedback."""
        samples, sigma, rate = self.settings.samples, self.settings.sigma, self.settings.feedback_rate
        hidden, _ = plain_forward(self.weights, self.biases, x[:samples])
        for l, basis in enumerate(self.bases, start=1):
            z = self.generator.standard_normal((samples, basis.shape[1]), dtype=np.float32)
            noise = sigma * (z @ basis.T)
            both = [
                plain_forward(self.weights[l:], self.biases[l:], hidden[l] + sign * noise)[0][-1] for sign in (1, -1)
            ]
            estimate = ((both[0] - both[1]) / 2).T @ noise / samples / sigma**2
            self.feedback[l - 1] = (1 - rate) * self.feedback[l - 1] + rate * estimate
        activities, preactivations = plain_forward(self.weights, self.biases, x)
        _, error = plain_loss(activities[-1], target)
        deltas = [(s > 0) * (error @ B) for s, B in zip(preactivations, self.feedback, strict=False)]
        plain_step(self.weights, self.biases, self.velocity, [*deltas, error], activities, self.settings.learning_rate)


class Library:
    """The same by this library."""

    def __init__(self, state: training.State, settings: training.Settings) -> None:
        given: dict[str, Any] = {"route": Direct(activation.relu), "loss": loss.softmax_cross_entropy}
        self.state = state
        self.advance: Callable = functools.partial(training.step, settings=settings, **given)

    def step(self, x: np.ndarray, target: np.ndarray) -> None:
        """Take a step by the rule of the settings."""
        self.state, _ = self.advance(self.state, x, target)


def training_pair(rule: str, samples: int) -> tuple[Callable, Callable]:
    """Return a step of the library and the one by hand."""
    key, route = random.key(0, np), Direct(activation.relu)
    x = random.uniform(random.fold_in(key, 1), (BATCH, WIDTHS[0]), np.float32)
    target = np.eye(WIDTHS[-1], dtype=np.float32)[np.arange(BATCH) % WIDTHS[-1]]
    layers = initialisation.dense_network(random.fold_in(key, 2), WIDTHS, np.float32)
    settings = training.Settings(rule, learning_rate=1e-4, dimension=DIMENSION, samples=samples)  # type: ignore[arg-type]
    state = training.init(random.fold_in(key, 3), layers, x, route=route, settings=settings)
    plain = Plain(state, settings)
    by_hand = plain.backpropagation if rule == "backpropagation" else plain.nmnc
    return functools.partial(Library(state, settings).step, x, target), functools.partial(by_hand, x, target)


def correlation_pair() -> tuple[Callable, Callable]:
    """Return a small estimate of the library's and the one by hand: 8 draws on 32 units with 4 outputs."""
    generator = np.random.default_rng(0)
    response, noise = generator.normal(size=(8, 4)), generator.normal(size=(8, 32))
    return (
        lambda: estimator.correlation(response, noise, 0.1),
        lambda: response.T @ noise / 8 / 0.1**2,
    )


def measured(pair: tuple[Callable, Callable], repetitions: int) -> tuple[float, float, float]:
    """Return the median seconds of both, and the median of the ratios of neighbouring turns."""
    times: list[tuple[float, float]] = []
    for _ in range(TURNS):
        turn = []
        for function in pair:
            start = time.perf_counter()
            for _ in range(repetitions):
                function()
            turn.append((time.perf_counter() - start) / repetitions)
        times.append((turn[0], turn[1]))
    own, by_hand = zip(*times, strict=True)
    return statistics.median(own), statistics.median(by_hand), statistics.median(a / b for a, b in times)


def main() -> None:
    """Measure all and show a table."""
    table = Table("what", "library", "plain NumPy", "ratio")
    pairs = {
        "step of backpropagation": (training_pair("backpropagation", 1), 1),
        "step of NMNC, one sample perturbed": (training_pair("nmnc", 1), 1),
        f"step of NMNC, all {BATCH} perturbed": (training_pair("nmnc", BATCH), 1),
        "correlation of 8 draws on 32 units": (correlation_pair(), 500),
    }
    with threadpool_limits(1):
        for name, (pair, repetitions) in pairs.items():
            own, by_hand, ratio = measured(pair, repetitions)
            table.add_row(name, f"{own * 1e6:,.1f} µs", f"{by_hand * 1e6:,.1f} µs", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
