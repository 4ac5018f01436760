"""Claim L7: the layer-wise rule at the sizes of AlexNet."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, at_most, exact
from paper_checks.lab import Lab
from paper_checks.learning.experiments.scale import Scale

UNITS = (193_600, 139_968, 64_896, 43_264, 43_264, 4_096, 4_096)
GIBIBYTE = 2**30
MEMORY = 6.0
"""Bound on the peak of a step, in GiB: about a dozen copies of the 61 million weights in float64."""


@claim(
    "L7",
    "The layer-wise rule takes a training step at the sizes of AlexNet, 193,600 units in the first layer, in bounded "
    "memory; its mirrors estimate W P of dense layers, and W times the mean patch covariance of convolutions.",
    formula=r"""
        \mathbb{E}[\hat M] = WP \quad\text{(dense)}
        \mathbb{E}[\hat M] = \frac{1}{\sigma^2}\,W\,\mathrm{mean}_p\,\mathrm{Cov}(\pi_p(\xi)) \quad\text{(convolution)}
    """,
    source="abstract, derived",
    rung="enumeration",
    twins={
        "W for its part in the manifold": {"target": "W"},
        "the sum over places for their mean": {"target": "W C, summed over places"},
    },
    experiments=lambda: [Scale(0)],
)
def alexnet(lab: Lab, results: Results, target: str = "W C") -> Iterator[Comparison]:
    """One step on eight enlarged digits with d = 10; then the expected estimate of 20 rows of each layer, over a finite
    law with E[z zᵀ] = I.
    """
    found = results[Scale(0)]
    yield exact(lab, "units of the hidden layers", np.array(UNITS), np.array(found["units"]), scale=0.0)
    learning = [math.isfinite(norm) and norm > 0 for norm in found["gradients"]]
    yield exact(lab, "layers with a weight gradient", len(UNITS) + 1, sum(learning), scale=0.0)
    yield at_most("peak memory of a step (GiB)", MEMORY, found["peak"] / GIBIBYTE)
    for site, mirror in enumerate(found["mirrors"], start=1):
        name = f"mirror of the weights above layer {site}: max|Δ| of rows"
        yield exact(lab, name, 0.0, mirror[target], terms=mirror["terms"], scale=mirror["size"])
