"""Dimension of the manifold, and perturbations needed, in trained networks of one width (D3, L3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nmnc_ref import alignment, dimension, random
from nmnc_ref.arrays import Array
from nmnc_ref.fast import factored
from nmnc_ref.nn import activation, feedforward
from paper_checks.lab import Lab
from paper_checks.learning.experiments.course import SAMPLE, fitted, random_subspace
from paper_checks.learning.experiments.trained import classifier

LAYERS = (1, 2)
DECAY = 5e-3
EXPLAINED = 0.9
COSINE = 0.5
"""To be reached."""
IMAGES, REPETITIONS = 5, 4
CHUNK = 128
"""Draws at a time."""
SIGMA = 0.01


@dataclass(frozen=True)
class Width:
    """A classifier 784-n-n-10 trained with weight decay; the manifold for perturbations has `dimension` dimensions."""

    width: int
    seed: int
    dimension: int = 10
    epochs: int = 5

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return, by hidden layer, dimensions of its activity, α, and draws to the cosine 0.5 with each kind of noise.

        "random" noise is on a random subspace of the dimension of the manifold.
        """
        data, layers = classifier(
            lab, "dense", (self.width, self.width), decay=DECAY, seed=self.seed, epochs=self.epochs
        )
        passed = feedforward.forward(layers, data.train.inputs[:SAMPLE, :], activation.relu)
        images = data.test.inputs[:IMAGES, :]
        found: dict[str, list[float | None]] = {}
        for l in LAYERS:
            key = random.fold_in(lab.key("learning: width"), 2 * self.seed + l)
            for name, value in measured(lab, key, layers, passed, images, l, self.dimension, COSINE).items():
                found.setdefault(name, []).append(value)
        return found

    def units(self, layer: int) -> int:
        """Return the number of units of a hidden layer."""
        return self.width


def measured(
    lab: Lab,
    key: Array,
    layers: tuple,
    passed: feedforward.Forward,
    images: Array,
    l: int,
    components: int,
    cosine: float,
) -> dict[str, float | None]:
    """Return of hidden layer l dimensions of its activity, α, and draws to a cosine with each kind of noise.

    `passed` is the forward pass whose activity has the manifold, of which so many components are perturbed; "random"
    noise is on a random subspace of as many dimensions. None stands for a cosine that many draws did not reach.
    """
    fit = fitted(lab, passed.activity[l], components)
    spectrum = fitted(lab, passed.activity[l], 1, "centred").spectrum
    seen = feedforward.forward(layers, images, activation.relu)
    J = feedforward.jacobian(layers, images, l, activation.relu)
    norms = lab.xp.linalg.matrix_norm(J)
    control = random_subspace(random.fold_in(key, 0), fit.basis)
    found: dict[str, float | None] = {
        "participation ratio": float(dimension.participation_ratio(spectrum)),
        "90 % of variance": int(dimension.explained_variance_dimension(spectrum, EXPLAINED)),
        "TwoNN": float(dimension.two_nearest_neighbours(np.asarray(passed.activity[l]))),
        "alignment": float(alignment.pooled_alignment(J, fit.basis)),
        "random alignment": float(alignment.pooled_alignment(J, control)),
    }
    few = 8 * (components + 1)
    many = int(1.5 * J.shape[-1] / (1 / cosine**2 - 1)) + 1  # isotropic noise needs two thirds of them (E6)
    kinds = (("NMNC", fit.basis, few), ("VNC", None, many), ("random", control, few))
    for index, (name, basis, most) in enumerate(kinds):
        fresh = random.fold_in(key, 1 + index)
        tail = factored.feedforward_tail(layers, seen, l, basis, activation.relu)
        found[name] = draws_to_cosine(lab, fresh, tail, J if basis is None else J @ basis, norms, cosine, most)
    return found


def draws_to_cosine(
    lab: Lab, key: Array, tail: factored.FeedforwardTail, jacobian: Array, norms: Array, cosine: float, most: int
) -> int | None:
    """Return the smallest K at which the cosine of estimate and Jacobian, a mean over images and repetitions, is as
    large; None if `most` draws are not enough. Jacobian and estimate are in the coordinates of the noise.
    """
    starts = range(0, most, CHUNK)
    courses = []
    for image in range(IMAGES):
        of_image = replace(tail, preactivation=tail.preactivation[image, :])
        courses += [Course(lab, of_image, jacobian[image, ...], norms[image]) for _ in range(REPETITIONS)]
    keys = random.split(key, len(starts) * len(courses))
    for chunk, start in enumerate(starts):
        fresh = keys[chunk * len(courses) : (chunk + 1) * len(courses), :]
        total = sum(course.cosines(fresh[index, :]) for index, course in enumerate(courses))
        reached = lab.numpy(total) >= cosine * len(courses)
        if reached.any():
            draws = start + int(reached.argmax()) + 1
            return draws if draws <= most else None
    return None


class Course:
    """The sum Σ δy ξᵀ over more and more draws of noise at one image, its product with the Jacobian, and its energy.

    `norm`: of the Jacobian, that part included which is not in the coordinates of the noise.
    """

    def __init__(self, lab: Lab, tail: factored.FeedforwardTail, jacobian: Array, norm: Array) -> None:
        self.lab, self.tail, self.jacobian, self.norm = lab, tail, jacobian, norm
        self.sum, self.progress, self.energy = 0 * jacobian, 0.0, 0.0

    def cosines(self, key: Array) -> Array:
        """Return ⟨Σ δy ξᵀ, J⟩/(‖Σ δy ξᵀ‖ norm) after each of the next draws."""
        xp = self.lab.xp
        noise = SIGMA * self.lab.draw(key, CHUNK, self.jacobian.shape[-1])
        response = self.tail.antithetic(noise)
        progress = self.progress + xp.cumulative_sum(xp.sum((response @ self.jacobian) * noise, axis=-1))
        before = 2 * xp.cumulative_sum(xp.sum((response @ self.sum) * noise, axis=-1))
        gram = (response @ response.T) * (noise @ noise.T)
        among = xp.linalg.diagonal(xp.cumulative_sum(xp.cumulative_sum(gram, axis=0), axis=1))
        energy = self.energy + before + among
        self.sum = self.sum + response.T @ noise
        self.progress, self.energy = progress[-1], energy[-1]
        return progress / (self.norm * xp.sqrt(energy))
