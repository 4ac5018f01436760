"""Adapters of estimators in released packages, as examples: `pip install optax evosax torchopt` and see AUDIT.md.

Each is (problem, seed) ↦ gradients. Those by JAX are compiled once for each shape of problem; `JAX_ENABLE_X64=1` keeps
float64.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from nmnc_ref.oracle.audit.problem import Problem

WEIGHTS = {
    "returns": "weight-gradient",
    "perturbs": "weights",
    "response": "batch-loss",
    "simultaneous": True,
    "output_layer": True,
}
"""What those that know a network as a loss of its parameters compute."""
ACTIVITIES = {"returns": "activity-gradient", "response": "batch-loss"}
"""The same with one layer's activity for parameters."""


def optax_normal(problem: Problem, seed: int) -> tuple:
    """Differentiate `optax.perturbations.make_perturbed_fun` with normal noise, which reads a baseline: `WEIGHTS`."""
    return _by_optax(problem, seed, "Normal")


def optax_gumbel(problem: Problem, seed: int) -> tuple:
    """Do so with its default noise, whose mean is not 0 (γ = 0.577…): `WEIGHTS`, noise "other"."""
    return _by_optax(problem, seed, "Gumbel")


def evosax_open_es(problem: Problem, seed: int) -> tuple:
    """Take the step of `evosax.algorithms.Open_ES` at a learning rate of 1, in antithetic pairs: `WEIGHTS`."""
    return _by_evosax(problem, seed, "Open_ES")


def evosax_guided_es(problem: Problem, seed: int) -> tuple:
    """Take that of `GuidedES`, guided by the exact gradient, half of the noise along it: `WEIGHTS`, noise "other".

    Its mean is β (α/n + (1 − α)) times the gradient (Maheswaranathan et al. 2018, algorithm 1), which β makes 1.
    """
    return _by_evosax(problem, seed, "GuidedES")


def torchopt_naive(problem: Problem, seed: int) -> tuple:
    """Differentiate `torchopt.diff.zero_order` by its method "naive": `ACTIVITIES`, measures "value"."""
    return _by_torchopt(problem, seed, "naive")


def torchopt_forward(problem: Problem, seed: int) -> tuple:
    """Do so by its method "forward", said to be a difference: `ACTIVITIES`."""
    return _by_torchopt(problem, seed, "forward")


def torchopt_antithetic(problem: Problem, seed: int) -> tuple:
    """Do so by its method "antithetic": `ACTIVITIES`."""
    return _by_torchopt(problem, seed, "antithetic")


def _parameters(problem: Problem) -> tuple[np.ndarray, ...]:
    return tuple(np.array(array) for pair in zip(problem.weights, problem.biases, strict=True) for array in pair)


def _shapes(problem: Problem) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape for array in _parameters(problem))


def _loss(activation: str, loss: str, xp: Any, log_softmax: Callable) -> Callable:
    """Return (parameters, x, target) ↦ the batch's loss of a network, in the words of a library."""
    phi = {"identity": lambda s: s, "tanh": xp.tanh, "relu": lambda s: s * (s > 0)}[activation]

    def of(parameters, x, target):
        for index in range(0, len(parameters), 2):
            s = x @ parameters[index].T + parameters[index + 1]
            x = s if index + 2 == len(parameters) else phi(s)
        if loss == "squared error":
            return 0.5 * ((x - target) ** 2).sum() / len(x)
        return -(target * log_softmax(x)).sum() / len(x)

    return of


def _by_optax(problem: Problem, seed: int, noise: str) -> tuple:
    import jax

    gradient = _perturbed(problem.activation, problem.loss, problem.draws, noise)
    found = gradient(_parameters(problem), problem.x, problem.target, problem.sigma, jax.random.key(seed))
    return tuple(zip(found[::2], found[1::2], strict=True))


@functools.cache
def _perturbed(activation: str, loss: str, draws: int, noise: str) -> Callable:
    import jax
    from optax import perturbations

    of = _loss(activation, loss, jax.numpy, jax.nn.log_softmax)

    @jax.jit
    def gradient(parameters, x, target, sigma, key):
        smooth = perturbations.make_perturbed_fun(
            lambda theta: of(theta, x, target), num_samples=draws, sigma=sigma, noise=getattr(perturbations, noise)()
        )
        return jax.grad(smooth, argnums=1)(key, parameters)

    return gradient


def _by_evosax(problem: Problem, seed: int, algorithm: str) -> tuple:
    import jax

    step = _step(algorithm, problem.activation, problem.loss, problem.draws, _shapes(problem))
    found = step(_parameters(problem), problem.x, problem.target, problem.sigma, jax.random.key(seed))
    return tuple(zip(found[::2], found[1::2], strict=True))


@functools.cache
def _step(algorithm: str, activation: str, loss: str, draws: int, shapes: tuple[tuple[int, ...], ...]) -> Callable:
    import jax
    import optax
    from evosax import algorithms

    of = _loss(activation, loss, jax.numpy, jax.nn.log_softmax)

    @jax.jit
    def step(parameters, x, target, sigma, key):
        strategy = getattr(algorithms, algorithm)(
            population_size=2 * draws,
            solution=parameters,
            optimizer=optax.sgd(1.0),
            std_schedule=lambda generation: sigma,
            fitness_shaping_fn=lambda population, fitness, state, params: fitness,
        )
        params = strategy.default_params
        state = strategy.init(key, parameters, params)
        if algorithm == "GuidedES":
            params = params.replace(beta=1 / (params.alpha / strategy.num_dims + (1 - params.alpha)))
            state = state.replace(grad=strategy._ravel_solution(jax.grad(of)(parameters, x, target)))
        population, state = strategy.ask(key, state, params)
        losses = jax.vmap(of, (0, None, None))(population, x, target)
        after, _ = strategy.tell(key, population, losses, state, params)
        return strategy._unravel_solution(state.mean - after.mean)

    return step


def _by_torchopt(problem: Problem, seed: int, method: str) -> tuple:
    import torch
    import torchopt

    of = _loss(problem.activation, problem.loss, torch, functools.partial(torch.log_softmax, dim=-1))
    parameters, x, target = (
        tuple(map(torch.tensor, _parameters(problem))),
        torch.tensor(np.array(problem.x)),
        torch.tensor(np.array(problem.target)),
    )
    torch.manual_seed(seed)
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=x.dtype), torch.tensor(1.0, dtype=x.dtype))
    phi = {"identity": lambda s: s, "tanh": torch.tanh, "relu": torch.relu}[problem.activation]
    found = []
    for site in problem.sites:
        activity = x
        for l in range(site + 1):
            activity = phi(activity @ parameters[2 * l].T + parameters[2 * l + 1])
        tail = parameters[2 * site + 2 :]
        estimated = torchopt.diff.zero_order(
            normal, method=method, argnums=(0,), num_samples=problem.draws, sigma=problem.sigma
        )(lambda perturbed, tail=tail: of(tail, perturbed, target))
        activity = activity.requires_grad_()
        found.append(torch.autograd.grad(estimated(activity), activity)[0])
    return tuple(found)
