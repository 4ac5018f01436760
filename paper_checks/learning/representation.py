"""Claim L6: whose representations are more like backpropagation's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, exceeds, reported
from paper_checks.lab import Lab
from paper_checks.learning import grid
from paper_checks.learning.experiments.representation import MEASURES, TASK, Resemblance
from paper_checks.learning.experiments.tasks import FRESH

RULES = ("backpropagation", "nmnc", "vnc")
SEEDS = range(5)
ASSERTED = ("debiased CKA", "RSA")
"""Without a bias that grows with the number of units."""


def _experiments() -> list[Resemblance]:
    return [Resemblance(tuple((rule, *grid.best(TASK, rule, FRESH)) for rule in RULES), seed) for seed in SEEDS]


def _similarity(results: Results, rule: str, measure: str) -> list[list[float]]:
    """Return by layer the similarities of all networks that were trained to their end."""
    found = [run[rule][measure] for run in results.values() if rule in run]
    return [list(values) for values in zip(*found, strict=True)]


def _mean(layers: list[list[float]]) -> list[float]:
    return [float(np.mean(values)) for values in zip(*layers, strict=True)]


@claim(
    "L6",
    "The representations that NMNC learns from fresh perturbations are more like backpropagation's than those that VNC "
    "learns, by debiased CKA and RSA.",
    formula=r"""
        \mathrm{CKA}(X_{\mathrm{NMNC}}, X_{\mathrm{BP}}) > \mathrm{CKA}(X_{\mathrm{VNC}}, X_{\mathrm{BP}})
        \mathrm{RSA}(X_{\mathrm{NMNC}}, X_{\mathrm{BP}}) > \mathrm{RSA}(X_{\mathrm{VNC}}, X_{\mathrm{BP}})
    """,
    source="abstract",
    rung="trained networks",
    twins={
        "the initial network for NMNC's": {"manifold": "untrained"},
        "images in another order for NMNC's": {"manifold": "chance"},
        "the rules exchanged": {"manifold": "vnc", "isotropic": "nmnc"},
    },
    experiments=_experiments,
)
def representations(lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc") -> Iterator[Comparison]:
    """Dense classifiers of L2, which learn from fresh perturbations, the three rules from the same initial state;
    activity of hidden layers for 200 test images, compared with that of the same layer in backpropagation's network;
    five networks of each. Chance is backpropagation's own layer with the images in another order.
    """
    for measure in ASSERTED:
        less, more = (_mean(_similarity(results, rule, measure)) for rule in (isotropic, manifold))
        yield exceeds(f"{measure} with backpropagation, {manifold} > {isotropic}, mean over layers", less, more)
    for measure in MEASURES:
        for rule in ("nmnc", "vnc", "untrained", "chance"):
            for layer, values in enumerate(_similarity(results, rule, measure), start=1):
                yield reported(f"{measure} of {rule} with backpropagation, layer {layer}", values)
