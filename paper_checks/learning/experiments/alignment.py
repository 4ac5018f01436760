"""Alignment of Jacobian and manifold in the course of training (A3-trained, A4-trained)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmnc_ref import alignment, manifold, moments
from nmnc_ref.nn import activation, feedforward
from paper_checks.lab import Lab
from paper_checks.learning.experiments.course import SAMPLE
from paper_checks.learning.experiments.trained import course_of_classifier

WIDTH = 512
LAYERS = (1, 2, 3)
DIMENSION = 10
IMAGES = 100
"""Of the test set, whose Jacobians are measured."""


@dataclass(frozen=True)
class Alignment:
    """A classifier 784-512-512-512-10 trained with a weight decay."""

    decay: float
    seed: int
    epochs: int = 10

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return α of each hidden layer before training and after each epoch, {centring: [epochs + 1][layers]}."""
        found: dict[str, list[list[float]]] = {centring: [] for centring in manifold.CENTRINGS}
        data, states = course_of_classifier(
            lab, "dense", (WIDTH,) * len(LAYERS), decay=self.decay, seed=self.seed, epochs=self.epochs
        )
        for state in states:
            passed = feedforward.forward(state.network, data.train.inputs[:SAMPLE, :], activation.relu)
            images = data.test.inputs[:IMAGES, :]
            jacobians = [feedforward.jacobian(state.network, images, l, activation.relu) for l in LAYERS]
            seen = [moments.of(passed.activity[l]) for l in LAYERS]
            parts = [(each.mean, moments.covariance(each)) for each in seen]
            for centring, course in found.items():
                bases = [manifold.from_moments(*each, dimension=DIMENSION, centring=centring).basis for each in parts]
                course.append([float(alignment.pooled_alignment(*pair)) for pair in zip(jacobians, bases, strict=True)])
        return found
