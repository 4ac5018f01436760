"""The problems on which an estimator is asked, chosen so that slips give themselves away.

Widths differ and share no factor, so that a swapped axis or layer changes the answer, but for a probe whose layers are
alike, so that noise shared between layers or a neighbour's basis fits at all. Bases hold the direction of the mean
activity, which centring would lose. ReLU units keep away from their kink by more than the noise reaches, except where
σ is to be felt. Where an estimate reads values without a baseline, these are of the order of σ: the inputs of a batch
are alike, and biases and targets bring outputs and errors near zero; else noise would drown the mean.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref.checked import checked
from nmnc_ref.nn import feedforward
from nmnc_ref.oracle.audit.expected import Part, expected_parts
from nmnc_ref.oracle.audit.problem import (
    ACTIVATIONS,
    LOSSES,
    Activations,
    Declaration,
    Problem,
    forward,
    layers,
    read_only,
)
from nmnc_ref.oracle.audit.smoothing import POINTS
from nmnc_ref.scalars import Index

SIGMA = 0.0005
"""Small enough for a linear response: one-sided and antithetic variances differ by far less than 1 %."""
NOISE = 0.8
"""Most variance of an answer along the mean of an array, by the mean's square: 2,000 calls then show a scale of 1.2."""
TRIES = 16
"""Networks to look for so little noise in; the least noisy one serves if none has."""
LARGE_SIGMA = 1.0
"""Large enough for the mean of non-linear tails to change by a fifth or more."""
QUIET = 3.0
"""Outputs, differences between inputs, and three tenths of the errors, where there is no baseline; in units of σ."""
FELT = 0.3
"""Least norm of a gradient where σ is large."""
GAP = 0.15
"""Least distance of a ReLU unit from its kink, several times what perturbations of size SIGMA cause."""


class Probe(NamedTuple):
    """A problem and what may be judged on it.

    `linear`: σ is so small that responses are linear, whose moments have closed forms and are those of any difference.
    `curved`: losses are read as small as σ makes them, and curve as much as they slope: means are as before, variances
    are not predicted.
    """

    name: str
    why: str
    problem: Problem
    linear: bool = True
    curved: bool = False


def expected_at(probe: Probe, declaration: Declaration, seed: int, points: int = POINTS) -> tuple[Part, ...]:
    """Return what is expected of a probe, integrated numerically over points where responses are not linear."""
    exact = probe.linear or declaration.measures == "derivative"
    points *= 4 if declaration.perturbs == "weights" else 1  # noise of more directions
    return expected_parts(probe.problem, declaration, None if exact else np.random.default_rng([seed, 0x65]), points)


@checked
def probes(declaration: Declaration, seed: Index, activations: Activations = tuple(ACTIVATIONS)) -> tuple[Probe, ...]:
    """Return the probes of an audit; other seeds give other weights, inputs and bases of the same sizes.

    Args:
        declaration: what the estimator is said to compute.
        seed: an integer from 0.
        activations: those that the estimator knows.
    """
    draw = _Draw(np.random.default_rng([seed, 0x6175646974]), declaration)
    found = []
    for activation in dict.fromkeys(activations):
        found += _of_activation(draw, activation)
    return tuple(found)


def _of_activation(draw: _Draw, activation: str) -> list[Probe]:
    """Return the probes of an activation, on the first networks whose gradients stand out from their noise."""
    declared, found, least = draw.declaration, [], math.inf
    for _ in range(TRIES):
        drawn = _linear(draw, activation)
        noise = max(_noise(probe.problem, declared) for probe in drawn)
        if noise < least:
            found, least = drawn, noise
        if noise <= NOISE:
            break
    if activation != "identity" and declared.noise != "other":
        curved = draw.felt(activation, (3, 5, 6, 3), (4, 3), batch=2, draws=32, sigma=_large(declared))
        found.append(
            Probe("large σ", "the mean is that of the smoothed network (E8), or not (E21)", curved, linear=False)
        )
    small = declared.measures == "value" and declared.response != "output"
    return [probe._replace(name=f"{activation}, {probe.name}", curved=small and probe.linear) for probe in found]


def _noise(problem: Problem, declaration: Declaration) -> float:
    """Return the largest variance that an answer has along the mean of an array, in units of the mean's square."""
    means = ((part.mean, part.covariance) for part in expected_parts(problem, declaration) if np.any(part.mean))
    return max((float(mean @ covariance @ mean) / float(mean @ mean) ** 2 for mean, covariance in means), default=0.0)


def _linear(draw: _Draw, activation: str) -> list[Probe]:
    """Return the probes of small σ, on networks that are drawn for them."""
    declared = draw.declaration
    order = (0, 1) if declared.returns == "weight-gradient" else (1, 0)
    base = draw.problem(activation, (5, 8, 7, 3), (3, 4), batch=3, draws=64, sites=order)
    alike = draw.problem(activation, (4, 5, 5, 5), (3, 3), batch=2, draws=32, sigma=SIGMA / 4, sites=order)
    single = draw.with_bases(base._replace(x=read_only(base.x[:1]), target=read_only(base.target[:1])), (3, 4))
    repeated = single._replace(
        x=read_only(np.repeat(single.x, 6, axis=0)), target=read_only(np.repeat(single.target, 6, axis=0))
    )
    loss = "squared error" if declared.measures == "value" else "softmax cross-entropy"
    wide = draw.problem(activation, (3, 23, 4), (5,), batch=2, draws=64, sites=(0,), loss=loss)
    silent = base._replace(weights=(*base.weights[:-1], read_only(0 * base.weights[-1])))
    if declared.measures == "value":  # the bias undid what the weights gave
        silent = silent._replace(biases=(*base.biases[:-1], read_only(0 * base.biases[-1])))
    return [
        Probe("base", "distinct sizes; sites, where they set the order, in reverse", base),
        Probe("layers alike", "equal widths, a fourth of σ", alike),
        Probe("few draws", "the base problem with an eighth of the draws", base._replace(draws=base.draws // 8)),
        Probe("one sample", "the first sample of the base problem alone", single),
        Probe("equal samples", "that sample six times: all J_i are aligned", repeated),
        Probe("wide", "one hidden layer of 23 units, cross-entropy where there is a baseline", wide),
        Probe("silent", "zero output weights: nothing responds", silent),
    ]


def _large(declared: Declaration) -> float:
    """Return a large σ; losses curve on their own, and noise of weights adds up over their inputs."""
    several = {"activity": 1, "preactivation": 2, "weights": 4}[declared.perturbs]
    return LARGE_SIGMA / (1 if declared.response == "output" else 2) / several


def _many(declared: Declaration) -> int:
    """Return by how much more draws make up for the noise of a kind, so that all take about as many calls."""
    if declared.measures == "value":  # one loss of all samples is louder, and noise of norm σ in all is fainter
        louder = (4 if declared.response == "batch-loss" else 1) * (4 if declared.noise == "sphere" else 1)
        return louder * (64 if declared.perturbs == "weights" else 16)
    if declared.perturbs == "weights":  # which has more directions to search
        return 8
    return 4 if declared.response == "batch-loss" and declared.simultaneous else 1  # where all the rest is noise


class _Draw(NamedTuple):
    """Draws problems for a declaration."""

    generator: np.random.Generator
    declaration: Declaration

    def problem(
        self,
        activation: str,
        widths: tuple[int, ...],
        dimensions: tuple[int, ...],
        *,
        batch: int,
        draws: int,
        sigma: float = SIGMA,
        loss: str = "squared error",
        sites: tuple[int, ...] = (0, 1),
    ) -> Problem:
        """Return a problem with weights and inputs of order one and, where declared, bases of these dimensions.

        Without a baseline, outputs and errors are of the order of σ, unless it is large.
        """
        quiet = self.declaration.measures == "value" and sigma <= SIGMA
        x = self.generator.normal(size=(batch, widths[0]))
        if quiet:
            x = x[:1] + QUIET * sigma * x
        activity = x
        weights: list[np.ndarray] = []
        biases: list[np.ndarray] = []
        for below, width in itertools.pairwise(widths):
            weight = self.generator.normal(size=(width, below)) * 1.2 / np.sqrt(below)
            bias = self._bias(activity @ weight.T) if activation == "relu" else 0.3 * self.generator.normal(size=width)
            if activation == "relu" and not weights:
                if self.declaration.perturbs == "activity":
                    weight[0], bias[0] = 0.0, 0.0  # a unit at the kink that nothing moves: its slope is 0
                bias[1] = -9.0  # a dead unit
            weights.append(weight)
            biases.append(bias)
            activity_below, activity = activity, ACTIVATIONS[activation].value(activity @ weight.T + bias)
        if quiet:
            output = activity_below @ weights[-1].T
            biases[-1] = QUIET * sigma * self.generator.normal(size=widths[-1]) - output.mean(axis=0)
        problem = Problem(
            weights=tuple(map(read_only, weights)),
            biases=tuple(map(read_only, biases)),
            activation=activation,
            x=read_only(x),
            target=read_only(np.zeros((batch, widths[-1]))),
            loss=loss,
            sigma=sigma,
            draws=_many(self.declaration) * draws,
            bases=None,
            sites=sites,
        )
        target = self._target(forward(problem).output, loss, QUIET * sigma / 0.3 if quiet else 1.0)
        return self.with_bases(problem._replace(target=read_only(target)), dimensions)

    def felt(self, activation: str, *arguments: Any, **named: Any) -> Problem:
        """Return the first problem of which every gradient is large enough to be seen under large noise."""
        while True:
            found = self.problem(activation, *arguments, **named)
            passed = feedforward.backpropagation(
                layers(found), found.x, found.target, ACTIVATIONS[activation], LOSSES[found.loss]
            )
            if all(np.linalg.norm(array) >= FELT for layer in passed.gradient for array in layer):
                return found

    def with_bases(self, problem: Problem, dimensions: tuple[int, ...]) -> Problem:
        """Return the problem with bases that hold the mean activity, where the declaration asks for bases."""
        if self.declaration.target == "full":
            return problem
        means = [np.mean(activity, axis=0) for activity in forward(problem).activity[1:-1]]
        bases = (self._basis(mean, dimension) for mean, dimension in zip(means, dimensions, strict=True))
        return problem._replace(bases=tuple(map(read_only, bases)))

    def _bias(self, drive: np.ndarray) -> np.ndarray:
        """Return biases that keep each unit off its kink on every sample, if possible active on some of them."""
        candidates = self.generator.normal(0.3, 0.7, size=(64, drive.shape[1]))
        s = drive + candidates[:, None, :]  # [64, B, n]
        gap = np.minimum(np.min(abs(s), axis=1), GAP) + 0.01 * np.any(s > 0, axis=1)
        return np.take_along_axis(candidates, np.argmax(gap, axis=0)[None], axis=0)[0]

    def _target(self, output: np.ndarray, loss: str, size: float) -> np.ndarray:
        """Return targets; those of squared errors leave errors alike between samples, which then do not cancel."""
        if loss == "squared error":
            error = self.generator.normal(size=output.shape[1]) + 0.4 * self.generator.normal(size=output.shape)
            return output - size * error
        return np.eye(output.shape[1])[self.generator.integers(output.shape[1], size=len(output))]

    def _basis(self, mean: np.ndarray, dimension: int) -> np.ndarray:
        columns = self.generator.normal(size=(len(mean), dimension))
        columns[:, 0] = mean
        return np.linalg.qr(columns)[0]
