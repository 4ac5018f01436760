"""How far the estimates scatter: E3, E4, E9, E10."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from nmnc_ref import estimator, perturbation, theory
from nmnc_ref.arrays import Array
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact, sampled
from paper_checks.estimator.draws import repeated_estimates
from paper_checks.estimator.problem import (
    SIGMA,
    Law,
    Problem,
    directions,
    estimates,
    isotropic_noise,
    linear,
    manifold_noise,
    rademacher,
    repeated,
    slips,
    uniform,
)
from paper_checks.lab import Lab


def _error(lab: Lab, problem: Problem, law: Law, perturb, target: Array, estimate=estimator.correlation) -> Array:
    """Return E‖Ĵ − target‖² over a finite law of draws [K, S, dim]."""
    points, probabilities = law
    got = estimates(lab, problem, perturb(points, problem), estimate)
    return lab.mean(probabilities, lab.squared_error(got, target))


@claim(
    "E3",
    "Variance: E‖Ĵ − JP‖² = (d+1)/K·‖JP‖² for Gaussian coefficients, (d−1)/K for Rademacher, (d−0.2)/K for uniform "
    "ones; VNC the same with n and J. Independent of n_o.",
    formula=r"""
        \mathbb{E}\|\hat J - JP\|^2 = \frac{c_d}{K}\,\|JP\|^2 \quad\text{(NMNC)}
        \mathbb{E}\|\hat J - J\|^2 = \frac{c_n}{K}\,\|J\|^2 \quad\text{(VNC)}
        c_m = m + 1 \text{ (Gaussian)}, \quad m - 1 \text{ (Rademacher)}, \quad m - \tfrac{1}{5} \text{ (uniform)}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "d for d + 1": {"predict": lambda draws, dimension, law="gaussian": dimension / draws},
        "laws confused": {"predict": lambda draws, dimension, law="gaussian": (dimension - 1) / draws},
        "1/√K for 1/K": {
            "predict": lambda draws, dimension, law="gaussian": (
                theory.estimator.variance(1, dimension, law) / draws**0.5
            )
        },
        "norm 1 for norm √d": {"scaled": lambda z: perturbation.fixed_norm(z) / math.sqrt(z.shape[-1])},
        "same noise in every draw": {
            "estimate": lambda response, noise, sigma: estimator.correlation(response[:1, ...], noise[:1, ...], sigma)
        },
        **slips(("1/σ for 1/σ²",)),
    },
)
def variance(
    lab: Lab,
    estimate=estimator.correlation,
    predict=theory.estimator.variance,
    scaled=perturbation.fixed_norm,
) -> Iterator[Comparison]:
    """Over the Gaussian and the uniform moments, those of the sphere, and all signs, of one and two draws, for n_o = 1
    and 3.
    """
    for n_o, draws in ((1, 1), (3, 1), (3, 2)):
        problem = linear(lab, f"E3, n_o = {n_o}", n=4, d=3, n_o=n_o)
        cases = ((3, manifold_noise, problem.jacobian @ problem.projector), (4, isotropic_noise, problem.jacobian))
        for dimension, perturb, target in cases:
            laws = {
                "gaussian": lab.gaussian(dimension),
                "rademacher": rademacher(lab, dimension),
                "uniform": uniform(lab, dimension),
            }
            points, probabilities = directions(lab, dimension)
            laws["fixed-norm"] = scaled(points), probabilities
            for law, points in laws.items():
                got = _error(lab, problem, repeated(lab, points, draws), perturb, target, estimate)
                rule = "NMNC" if dimension == 3 else "VNC"
                name = f"{rule}, {law}, n_o = {n_o}, K = {draws}"
                want = predict(draws, dimension, law=law)
                yield exact(lab, name, want, got / lab.xp.sum(target**2), terms=3 ** (dimension * draws)).at(
                    rule=rule, law=law, **problem.sizes, K=draws
                )


@claim(
    "E4",
    "Relative error: NMNC (1−α) + α(d+1)/K, VNC (n+1)/K; NMNC is better if and only if K < K* = [(n+1) − "
    "α(d+1)]/(1−α).",
    formula=r"""
        \mathrm{relMSE} = (1-\alpha) + \alpha\,\frac{d+1}{K} \quad\text{(NMNC)}
        \mathrm{relMSE} = \frac{n+1}{K} \quad\text{(VNC)}
        K^{\ast} = \frac{(n+1) - \alpha(d+1)}{1-\alpha}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "no α on the variance": {
            "predict": lambda alpha, draws, d, law: 1 - alpha + theory.estimator.variance(draws, d, law)
        },
        "no bias": {"predict": lambda alpha, draws, d, law: alpha * theory.estimator.variance(draws, d, law)},
        "K* without α": {"crossover": lambda alpha, d, n, law: (n - d) / (1 - alpha)},
        "one law for both": {"crossover": lambda alpha, d, n, law: theory.estimator.error_crossover(alpha, d, n)},
    },
)
def relative_error(
    lab: Lab, predict=theory.estimator.relative_error, crossover=theory.estimator.error_crossover
) -> Iterator[Comparison]:
    """Over the Gaussian moments and all signs of one and two draws; K* from the enumerated moments. And by sampling at
    n = 30, d = 6, α = 0.75, from one to 160 Gaussian draws, at least 1,000 estimates of each.
    """
    problem = linear(lab, "E4", n=4, d=3)
    jacobian, energy = problem.jacobian, float(lab.xp.sum(problem.jacobian**2))
    measured = {}
    for draws in (1, 2):
        for name, alpha, dimension, perturb in (
            ("NMNC", problem.alignment, 3, manifold_noise),
            ("VNC", 1.0, 4, isotropic_noise),
        ):
            for law, points in (("gaussian", lab.gaussian(dimension)), ("rademacher", rademacher(lab, dimension))):
                got = float(_error(lab, problem, repeated(lab, points, draws), perturb, jacobian)) / energy
                measured[name, law, draws] = got
                want, label = predict(alpha, draws, dimension, law), f"relMSE {name}, {law}, K = {draws}"
                yield exact(lab, label, want, got, terms=3 ** (dimension * draws)).at(
                    rule=name, law=law, **problem.sizes, alpha=problem.alignment, K=draws
                )
    for law in ("gaussian", "rademacher"):
        # the error is b + v/K, so two values of K determine it for all
        variance = {name: 2 * (measured[name, law, 1] - measured[name, law, 2]) for name in ("NMNC", "VNC")}
        bias = measured["NMNC", law, 1] - variance["NMNC"]
        got = (variance["VNC"] - variance["NMNC"]) / bias
        want = crossover(problem.alignment, 3, 4, law)
        yield exact(lab, f"K*, {law}", want, got, terms=3**8, scale=max(want, 1) / min(bias, 1)).at(
            law=law, **problem.sizes, alpha=problem.alignment
        )
    for each in repeated_estimates(lab):
        want = predict(each.alignment, each.draws, each.dimension, "gaussian")
        found = sampled(f"relMSE {each.name}", want, each.errors)
        yield found.at(quantity="relative error", **each.coordinates)


def _with_curvature(problem: Problem, hessians: Array):
    """Return the quadratic tail y = J x + ½ xᵀ H x."""

    def tail(x: Array) -> Array:
        return problem.tail(x) + (x[..., None, None, :] @ hessians @ x[..., None, :, None])[..., 0, 0] / 2

    return tail


@claim(
    "E9",
    "Antithetic pairs remove the even-order variance: on a quadratic tail it equals the linear law exactly, while "
    "one-sided noise adds σ²(d+4)/(4K)·Σ[(tr M)² + 2 tr M²]. On a linear tail 2K forward passes buy K pairs or 2K−1 "
    "one-sided draws: variance ratio one-sided : antithetic = K/(2K−1).",
    formula=r"""
        \mathbb{E}\|\hat J - JP\|^2 = \frac{d+1}{K}\,\|JP\|^2 \quad\text{(antithetic)}
        \mathbb{E}\|\hat J - JP\|^2 = \frac{d+1}{K}\,\|JP\|^2 + \frac{\sigma^2(d+4)}{4K}\sum_o\left(\mathrm{tr}(M_o)^2
            + 2\,\mathrm{tr}(M_o^2)\right) \quad\text{(one-sided)}
        M_o = U^{\top}H_oU
        \frac{\text{variance of } 2K-1 \text{ one-sided draws}}{\text{variance of } K \text{ pairs}} = \frac{K}{2K-1}
            \quad\text{on a linear tail}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "one-sided passed off as antithetic": {"antithetic": estimator.one_sided_response},
        "no ½ on the pair": {"antithetic": lambda *arguments: 2 * estimator.antithetic_response(*arguments)},
        "trace dropped from the curvature": {
            "curvature": lambda hessians, sigma, draws: (
                0.8 * theory.estimator.curvature_variance(hessians, sigma, draws)
            )
        },
        "2K one-sided draws": {"ratio": lambda pairs: 1 / 2},
    },
)
def antithetic_pairs(
    lab: Lab,
    antithetic=estimator.antithetic_response,
    curvature=theory.estimator.curvature_variance,
    ratio=theory.estimator.one_sided_to_antithetic,
) -> Iterator[Comparison]:
    """By quadrature exact to degree 7, d = 3, one and two draws; the ratio by counting forward passes, d = 2, two pairs
    against three draws.
    """
    problem = linear(lab, "E9")
    hessians = lab.normal("E9: H", 2, 7, 7)
    hessians = hessians + hessians.mT
    tail = _with_curvature(problem, hessians)
    slope = problem.jacobian + (hessians @ problem.activity[:, None])[..., 0]
    target = slope @ problem.projector
    for draws in (1, 2):
        points, probabilities = repeated(lab, lab.gaussian(3, nodes=4), draws)
        linear_law = theory.estimator.variance(draws, 3) * float(lab.xp.sum(target**2))
        extra = float(curvature(problem.basis.T @ hessians @ problem.basis, SIGMA, draws))
        for name, respond, want in (
            ("one-sided", estimator.one_sided_response, linear_law + extra),
            ("antithetic", antithetic, linear_law),
        ):
            got = estimates(lab, problem, manifold_noise(points, problem), tail=tail, respond=respond)
            outputs = float(lab.xp.max(lab.xp.abs(tail(problem.activity))))  # their rounding is divided by σ
            scale = want * max(1, outputs / SIGMA)
            error = lab.mean(probabilities, lab.squared_error(got, target))
            label = f"E‖Ĵ − JP‖², quadratic tail, {name}, K = {draws}"
            yield exact(lab, label, want, error, terms=4 ** (3 * draws), scale=scale).at(
                law="gaussian", response=name, **problem.sizes, sigma=SIGMA, K=draws
            )
    problem = linear(lab, "E9: linear", n=3, d=2)
    target, errors = problem.jacobian @ problem.projector, []
    for respond, draws in ((estimator.one_sided_response, 3), (antithetic, 2)):
        passes = 0

        def counted(x: Array, problem: Problem = problem) -> Array:
            nonlocal passes
            passes += 1 if x.ndim == 2 else x.shape[0]
            return problem.tail(x)

        points, probabilities = repeated(lab, lab.gaussian(2), draws)
        got = estimates(lab, problem, manifold_noise(points, problem), tail=counted, respond=respond)
        errors.append(lab.mean(probabilities, lab.squared_error(got, target)))
        yield exact(lab, f"forward passes for {draws} draws", 4, passes).at(**problem.sizes, K=draws)
    yield exact(lab, "variance ratio at 4 forward passes", ratio(2), errors[0] / errors[1], terms=9**3).at(
        law="gaussian", **problem.sizes
    )


@claim(
    "E10",
    "Orthonormal coefficient frames z_k = √d q_k, K ≤ d: relMSE = (1−α) + α(d−K)/K; at K = d the estimate equals J P "
    "exactly.",
    formula=r"""
        z_k = \sqrt{d}\,q_k, \quad q_j^{\top}q_k = \delta_{jk}, \quad K \le d
        \mathrm{relMSE} = (1-\alpha) + \alpha\,\frac{d-K}{K}
    """,
    source="derived",
    rung="Monte Carlo",
    twins={
        "no √d": {"frame": lambda z: perturbation.orthonormal_frame(z) / math.sqrt(z.shape[-1])},
        "independent draws": {"frame": lambda z: z},
        "E4 for frames": {"predict": theory.estimator.relative_error},
    },
)
def orthonormal_frames(
    lab: Lab, frame=perturbation.orthonormal_frame, predict=theory.estimator.frame_error
) -> Iterator[Comparison]:
    """All choices of K of the d vectors of one frame, which is exact as the Haar law is invariant to permutations; then
    20,000 frames of K = 2 to see that short frames have that law.
    """
    d = 5
    problem = linear(lab, "E10", n=8, d=d)
    energy = float(lab.xp.sum(problem.jacobian**2))
    whole = frame(lab.normal("E10: frame", d, d))
    for draws in (1, 3, 5):
        chosen = [lab.xp.stack([whole[k, :] for k in subset]) for subset in itertools.combinations(range(d), draws)]
        noise = manifold_noise(lab.xp.stack(chosen, axis=1), problem)
        got = lab.xp.mean(lab.squared_error(estimates(lab, problem, noise), problem.jacobian)) / energy
        yield exact(lab, f"relMSE, K = {draws}", predict(problem.alignment, draws, d), got, terms=50, scale=d).at(
            **problem.sizes, alpha=problem.alignment, K=draws
        )
    noise = manifold_noise(whole[:, None, :], problem)
    got = estimates(lab, problem, noise)[0, ...]
    yield exact(lab, "Ĵ = J P at K = d", problem.jacobian @ problem.projector, got, terms=50).at(**problem.sizes, K=d)
    noise = manifold_noise(frame(lab.normal("E10: frames", 2, 20_000, d)), problem)
    got = lab.numpy(lab.squared_error(estimates(lab, problem, noise), problem.jacobian)) / energy
    yield sampled("relMSE, K = 2, 20,000 frames", predict(problem.alignment, 2, d), got).at(
        **problem.sizes, alpha=problem.alignment, K=2
    )
