"""Networks of growing width that learn CIFAR-10 by backpropagation: dimension and perturbations needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmnc_ref import random
from nmnc_ref.nn import activation, feedforward
from paper_checks.data.cifar import Archive
from paper_checks.lab import Lab
from paper_checks.learning.experiments import width
from paper_checks.learning.experiments.cifar import IMAGES, SITES, CifarLearner
from paper_checks.learning.experiments.course import SAMPLE

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
    dimension: int = DIMENSION

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return, of the trained network, what `width.measured` does."""
        data = self.archive.read(lab, IMAGES)
        *_, (_, state) = self._learner.states(lab, data)
        passed = feedforward.forward(state.network, data.train.inputs[:SAMPLE, :], activation.relu)
        images = data.validation.inputs[: width.IMAGES, :]
        found: dict[str, list[float | None]] = {}
        for l in SITES:
            key = random.fold_in(lab.key("learning: width, CIFAR-10"), len(SITES) * self.seed + l)
            seen = width.measured(lab, key, state.network, passed, images, l, self.dimension, COSINE)
            for name, value in seen.items():
                found.setdefault(name, []).append(value)
        return found

    def units(self, layer: int) -> int:
        """Return the number of units of a hidden layer."""
        return self._learner.units[layer - 1]

    @property
    def _learner(self) -> CifarLearner:
        channels = tuple(self.channels * 2**index for index in range(len(SITES)))
        return CifarLearner(self.archive, "backpropagation", LEARNING_RATE, None, self.seed, channels=channels)
