"""What credit rules are compared on: data, network, route of credit, and all that is the same for every rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, feedforward, recurrent
from nmnc_ref.nn.initialisation import recurrent_network
from nmnc_ref.route import Direct, Layerwise, Route, ThroughTime
from paper_checks.data import sequences
from paper_checks.data.dataset import Dataset
from paper_checks.data.images import mnist
from paper_checks.lab import Lab
from paper_checks.learning.experiments import trained

BATCH = 64
FIT_EVERY = 27
"""Steps between fits of the manifold, half an epoch, where perturbations come at every step or second step."""
FRESH = (1.0,)
"""The feedback rate that keeps nothing of earlier perturbations."""
READ_OUT = 0.1
"""Factor of the initial read-out of recurrent networks: little of it off the manifold, as decay is slow (A2)."""


class Task(NamedTuple):
    """What is learned and how.

    `data`: of a lab; `network`: the initial one, of a key, a lab and the data; `route`: of credit;
    `targets`: (network, inputs) → what each array of feedback estimates, for each input or once for all, [·, r, n];
    `learning_rates`, `feedback_rates`: the grid, the same for all rules, if there is one; `dimension`: of the manifold;
    `samples`, `perturb_every`: perturbed at every so many steps; `fit_every`: steps between fits of the manifold.
    """

    data: Callable[[Lab], Dataset]
    network: Callable[[Array, Lab, Dataset], tuple]
    route: Route
    targets: Callable[[tuple, Array], list[Array]]
    learning_rates: tuple[float, ...]
    feedback_rates: tuple[float, ...]
    epochs: int
    decay: float
    dimension: int
    perturb_every: int
    samples: int
    fit_every: int


@dataclass(frozen=True)
class Amplified(ThroughTime):
    """Feedback that carries the error `gain` times as strongly: g_t = gain · Σ_lag e_{t+lag} B_lag."""

    gain: float = 1.0

    def credit(self, network: tuple, x: Array, passed: Any, error: Array, feedbacks: tuple[Array, ...]) -> tuple:
        """As `ThroughTime`, by gain · B."""
        return super().credit(network, x, passed, error, tuple(self.gain * each for each in feedbacks))


def _weights(layers: tuple, x: Array) -> list[Array]:
    """Return what mirrors estimate: W of all dense layers but the first, the same for all inputs."""
    del x
    return [layer.weight[None, ...] for layer in layers[1:]]


def _jacobians(layers: tuple, x: Array) -> list[Array]:
    """Return what direct feedback estimates: J of all hidden layers."""
    return [feedforward.jacobian(layers, x, l, activation.relu) for l in range(1, len(layers))]


def _by_lag(leak: float) -> Callable[[tuple, Array], list[Array]]:
    def jacobians(layers: tuple, x: Array) -> list[Array]:
        """Return what feedback through time estimates: J of the activity 0, 1, … steps before the end."""
        return list(recurrent.jacobians(layers, x, activation.tanh, leak=leak))

    return jacobians


def _recurrent(units: int) -> Callable[[Array, Lab, Dataset], tuple]:
    def initial(key: Array, lab: Lab, data: Dataset) -> tuple:
        cell, read_out = recurrent_network(key, data.shape[1], units, data.train.targets.shape[1], lab.dtype)
        return cell, read_out._replace(weight=READ_OUT * read_out.weight)

    return initial


def _classifier(kind: str, *hidden: int) -> Callable[[Array, Lab, Dataset], tuple]:
    return lambda key, lab, data: trained.KINDS[kind](key, lab, data, hidden)


def _through_time(leak: float, units: int) -> dict[str, Any]:
    """Return how a recurrent network of leaky tanh units learns from perturbations at every step of training."""
    return {
        "network": _recurrent(units),
        "route": ThroughTime(activation.tanh, leak=leak),
        "targets": _by_lag(leak),
        "feedback_rates": (1.0, 0.3, 0.1, 0.03),
        "epochs": 3,
        "decay": 1e-3,
        "perturb_every": 1,
        "fit_every": FIT_EVERY,
    }


IMAGES: dict[str, Any] = {
    "data": mnist,
    "learning_rates": (0.00125, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16),
    "feedback_rates": (0.001, 0.003, 0.01, 0.03, 0.1),
    "epochs": 5,
    "decay": 5e-3,
    "dimension": 16,
    "samples": 1,
}
DIRECT: dict[str, Any] = IMAGES | {"route": Direct(activation.relu), "targets": _jacobians}
TASKS = {
    "dense": Task(
        network=_classifier("dense", 500, 500, 500),
        **DIRECT
        | {"feedback_rates": (1.0, 0.3, 0.1, 0.03, 0.01), "perturb_every": 1, "samples": 16, "fit_every": FIT_EVERY},
    ),
    "narrow": Task(
        network=_classifier("dense", *(64,) * 5),
        route=Layerwise(activation.relu),
        targets=_weights,
        perturb_every=2,
        fit_every=FIT_EVERY,
        **IMAGES,
    ),
    "convolutional": Task(network=_classifier("convolutional", 2000, 2000), perturb_every=8, fit_every=64, **DIRECT),
    "rows": Task(
        data=lambda lab: sequences.rows(mnist(lab)),
        learning_rates=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16),
        dimension=16,
        samples=4,
        **_through_time(0.2, 256),
    ),
    "memory": Task(
        data=lambda lab: sequences.memory(lab, steps=10, symbols=8),
        learning_rates=(0.05, 0.1, 0.2, 0.4, 0.8, 1.6),
        dimension=8,
        samples=2,
        **_through_time(0.1, 256),
    ),
    "crowded": Task(  # 10 · 16 rows of feedback, by lag and output, for 128 units: random ones cannot all be met
        data=lambda lab: sequences.memory(lab, steps=10, symbols=16),
        learning_rates=(),
        dimension=16,
        samples=1,
        **_through_time(0.1, 128) | {"route": Amplified(activation.tanh, leak=0.1), "epochs": 6, "perturb_every": 16},
    ),
}
