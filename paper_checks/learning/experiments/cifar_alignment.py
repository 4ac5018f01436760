"""Alignment of Jacobian and manifold in the course of training on CIFAR-10 (A3-CIFAR)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmnc_ref import alignment
from nmnc_ref.nn import activation, feedforward
from paper_checks.data.cifar import Archive
from paper_checks.lab import Lab
from paper_checks.learning.experiments.cifar import IMAGES, SITES, CifarLearner
from paper_checks.learning.experiments.cifar_measures import jacobians
from paper_checks.learning.experiments.cifar_width import DIMENSION, LEARNING_RATE
from paper_checks.learning.experiments.course import SAMPLE, fitted


@dataclass(frozen=True)
class CifarAlignment:
    """A network that learns CIFAR-10 by backpropagation with a weight decay."""

    archive: Archive
    decay: float
    seed: int
    dimension: int = DIMENSION

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return α by hidden layer, before training and after every stretch of it."""
        data, course = self.archive.read(lab, IMAGES), []
        for step, state in self._learner.states(lab, data):
            passed = feedforward.forward(state.network, data.train.inputs[:SAMPLE, :], activation.relu)
            bases = [fitted(lab, passed.activity[l], self.dimension).basis for l in SITES]
            pairs = zip(jacobians(lab, data, state), bases, strict=True)
            course.append({"step": step, "alignment": [float(alignment.pooled_alignment(*pair)) for pair in pairs]})
        return {"course": course}

    def units(self, layer: int) -> int:
        """Return the number of units of a hidden layer."""
        return self._learner.units[layer - 1]

    @property
    def _learner(self) -> CifarLearner:
        return CifarLearner(self.archive, "backpropagation", LEARNING_RATE, None, self.seed, decay=self.decay)
