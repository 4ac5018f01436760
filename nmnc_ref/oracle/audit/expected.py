"""What is expected of a right estimate: mean and covariance of each returned array."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.experiment import experiment
from nmnc_ref.oracle.audit.moments import Experiment
from nmnc_ref.oracle.audit.problem import LOSSES, Declaration, Problem, forward
from nmnc_ref.oracle.audit.smoothing import POINTS, expected_products


class Part(NamedTuple):
    """One returned array and what is expected of it.

    `name`; `shape`; `site`: the layer that was perturbed for it, None for the exact output layer; `mean` [m];
    `covariance` [m, m] of one estimate, for a linear response; `uncertainty` [m, m]: covariance of the error of `mean`
    itself, zero where it has a closed form; `joint` [M, M]: covariance of all parts, of which this one is at `rows`.
    """

    name: str
    shape: tuple[int, ...]
    site: int | None
    mean: np.ndarray
    covariance: np.ndarray
    uncertainty: np.ndarray
    joint: np.ndarray
    rows: np.ndarray


def expected_parts(
    problem: Problem, declaration: Declaration, smoothing: np.random.Generator | None = None, points: int = POINTS
) -> tuple[Part, ...]:
    """Return the parts of a right estimate, in the order in which they are returned.

    Args:
        problem: what is estimated.
        declaration: how.
        smoothing: of an integral over finite noise for the means; None where the response is linear.
        points: of that integral.
    """
    made = experiment(problem, declaration)
    products = None if smoothing is None else expected_products(made, declaration, smoothing, points)
    return (*parts(made, products), *exact_output_layer(problem, declaration))


def parts(made: Experiment, products: np.ndarray | None = None) -> tuple[Part, ...]:
    """Return what is estimated, with its moments; `products` [G, R, D]: E[ρ zᵀ] in independent groups, if not A."""
    found = []
    every = np.concatenate([maps for *_, maps in made.maps])
    joint, start = made.covariance(every, every), 0
    for name, shape, site, maps in made.maps:
        rows, start = np.arange(start, start + len(maps)), start + len(maps)
        covariance = joint[np.ix_(rows, rows)]
        mean, uncertainty = made.mean(maps), np.zeros_like(covariance)
        if products is not None:
            groups = np.tensordot(products, maps, ([1, 2], [1, 2]))
            mean, uncertainty = groups.mean(axis=0), np.cov(groups.T).reshape(covariance.shape) / len(groups)
        found.append(Part(name, shape, site, mean, covariance, uncertainty, joint, rows))
    return tuple(found)


def exact_output_layer(problem: Problem, declaration: Declaration) -> tuple[Part, ...]:
    """Return the exact gradient of the output layer, where it is returned and not estimated."""
    if declaration.returns != "weight-gradient" or declaration.output_layer:
        return ()
    passed = forward(problem)
    error = LOSSES[problem.loss].error(passed.output, problem.target)
    values = {"dW": error.T @ passed.activity[-2], "db": error.sum(axis=0)}
    found = []
    for name, value in values.items():
        zero, rows = np.zeros((value.size, value.size)), np.arange(value.size)
        found.append(Part(f"{name} of the output layer", value.shape, None, value.ravel(), zero, zero, zero, rows))
    return tuple(found)
