"""Estimates from responses that carry noise of their own: E12, E13."""

from __future__ import annotations

from collections.abc import Iterator

from nmnc_ref import estimator, perturbation, theory
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact, sampled
from paper_checks.estimator.problem import SIGMA, linear, manifold_noise, rademacher, slips
from paper_checks.lab import Lab

TAU = 0.2


@claim(
    "E12",
    "Response noise of variance τ² per component, independent between draws, adds n_o·dim·τ²/(Kσ²) to both errors, "
    "dim = d or n: at matched energy a factor (n/d)² in NMNC's favour. Noise τ on each output is 2τ² one-sided, τ²/2 "
    "antithetic.",
    formula=r"""
        \mathbb{E}\|\hat J - JP\|^2 = \frac{d+1}{K}\,\|JP\|^2 + \frac{n_o\,d\,\tau^2}{K\sigma^2} \quad\text{(NMNC)}
        \mathbb{E}\|\hat J - J\|^2 = \frac{n+1}{K}\,\|J\|^2 + \frac{n_o\,n\,\tau^2}{K\sigma_{\mathrm{VNC}}^2}
            \quad\text{(VNC)}
        \frac{n_o\,n\,\tau^2}{K\sigma_{\mathrm{VNC}}^2} = \left(\frac{n}{d}\right)^2\frac{n_o\,d\,\tau^2}{K\sigma^2}
            \quad\text{at matched energy}
        \mathrm{Var}(\delta y_o) = 2\tau^2 \text{ (one-sided)}, \quad \tfrac{1}{2}\tau^2 \text{ (antithetic)}
            \quad\text{for noise } \tau^2 \text{ of each output}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "no n_o": {"predict": lambda tau, n_o, d, draws, sigma: d * tau**2 / (draws * sigma**2)},
        "σ for σ²": {"predict": lambda tau, n_o, d, draws, sigma: n_o * d * tau**2 / (draws * sigma)},
        "sides confused": {
            "per_output": lambda tau, antithetic: theory.estimator.response_noise_variance(tau, not antithetic)
        },
        **slips(("1/σ for 1/σ²",)),
    },
)
def response_noise(
    lab: Lab,
    estimate=estimator.correlation,
    predict=theory.estimator.response_noise_error,
    per_output=theory.estimator.response_noise_variance,
) -> Iterator[Comparison]:
    """Over the joint law of coefficients (Gaussian moments) and response noise (all signs ±τ), n_o = 2, d = 2 of n =
    4.
    """
    problem = linear(lab, "E12", n=4, d=2)
    added = {}
    matched = perturbation.matched_sigma(SIGMA, 2, 4)
    for name, dimension, sigma in (("NMNC", 2, SIGMA), ("VNC", 4, matched)):
        for sides, outputs in (("direct", 1), ("one-sided", 2), ("antithetic", 2)):
            (z, *signs), probabilities = lab.independent(lab.gaussian(dimension), *[rademacher(lab, 2)] * outputs)
            noise = perturbation.on_manifold(z, problem.basis, sigma) if name == "NMNC" else sigma * z
            response = noise @ problem.jacobian.T
            if sides == "direct":
                noisy, variance = response + TAU * signs[0], TAU**2
            else:
                variance = per_output(TAU, sides == "antithetic")
                noisy = response + TAU * (signs[0] - signs[1]) * (0.5 if sides == "antithetic" else 1)
            target = problem.jacobian @ problem.projector if name == "NMNC" else problem.jacobian
            errors = [
                lab.mean(
                    probabilities,
                    lab.squared_error(lab.jit(estimate)(each[None, ...], noise[None, ...], sigma), target),
                )
                for each in (noisy, response)
            ]
            got = added[name] = errors[0] - errors[1]
            want = predict(variance**0.5, 2, dimension, 1, sigma)
            label = f"added error, {name}, {sides}"
            yield exact(lab, label, want, got, terms=3**4 * 16, scale=max(want, float(errors[0]))).at(
                rule=name, response=sides, **problem.sizes, tau=TAU, sigma=sigma, K=1
            )
    parts = [*[lab.gaussian(2)] * 2, *[rademacher(lab, 2)] * 2]
    (*z, first, second), probabilities = lab.independent(*parts)
    noise = perturbation.on_manifold(lab.xp.stack(z), problem.basis, SIGMA)
    response, target = noise @ problem.jacobian.T, problem.jacobian @ problem.projector
    errors = [
        lab.mean(probabilities, lab.squared_error(lab.jit(estimate)(each, noise, SIGMA), target))
        for each in (response + TAU * lab.xp.stack([first, second]), response)
    ]
    want = predict(TAU, 2, 2, 2, SIGMA)
    yield exact(
        lab, "added error, NMNC, direct, K = 2", want, errors[0] - errors[1], terms=9**2 * 16, scale=errors[0]
    ).at(rule="NMNC", response="direct", **problem.sizes, tau=TAU, sigma=SIGMA, K=2)
    ratio = added["VNC"] / added["NMNC"]
    found = exact(lab, "VNC : NMNC at matched energy", (4 / 2) ** 2, ratio, terms=3**4 * 16, scale=40)
    yield found.at(**problem.sizes, tau=TAU, K=1)


@claim(
    "E13",
    "Least squares of δy on Gaussian z is exact from K = d on without response noise; with it "
    "E‖Ĵ − JP‖² = τ² n_o d/(σ²(K−d−1)) for K > d+1.",
    formula=r"""
        \mathbb{E}\|\hat J - JP\|^2 = \frac{\tau^2\,n_o\,d}{\sigma^2(K-d-1)}, \quad K > d+1
        \hat J = JP \quad\text{for } \tau = 0,\; K \ge d
    """,
    source="derived",
    rung="Monte Carlo",
    twins={
        "correlation for least squares": {
            "estimate": lambda response, noise, basis: estimator.correlation(response, noise, SIGMA)
        },
        "K − d for K − d − 1": {
            "predict": lambda tau, n_o, d, draws, sigma: tau**2 * n_o * d / (sigma**2 * (draws - d))
        },
        "ridge": {"estimate": lambda response, noise, basis: 0.9 * estimator.least_squares(response, noise, basis)},
    },
)
def least_squares(
    lab: Lab, estimate=estimator.least_squares, predict=theory.estimator.least_squares_error
) -> Iterator[Comparison]:
    """Exact at K = d, on the manifold and isotropic; 30,000 repetitions at d = 3, K = 14, where the fourth moment is
    finite.
    """
    problem = linear(lab, "E13", n_o=4)
    for draws in (3, 5):
        noise = manifold_noise(lab.normal(f"E13: z, K = {draws}", draws, 3), problem)
        got = lab.jit(estimate)(noise @ problem.jacobian.T, noise, problem.basis)
        condition = float(lab.xp.max(lab.xp.linalg.svdvals(noise)) / lab.xp.linalg.svdvals(noise)[2])
        want = problem.jacobian @ problem.projector
        scale = condition * float(lab.xp.max(lab.xp.abs(problem.jacobian)))
        yield exact(lab, f"Ĵ = J P, K = {draws}", want, got, terms=7 * draws, scale=scale).at(
            rule="NMNC", **problem.sizes, tau=0.0, K=draws
        )
    frame = perturbation.orthonormal_frame(lab.normal("E13: isotropic", 7, 7))
    got = lab.jit(lambda response, noise: estimate(response, noise, None))(frame @ problem.jacobian.T, frame)
    yield exact(lab, "Ĵ = J, isotropic, K = n", problem.jacobian, got, terms=49).at(
        rule="VNC", n=7, n_o=4, tau=0.0, K=7
    )
    draws, repetitions = 14, 30_000
    noise = manifold_noise(lab.normal("E13: z", draws, repetitions, 3), problem)
    response = noise @ problem.jacobian.T + TAU * lab.normal("E13: response noise", draws, repetitions, 4)
    errors = lab.squared_error(lab.jit(estimate)(response, noise, problem.basis), problem.jacobian @ problem.projector)
    yield sampled("E‖Ĵ − JP‖² with response noise", predict(TAU, 4, 3, draws, SIGMA), lab.numpy(errors)).at(
        rule="NMNC", **problem.sizes, tau=TAU, sigma=SIGMA, K=draws
    )
