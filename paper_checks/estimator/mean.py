"""What the estimators estimate: E1, E2, E8, E11."""

from __future__ import annotations

import math
from collections.abc import Iterator

from nmnc_ref import estimator, perturbation, theory
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, feedforward
from nmnc_ref.nn.initialisation import dense_network, lecun
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact, order
from paper_checks.estimator.problem import (
    SIGMA,
    Problem,
    estimates,
    isotropic_noise,
    linear,
    manifold_noise,
    rademacher,
    repeated,
    slips,
)
from paper_checks.lab import Lab

NODES = 64


def _mean_over_law(lab: Lab, problem: Problem, law: tuple[Array, Array], perturb, estimate) -> Array:
    points, probabilities = law
    return lab.mean(probabilities, estimates(lab, problem, perturb(points, problem), estimate))


@claim(
    "E1",
    "VNC is unbiased: E[Ĵ] = J.",
    formula=r"\mathbb{E}[\hat J] = J",
    source="literature",
    rung="enumeration",
    twins=slips(("1/σ for 1/σ²", "no 1/K", "wrong sign", "first draw counted twice")),
)
def unbiased_isotropic(lab: Lab, estimate=estimator.correlation) -> Iterator[Comparison]:
    """Mean over all Rademacher vectors, n = 10, and over the Gaussian moments of two draws, n = 4."""
    problem = linear(lab, "E1", n=10)
    want = theory.estimator.expected_estimate(problem.jacobian, lab.xp.eye(10, dtype=lab.dtype))
    got = _mean_over_law(lab, problem, repeated(lab, rademacher(lab, 10), 1), isotropic_noise, estimate)
    yield exact(lab, "E Ĵ, all signs", want, got, terms=2**10).at(law="rademacher", n=10, n_o=2, K=1)
    problem = linear(lab, "E1, two draws", n=4)
    got = _mean_over_law(lab, problem, repeated(lab, lab.gaussian(4), 2), isotropic_noise, estimate)
    yield exact(lab, "E Ĵ, Gaussian, K = 2", problem.jacobian, got, terms=3**8).at(law="gaussian", n=4, n_o=2, K=2)


@claim(
    "E2",
    "NMNC: E[Ĵ] = J P; unbiased if and only if row(J) ⊂ span(U).",
    formula=r"""
        \mathbb{E}[\hat J] = JP
        JP = J \;\iff\; \mathrm{row}(J) \subset \mathrm{span}(U)
    """,
    source="derived",
    rung="enumeration",
    twins={
        **slips(("1/σ for 1/σ²", "no 1/K", "first draw counted twice")),
        "noise leaks off the manifold": {
            "perturb": lambda z, problem: manifold_noise(z, problem) + 0.1 * z[..., :1] * problem.activity
        },
        "basis not orthonormal": {"perturb": lambda z, problem: 1.1 * SIGMA * z @ problem.basis.T},
        "no projector in the prediction": {"predict": lambda jacobian, projector: jacobian},
    },
)
def unbiased_on_manifold(
    lab: Lab,
    estimate=estimator.correlation,
    perturb=manifold_noise,
    predict=theory.estimator.expected_estimate,
) -> Iterator[Comparison]:
    """Mean over all Rademacher vectors, d = 8 of n = 12, and over the Gaussian moments of two draws, d = 3 of n = 7."""
    problem = linear(lab, "E2", n=12, d=8)
    got = _mean_over_law(lab, problem, repeated(lab, rademacher(lab, 8), 1), perturb, estimate)
    yield exact(lab, "E Ĵ, all signs", predict(problem.jacobian, problem.projector), got, terms=2**8).at(
        law="rademacher", **problem.sizes, K=1
    )
    bias = lab.squared_error(got, problem.jacobian) / lab.xp.sum(problem.jacobian**2)
    yield exact(lab, "‖E Ĵ − J‖²/‖J‖² = 1 − α", 1 - problem.alignment, bias, terms=2**8, scale=1).at(
        law="rademacher", **problem.sizes, K=1
    )
    inside = Problem(problem.jacobian @ problem.projector, problem.basis, problem.activity)
    got = _mean_over_law(lab, inside, repeated(lab, rademacher(lab, 8), 1), perturb, estimate)
    yield exact(lab, "E Ĵ = J for rows in the span", inside.jacobian, got, terms=2**8).at(
        law="rademacher", **problem.sizes, K=1
    )
    problem = linear(lab, "E2, two draws")
    got = _mean_over_law(lab, problem, repeated(lab, lab.gaussian(3), 2), perturb, estimate)
    yield exact(lab, "E Ĵ, Gaussian, K = 2", predict(problem.jacobian, problem.projector), got, terms=3**6).at(
        law="gaussian", **problem.sizes, K=2
    )


@claim(
    "E8",
    "Non-linear tail, Gaussian noise: E[δy ξᵀ]/σ² = E[J(x + ξ)] P exactly, one-sided or antithetic, at any σ; so the "
    "bias against J(x) P is O(σ²). Other noise laws have an O(σ²) bias of another size.",
    formula=r"\frac{1}{\sigma^2}\,\mathbb{E}[\delta y\,\xi^{\top}] = \mathbb{E}[J(x+\xi)]\,P = J(x)\,P + O(\sigma^2)",
    source="derived",
    rung="convergence",
    float64_only="the bias at the scales of the slope, about 1e-4, is below the rounding of δy/σ in float32",
    twins={
        "Jacobian at x instead of x + ξ": {"at": lambda activity, noise: activity + 0 * noise},
        "1/σ for 1/σ²": {"estimate": lambda *arguments: estimator.correlation(*arguments) * arguments[2]},
        "uncentred noise": {"perturb": lambda z, basis, sigma: (sigma * z + sigma) @ basis.T},
        "Rademacher as Gaussian": {"third_moment_ratio": 1.0},
    },
)
def smoothed(
    lab: Lab,
    estimate=estimator.correlation,
    perturb=perturbation.on_manifold,
    at=lambda activity, noise: activity + noise,
    third_moment_ratio: float = 3.0,
) -> Iterator[Comparison]:
    """Networks with φ = s³, where the quadrature is exact at any σ, and tanh, d = 2 of n = 5, by 64-node quadrature;
    the slope from σ = 1/32 and 1/64; the bias of another law at d = 1.
    """
    layers = dense_network(lab.key("E8: network"), (5, 6, 3), lab.dtype, lecun)
    tail = feedforward.tail(layers, 0, activation.tanh)
    x, basis = lab.normal("E8: x", 5), lab.orthonormal("E8: U", 5, 2)
    points, probabilities = lab.gaussian(2, NODES)

    def mean_estimate(tail, sigma: float, respond, points: Array, probabilities: Array, basis: Array) -> Array:
        noise = perturb(points, basis, sigma)[None, ...]
        activity = lab.xp.broadcast_to(x, noise.shape[1:])
        return lab.mean(probabilities, lab.jit(estimate)(respond(tail, activity, noise), noise, sigma))

    cube = activation.Activation("cube", lambda s: s**3, lambda s: 3 * s**2)
    for function, sigma in ((cube, 0.5), (cube, 2.0), (activation.tanh, 0.2)):
        jacobians = feedforward.jacobian(layers, at(x, perturb(points, basis, sigma)), 0, function)
        want = theory.estimator.smoothed_jacobian(jacobians, probabilities, basis @ basis.T)
        for respond in (estimator.one_sided_response, estimator.antithetic_response):
            got = mean_estimate(feedforward.tail(layers, 0, function), sigma, respond, points, probabilities, basis)
            name = (
                f"Stein, {function.name}, σ = {sigma}, {respond.__name__.removesuffix('_response').replace('_', '-')}"
            )
            scale = float(lab.xp.max(lab.xp.abs(jacobians)))  # of the terms, most of them far out and improbable
            yield exact(lab, name, want, got, terms=NODES**2, scale=scale / sigma).at(
                law="gaussian", n=5, d=2, n_o=3, sigma=sigma
            )
    target = feedforward.jacobian(layers, x, 0, activation.tanh) @ basis @ basis.T

    def bias(sigma: float) -> float:
        got = mean_estimate(tail, sigma, estimator.antithetic_response, points, probabilities, basis)
        return math.sqrt(float(lab.squared_error(got, target)))

    yield order("log–log slope of the bias", 2.0, math.log2(bias(1 / 32) / bias(1 / 64))).at(
        law="gaussian", n=5, d=2, n_o=3
    )
    line = basis[:, :1]
    target, biases = target @ line @ line.T, []
    for law in (lab.gaussian(1, NODES), rademacher(lab, 1)):
        got = mean_estimate(tail, 1 / 64, estimator.antithetic_response, *law, line)
        biases.append(math.sqrt(float(lab.squared_error(got, target))))
    yield order("bias Gaussian : Rademacher = E z⁴", third_moment_ratio, biases[0] / biases[1]).at(
        n=5, d=1, n_o=3, sigma=1 / 64
    )


@claim(
    "E11",
    "Covariance-shaped noise ξ ~ N(0, C), Ĝ = (1/K) Σ δy ξᵀ: E[Ĝ] = J C and E‖Ĝ − JC‖² = [tr(JCJᵀ) tr C + ‖JC‖²]/K.",
    formula=r"""
        \hat G = \frac{1}{K}\sum_k\delta y_k\,\xi_k^{\top}, \quad \xi_k \sim N(0, C)
        \mathbb{E}[\hat G] = JC
        \mathbb{E}\|\hat G - JC\|^2 = \frac{\mathrm{tr}(JCJ^{\top})\,\mathrm{tr}(C) + \|JC\|^2}{K}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "ξ = Fᵀ z": {"perturb": lambda z, factor: z @ factor},
        "no 1/K": {"estimate": lambda response, noise: estimator.unnormalised_correlation(response, noise) * 2},
        "no 1/K in the variance": {"predict": lambda J, C, K: theory.estimator.covariance_shaped_variance(J, C, 1)},
    },
)
def covariance_shaped(
    lab: Lab,
    estimate=estimator.unnormalised_correlation,
    perturb=perturbation.covariance_shaped,
    predict=theory.estimator.covariance_shaped_variance,
) -> Iterator[Comparison]:
    """Mean and variance over the Gaussian moments of two draws, C = F Fᵀ of rank 4 in n = 4 dimensions."""
    problem = linear(lab, "E11", n=4)
    factor = lab.normal("E11: F", 4, 4)
    covariance = factor @ factor.T
    points, probabilities = repeated(lab, lab.gaussian(4), 2)
    got = estimates(lab, problem, perturb(points, factor), lambda response, noise, sigma: estimate(response, noise))
    want = problem.jacobian @ covariance
    scale = float(lab.xp.max(lab.xp.abs(want)))
    yield exact(lab, "E Ĝ = J C", want, lab.mean(probabilities, got), terms=3**8, scale=10 * scale).at(
        law="gaussian", n=4, n_o=2, K=2
    )
    variance = lab.mean(probabilities, lab.squared_error(got, want))
    yield exact(lab, "E‖Ĝ − JC‖²", predict(problem.jacobian, covariance, 2), variance, terms=3**8).at(
        law="gaussian", n=4, n_o=2, K=2
    )
