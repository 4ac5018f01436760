"""Alignment of Jacobian and manifold in the course of training (A3-trained, A4-trained)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmnc_ref import alignment, manifold, moments
from nmnc_ref.nn import activation, feedforward
from paper_checks.data.dataset import Dataset
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
        """Return α by hidden layer: of uncentred manifolds before training and after each epoch, `course`
        [epochs + 1][layers], and of those of each centring at the end, `end` {centring: [layers]}.
        """
        data, states = course_of_classifier(
            lab, "dense", (WIDTH,) * len(LAYERS), decay=self.decay, seed=self.seed, epochs=self.epochs
        )
        networks = [state.network for state in states]
        course = [_alphas(data, network, "uncentred") for network in networks]
        return {"course": course, "end": {each: _alphas(data, networks[-1], each) for each in manifold.CENTRINGS}}


def _alphas(data: Dataset, network: tuple, centring: str) -> list[float]:
    passed = feedforward.forward(network, data.train.inputs[:SAMPLE, :], activation.relu)
    found = []
    for l in LAYERS:
        seen = moments.of(passed.activity[l])
        fitted = manifold.from_moments(seen.mean, moments.covariance(seen), dimension=DIMENSION, centring=centring)
        jacobian = feedforward.jacobian(network, data.test.inputs[:IMAGES, :], l, activation.relu)
        found.append(float(alignment.pooled_alignment(jacobian, fitted.basis)))
    return found
