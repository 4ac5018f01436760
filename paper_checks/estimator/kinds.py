"""Other things to perturb and to read: E18–E21."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from array_api_compat import array_namespace

from nmnc_ref import estimator, perturbation, theory
from nmnc_ref.arrays import Array
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact
from paper_checks.estimator.problem import (
    SIGMA,
    estimates,
    linear,
    manifold_noise,
    rademacher,
    repeated,
    slips,
    uniform,
)
from paper_checks.lab import Lab


def _total(values: Array) -> Array:
    """Return sums over the last axis."""
    return array_namespace(values).sum(values, axis=-1)


@claim(
    "E18",
    "Weight perturbation, all N parameters at once, one loss: E[Ĝ] = G; an array of N_a of them has the variance "
    "(N_a‖G‖² + ‖G_a‖²)/K, so all together (N+1)/K·‖G‖².",
    formula=r"""
        \hat G = \frac{1}{K}\sum_k\frac{\delta L_k\,\omega_k}{\sigma^2}, \quad \mathbb{E}[\hat G] = G
        \mathbb{E}\|\hat G_a - G_a\|^2 = \frac{N_a\|G\|^2 + \|G_a\|^2}{K}
        \mathbb{E}\|\hat G - G\|^2 = \frac{N+1}{K}\,\|G\|^2
    """,
    source="derived",
    rung="enumeration",
    twins={
        "N for N_a": {
            "predict": lambda energy, own, parameters, entries, draws, law="gaussian": theory.estimator.array_variance(
                energy, own, parameters, parameters, draws, law
            )
        },
        "energy of the array for that of all": {
            "predict": lambda energy, own, parameters, entries, draws, law="gaussian": theory.estimator.array_variance(
                own, own, parameters, entries, draws, law
            )
        },
        **slips(("1/σ for 1/σ²", "no 1/K")),
    },
)
def weight_perturbation(
    lab: Lab, estimate=estimator.correlation, predict=theory.estimator.array_variance
) -> Iterator[Comparison]:
    """Linear layers of 2 × 2 weights and 2 biases, and of one of each, where six points of the circle have the moments
    of fixed norm; squared error of 3 samples, antithetic, hence exactly linear.
    """
    hexagon = [(2**0.5 * math.cos(k * math.pi / 3), 2**0.5 * math.sin(k * math.pi / 3)) for k in range(6)]
    circle = lab.array(hexagon), lab.array([1 / 6] * 6)
    laws = (
        ("gaussian", 2, 1, repeated(lab, lab.gaussian(6), 1)),
        ("rademacher", 2, 1, repeated(lab, rademacher(lab, 6), 1)),
        ("rademacher", 2, 2, repeated(lab, rademacher(lab, 6), 2)),
        ("uniform", 2, 1, repeated(lab, uniform(lab, 6), 1)),
        ("fixed-norm", 1, 1, repeated(lab, circle, 1)),
    )
    for law, n, draws, (points, probabilities) in laws:
        loss, theta, gradient = _layer(lab, n)
        energy, parameters = float(lab.xp.sum(gradient**2)), n * n + n
        scale = max(1.0, float(loss(theta)[0]) / SIGMA)
        noise = SIGMA * points
        at = lab.xp.broadcast_to(theta, noise.shape[1:])
        got = lab.jit(estimate)(estimator.antithetic_response(loss, at, noise), noise, SIGMA)[:, 0, :]
        mean = lab.mean(probabilities, got)
        yield exact(lab, f"mean, {law}, K = {draws}", gradient, mean, terms=points.shape[1], scale=scale).at(
            law=law, n=n, N=parameters, B=3, K=draws
        )
        arrays = {"weights": slice(0, n * n), "biases": slice(n * n, parameters), "all": slice(0, parameters)}
        for name, part in arrays.items():
            own = float(lab.xp.sum(gradient[part] ** 2))
            want = predict(energy, own, parameters, part.stop - part.start, draws, law=law)
            variance = lab.mean(probabilities, lab.xp.sum((got[:, part] - gradient[part]) ** 2, axis=-1))
            which = f"variance of {name}, {law}, K = {draws}"
            yield exact(lab, which, want, variance, terms=points.shape[1], scale=energy * parameters * scale).at(
                law=law, n=n, N=parameters, B=3, K=draws
            )


def _layer(lab: Lab, n: int) -> tuple[Callable[[Array], Array], Array, Array]:
    """Return the loss [..., 1] of n² weights and n biases [..., n² + n], some of these, and the gradient there."""
    x, target = lab.normal(f"E18: x, {n}", 3, n), lab.normal(f"E18: target, {n}", 3, n)
    theta = lab.normal(f"E18: parameters, {n}", n * n + n)

    def loss(parameters: Array) -> Array:
        weight = lab.xp.reshape(parameters[..., : n * n], (*parameters.shape[:-1], n, n))
        y = x @ lab.xp.matrix_transpose(weight) + parameters[..., None, n * n :]
        return lab.xp.sum((y - target) ** 2, axis=(-2, -1))[..., None] / 6

    error = (x @ lab.xp.reshape(theta[: n * n], (n, n)).T + theta[n * n :] - target) / 3
    return loss, theta, lab.xp.concat([lab.xp.reshape(error.T @ x, (n * n,)), lab.xp.sum(error, axis=0)])


@claim(
    "E19",
    "One loss of the batch, fresh noise for each sample: E[ĝ_i] = g_iP; variance [(d+1)‖g_iP‖² + d·Σ_{j≠i}‖g_jP‖²]/K, "
    "the other samples being noise.",
    formula=r"""
        \mathbb{E}[\hat g_i] = g_iP
        \mathbb{E}\|\hat g_i - g_iP\|^2 = \frac{1}{K}\left((d+1)\,\|g_iP\|^2 + d\sum_{j\ne i}\|g_jP\|^2\right)
    """,
    source="derived",
    rung="enumeration",
    twins={
        "crosstalk left out": {
            "predict": lambda g, P, K, d, law="gaussian": _total((g @ P) ** 2) * theory.estimator.variance(K, d, law)
        },
        "(d+1) times the whole": {
            "predict": lambda g, P, K, d, law="gaussian": (
                0 * g[:, 0] + _total(_total((g @ P) ** 2)) * theory.estimator.variance(K, d, law)
            )
        },
        "each sample's own loss": {"read": lambda losses: losses},
        **slips(("1/σ for 1/σ²",)),
    },
)
def batch_loss(
    lab: Lab,
    estimate=estimator.correlation,
    read: Callable[[Array], Array] = lambda losses: losses[..., :1] + losses[..., 1:2] + losses[..., 2:],
    predict=theory.estimator.batch_loss_variance,
) -> Iterator[Comparison]:
    """Three samples of linear losses g_i·x, d = 2, over the joint Gaussian moments and all signs."""
    gradients, basis = lab.normal("E19: g", 3, 4), lab.orthonormal("E19: U", 4, 2)
    projector = basis @ basis.T
    for law, one in (("gaussian", lab.gaussian(2)), ("rademacher", rademacher(lab, 2))):
        points, probabilities = lab.independent(*[one] * 3)
        noise = perturbation.on_manifold(lab.xp.stack(points, axis=1)[None, ...], basis, SIGMA)  # [1, S, 3, 4]
        losses = lab.xp.sum(noise * gradients, axis=-1)
        response = lab.xp.broadcast_to(read(losses), losses.shape)[..., None]
        got = lab.jit(estimate)(response, noise, SIGMA)[..., 0, :]
        want = gradients @ projector
        yield exact(lab, f"mean, {law}", want, lab.mean(probabilities, got), terms=3**6).at(law=law, n=4, d=2, B=3, K=1)
        variance = lab.mean(probabilities, lab.xp.sum((got - want) ** 2, axis=-1))
        yield exact(lab, f"variance, {law}", predict(gradients, projector, 1, 2, law=law), variance, terms=3**6).at(
            law=law, n=4, d=2, B=3, K=1
        )


@claim(
    "E20",
    "Without a baseline, Ĵ = (1/K) Σ y(x+ξ)ξᵀ/σ²: the same mean for a law with E[z] = 0, and for one that is symmetric "
    "the variance of E3 and d‖y(x)‖²/(Kσ²) more.",
    formula=r"""
        \hat J = \frac{1}{K}\sum_k\frac{y(x+\xi_k)\,\xi_k^{\top}}{\sigma^2}, \quad \mathbb{E}[\hat J] = JP
        \mathbb{E}\|\hat J - JP\|^2 = \frac{d+1}{K}\,\|JP\|^2 + \frac{d\,\|y(x)\|^2}{K\sigma^2}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "σ for σ²": {"added": lambda f, d, K, sigma: sigma * theory.estimator.baseline_energy(f, d, K, sigma)},
        "no d": {"added": lambda f, d, K, sigma: theory.estimator.baseline_energy(f, 1, K, sigma)},
        "with a baseline": {"respond": estimator.one_sided_response},
    },
)
def no_baseline(
    lab: Lab,
    respond: Callable[..., Array] = lambda tail, activity, noise: tail(activity + noise),
    added=theory.estimator.baseline_energy,
) -> Iterator[Comparison]:
    """A linear tail, d = 3, over the Gaussian moments of one draw and all signs of two."""
    problem = linear(lab, "E20", n=4, d=3)
    target, value = problem.jacobian @ problem.projector, problem.tail(problem.activity)
    for law, draws, (points, probabilities) in (
        ("gaussian", 1, repeated(lab, lab.gaussian(3), 1)),
        ("rademacher", 2, repeated(lab, rademacher(lab, 3), 2)),
    ):
        got = estimates(lab, problem, manifold_noise(points, problem), respond=respond)
        size = 1 + float(lab.xp.max(lab.xp.abs(value))) / SIGMA
        yield exact(lab, f"mean, {law}", target, lab.mean(probabilities, got), terms=64, scale=size).at(
            law=law, **problem.sizes, sigma=SIGMA, K=draws
        )
        want = float(lab.xp.sum(target**2)) * theory.estimator.variance(draws, 3, law) + float(
            added(value, 3, draws, SIGMA)
        )
        error = lab.mean(probabilities, lab.squared_error(got, target))
        yield exact(lab, f"variance, {law}, K = {draws}", want, error, terms=64, scale=size**2).at(
            law=law, **problem.sizes, sigma=SIGMA, K=draws
        )


@claim(
    "E21",
    "Forward gradient: the exact directional derivative J(x)ξ in place of a difference. E[Ĵ] = J(x)P with no smoothing "
    "at any σ and on any differentiable tail, and the variance of E3 exactly.",
    formula=r"""
        \hat J = \frac{1}{K}\sum_k\frac{J(x)\,\xi_k\,\xi_k^{\top}}{\sigma^2}, \quad \mathbb{E}[\hat J] = J(x)\,P
        \mathbb{E}\|\hat J - J(x)\,P\|^2 = \frac{d+1}{K}\,\|J(x)\,P\|^2
    """,
    source="derived",
    rung="enumeration",
    twins={
        "a difference": {"respond": lambda tail, derivative, x, xi: (tail(x + xi) - tail(x - xi)) / 2},
        "d for d + 1": {"predict": lambda draws, d, law="gaussian": d / draws},
    },
)
def forward_gradient(
    lab: Lab,
    respond: Callable[..., Array] = lambda tail, derivative, x, xi: derivative(x, xi),
    predict=theory.estimator.variance,
) -> Iterator[Comparison]:
    """The cubic tail y = J x + (J x)³, at a large σ, d = 3, over the Gaussian moments and all signs."""
    problem = linear(lab, "E21", n=4, d=3)
    mixed = problem.tail(problem.activity)
    jacobian = (1 + 3 * mixed**2)[:, None] * problem.jacobian
    target = jacobian @ problem.projector

    def tail(x: Array) -> Array:
        y = problem.tail(x)
        return y + y**3

    def derivative(x: Array, direction: Array) -> Array:
        return (1 + 3 * problem.tail(x) ** 2) * problem.tail(direction)

    for law, one in (("gaussian", lab.gaussian(3)), ("rademacher", rademacher(lab, 3))):
        points, probabilities = repeated(lab, one, 1)
        noise = manifold_noise(points, problem)
        activity = lab.xp.broadcast_to(problem.activity, noise.shape[1:])
        got = lab.jit(estimator.correlation)(respond(tail, derivative, activity, noise), noise, SIGMA)
        yield exact(lab, f"mean, {law}", target, lab.mean(probabilities, got), terms=27).at(
            law=law, **problem.sizes, sigma=SIGMA, K=1
        )
        want = predict(1, 3, law=law) * float(lab.xp.sum(target**2))
        yield exact(
            lab, f"variance, {law}", want, lab.mean(probabilities, lab.squared_error(got, target)), terms=27
        ).at(law=law, **problem.sizes, sigma=SIGMA, K=1)
