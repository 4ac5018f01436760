"""Adapters of this library's own rules to the protocol of the audit, and so examples of how to write one.

An adapter is called with a problem and a seed and returns a tuple of arrays. VNC and NMNC differ in the problem alone:
the first is given no bases.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from nmnc_ref import credit, estimator, noise_correlation, perturbation, random, training
from nmnc_ref.arrays import Array
from nmnc_ref.nn import feedforward
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, LOSSES, Declaration, Problem, declare, layers
from nmnc_ref.route import Direct, Route

ARRAYS = ("weights", "biases", "x", "target", "bases")
"""The fields of a problem that hold arrays; the others are the same under compilation."""


def eager(function: Callable) -> Callable:
    """Return a function as it is: the compilation of libraries that need none."""
    return function


class Adapter(NamedTuple):
    """An estimator of this library that can be audited, on any array library.

    For JAX, `ADAPTERS["nmnc"]._replace(xp=jax.numpy, compiled=jax.jit)`.

    `declaration`: what it computes, for either target; `rule`: (problem with arrays of `xp`, random key) ↦ tuple of
    arrays; `xp`: the array library; `compiled`: function of arrays ↦ the same function, compiled, such as `jax.jit`.
    """

    declaration: Declaration
    rule: Callable[[Problem, Array], tuple]
    xp: ModuleType = np
    compiled: Callable[[Callable], Callable] = eager

    def __call__(self, problem: Problem, seed: int) -> tuple:
        """Return an estimate as the audit asks for it.

        Raises:
            TypeError, ValueError: as the functions that the rule composes.
        """
        without: dict[str, Any] = dict.fromkeys(ARRAYS)
        run = _for_kind(self.rule, self.compiled, problem._replace(**without))
        arrays = {name: _on(self.xp, getattr(problem, name)) for name in ARRAYS}
        return run(arrays, random.key(seed, self.xp))


@functools.cache
def _for_kind(rule: Callable, compiled: Callable, kind: Problem) -> Callable:
    """Return a rule for problems that differ in arrays alone, which is compiled but once for all audits."""
    return compiled(lambda arrays, key: rule(kind._replace(**arrays), key))


def _on(xp: ModuleType, values: Any) -> Any:
    if isinstance(values, tuple):
        return tuple(_on(xp, each) for each in values)
    return None if values is None else xp.asarray(np.array(values))  # a copy: the problem's arrays are read-only


def adapter(
    returns: str,
    *,
    law: str = "gaussian",
    respond: Callable[..., Array] = estimator.antithetic_response,
    response: str = "output",
    simultaneous: bool = False,
) -> Adapter:
    """Return the estimator by `estimator.correlation` (E1, E2, E14, F4), made of the library's functions.

    Args:
        returns: "jacobian", "activity-gradient" or "weight-gradient".
        law: of the coefficients, "gaussian", "rademacher" or "fixed-norm".
        respond: `estimator.antithetic_response` or `estimator.one_sided_response`.
        response: "output" for Jacobians from output vectors, "loss" for gradients from each sample's own loss.
        simultaneous: perturb all sites at once.

    Raises:
        TypeError, ValueError: as `problem.declare`.
    """
    declaration = declare(returns, noise=law, response=response, simultaneous=simultaneous)
    return Adapter(declaration, functools.partial(_estimate, declaration, respond))


def _estimate(declaration: Declaration, respond: Callable[..., Array], problem: Problem, key: Array) -> tuple:
    phi, loss = ACTIVATIONS[problem.activation], LOSSES[problem.loss]
    net, x = layers(problem), problem.x
    passed = feedforward.forward(net, x, phi)
    noise = _noise(declaration, problem, key)
    responses = _responses(declaration, respond, problem, passed, noise)
    if declaration.returns == "jacobian":
        return tuple(estimator.batch_correlation(responses[site], noise[site], problem.sigma) for site in problem.sites)
    error = loss.error(passed.output, problem.target)
    signal = error if declaration.response == "output" else array_namespace(x).ones_like(x[:, :1]) / x.shape[0]
    gradients = {}
    for site in problem.sites:
        jacobian = estimator.correlation(responses[site], noise[site], problem.sigma)
        gradients[site] = credit.activity_gradient(signal, jacobian)
    if declaration.returns == "activity-gradient":
        return tuple(gradients[site] for site in problem.sites)
    hidden = zip(sorted(gradients), passed.preactivation, strict=False)
    deltas = (*(phi.slope(s) * gradients[site] for site, s in hidden), error)
    return _pairs(credit.weight_gradients(net, passed.activity, deltas))


def _noise(declaration: Declaration, problem: Problem, key: Array) -> dict[int, Array]:
    """Return ξ [K, B, n] for each site."""
    noise = {}
    for site in problem.sites:
        size = len(problem.biases[site]) if problem.bases is None else problem.bases[site].shape[1]
        shape = (problem.draws, len(problem.x), size)
        z = LAWS[declaration.noise](random.fold_in(key, site), shape, problem.x.dtype)
        if problem.bases is None:
            noise[site] = perturbation.isotropic(z, problem.sigma)
        else:
            noise[site] = perturbation.on_manifold(z, problem.bases[site], problem.sigma)
    return noise


def _responses(
    declaration: Declaration,
    respond: Callable[..., Array],
    problem: Problem,
    passed: feedforward.Forward,
    noise: dict[int, Array],
) -> dict[int, Array]:
    """Return δy [K, B, n_o], or the responses of the samples' losses [K, B, 1], for each site."""
    net, phi = layers(problem), ACTIVATIONS[problem.activation]

    def observed(tail: Callable[[Array], Array]) -> Callable[[Array], Array]:
        if declaration.response == "output":
            return tail
        return lambda activity: LOSSES[problem.loss].each(tail(activity), problem.target)[..., None]

    if not declaration.simultaneous:
        return {
            site: respond(observed(feedforward.tail(net, site + 1, phi)), passed.activity[site + 1], noise[site])
            for site in problem.sites
        }
    xp = array_namespace(problem.x)
    offset = xp.concat([noise[site] for site in sorted(noise)], axis=-1)  # every hidden layer is a site here
    response = respond(
        observed(feedforward.injection(net, passed.activity[0], phi)), xp.zeros_like(offset[0, ...]), offset
    )
    return dict.fromkeys(problem.sites, response)


def _in_one_call(problem: Problem, key: Array) -> tuple:
    """Return the batch means of `noise_correlation.estimate_jacobian`."""
    phi, net = ACTIVATIONS[problem.activation], layers(problem)
    activity = feedforward.forward(net, problem.x, phi).activity
    found = []
    for site in problem.sites:
        jacobians = noise_correlation.estimate_jacobian(
            random.fold_in(key, site),
            feedforward.tail(net, site + 1, phi),
            activity[site + 1],
            sigma=problem.sigma,
            draws=problem.draws,
            basis=None if problem.bases is None else problem.bases[site],
            chunk=24,  # which does not divide the draws
        )
        found.append(array_namespace(jacobians).mean(jacobians, axis=0))
    return tuple(found)


def _observed(antithetic: bool, problem: Problem, key: Array) -> tuple:
    """Return what `training.learn_feedback` takes for the Jacobians, on the direct route."""
    settings = _settings(problem, samples=len(problem.x), antithetic=antithetic)
    state, route = _state(problem, key)
    _, observation = training.learn_feedback(state, problem.x, route=route, settings=settings)
    return tuple(observation.estimate[site] for site in problem.sites)


def _of_steps(returns: str, problem: Problem, key: Array) -> tuple:
    """Return the gradients by which `training.step` learns on the direct route, with fresh feedback for each sample.

    At a feedback rate of 1 the feedback is what was observed in the step, B_l = Ĵ_l. For more than one sample it would
    be the mean of their Jacobians, so each makes a step of its own, and the batch mean is taken here.
    """
    xp, batch = array_namespace(problem.x), len(problem.x)
    state, route = _state(problem, key)
    settings = _settings(problem, samples=1, feedback_rate=1.0)
    infos = []
    for index in range(batch):
        own = state._replace(key=random.fold_in(key, index))
        x, target = problem.x[index : index + 1, :], problem.target[index : index + 1, :]
        _, info = training.step(own, x, target, route=route, loss=LOSSES[problem.loss], settings=settings)
        infos.append(info)
    if returns == "activity-gradient":
        return tuple(
            xp.concat([info.activity_gradient[site] for info in infos], axis=0) / batch for site in problem.sites
        )
    each = zip(*(_pairs(info.gradient) for info in infos), strict=True)
    return tuple(tuple(sum(parts) / batch for parts in zip(*pairs, strict=True)) for pairs in each)


def _state(problem: Problem, key: Array) -> tuple[training.State, Route]:
    """Return a state of training with the manifolds of a problem, so that none is fitted, and the direct route."""
    xp, route = array_namespace(problem.x), Direct(ACTIVATIONS[problem.activation])
    unfitted = training.Settings("backpropagation")
    state = training.init(key, layers(problem), problem.x, route=route, settings=unfitted)
    everything = (xp.eye(len(bias), dtype=problem.x.dtype) for bias in problem.biases[:-1])
    return state._replace(bases=tuple(everything if problem.bases is None else problem.bases)), route


def _settings(problem: Problem, **others: Any) -> training.Settings:
    rule = "vnc" if problem.bases is None else "nmnc"
    return training.Settings(rule, sigma=problem.sigma, draws=problem.draws, **others)


def _pairs(gradients: tuple) -> tuple:
    return tuple((layer.weight, layer.bias) for layer in gradients)


def _fixed_norm(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    return perturbation.fixed_norm(random.normal(key, shape, dtype))


LAWS = {"gaussian": random.normal, "rademacher": random.rademacher, "fixed-norm": _fixed_norm}

ADAPTERS = {
    "nmnc": adapter("jacobian"),
    "nmnc_one_sided": adapter("jacobian", respond=estimator.one_sided_response),
    "nmnc_rademacher": adapter("jacobian", law="rademacher"),
    "nmnc_fixed_norm": adapter("jacobian", law="fixed-norm"),
    "nmnc_simultaneous": adapter("jacobian", simultaneous=True),
    "nmnc_in_one_call": Adapter(Declaration("jacobian"), _in_one_call),
    "nmnc_in_training": Adapter(Declaration("jacobian"), functools.partial(_observed, True)),
    "nmnc_in_training_one_sided": Adapter(Declaration("jacobian"), functools.partial(_observed, False)),
    "activity_gradient": adapter("activity-gradient"),
    "activity_gradient_from_loss": adapter("activity-gradient", response="loss"),
    "activity_gradient_in_training": Adapter(
        Declaration("activity-gradient"), functools.partial(_of_steps, "activity-gradient")
    ),
    "weight_gradient": adapter("weight-gradient"),
    "weight_gradient_one_sided": adapter("weight-gradient", respond=estimator.one_sided_response),
    "weight_gradient_from_loss": adapter("weight-gradient", response="loss"),
    "weight_gradient_simultaneous": adapter("weight-gradient", simultaneous=True),
    "weight_gradient_in_training": Adapter(
        Declaration("weight-gradient"), functools.partial(_of_steps, "weight-gradient")
    ),
}
"""By name: on problems without bases, what is called nmnc is VNC; what is "from loss" is node perturbation."""


def __getattr__(name: str) -> Adapter:
    """Return one of them as an attribute of this module, as the command names it."""
    if name not in ADAPTERS:
        raise AttributeError(name)
    return ADAPTERS[name]
