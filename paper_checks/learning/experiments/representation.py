"""How alike the representations are that networks learn by different rules (L6)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nmnc_ref import similarity
from nmnc_ref.arrays import Array
from nmnc_ref.nn import feedforward
from nmnc_ref.nn.activation import relu
from paper_checks.lab import Lab
from paper_checks.learning.experiments.accuracy import DIVERGENCE, Learner

TASK = "dense"
STIMULI = 200
"""Images of the test set that representations are compared on."""
MEASURES = {"debiased CKA": similarity.debiased_cka, "CKA": similarity.linear_cka, "RSA": similarity.rsa}


@dataclass(frozen=True)
class Resemblance:
    """Networks of one initial state that have learned by each of some rules.

    `rates`: of each rule its name, learning rate and feedback rate, backpropagation first.
    """

    rates: tuple[tuple[str, float, float | None], ...]
    seed: int

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return, by rule, measure and hidden layer, similarities to backpropagation's network; "untrained" is the
        initial state, "chance" backpropagation's own representation with the images in another order.

        Another rule whose training diverged is not there.

        Raises:
            training.Divergence: backpropagation's training has no end.
        """
        learners = {rule: Learner(TASK, rule, rate, eta, self.seed) for rule, rate, eta in self.rates}
        exact = learners.pop("backpropagation")
        data, state = exact.learn(lab)
        networks = {"untrained": exact.initial(lab), "backpropagation": state.network}
        for rule, learner in learners.items():
            with suppress(*DIVERGENCE):
                networks[rule] = learner.learn(lab)[1].network
        images = data.test.inputs[:STIMULI, :]
        reference = _representations(networks["backpropagation"], images)
        seen = {rule: _representations(layers, images) for rule, layers in networks.items()}
        seen["chance"] = [lab.xp.roll(activity, 1, axis=0) for activity in reference]
        del seen["backpropagation"]
        return {rule: _similarities(own, reference) for rule, own in seen.items()}


def _representations(layers: tuple, images: Array) -> list[Array]:
    return list(feedforward.forward(layers, images, relu).activity[1:-1])


def _similarities(own: list[Array], others: list[Array]) -> dict[str, list[float]]:
    return {
        name: [float(measure(*pair)) for pair in zip(own, others, strict=True)] for name, measure in MEASURES.items()
    }
