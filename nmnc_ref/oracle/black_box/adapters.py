"""Adapters of this library's own rules to the protocol of the audit, and so examples of how to write one.

An adapter is called with a problem and a seed and returns a tuple of arrays. VNC and NMNC differ in the problem alone:
the first is given no bases.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref import dense, estimator, feedback, network, perturbation, random
from nmnc_ref.arrays import Array
from nmnc_ref.oracle.black_box.problem import ACTIVATIONS, LOSSES, Problem


def adapter(
    returns: str,
    *,
    xp: ModuleType = np,
    law: str = "gaussian",
    respond: Callable[..., Array] = estimator.antithetic_response,
    response: str = "output",
    simultaneous: bool = False,
) -> Callable[[Problem, int], tuple]:
    """Return an estimator of this library that can be audited.

    Args:
        returns: "jacobian", "activity-gradient" or "weight-gradient".
        xp: the array library that it computes with.
        law: of the coefficients, "gaussian", "rademacher" or "fixed-norm".
        respond: `estimator.antithetic_response` or `estimator.one_sided_response`.
        response: "output" for Jacobians from output vectors, "loss" for gradients from each sample's own loss.
        simultaneous: perturb all sites at once.
    """

    settings = _Settings(returns, xp, law, respond, response, simultaneous)
    return lambda problem, seed: _estimate(settings, problem, seed)


class _Settings(NamedTuple):
    returns: str
    xp: ModuleType
    law: str
    respond: Callable[..., Array]
    response: str
    simultaneous: bool


def _estimate(settings: _Settings, problem: Problem, seed: int) -> tuple:
    xp = settings.xp
    net = tuple(dense.Dense(_array(xp, W), _array(xp, b)) for W, b in zip(problem.weights, problem.biases, strict=True))
    phi, loss = ACTIVATIONS[problem.activation], LOSSES[problem.loss]
    x, target = _array(xp, problem.x), _array(xp, problem.target)
    passed = network.forward(net, x, phi)
    noise = _noise(settings, problem, random.key(seed, xp), x.dtype)
    responses = _responses(settings, problem, net, passed, target, noise)
    if settings.returns == "jacobian":
        return tuple(estimator.batch_correlation(responses[site], noise[site], problem.sigma) for site in problem.sites)
    error = loss.error(passed.output, target)
    signal = error if settings.response == "output" else xp.ones_like(x[:, :1]) / x.shape[0]
    gradients = {}
    for site in problem.sites:
        jacobian = estimator.correlation(responses[site], noise[site], problem.sigma)
        gradients[site] = feedback.activity_gradient(signal, jacobian)
    if settings.returns == "activity-gradient":
        return tuple(gradients[site] for site in problem.sites)
    hidden = zip(sorted(gradients), passed.preactivation, strict=False)
    deltas = (*(phi.slope(s) * gradients[site] for site, s in hidden), error)
    return tuple((layer.weight, layer.bias) for layer in feedback.weight_gradients(net, passed.activity, deltas))


def _noise(settings: _Settings, problem: Problem, key: Array, dtype: Any) -> dict[int, Array]:
    """Return ξ [K, B, n] for each site."""
    noise = {}
    for site in problem.sites:
        size = len(problem.biases[site]) if problem.bases is None else problem.bases[site].shape[1]
        z = LAWS[settings.law](random.fold_in(key, site), (problem.draws, len(problem.x), size), dtype)
        if problem.bases is None:
            noise[site] = perturbation.isotropic(z, problem.sigma)
        else:
            noise[site] = perturbation.on_manifold(z, _array(settings.xp, problem.bases[site]), problem.sigma)
    return noise


def _responses(
    settings: _Settings,
    problem: Problem,
    net: network.Network,
    passed: network.Forward,
    target: Array,
    noise: dict[int, Array],
) -> dict[int, Array]:
    """Return δy [K, B, n_o], or the responses of the samples' losses [K, B, 1], for each site."""
    xp, phi = settings.xp, ACTIVATIONS[problem.activation]

    def observed(tail: Callable[[Array], Array]) -> Callable[[Array], Array]:
        if settings.response == "output":
            return tail
        return lambda activity: LOSSES[problem.loss].each(tail(activity), target)[..., None]

    if not settings.simultaneous:
        return {
            site: settings.respond(observed(network.tail(net, site + 1, phi)), passed.activity[site + 1], noise[site])
            for site in problem.sites
        }
    offset = xp.concat([noise[site] for site in sorted(noise)], axis=-1)  # every hidden layer is a site here
    response = settings.respond(observed(network.injection(net, passed.activity[0], phi)), 0 * offset[0, ...], offset)
    return dict.fromkeys(problem.sites, response)


def _array(xp: ModuleType, values: np.ndarray) -> Array:
    return xp.asarray(np.array(values))  # a copy: the problem's arrays are read-only


def _fixed_norm(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    return perturbation.fixed_norm(random.normal(key, shape, dtype))


LAWS = {"gaussian": random.normal, "rademacher": random.rademacher, "fixed-norm": _fixed_norm}

nmnc = adapter("jacobian")
"""The Jacobian from antithetic pairs; on problems without bases this is VNC."""
vnc = nmnc
nmnc_one_sided = adapter("jacobian", respond=estimator.one_sided_response)
activity_gradient = adapter("activity-gradient")
"""e Ĵ of each sample, from responses of the output."""
activity_gradient_from_loss = adapter("activity-gradient", response="loss")
"""Node perturbation: each sample's own loss is correlated with its noise."""
weight_gradient = adapter("weight-gradient")
"""Direct feedback with fresh estimates: δ_l = φ'(s_l) ⊙ (e Ĵ_l)."""
weight_gradient_from_loss = adapter("weight-gradient", response="loss")
weight_gradient_simultaneous = adapter("weight-gradient", simultaneous=True)
