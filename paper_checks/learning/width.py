"""Claims D3 and L3: what grows with the width of a trained network, and what does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nmnc_ref import theory
from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, at_least, reported, slope_at_least, slope_at_most
from paper_checks.lab import Lab
from paper_checks.learning.experiments.width import COSINE, LAYERS, Width

WIDTHS = (64, 128, 256, 512, 1024, 2048)
SEEDS = range(3)
EXPONENTS = {"participation ratio": 0.5, "TwoNN": 0.5, "90 % of variance": 1.0}
"""The largest exponent of the dimension in the width that the claim allows."""
STEEP, FLAT = 0.8, 0.3
"""Exponents of the number of perturbations in the width, for isotropic and for manifold noise."""


def _experiments() -> list[Width]:
    return [Width(width, seed) for width in WIDTHS for seed in SEEDS]


def _collect(results: Results, quantity: str, layer: int) -> tuple[list[float], list[float]]:
    """Return widths and values of all runs; infinite where a cosine was not reached."""
    runs = [(each.width, results[each][quantity][layer - 1]) for each in _experiments()]
    return [width for width, _ in runs], [np.inf if value is None else value for _, value in runs]


@claim(
    "D3",
    "The dimension of the manifold grows much more slowly than the width of the network: participation ratio and TwoNN "
    "like n to a power below 0.5, the components with 90 % of the variance to a power below 1.",
    formula=r"""
        d \propto n^a, \quad a < \tfrac{1}{2} \text{ (participation ratio, TwoNN)}, \quad a < 1
            \text{ (90 % of the variance)}
    """,
    source="abstract",
    rung="trained networks",
    twins={"perturbations of isotropic noise for the dimension": {"exponents": {"VNC": 0.5}}},
    experiments=_experiments,
)
def dimension_over_width(
    lab: Lab, results: Results, exponents: Mapping[str, float] = EXPONENTS
) -> Iterator[Comparison]:
    """Classifiers 784-n-n-10 of MNIST digits, widths 64 to 2048, three seeds; activity of 500 images, centred."""
    for layer in LAYERS:
        for measure, largest in exponents.items():
            points = _collect(results, measure, layer)
            exponent = slope_at_most(f"{measure}, layer {layer}: exponent", largest, *points, len(SEEDS))
            yield exponent.at(quantity="exponent", measure=measure, layer=layer)


def _predicted(alignment: float, dimension: int) -> float:
    """Return K with √(α K/(K + d + 1)) = 0.5 (E6)."""
    excess = alignment / COSINE**2 - 1
    return theory.estimator.spread(dimension) / excess if excess > 0 else np.inf


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
    twins={
        "a random subspace for the manifold": {"manifold": "random", "alignment": "random alignment"},
        "the kinds of noise exchanged": {"manifold": "VNC", "isotropic": "NMNC"},
    },
    experiments=_experiments,
)
def perturbations_over_width(
    lab: Lab, results: Results, manifold: str = "NMNC", isotropic: str = "VNC", alignment: str = "alignment"
) -> Iterator[Comparison]:
    """The classifiers of D3, trained with decay 5e-3 so that d = 10 gives α > 0.25 at every width; the first K at which
    the cosine of estimate and Jacobian, a mean of 20, is 0.5.
    """
    for layer in LAYERS:
        widths, alphas = _collect(results, alignment, layer)
        yield at_least(f"least α, layer {layer}", COSINE**2, min(alphas))
        steep, flat = (_collect(results, kind, layer) for kind in (isotropic, manifold))
        yield slope_at_least(f"isotropic noise, layer {layer}: exponent", STEEP, *steep, len(SEEDS))
        yield slope_at_most(f"manifold noise, layer {layer}: exponent", FLAT, *flat, len(SEEDS))
        dimension = _experiments()[0].dimension
        for width in WIDTHS:
            chosen = [index for index, each in enumerate(widths) if each == width]
            mean = float(np.mean([alphas[index] for index in chosen]))
            for name, rule, (_, draws), predicted in (
                ("isotropic", "VNC", steep, _predicted(1.0, width)),
                ("manifold", "NMNC", flat, _predicted(mean, dimension)),
            ):
                values = [draws[i] for i in chosen]
                found = reported(f"K of {name} noise, n = {width}, layer {layer}", values, predicted)
                yield found.at(quantity="perturbations", rule=rule, layer=layer, n=width)
