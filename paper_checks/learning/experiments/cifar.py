"""Convolutional networks of thousands of units that learn CIFAR-10 by a credit rule, and what is seen on the way."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmnc_ref import random, theory, training
from nmnc_ref.arrays import Array
from nmnc_ref.fast import training as fast_training
from nmnc_ref.nn import activation, loss
from nmnc_ref.nn.convolution import Convolution
from nmnc_ref.nn.initialisation import Kernel, convolutional_network
from nmnc_ref.route import Direct, Layerwise
from paper_checks.data.cifar import Archive
from paper_checks.data.dataset import Dataset, batches
from paper_checks.data.neural import Recording
from paper_checks.lab import Lab
from paper_checks.learning.experiments.accuracy import CONTROLS, DIVERGENCE, cosine
from paper_checks.learning.experiments.cifar_measures import (
    IMAGE,
    JACOBIANS,
    alignments,
    direct_feedback,
    dissimilarities,
    mirrors,
    performance,
    watched,
)
from paper_checks.learning.experiments.course import SAMPLE, fit_manifolds

CHANNELS = (32, 64, 128)
"""Of three convolutions 3×3 with stride 2: 8,192, 4,096 and 2,048 units."""
SITES = range(1, len(CHANNELS) + 1)
IMAGES = 10_000
BATCH = 16
STEPS = 960
"""Of a training: one and a half epochs."""
STRETCH = 240
"""Steps between fits of the manifold, and between looks at the network."""
MOMENTUM = 0.9
RANDOM_SCALE = 1 / 22
"""Of random feedback: its norm is then about that of the Jacobians before training, in place of 25 times as much."""
DECAY = 5e-3
GUESS = 0.1
DELIVERIES = DIRECT, SCALED, MIRRORS = "direct", "scaled", "mirrors"
"""Direct feedback, the same in the best scale for a network at rest, c* of E16, and mirrors, layer by layer."""


@dataclass(frozen=True)
class Scaled(Direct):
    """Direct feedback that is scaled for each layer."""

    scales: tuple[float, ...] = (RANDOM_SCALE,) * len(CHANNELS)

    def credit(self, network: tuple, x: Array, passed: Any, error: Array, feedbacks: tuple) -> tuple:
        """Assign credit by c B."""
        scaled = tuple(scale * feedback for scale, feedback in zip(self.scales, feedbacks, strict=True))
        return super().credit(network, x, passed, error, scaled)


@dataclass(frozen=True)
class CifarLearner:
    """A network that learns CIFAR-10 with a learning rate that falls in a straight line to zero.

    `rule`: one of `training.RULES` or `CONTROLS`; `feedback_rate`: η, None for rules that learn no feedback;
    `dimension`: d of the manifold; `perturb_every`, `samples`: one antithetic pair for each of so many samples at every
    so many steps; `delivery`: of the error, one of `DELIVERIES`; `recording`: with stimuli for which all layers'
    dissimilarities are kept; `channels`: of the convolutions.
    """

    archive: Archive
    rule: str
    learning_rate: float
    feedback_rate: float | None
    seed: int
    dimension: int = 128
    perturb_every: int = 1
    samples: int = 1
    delivery: str = DIRECT
    recording: Recording | None = None
    decay: float = DECAY
    channels: tuple[int, ...] = CHANNELS

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return accuracies, the course of training, numbers of perturbations, and what the feedback has learned.

        A training that diverges says so, and is scored at chance.
        """
        found: dict[str, Any] = {"validation": GUESS, "test": GUESS, "diverged": None, "course": []}
        try:
            data = self.archive.read(lab, IMAGES)
            with np.errstate(over="ignore", invalid="ignore"):
                for step, state in self.states(lab, data):
                    feedback = (mirrors if self.delivery == MIRRORS else direct_feedback)(lab, data, state)
                    found["course"].append(watched(lab, data, state, step) | _course(feedback))
            if self.rule == "backpropagation":
                found |= {"alignments": alignments(lab, data, state)}
            else:
                found |= {"cosines": self._cosines(lab, data, state), "feedback": feedback}
            if self.settings.rule in training.PERTURBING:
                found |= {"perturbations": STEPS // self.perturb_every * self.samples}
            found |= {part: performance(lab, state, getattr(data, part), STEPS)[1] for part in ("validation", "test")}
            if self.recording is not None:
                networks = {"before": self.initial(lab), "after": state.network}
                found |= {when: dissimilarities(lab, each, self.recording) for when, each in networks.items()}
        except DIVERGENCE as error:
            found |= {"diverged": str(error)}
        return found

    @property
    def settings(self) -> training.Settings:
        """How it learns, but for the learning rate, which is a factor of 1: what is compiled serves all of them."""
        return training.Settings(
            "nmnc" if self.rule in CONTROLS else self.rule,
            learning_rate=1.0,
            momentum=MOMENTUM,
            decay=self.decay,
            feedback_rate=self.feedback_rate or 0.0,
            dimension=self.dimension,
            samples=self.samples,
            perturb_every=self.perturb_every,
            fit_every=STRETCH,
        )

    @property
    def route(self) -> Direct | Layerwise:
        """How credit is assigned."""
        if self.delivery == MIRRORS:
            return Layerwise(activation.relu)
        if self.delivery == SCALED:
            sizes = self.units if self.rule == "vnc" else (self.dimension,) * len(self.units)
            return Scaled(activation.relu, tuple(theory.estimator.best_scaling(self.window, size) for size in sizes))
        return (Scaled if self.rule == "random feedback" else Direct)(activation.relu)

    @property
    def units(self) -> tuple[int, ...]:
        """The numbers n of units of the hidden layers."""
        return tuple(channels * (IMAGE // 2**layer) ** 2 for layer, channels in enumerate(self.channels, start=1))

    @property
    def window(self) -> int:
        """The number K of perturbations whose plain mean has the variance of the running average (F1)."""
        return max(1, round(self.samples / theory.feedback.averaging_gain(self.feedback_rate or 1.0)))

    def initial(self, lab: Lab) -> tuple:
        """Return the network before training, the same for every rule."""
        kernels = tuple(Kernel(channels, 3, stride=2, padding=1) for channels in self.channels)
        network = convolutional_network(random.fold_in(self._key(lab), 0), (3, IMAGE, IMAGE), kernels, (10,), lab.dtype)
        if lab.backend != "jax":
            return network
        from nmnc_ref.fast import convolved  # which needs JAX

        return tuple(convolved.layer(layer) if isinstance(layer, Convolution) else layer for layer in network)

    def _key(self, lab: Lab) -> Array:
        return random.fold_in(lab.key("learning: CIFAR-10"), self.seed)

    def states(self, lab: Lab, data: Dataset) -> Iterator[tuple[int, training.State]]:
        """Yield steps done and the state, before training and after every stretch; the same batches for every rule."""
        route, settings = self.route, self.settings
        sample, key = data.train.inputs[:SAMPLE, ...], random.fold_in(self._key(lab), 1)
        given: dict[str, Any] = {"route": route, "settings": settings}
        fit = functools.partial(fit_manifolds, lab)
        epochs = (batches(data.train, random.fold_in(key, 2 + epoch), BATCH) for epoch in itertools.count())
        steps = itertools.chain.from_iterable(epochs)
        state = training.init(random.fold_in(key, 0), self.initial(lab), sample, fit=fit, **given)
        for start in range(0, STEPS, STRETCH):
            if start and settings.rule == "nmnc":  # isotropic noise needs no more than the dimension
                state = fit(state, sample, **given)
            state = self._controlled(random.fold_in(random.fold_in(key, 1), start), state)
            if not start:
                yield 0, state
            stretch = list(itertools.islice(steps, STRETCH))
            annealing = functools.partial(_learning_rate, self.learning_rate, start)
            advance = _advance(lab.backend, route, settings)
            state = training.train(state, stretch, sample, advance=advance, annealing=annealing, **given)
            yield start + STRETCH, state

    def _controlled(self, key: Array, state: training.State) -> training.State:
        control = CONTROLS.get(self.rule)
        return state if control is None else state._replace(bases=tuple(control(key, each) for each in state.bases))

    def _cosines(self, lab: Lab, data: Dataset, state: training.State) -> list[float]:
        """Return, by hidden layer, the cosine of the rule's weight gradient with backpropagation's."""
        x, target = (part[:JACOBIANS, ...] for part in data.validation)
        truth = self.route.backpropagation(state.network, x, target, loss.softmax_cross_entropy)
        _, _, gradient = self.route.credit(state.network, x, truth.forward, truth.error, state.feedback)
        pairs = zip(gradient[:-1], truth.gradient[:-1], strict=True)
        return [cosine(lab, own.weight, exact.weight) for own, exact in pairs]


def _course(feedback: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return by layer the cosine of the feedback, and α of the mean Jacobian where there is a manifold."""
    found = {"cosine": [each["cosine"] for each in feedback]}
    if any("its part in the manifold" in each for each in feedback):
        shares = [each["its part in the manifold"] / each["mean"] if each["mean"] else 0.0 for each in feedback]
        found["alignment"] = shares
    return found


def _learning_rate(first: float, start: int, index: int) -> float:
    """Return the learning rate of a step: a straight line to zero."""
    return first * (1 - (start + index) / STEPS)


@functools.cache  # what is compiled serves every learning rate and seed
def _advance(backend: str, route: Direct | Layerwise, settings: training.Settings) -> Callable:
    bound: dict[str, Any] = {"route": route, "loss": loss.softmax_cross_entropy, "settings": settings}
    return Lab(backend).jit(functools.partial(fast_training.step, **bound))
