"""Claims D3 and L3, and both on CIFAR-10: what grows with the width of a trained network, and what does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nmnc_ref import theory
from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, at_least, reported, slope_at_least, slope_at_most
from paper_checks.data.supplied import Supplied
from paper_checks.lab import Lab
from paper_checks.learning.experiments import cifar, cifar_width, width
from paper_checks.learning.experiments.cifar_width import CifarWidth
from paper_checks.learning.experiments.width import Width

WIDTHS = (64, 128, 256, 512, 1024, 2048)
CHANNELS = (4, 8, 16, 32, 64)
SEEDS = range(3)
EXPONENTS = {"participation ratio": 0.5, "TwoNN": 0.5, "90 % of variance": 1.0}
"""The largest exponent of the dimension in the width that the claim allows."""
STEEP, FLAT = 0.8, 0.3
"""Exponents of the number of perturbations in the width, for isotropic and for manifold noise."""
SLOW = 0.5
"""That for manifold noise on CIFAR-10, the same as of the dimension."""
Networks = Sequence[Width] | Sequence[CifarWidth]


def _experiments() -> list[Width]:
    return [Width(width, seed) for width in WIDTHS for seed in SEEDS]


def _experiments_on_cifar(supplied: Supplied) -> list[CifarWidth]:
    assert supplied.cifar is not None  # which the claims need
    return [CifarWidth(supplied.cifar, channels, seed) for channels in CHANNELS for seed in SEEDS]


def _by_width(results: Results) -> list[CifarWidth]:
    return sorted(results, key=lambda each: (each.channels, each.seed))


def _collect(results: Results, networks: Networks, quantity: str, layer: int) -> tuple[list[float], list[float]]:
    """Return widths and values of all runs; infinite where a cosine was not reached."""
    values = [results[each][quantity][layer - 1] for each in networks]
    return [each.units(layer) for each in networks], [np.inf if value is None else value for value in values]


def _dimensions(
    results: Results, networks: Networks, layers: Sequence[int], exponents: Mapping[str, float]
) -> Iterator[Comparison]:
    for layer in layers:
        for measure, largest in exponents.items():
            points = _collect(results, networks, measure, layer)
            exponent = slope_at_most(f"{measure}, layer {layer}: exponent", largest, *points, len(SEEDS))
            yield exponent.at(quantity="exponent", measure=measure, layer=layer)


DIMENSION_OVER_WIDTH = r"""
    d \propto n^a, \quad a < \tfrac{1}{2} \text{ (participation ratio, TwoNN)}, \quad a < 1
        \text{ (90 % of the variance)}
"""


@claim(
    "D3",
    "The dimension of the manifold grows much more slowly than the width of the network: participation ratio and TwoNN "
    "like n to a power below 0.5, the components with 90 % of the variance to a power below 1.",
    formula=DIMENSION_OVER_WIDTH,
    source="abstract",
    rung="trained networks",
    twins={"perturbations of isotropic noise for the dimension": {"exponents": {"VNC": 0.5}}},
    experiments=_experiments,
)
def dimension_over_width(
    lab: Lab, results: Results, exponents: Mapping[str, float] = EXPONENTS
) -> Iterator[Comparison]:
    """Classifiers 784-n-n-10 of MNIST digits, widths 64 to 2048, three seeds; activity of 500 images, centred."""
    yield from _dimensions(results, _experiments(), width.LAYERS, exponents)


@claim(
    "D3-CIFAR",
    "The dimension of the manifold grows much more slowly than the width of convolutional networks on CIFAR-10, as D3.",
    formula=DIMENSION_OVER_WIDTH,
    source="abstract",
    rung="trained networks",
    twins={"perturbations of isotropic noise for the dimension": {"exponents": {"VNC": 0.5}}},
    experiments=_experiments_on_cifar,
    needs=("cifar",),
)
def dimension_over_channels(
    lab: Lab, results: Results, exponents: Mapping[str, float] = EXPONENTS
) -> Iterator[Comparison]:
    """Three strided convolutions with c, 2c and 4c channels for c from 4 to 64, three seeds; activity of 500 images,
    centred, of 1,024 to 16,384 units in the first layer.
    """
    yield from _dimensions(results, _by_width(results), cifar.SITES, exponents)


def _predicted(alignment: float, dimension: int, cosine: float) -> float:
    """Return K with √(α K/(K + d + 1)) = c (E6)."""
    excess = alignment / cosine**2 - 1
    return theory.estimator.spread(dimension) / excess if excess > 0 else np.inf


def _perturbations(
    results: Results,
    networks: Networks,
    layers: Sequence[int],
    cosine: float,
    most: float,
    manifold: str,
    isotropic: str,
    alignment: str,
) -> Iterator[Comparison]:
    for layer in layers:
        widths, alphas = _collect(results, networks, alignment, layer)
        yield at_least(f"least α, layer {layer}", cosine**2, min(alphas))
        steep, flat = (_collect(results, networks, kind, layer) for kind in (isotropic, manifold))
        yield slope_at_least(f"isotropic noise, layer {layer}: exponent", STEEP, *steep, len(SEEDS))
        yield slope_at_most(f"manifold noise, layer {layer}: exponent", most, *flat, len(SEEDS))
        for units in sorted(set(widths)):
            chosen = [index for index, each in enumerate(widths) if each == units]
            mean = float(np.mean([alphas[index] for index in chosen]))
            for name, rule, (_, draws), predicted in (
                ("isotropic", "VNC", steep, _predicted(1.0, int(units), cosine)),
                ("manifold", "NMNC", flat, _predicted(mean, networks[0].dimension, cosine)),
            ):
                values = [draws[i] for i in chosen]
                found = reported(f"K of {name} noise, n = {units}, layer {layer}", values, predicted)
                yield found.at(quantity="perturbations", rule=rule, layer=layer, n=units)


TWINS_OF_PERTURBATIONS = {
    "a random subspace for the manifold": {"manifold": "random", "alignment": "random alignment"},
    "the kinds of noise exchanged": {"manifold": "VNC", "isotropic": "NMNC"},
}


@claim(
    "L3",
    "The number of perturbations to a cosine of 0.5 grows with the width for isotropic noise, like n, and stays nearly "
    "flat for noise on a manifold with α > 0.25.",
    formula=r"""
        \sqrt{\frac{\alpha K}{K+d+1}} = \tfrac{1}{2} \;\iff\; K = \frac{d+1}{4\alpha-1} \quad\text{(NMNC)}
        \sqrt{\frac{K}{K+n+1}} = \tfrac{1}{2} \;\iff\; K = \frac{n+1}{3} \quad\text{(VNC)}
    """,
    source="abstract",
    rung="trained networks",
    twins=TWINS_OF_PERTURBATIONS,
    experiments=_experiments,
)
def perturbations_over_width(
    lab: Lab, results: Results, manifold: str = "NMNC", isotropic: str = "VNC", alignment: str = "alignment"
) -> Iterator[Comparison]:
    """The classifiers of D3, trained with decay 5e-3 so that d = 10 gives α > 0.25 at every width; the first K at which
    the cosine of estimate and Jacobian, a mean of 20, is 0.5.
    """
    yield from _perturbations(results, _experiments(), width.LAYERS, width.COSINE, FLAT, manifold, isotropic, alignment)


@claim(
    "L3-CIFAR",
    "The number of perturbations to a cosine of 0.25 grows with the width of convolutional networks on CIFAR-10 for "
    "isotropic noise, like n, and much more slowly for noise on a manifold with α > 1/16, like n to a power below 0.5.",
    formula=r"""
        \sqrt{\frac{\alpha K}{K+d+1}} = \tfrac{1}{4} \;\iff\; K = \frac{d+1}{16\alpha-1} \quad\text{(NMNC)}
        \sqrt{\frac{K}{K+n+1}} = \tfrac{1}{4} \;\iff\; K = \frac{n+1}{15} \quad\text{(VNC)}
    """,
    source="abstract",
    rung="trained networks",
    twins=TWINS_OF_PERTURBATIONS,
    experiments=_experiments_on_cifar,
    needs=("cifar",),
)
def perturbations_over_channels(
    lab: Lab, results: Results, manifold: str = "NMNC", isotropic: str = "VNC", alignment: str = "alignment"
) -> Iterator[Comparison]:
    """The networks of D3-CIFAR, d = 32; the first K at which the cosine of estimate and Jacobian, a mean of 20, is
    0.25.
    """
    yield from _perturbations(
        results, _by_width(results), cifar.SITES, cifar_width.COSINE, SLOW, manifold, isotropic, alignment
    )
