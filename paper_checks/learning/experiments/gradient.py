"""Gradients by noise correlation in a trained network that stays as it is (L1)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmnc_ref import manifold, random
from nmnc_ref.alignment import pooled_alignment
from nmnc_ref.arrays import Array
from nmnc_ref.fast import factored
from nmnc_ref.nn import activation, feedforward, loss
from paper_checks.lab import Lab
from paper_checks.learning.experiments.course import SAMPLE, random_subspace
from paper_checks.learning.experiments.trained import classifier

HIDDEN = {"dense": (512, 512, 512), "convolutional": (64,)}
LAYERS = (1, 2, 3)
DIMENSION = 16
DRAWS = 10
IMAGES = 10
EPOCHS = 5
DECAY = 5e-3
SIGMA = 0.01
CHUNK = 20
"""Repetitions at once."""
FEW = (50,) * len(LAYERS)
"""Repetitions that tell which of two kinds of noise is better."""


@dataclass(frozen=True)
class Frozen:
    """A classifier of MNIST digits, dense (784-512-512-512-10) or convolutional (8·14·14, 16·7·7, 64 units).

    The gradients are those for the label of the next class: a trained network makes almost no errors, and a few images
    would otherwise hold nearly all of the gradient. `repetitions`: of NMNC and of VNC by layer; the control has few.
    """

    kind: str
    seed: int
    repetitions: tuple[tuple[int, ...], tuple[int, ...]] = (FEW, FEW)

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return, by kind of noise, layer and space, cosine ratios of estimated gradients and what predicts them."""
        data, layers = classifier(lab, self.kind, HIDDEN[self.kind], decay=DECAY, seed=self.seed, epochs=EPOCHS)
        sample = feedforward.forward(layers, data.train.inputs[:SAMPLE, :], activation.relu)
        x, target = data.test.inputs[:IMAGES, :], lab.xp.roll(data.test.targets[:IMAGES, :], 1, axis=-1)
        truth = feedforward.backpropagation(layers, x, target, activation.relu, loss.softmax_cross_entropy)
        jacobians = {l: feedforward.jacobian(layers, x, l, activation.relu) for l in LAYERS}
        found: dict[str, list[dict[str, Any]]] = {"NMNC": [], "VNC": [], "random": []}
        repetitions = dict(zip(found, (*self.repetitions, FEW), strict=True))
        for l in LAYERS:
            key = random.fold_in(random.fold_in(lab.key(f"learning: frozen, {self.kind}"), self.seed), l)
            fit = manifold.fit(sample.activity[l], dimension=DIMENSION)
            control = random_subspace(random.fold_in(key, 0), fit.basis)
            for index, (noise, basis) in enumerate({"NMNC": fit.basis, "VNC": None, "random": control}.items()):
                site = Site(lab, layers, truth, l, basis)
                measured = site.measure(random.fold_in(key, 1 + index), repetitions[noise][l - 1])
                alignment = 1.0 if basis is None else float(pooled_alignment(jacobians[l], basis))
                found[noise].append(site.known() | measured | {"alignment of the Jacobian": alignment})
        return found


class Site:
    """A hidden layer l, its exact gradients, and the basis (None: all directions) along which it is perturbed."""

    def __init__(
        self, lab: Lab, layers: tuple, truth: feedforward.Backpropagation, l: int, basis: Array | None
    ) -> None:
        self.lab = lab
        self.layer, self.tail = (
            layers[l - 1],
            factored.feedforward_tail(layers, truth.forward, l, basis, activation.relu),
        )
        self.below = truth.forward.activity[l - 1]
        self.slope = activation.relu.slope(truth.forward.preactivation[l - 1])
        self.error = truth.error
        self.gradient, self.weight_gradient = truth.activity_gradient[l], truth.gradient[l - 1].weight
        self.basis = basis
        self.inside = self.gradient if basis is None else (self.gradient @ basis) @ basis.T
        self.dimension = self.gradient.shape[1] if basis is None else basis.shape[1]

    def known(self) -> dict[str, float]:
        """Return what the closed forms need: for F7, ⟨T, ∂W⟩, ‖∂W‖², ‖T‖² of the mean T, and the two parts of Σ_i."""
        xp = self.lab.xp
        mean = self._weights(self.inside)
        direct, spread = 0.0, 0.0
        for i in range(IMAGES):
            row = slice(i, i + 1)
            slope, below = self.slope[row, :], self.below[row, :]
            direct += float(xp.sum(self._weights(self.inside[row, :], row) ** 2))
            if self.basis is None:
                ones = self.layer._replace(weight=0 * self.layer.weight + 1, bias=0 * self.layer.bias)
                reach = xp.sum(slope**2 * ones.preactivation(below**2))  # ‖M_i‖²: each unit's weights see their inputs
            else:
                reach = sum(xp.sum(self._weights(self.basis[None, :, j], row) ** 2) for j in range(self.dimension))
            spread += float(reach * xp.sum(self.inside[row, :] ** 2))
        return {
            "dimension": self.dimension,
            "alignment": float(xp.sum(self.inside**2) / xp.sum(self.gradient**2)),
            "weight progress": float(xp.sum(mean * self.weight_gradient)),
            "weight energy": float(xp.sum(self.weight_gradient**2)),
            "mean energy": float(xp.sum(mean**2)),
            "direct": direct,
            "spread": spread,
        }

    def measure(self, key: Array, repetitions: int) -> dict[str, list[float]]:
        """Return, by space, the ratio ⟨mean estimate, truth⟩/√(‖truth‖² · mean ‖estimate‖²) and its standard error, and
        mean ‖estimate‖²/‖truth‖² with its own.
        """
        xp = self.lab.xp
        pairs: dict[str, list[tuple[float, float]]] = {"activity": [], "weight": []}
        for estimate in self._estimates(key, repetitions):
            weights = self._weights(estimate)
            for space, got, want in (
                ("activity", estimate, self.gradient),
                ("weight", weights, self.weight_gradient),
            ):
                pairs[space].append((float(xp.sum(got * want)), float(xp.sum(got**2))))
        energy = {"activity": xp.sum(self.gradient**2), "weight": xp.sum(self.weight_gradient**2)}
        return {space: _ratio(np.array(pairs[space]), float(energy[space])) for space in pairs}

    def _estimates(self, key: Array, repetitions: int) -> Iterator[Array]:
        """Yield estimates [B, n] of the activity gradients, each from K fresh draws for each sample."""
        xp = self.lab.xp
        for start in range(0, repetitions, CHUNK):
            shape = (CHUNK * DRAWS, IMAGES, self.dimension)
            coordinates = SIGMA * random.normal(random.fold_in(key, start), shape, self.lab.dtype)
            response = self.tail.antithetic(coordinates)
            signal = xp.sum(response * self.error, axis=-1) / (DRAWS * SIGMA**2)
            each = xp.reshape(signal[..., None] * coordinates, (CHUNK, DRAWS, IMAGES, -1))
            estimates = xp.sum(each, axis=1)
            estimates = estimates if self.basis is None else estimates @ self.basis.T
            yield from (estimates[index, ...] for index in range(min(CHUNK, repetitions - start)))

    def _weights(self, gradient: Array, rows: slice = slice(None)) -> Array:
        return self.layer.gradient(self.slope[rows, :] * gradient, self.below[rows, :]).weight


def _ratio(pairs: np.ndarray, energy: float) -> list[float]:
    """Return ratio and energy of independent estimates, each with its standard error (delta method)."""
    progress, square = pairs.mean(axis=0)
    ratio = progress / math.sqrt(energy * square)
    scatter = pairs[:, 0] / progress - pairs[:, 1] / (2 * square)
    error, energy_error = (float(values.std(ddof=1)) / math.sqrt(len(pairs)) for values in (scatter, pairs[:, 1]))
    return [ratio, abs(ratio) * error, square / energy, energy_error / energy]
