"""The mean at finite σ, where responses are not linear: an integral over the noise."""

from __future__ import annotations

import numpy as np

from nmnc_ref.oracle.audit.experiment import perturbed
from nmnc_ref.oracle.audit.moments import Experiment
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, LOSSES, Declaration, Problem, basis, forward

GROUPS = 32
"""Of points of the integral over finite noise, from whose scatter its own error is known."""
POINTS = 1 << 16
"""In all groups together; a judgement that is not the last one needs fewer."""


def expected_products(
    made: Experiment, declaration: Declaration, generator: np.random.Generator, points: int
) -> np.ndarray:
    """Return E[ρ zᵀ] at finite σ [G, R, D].

    The linear response, whose part is known, is subtracted under the integral; that leaves little variance.
    """
    found = np.empty((GROUPS, *made.slopes.shape))
    count = points // GROUPS
    for group in range(GROUPS):
        z = made.draw(generator, count)
        odd = (respond(made, declaration, z) - respond(made, declaration, -z)) / 2
        found[group] = made.slopes + (odd - z @ made.slopes.T).T @ z / count
    return found


def respond(made: Experiment, declaration: Declaration, z: np.ndarray) -> np.ndarray:
    """Return the values [S, R] that are read with coefficients [S, D], of the network as it is."""
    problem, at = made.problem, perturbed(made.problem, declaration)
    passes = [at] if declaration.simultaneous else [(l,) for l in at]
    sigma = np.full(z.shape[1], problem.sigma)
    if declaration.noise == "sphere":
        for unit in made.units:
            sigma[unit] /= np.sqrt(len(unit))
    z = z * sigma
    found = []
    for together in passes:
        noise = {l: np.stack([z[:, made.columns[l, i]] for i in range(len(problem.x))], axis=1) for l in together}
        output = _outputs(problem, declaration, noise)
        if declaration.returns == "jacobian":
            read = output.reshape(len(z), -1)
        elif declaration.response == "output":
            clean = forward(problem).output
            read = np.sum(LOSSES[problem.loss].error(clean, problem.target) * output, axis=-1)
        else:
            read = LOSSES[problem.loss].each(output, problem.target) / len(problem.x)
            read = read.sum(axis=-1, keepdims=True) if declaration.response == "batch-loss" else read
        found.append(read)
    return np.concatenate(found, axis=1)


def _outputs(problem: Problem, declaration: Declaration, noise: dict[int, np.ndarray]) -> np.ndarray:
    """Return y [S, B, n_o] of the network whose layers carry noise [S, B, d] of the declared kind."""
    activity = np.broadcast_to(problem.x, (len(next(iter(noise.values()))), *problem.x.shape))
    last = len(problem.weights) - 1
    for l, (weight, bias) in enumerate(zip(problem.weights, problem.biases, strict=True)):
        s = activity @ weight.T + bias
        early = l in noise and (declaration.perturbs != "activity" or l == last)
        if early and declaration.perturbs == "weights":
            on_weights, on_biases = np.split(noise[l], [weight.size], axis=2)
            s = s + np.einsum("sbnm,sbm->sbn", on_weights.reshape(*s.shape[:2], *weight.shape), activity) + on_biases
        elif early:
            s = s + noise[l]
        activity = s if l == last else ACTIVATIONS[problem.activation].value(s)
        if l in noise and not early:
            activity = activity + noise[l] @ basis(problem, l).T
    return activity
