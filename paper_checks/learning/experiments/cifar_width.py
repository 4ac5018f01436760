"""Networks of growing width that learn CIFAR-10 by backpropagation: alignment, dimension and perturbations needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmnc_ref import alignment, random
from nmnc_ref.nn import activation, feedforward
from paper_checks.data.cifar import Archive
from paper_checks.lab import Lab
from paper_checks.learning.experiments import width
from paper_checks.learning.experiments.cifar import DECAY, IMAGES, SITES, CifarLearner
from paper_checks.learning.experiments.cifar_measures import jacobians
from paper_checks.learning.experiments.course import SAMPLE, fitted

LEARNING_RATE = 0.01
DIMENSION = 32
COSINE = 0.25
"""To be reached: for a cosine of 0.5 isotropic noise would need as many perturbations as a third of the units."""


@dataclass(frozen=True)
class CifarWidth:
    """A network of three strided convolutions with c, 2c and 4c channels."""

    archive: Archive
    channels: int
    seed: int
    decay: float = DECAY
    dimension: int = DIMENSION

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return the course of α by hidden layer, and of the trained network what `width.measured` does."""
        data, course = self.archive.read(lab, IMAGES), []
        sample, few = data.train.inputs[:SAMPLE, :], data.validation.inputs[: width.IMAGES, :]
        for step, state in self._learner.states(lab, data):
            passed = feedforward.forward(state.network, sample, activation.relu)
            bases = [fitted(lab, passed.activity[l], self.dimension).basis for l in SITES]
            pairs = zip(jacobians(lab, data, state), bases, strict=True)
            course.append({"step": step, "alignment": [float(alignment.pooled_alignment(*pair)) for pair in pairs]})
        found: dict[str, list[float | None]] = {}
        for l in SITES:
            key = random.fold_in(lab.key("learning: width, CIFAR-10"), len(SITES) * self.seed + l)
            for name, value in width.measured(lab, key, state.network, passed, few, l, self.dimension, COSINE).items():
                found.setdefault(name, []).append(value)
        return {"course": course} | found

    def units(self, layer: int) -> int:
        """Return the number of units of a hidden layer."""
        return self._learner.units[layer - 1]

    @property
    def _learner(self) -> CifarLearner:
        channels = tuple(self.channels * 2**index for index in range(len(SITES)))
        rule = "backpropagation"
        return CifarLearner(self.archive, rule, LEARNING_RATE, None, self.seed, decay=self.decay, channels=channels)
