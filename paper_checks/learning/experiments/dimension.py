"""Gradients by perturbations along more or fewer components, in a trained network that stays as it is (L5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nmnc_ref import manifold, random, theory
from nmnc_ref.nn import activation, feedforward, loss
from paper_checks.lab import Lab
from paper_checks.learning.experiments.course import SAMPLE
from paper_checks.learning.experiments.gradient import DECAY, DRAWS, EPOCHS, HIDDEN, IMAGES, LAYERS, Site
from paper_checks.learning.experiments.trained import classifier

DIMENSIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
REPETITIONS = 300


@dataclass(frozen=True)
class Dimensions:
    """A classifier 784-512-512-512-10 trained as for L1, and gradients at its hidden layers as there."""

    seed: int

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return by layer A(1), A(2), … of the gradient, and by dimension the cosine ratio and its standard error.

        Two of the dimensions are those that E17 says are best, for the cosine and for the squared error.
        """
        data, layers = classifier(lab, "dense", HIDDEN["dense"], decay=DECAY, seed=self.seed, epochs=EPOCHS)
        sample = feedforward.forward(layers, data.train.inputs[:SAMPLE, :], activation.relu)
        x, target = data.test.inputs[:IMAGES, :], lab.xp.roll(data.test.targets[:IMAGES, :], 1, axis=-1)
        truth = feedforward.backpropagation(layers, x, target, activation.relu, loss.softmax_cross_entropy)
        found: dict[str, Any] = {}
        for l in LAYERS:
            key = random.fold_in(random.fold_in(lab.key("learning: dimensions"), self.seed), l)
            basis = manifold.fit(sample.activity[l], dimension=DIMENSIONS[-1]).basis
            gradient = truth.activity_gradient[l]
            shares = lab.xp.sum((gradient @ basis) ** 2, axis=0) / lab.xp.sum(gradient**2)
            alignments = [min(1.0, float(each)) for each in lab.numpy(shares).cumsum()]
            best = theory.estimator.best_dimension_for_cosine, theory.estimator.best_dimension_for_error
            ratios = {}
            for d in sorted({*DIMENSIONS, *(choice(alignments, DRAWS) for choice in best)}):
                site = Site(lab, layers, truth, l, basis[:, :d])
                ratios[str(d)] = site.measure(random.fold_in(key, d), REPETITIONS)["activity"][:2]
            found[str(l)] = {"alignments": alignments, "ratios": ratios}
        return found
