"""Claims A3-trained, A3-CIFAR and A4-trained: training brings the rows of the Jacobian into the manifold."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from nmnc_ref import theory
from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, exceeds, reported
from paper_checks.data.supplied import Supplied
from paper_checks.lab import Lab
from paper_checks.learning.experiments.alignment import DIMENSION, LAYERS, WIDTH, Alignment
from paper_checks.learning.experiments.cifar import SITES
from paper_checks.learning.experiments.cifar_alignment import CifarAlignment

SEEDS = range(5)
DECAYS = (0.0, 1e-3, 5e-3)
DECAYS_ON_CIFAR = (5e-4, 5e-3)
SEEDS_ON_CIFAR = range(5)
FACTOR = 3
"""How far above d/n is far above."""


def _experiments() -> list[Alignment]:
    return [Alignment(decay, seed) for decay in DECAYS for seed in SEEDS]


def _alphas(results: Results, decay: float, epoch: int, layer: int) -> list[float]:
    return [results[Alignment(decay, seed)]["course"][epoch][layer - 1] for seed in SEEDS]


@claim(
    "A3-trained",
    "In trained networks α_l is far above the d/n of random ones (here by a factor of at least 3), grows in the course "
    "of training, and is higher with more weight decay.",
    formula=r"\alpha_l = \frac{\|J_lP\|^2}{\|J_l\|^2} > \frac{3d}{n}",
    source="abstract",
    rung="trained networks",
    twins={
        "before training": {"last": 0},
        "decay the other way round": {"decays": DECAYS[::-1]},
        "backwards in time": {"first": -1, "last": 1},
    },
    experiments=_experiments,
)
def alignment_over_training(
    lab: Lab,
    results: Results,
    decays: tuple[float, ...] = DECAYS,
    first: int = 1,
    last: int = -1,
    predict: Callable[[int, int], float] = theory.estimator.random_alignment,
) -> Iterator[Comparison]:
    """Classifiers 784-512-512-512-10 of 5,000 MNIST digits, trained by backpropagation for ten epochs; d = 10."""
    chance = predict(DIMENSION, WIDTH)
    for layer in LAYERS:
        for decay in decays:
            final = _alphas(results, decay, last, layer)
            initial = reported(f"α_{layer} before training, decay {decay}", _alphas(results, decay, 0, layer), chance)
            yield initial.at(quantity="alignment", epoch=0, layer=layer, decay=decay, d=DIMENSION, n=WIDTH)
            yield exceeds(f"α_{layer} > {FACTOR} d/n, decay {decay}", [FACTOR * chance] * len(final), final)
        for less, more in itertools.pairwise(decays):
            yield exceeds(
                f"α_{layer}, decay {more} > {less}",
                _alphas(results, less, last, layer),
                _alphas(results, more, last, layer),
            )
        yield exceeds(
            f"α_{layer} at the end > after an epoch, decay {decays[-1]}",
            _alphas(results, decays[-1], first, layer),
            _alphas(results, decays[-1], last, layer),
        )


def _experiments_on_cifar(supplied: Supplied) -> list[CifarAlignment]:
    assert supplied.cifar is not None  # which the claim needs
    return [CifarAlignment(supplied.cifar, decay, seed) for decay in DECAYS_ON_CIFAR for seed in SEEDS_ON_CIFAR]


@claim(
    "A3-CIFAR",
    "In convolutional networks on CIFAR-10 α_l is far above the d/n of random ones (here by a factor of at least 3), "
    "grows in the course of training with the larger weight decay, and is higher with it.",
    formula=r"\alpha_l = \frac{\|J_lP\|^2}{\|J_l\|^2} > \frac{3d}{n}",
    source="abstract",
    rung="trained networks",
    twins={
        "before training": {"last": 0},
        "decay the other way round": {"decays": DECAYS_ON_CIFAR[::-1]},
        "backwards in time": {"first": -1, "last": 1},
    },
    experiments=_experiments_on_cifar,
    needs=("cifar",),
)
def alignment_on_cifar(
    lab: Lab,
    results: Results,
    decays: tuple[float, ...] = DECAYS_ON_CIFAR,
    first: int = 1,
    last: int = -1,
    predict: Callable[[int, int], float] = theory.estimator.random_alignment,
) -> Iterator[Comparison]:
    """Three strided convolutions, 8,192, 4,096 and 2,048 units, trained by backpropagation in 960 steps; d = 32."""
    some, *_ = results

    def alphas(decay: float, look: int, layer: int) -> list[float]:
        return [run["course"][look]["alignment"][layer - 1] for each, run in results.items() if each.decay == decay]

    for layer in SITES:
        width = some.units(layer)
        chance = predict(some.dimension, width)
        for decay in decays:
            for look, seen in enumerate(results[some]["course"]):
                found = reported(
                    f"α_{layer} after {seen['step']} steps, decay {decay}", alphas(decay, look, layer), chance
                )
                yield found.at(
                    quantity="alignment", step=seen["step"], layer=layer, decay=decay, d=some.dimension, n=width
                )
            final = alphas(decay, last, layer)
            yield exceeds(f"α_{layer} > {FACTOR} d/n, decay {decay}", [FACTOR * chance] * len(final), final)
        growing = [alphas(decays[-1], look, layer) for look in (first, last)]
        yield exceeds(f"α_{layer} at the end > at the first look in training, decay {decays[-1]}", *growing)
        for less, more in itertools.pairwise(decays):
            name = f"α_{layer}, decay {more} > {less}"
            yield exceeds(name, alphas(less, last, layer), alphas(more, last, layer))


@claim(
    "A4-trained",
    "The mean direction of the activity carries part of the Jacobian that a centred basis misses: adding it raises α "
    "in trained networks.",
    formula=r"\alpha_l(\text{mean direction added}) - \alpha_l(\text{centred}) > 0",
    source="derived",
    rung="trained networks",
    twins={
        "centred for mean-added": {"whole": "centred"},
        "the other way round": {"centred": "mean-added", "whole": "centred"},
    },
    experiments=_experiments,
)
def mean_direction(
    lab: Lab, results: Results, centred: str = "centred", whole: str = "mean-added"
) -> Iterator[Comparison]:
    """The classifiers of A3-trained: α of the first ten centred components, the same with the mean direction, and the
    first ten uncentred ones. The gain is a mean over layers and decays.
    """

    def alphas(decay: float, layer: int, centring: str) -> list[float]:
        return [results[Alignment(decay, seed)]["end"][centring][layer - 1] for seed in SEEDS]

    gains = []
    for decay, layer in itertools.product(DECAYS, LAYERS):
        less, more = alphas(decay, layer, centred), alphas(decay, layer, whole)
        gains.append([b - a for a, b in zip(less, more, strict=True)])
        yield reported(f"α_{layer} centred, decay {decay}", less)
        yield reported(f"α_{layer} mean-added, decay {decay}", more)
        yield reported(f"α_{layer} uncentred, decay {decay}", alphas(decay, layer, "uncentred"))
    by_seed = [float(np.mean(each)) for each in zip(*gains, strict=True)]
    yield exceeds("gain of α by the mean direction", [0.0] * len(by_seed), by_seed)
