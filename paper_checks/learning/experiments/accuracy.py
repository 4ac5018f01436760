"""A network that learns a task by a credit rule, and how well it does (L2, L4, L5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nmnc_ref import manifold, random, training
from nmnc_ref.arrays import Array
from nmnc_ref.nn import loss
from paper_checks.data.dataset import Dataset, Samples
from paper_checks.lab import Lab
from paper_checks.learning.experiments.course import complement, course, random_subspace
from paper_checks.learning.experiments.tasks import BATCH, TASKS, Task

MOMENTUM = 0.9
INPUTS = 50
"""Of the test set, on which gradients and feedback are compared."""
CONTROLS = {"random subspace": random_subspace, "complement": complement}
"""NMNC on something else than the manifold, by name of the rule."""
DIVERGENCE = (training.Divergence, manifold.RankError)
"""Weights that have become infinite, and units that have died until a manifold is lost."""


@dataclass(frozen=True)
class Learner:
    """A network that learns one of `TASKS`, with a learning rate that falls in a straight line.

    `rule`: one of `training.RULES` or `CONTROLS`; `feedback_rate`: η, None for rules that learn no feedback;
    `dimension`: of the manifold, that of the task if None; `gain`: of `Amplified` routes.
    """

    task: str
    rule: str
    learning_rate: float
    feedback_rate: float | None
    seed: int
    dimension: int | None = None
    gain: float = 1.0

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return accuracies, numbers of perturbations and passes, and what the feedback has learned.

        A training that diverges says so, and is scored at chance.
        """
        task, settings = TASKS[self.task], self.settings
        try:
            data, state = self.learn(lab)
            last = task.epochs * (data.train.inputs.shape[0] // BATCH) - 1
            found: dict[str, Any] = {
                part: _accuracy(lab, task, state, getattr(data, part), last) for part in ("validation", "test")
            }
            found |= {"diverged": None}
            x, target = data.test.inputs[:INPUTS, ...], data.test.targets[:INPUTS, :]
            if settings.rule != "backpropagation":
                found |= {"cosines": _cosines(lab, task, state, x, target)}
            if settings.rule in training.PERTURBING:
                perturbations = self.steps(data) * task.samples
                found |= {"perturbations": perturbations, "passes": 2 * perturbations}
                found |= {"feedback": _feedback(lab, task, state, x)}
            return found
        except DIVERGENCE as error:
            guess = 1 / TASKS[self.task].data(lab).train.targets.shape[1]
            return {"validation": guess, "test": guess, "diverged": str(error)}

    @property
    def settings(self) -> training.Settings:
        """How it learns."""
        task = TASKS[self.task]
        return training.Settings(
            "nmnc" if self.rule in CONTROLS else self.rule,
            learning_rate=self.learning_rate,
            momentum=MOMENTUM,
            decay=task.decay,
            feedback_rate=self.feedback_rate or 0.0,
            dimension=self.dimension or task.dimension,
            samples=task.samples,
            perturb_every=task.perturb_every,
            fit_every=task.fit_every,
        )

    def steps(self, data: Dataset) -> int:
        """Return the number of perturbation steps of a training."""
        task = TASKS[self.task]
        return math.ceil(task.epochs * (data.train.inputs.shape[0] // BATCH) / task.perturb_every)

    def initial(self, lab: Lab) -> tuple:
        """Return the network before training, the same for every rule."""
        task = TASKS[self.task]
        return task.network(random.fold_in(self._key(lab), 0), lab, task.data(lab))

    def learn(self, lab: Lab) -> tuple[Dataset, training.State]:
        """Return the data, and the state at the end of training.

        Raises:
            training.Divergence, manifold.RankError: there is no end.
        """
        task = TASKS[self.task]
        data = task.data(lab)
        route: Any = task.route
        if self.gain != 1:
            route = replace(route, gain=self.gain)
        states = course(
            lab,
            random.fold_in(self._key(lab), 1),
            self.initial(lab),
            data,
            route=route,
            settings=self.settings,
            epochs=task.epochs,
            batch=BATCH,
            control=CONTROLS.get(self.rule),
            annealed=True,
        )
        with np.errstate(over="ignore", invalid="ignore"):
            *_, state = states
        return data, state

    def _key(self, lab: Lab) -> Array:
        return random.fold_in(lab.key(f"learning: learner, {self.task}"), self.seed)


def _accuracy(lab: Lab, task: Task, state: training.State, part: Samples, last: int) -> float:
    output = task.route.forward(state.network, part.inputs).output
    if not lab.xp.all(lab.xp.isfinite(output)):
        raise training.Divergence(last, "outputs after this last step that are not finite")
    right = lab.xp.argmax(output, axis=-1) == lab.xp.argmax(part.targets, axis=-1)
    return float(lab.numpy(right).mean())


def cosine(lab: Lab, a: Array, b: Array) -> float:
    """Return ⟨a, b⟩/(‖a‖ ‖b‖), 0 where one is zero."""
    product, squares = float(lab.xp.sum(a * b)), float(lab.xp.sum(a * a)) * float(lab.xp.sum(b * b))
    return product / squares**0.5 if squares else 0.0


def _cosines(lab: Lab, task: Task, state: training.State, x: Array, target: Array) -> list[float]:
    """Return, for the weights of all layers but the last, the cosine of the rule's gradient with backpropagation's."""
    truth = task.route.backpropagation(state.network, x, target, loss.softmax_cross_entropy)
    _, _, gradient = task.route.credit(state.network, x, truth.forward, truth.error, state.feedback)
    pairs = zip(gradient[:-1], truth.gradient[:-1], strict=True)
    return [cosine(lab, own.weight, exact.weight) for own, exact in pairs]


def _feedback(lab: Lab, task: Task, state: training.State, x: Array) -> list[dict[str, float]]:
    """Return for each array of feedback its cosine with what it estimates, and the energies that predict it (F2)."""
    found = []
    for feedback, basis, each in zip(state.feedback, state.bases, task.targets(state.network, x), strict=True):
        mean = lab.xp.mean(each, axis=0)
        found.append(
            {
                "cosine": cosine(lab, feedback, mean),
                "width": basis.shape[0],
                "dimension": basis.shape[1],
                "mean": float(lab.xp.sum(mean**2)),
                "its part in the manifold": float(lab.xp.sum((mean @ basis) ** 2)),
                "each": float(lab.xp.sum(each**2)) / each.shape[0],
                "their part in the manifold": float(lab.xp.sum((each @ basis) ** 2)) / each.shape[0],
            }
        )
    return found
