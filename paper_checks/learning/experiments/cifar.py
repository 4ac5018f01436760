"""Convolutional networks of thousands of units that learn CIFAR-10 by a credit rule, and what is seen on the way."""

from __future__ import annotations

import base64
import functools
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmnc_ref import manifold, random, similarity, theory, training
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, feedforward, loss
from nmnc_ref.nn.convolution import Convolution
from nmnc_ref.nn.initialisation import Kernel, convolutional_network
from nmnc_ref.route import Direct
from paper_checks.data.cifar import Archive
from paper_checks.data.dataset import Dataset, Samples, batches
from paper_checks.data.neural import Recording, resized, upper_triangle
from paper_checks.lab import Lab
from paper_checks.learning.experiments.accuracy import CONTROLS, DIVERGENCE, cosine
from paper_checks.learning.experiments.course import SAMPLE

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
WATCHED = 500
"""Of the validation images, on which loss and accuracy are followed."""
JACOBIANS = 40
"""Of the validation images, whose Jacobians are measured; the test images are for accuracy alone."""
CHUNK = 1_000
"""Images that are passed at once."""
IMAGE = 32
GUESS = 0.1
EXPLAINED = 1 - 1e-6
DIMENSIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""At which the alignment A(d) is measured (E17)."""


@dataclass(frozen=True)
class Scaled(Direct):
    """Direct feedback that is scaled for each layer (E16)."""

    scales: tuple[float, ...] = (1.0,) * len(CHANNELS)

    def credit(self, network: tuple, x: Array, passed: Any, error: Array, feedbacks: tuple) -> tuple:
        """Assign credit by c B."""
        scaled = tuple(scale * feedback for scale, feedback in zip(self.scales, feedbacks, strict=True))
        return super().credit(network, x, passed, error, scaled)


@dataclass(frozen=True)
class CifarLearner:
    """A network that learns CIFAR-10 with direct feedback and a learning rate that falls in a straight line to zero.

    `rule`: one of `training.RULES` or `CONTROLS`; `feedback_rate`: η, None for rules that learn no feedback;
    `dimension`: d of the manifold; `perturb_every`, `samples`: one antithetic pair for each of so many samples at every
    so many steps; `scaled`: whether feedback has the best scale for a network at rest, c* of E16, for its window;
    `recording`: with stimuli for which the dissimilarities of all layers are kept; `channels`: of the convolutions.
    """

    archive: Archive
    rule: str
    learning_rate: float
    feedback_rate: float | None
    seed: int
    dimension: int = 128
    perturb_every: int = 1
    samples: int = 1
    scaled: bool = False
    recording: Recording | None = None
    decay: float = DECAY
    channels: tuple[int, ...] = CHANNELS

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return accuracies, the course of training, numbers of perturbations, and what the feedback has learned.

        A training that diverges says so, and is scored at chance.
        """
        begun = time.perf_counter()
        found: dict[str, Any] = {"validation": GUESS, "test": GUESS, "diverged": None, "course": []}
        try:
            data = self.archive.read(lab, IMAGES)
            with np.errstate(over="ignore", invalid="ignore"):
                for step, state in self.states(lab, data):
                    look, feedback = _look(lab, data, state, step)
                    found["course"].append(look)
            if self.rule != "backpropagation":
                found |= {"cosines": self._cosines(lab, data, state), "feedback": feedback}
            if self.settings.rule in training.PERTURBING:
                found |= {"perturbations": STEPS // self.perturb_every * self.samples}
            found |= {"alignments": _alignments(lab, data, state)}
            found |= {part: _measured(lab, state, getattr(data, part))[1] for part in ("validation", "test")}
            if self.recording is not None:
                networks = {"before": self.initial(lab), "after": state.network}
                found |= {when: _dissimilarities(lab, each, self.recording) for when, each in networks.items()}
        except DIVERGENCE as error:
            found |= {"diverged": str(error)}
        return found | {"seconds": time.perf_counter() - begun}

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
    def route(self) -> Direct:
        """How credit is assigned."""
        if self.rule == "random feedback":
            return Scaled(activation.relu, (RANDOM_SCALE,) * len(CHANNELS))
        if not self.scaled:
            return Scaled(activation.relu)
        sizes = self.units if self.rule == "vnc" else (self.dimension,) * len(self.units)
        return Scaled(activation.relu, tuple(theory.estimator.best_scaling(self.window, size) for size in sizes))

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
        epochs = (batches(data.train, random.fold_in(key, 2 + epoch), BATCH) for epoch in itertools.count())
        steps = itertools.chain.from_iterable(epochs)
        state = training.init(random.fold_in(key, 0), self.initial(lab), sample, **given)
        for start in range(0, STEPS, STRETCH):
            if start and settings.rule == "nmnc":  # isotropic noise needs no more than the dimension
                state = training.fit_manifolds(state, sample, **given)
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


def _learning_rate(first: float, start: int, index: int) -> float:
    """Return the learning rate of a step: a straight line to zero."""
    return first * (1 - (start + index) / STEPS)


@functools.cache  # what is compiled serves every learning rate and seed
def _advance(backend: str, route: Direct, settings: training.Settings) -> Callable:
    bound: dict[str, Any] = {"route": route, "loss": loss.softmax_cross_entropy, "settings": settings}
    return Lab(backend).jit(functools.partial(training.step, **bound))


@functools.cache
def _jacobian(backend: str, site: int) -> Callable:
    return Lab(backend).jit(lambda network, x: feedforward.jacobian(network, x, site, activation.relu))


@functools.cache
def _output(backend: str) -> Callable:
    return Lab(backend).jit(lambda network, x: feedforward.forward(network, x, activation.relu).output)


def _measured(lab: Lab, state: training.State, part: Samples) -> tuple[float, float]:
    """Return loss and accuracy of a network.

    Raises:
        training.Divergence: its outputs are not finite.
    """
    starts = range(0, part.inputs.shape[0], CHUNK)
    outputs = [_output(lab.backend)(state.network, part.inputs[start : start + CHUNK, :]) for start in starts]
    output = lab.xp.concat(outputs, axis=0)
    if not lab.xp.all(lab.xp.isfinite(output)):
        raise training.Divergence(STEPS - 1, "outputs after this last step that are not finite")
    right = lab.xp.argmax(output, axis=-1) == lab.xp.argmax(part.targets, axis=-1)
    return float(loss.softmax_cross_entropy.value(output, part.targets)), float(lab.numpy(right).mean())


def jacobians(lab: Lab, data: Dataset, state: training.State) -> Iterator[Array]:
    """Yield those of each hidden layer for `JACOBIANS` images."""
    for site in SITES:
        yield _jacobian(lab.backend, site)(state.network, data.validation.inputs[:JACOBIANS, :])


def _look(lab: Lab, data: Dataset, state: training.State, step: int) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Return what is seen of a network in training: loss and accuracy on validation images, and by layer α of the mean
    Jacobian and the cosine of the feedback with it; and by layer the energies that predict this cosine (F2).
    """
    found = []
    for index, each in enumerate(jacobians(lab, data, state) if state.feedback else ()):
        mean, feedback = lab.xp.mean(each, axis=0), state.feedback[index]
        energies = {
            "cosine": cosine(lab, feedback, mean),
            "energy of feedback": float(lab.xp.sum(feedback**2)),
            "width": each.shape[2],
            "mean": float(lab.xp.sum(mean**2)),
            "each": float(lab.xp.sum(each**2)) / each.shape[0],
        }
        if state.bases:
            basis = state.bases[index]
            energies |= {
                "dimension": basis.shape[1],
                "its part in the manifold": float(lab.xp.sum((mean @ basis) ** 2)),
                "their part in the manifold": float(lab.xp.sum((each @ basis) ** 2)) / each.shape[0],
            }
        found.append(energies)
    watched = Samples(*(array[:WATCHED, :] for array in data.validation))
    value, accuracy = _measured(lab, state, watched)
    look: dict[str, Any] = {"step": step, "loss": value, "accuracy": accuracy}
    look |= {"cosine": [each["cosine"] for each in found]}
    look |= (
        {"alignment": [each["its part in the manifold"] / each["mean"] if each["mean"] else 0.0 for each in found]}
        if state.bases
        else {}
    )
    return look, found


def _alignments(lab: Lab, data: Dataset, state: training.State) -> list[dict[str, list[float]]]:
    """Return by layer A(d) for the first `DIMENSIONS` of the manifold after training, of the mean Jacobian and of all
    Jacobians together.
    """
    passed = feedforward.forward(state.network, data.train.inputs[:SAMPLE, :], activation.relu)
    found: list[dict[str, list[float]]] = []
    for site, each in zip(SITES, jacobians(lab, data, state), strict=True):
        basis = manifold.fit(passed.activity[site], explained=EXPLAINED).basis
        mean = lab.xp.mean(each, axis=0)
        shares = {"mean": (mean @ basis) ** 2 / lab.xp.sum(mean**2), "each": (each @ basis) ** 2 / lab.xp.sum(each**2)}
        found.append({})
        for name, share in shares.items():
            course = lab.numpy(share).reshape(-1, basis.shape[1]).sum(axis=0).cumsum()
            found[-1][name] = [float(course[min(d, course.shape[0]) - 1]) for d in DIMENSIONS]
    return found


def _dissimilarities(lab: Lab, network: tuple, recording: Recording) -> list[str | None]:
    """Return by layer the dissimilarities of the activity for the stimuli, packed; None where units have died."""
    images = resized(recording.read().stimuli, IMAGE).transpose(0, 3, 1, 2)
    passed = feedforward.forward(network, lab.array(images.reshape(images.shape[0], -1)), activation.relu)
    found: list[str | None] = []
    for activity in passed.activity[1:]:
        try:
            found.append(pack(upper_triangle(similarity.dissimilarity(lab.numpy(activity)))))
        except ValueError:
            found.append(None)
    return found


def pack(values: np.ndarray) -> str:
    """Return numbers as text: float32 in base 64."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def unpack(text: str) -> np.ndarray:
    """Return the numbers of `pack`."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float64)
