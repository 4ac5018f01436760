"""A correct estimator, made of exchangeable steps: exchange one, and it has a slip.

It computes many independent estimates at once, by perturbing the network as an audited estimator would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nmnc_ref.oracle.audit.coefficients import coefficients
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, LOSSES, Declaration, Problem, basis, forward
from nmnc_ref.oracle.audit.response import declared, outputs


def own_slope(problem: Problem, site: int) -> np.ndarray:
    """Return φ'(s) [B, n] of a hidden layer."""
    return ACTIVATIONS[problem.activation].slope(forward(problem).preactivation[site])


def estimates(
    problem: Problem,
    declaration: Declaration,
    generator: np.random.Generator,
    calls: int,
    *,
    direction: Callable[[Problem, int], np.ndarray] = basis,
    shared_by_samples: bool = False,
    shared_by_layers: bool = False,
    before_activation: bool = False,
    stale: bool = False,
    factor: Callable[[Problem, int], float] = lambda problem, site: 1.0,
    slope: Callable[[Problem, int], np.ndarray] = own_slope,
    weight_factor: Callable[[Problem], float] = lambda problem: 1.0,
    bias_factor: Callable[[Problem], float] = lambda problem: 1.0,
    transposed: bool = False,
) -> list[np.ndarray]:
    """Return independent estimates, one array [calls, …] for each returned array.

    Args:
        problem, declaration: what to estimate.
        generator: of the noise.
        calls: how many estimates.
        direction: the matrix [n, d] that carries coefficients to perturbations of a hidden layer.
        shared_by_samples, shared_by_layers: one noise for the whole batch, or for all sites as far as it fits.
        before_activation: perturb s_l rather than x_l.
        stale: take each sample's baseline from its neighbour in the batch.
        factor: of the estimate at a hidden layer.
        slope: the φ' [B, n] by which a weight gradient multiplies.
        weight_factor, bias_factor: of the gradients of weights and biases.
        transposed: transpose what is returned.
    """
    shape = (calls, problem.draws, 1 if shared_by_samples else len(problem.x))
    if shared_by_layers:
        most = max(direction(problem, site).shape[1] for site in problem.sites)
        common = coefficients(generator, (*shape, most), declaration.noise)
    noise = {}
    for site in problem.sites:
        matrix = direction(problem, site)
        if shared_by_layers:
            z = common[..., : matrix.shape[1]]
        else:
            z = coefficients(generator, (*shape, matrix.shape[1]), declaration.noise)
        xi = problem.sigma * z @ matrix.T
        noise[site] = np.broadcast_to(xi, (*shape[:2], len(problem.x), xi.shape[-1]))
    passed = forward(problem)
    error = LOSSES[problem.loss].error(passed.output, problem.target)
    baseline = declared(problem, declaration, passed.output)
    if stale:
        baseline = np.roll(baseline, 1, axis=0)
    found: list[np.ndarray] = []
    for site in problem.sites:
        xi = noise[site]
        offsets = noise if declaration.simultaneous else {site: xi}
        response = declared(problem, declaration, outputs(problem, passed, offsets, before_activation)) - baseline
        sums = np.einsum("skir,skin->sirn", response, xi, optimize=True)
        estimate = factor(problem, site) * sums / (problem.draws * problem.sigma**2)  # [calls, B, r, n]
        if declaration.returns == "jacobian":
            found.append(estimate.mean(axis=1))
            continue
        gradient = estimate[:, :, 0] / len(problem.x)
        if declaration.response == "output":
            gradient = np.einsum("io,sion->sin", error, estimate)
        if declaration.returns == "activity-gradient":
            found.append(gradient)
            continue
        delta = slope(problem, site) * gradient
        found.append(weight_factor(problem) * np.einsum("sin,im->snm", delta, passed.activity[site]))
        found.append(bias_factor(problem) * delta.sum(axis=1))
    if declaration.returns == "weight-gradient":
        last: tuple[Any, Any] = (
            weight_factor(problem) * error.T @ passed.activity[-2],
            bias_factor(problem) * error.sum(axis=0),
        )
        found += [np.broadcast_to(value, (calls, *value.shape)) for value in last]
    return [np.swapaxes(each, 1, -1) if transposed else each for each in found]
