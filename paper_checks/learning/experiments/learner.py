"""A classifier that learns by a credit rule from scarce perturbations, and how well it does (L2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nmnc_ref import activation, loss, network, random, training
from nmnc_ref.arrays import Array
from paper_checks.data.dataset import Samples
from paper_checks.data.images import CLASSES, mnist
from paper_checks.lab import Lab
from paper_checks.learning.experiments.course import complement, course, random_subspace
from paper_checks.learning.experiments.trained import KINDS, ROUTE

HIDDEN = {"dense": (2000, 2000, 2000), "convolutional": (2000, 2000)}
EPOCHS, BATCH = 5, 64
DIMENSION, INTERVAL, REFRESH = 16, 8, 64
DECAY, MOMENTUM = 5e-3, 0.9
IMAGES = 100
"""Of the test set, on which gradients and Jacobians are compared."""
CONTROLS = {"random subspace": random_subspace, "complement": complement}
"""NMNC on something else than the manifold, by name of the rule."""
DIVERGENCE = ("finite values", "rank of at least")
"""What the library says of weights that have become infinite, and of units that have died until a manifold is lost."""


@dataclass(frozen=True)
class Learner:
    """A classifier of MNIST digits, 784-2000-2000-2000-10 or 8·14·14, 16·7·7, 2000, 2000, 10, that learns by direct
    feedback.

    `rule`: one of `training.RULES` or `CONTROLS`; `feedback_rate`: η, None for rules that learn no feedback.
    """

    task: str
    rule: str
    learning_rate: float
    feedback_rate: float | None
    seed: int

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return accuracies, numbers of perturbations and passes, and what the feedback has learned.

        A training that diverges says so, and has the accuracy of guessing.
        """
        data = mnist(lab)
        key = random.fold_in(lab.key(f"learning: learner, {self.task}"), self.seed)
        layers = KINDS[self.task](random.fold_in(key, 0), lab, data, HIDDEN[self.task])
        settings = training.Settings(
            "nmnc" if self.rule in CONTROLS else self.rule,
            learning_rate=self.learning_rate,
            momentum=MOMENTUM,
            decay=DECAY,
            feedback_rate=self.feedback_rate or 0.0,
            dimension=DIMENSION,
            interval=INTERVAL,
            refresh=REFRESH,
        )
        states = course(
            lab,
            random.fold_in(key, 1),
            layers,
            data,
            route=ROUTE,
            settings=settings,
            epochs=EPOCHS,
            batch=BATCH,
            control=CONTROLS.get(self.rule),
        )
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # on the way to divergence
                *_, state = states
                found: dict[str, Any] = {
                    part: _accuracy(lab, state, getattr(data, part)) for part in ("validation", "test")
                }
                found |= {"diverged": None}
                if settings.rule != "backpropagation":
                    found |= {"cosines": _cosines(lab, state, data.test)}
                if settings.rule in training.PERTURBING:
                    steps = EPOCHS * (data.train.inputs.shape[0] // BATCH)
                    perturbations = -(-steps // INTERVAL)
                    found |= {"perturbations": perturbations, "passes": 2 * perturbations}
                    found |= {"feedback": _feedback(lab, state, data.test.inputs[:IMAGES, :])}
                return found
        except ValueError as error:
            if not any(sign in str(error) for sign in DIVERGENCE):
                raise
            return {"validation": 1 / CLASSES, "test": 1 / CLASSES, "diverged": str(error)}


def _accuracy(lab: Lab, state: training.State, part: Samples) -> float:
    output = network.forward(state.network, part.inputs, activation.relu).output
    right = lab.xp.argmax(output, axis=-1) == lab.xp.argmax(part.targets, axis=-1)
    return float(lab.numpy(right).mean())


def _cosine(lab: Lab, a: Array, b: Array) -> float:
    product, squares = float(lab.xp.sum(a * b)), float(lab.xp.sum(a * a)) * float(lab.xp.sum(b * b))
    return product / squares**0.5 if squares else 0.0


def _cosines(lab: Lab, state: training.State, part: Samples) -> list[float]:
    """Return by layer the cosine of the weight gradient of the rule with that of backpropagation."""
    x, target = part.inputs[:IMAGES, :], part.targets[:IMAGES, :]
    truth = ROUTE.backpropagation(state.network, x, target, loss.softmax_cross_entropy)
    _, _, gradient = ROUTE.credit(state.network, x, truth.forward, truth.error, state.feedback)
    return [_cosine(lab, own.weight, exact.weight) for own, exact in zip(gradient, truth.gradient, strict=True)]


def _feedback(lab: Lab, state: training.State, x: Array) -> list[dict[str, float]]:
    """Return by hidden layer the cosine of B with the mean Jacobian J̄, and the energies that predict it (F2)."""
    found = []
    for layer, (feedback, basis) in enumerate(zip(state.feedback, state.bases, strict=True), start=1):
        J = network.jacobian(state.network, x, layer, activation.relu)
        mean = lab.xp.mean(J, axis=0)
        found.append(
            {
                "cosine": _cosine(lab, feedback, mean),
                "width": basis.shape[0],
                "mean Jacobian": float(lab.xp.sum(mean**2)),
                "its part in the manifold": float(lab.xp.sum((mean @ basis) ** 2)),
                "Jacobians": float(lab.xp.sum(J**2)) / x.shape[0],
                "their part in the manifold": float(lab.xp.sum((J @ basis) ** 2)) / x.shape[0],
            }
        )
    return found
