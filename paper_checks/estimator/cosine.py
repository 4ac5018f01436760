"""Which way the estimates point: E5, E6, E7."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import numpy as np

from nmnc_ref import alignment, estimator, perturbation, theory
from nmnc_ref.arrays import Array, namespace
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact, monte_carlo
from paper_checks.estimator.draws import repeated_estimates
from paper_checks.estimator.problem import (
    SIGMA,
    Law,
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

SQUARED_COSINES = 120_000


def squared_cosine(lab: Lab, estimate: Array, jacobian: Array) -> Array:
    """Return cos²(Ĵ, J) for each estimate [..., n_o, n]."""
    product = lab.xp.sum(estimate * jacobian, axis=(-2, -1))
    return product**2 / (lab.xp.sum(estimate**2, axis=(-2, -1)) * lab.xp.sum(jacobian**2))


def _second_moment(gram: Array) -> Array:
    """Return E[cos⁴] = [2 tr M² + (tr M)²]/(d(d + 2))."""
    xp, d = namespace(gram), gram.shape[0]
    return (2 * xp.sum(gram * gram.T) + xp.linalg.trace(gram) ** 2) / (d * (d + 2))


@claim(
    "E5",
    "One draw, any law with uniform direction or Rademacher, any n_o: E[cos²(Ĵ,J)] = α/d for NMNC and 1/n for VNC, so"
    " NMNC wins if and only if α > d/n. A random d-dimensional subspace has E[α] = d/n and wins nothing.",
    formula=r"""
        \mathbb{E}[\cos^2(\hat J, J)] = \frac{\alpha}{d} \text{ (NMNC)}, \quad \frac{1}{n} \text{ (VNC)}
        \mathbb{E}[\alpha] = \frac{d}{n} \quad\text{for a random subspace}
    """,
    source="derived",
    rung="Monte Carlo",
    twins={
        "√α for α": {"predict": lambda alpha, d: math.sqrt(alpha) / d},
        "d + 1 for d": {"predict": lambda alpha, d: alpha / (d + 1)},
        "scaled by the random subspace's ambient dimension + 1": {"null": lambda d, n: d / (n + 1)},
        "the variance about zero in place of the mean": {"spread": _second_moment},
    },
)
def squared_cosines(
    lab: Lab,
    predict=theory.estimator.expected_squared_cosine,
    null=theory.estimator.random_alignment,
    spread=theory.estimator.squared_cosine_variance,
) -> Iterator[Comparison]:
    """All signs for n_o = 1 and 3; 120,000 Gaussian draws, of which the mean has the theoretical standard error; and as
    null control all 35 coordinate subspaces of a random frame of R⁷.
    """
    for n_o in (1, 3):
        problem = linear(lab, f"E5, n_o = {n_o}", n=8, d=5, n_o=n_o)
        cases = (("NMNC", problem.alignment, 5, manifold_noise), ("VNC", 1.0, 8, isotropic_noise))
        for name, alpha, dimension, perturb in cases:
            points, probabilities = repeated(lab, rademacher(lab, dimension), 1)
            got = squared_cosine(lab, estimates(lab, problem, perturb(points, problem)), problem.jacobian)
            want, label = predict(alpha, dimension), f"E cos², {name}, all signs, n_o = {n_o}"
            yield exact(lab, label, want, lab.mean(probabilities, got), terms=2**8, scale=1).at(
                rule=name, law="rademacher", **problem.sizes, alpha=alpha, K=1
            )
        coordinates = problem.jacobian @ problem.basis
        gram = coordinates.T @ coordinates / lab.xp.sum(problem.jacobian**2)
        variance = float(spread(gram))
        noise = manifold_noise(lab.normal(f"E5: z, n_o = {n_o}", 1, SQUARED_COSINES, 5), problem)
        got = squared_cosine(lab, estimates(lab, problem, noise), problem.jacobian)
        mean, squares = float(lab.xp.mean(got)), (got - lab.xp.mean(got)) ** 2
        errors = [math.sqrt(each / SQUARED_COSINES) for each in (variance, float(lab.xp.var(squares)))]
        for name, want, measured, error in (
            ("E cos²", predict(problem.alignment, 5), mean, errors[0]),
            ("Var cos²", variance, float(lab.xp.mean(squares)), errors[1]),
        ):
            yield monte_carlo(f"{name}, NMNC, Gaussian, n_o = {n_o}", want, measured, error).at(
                rule="NMNC", law="gaussian", **problem.sizes, alpha=problem.alignment, K=1
            )
    frame, jacobian = lab.orthonormal("E5: frame", 7, 7), lab.normal("E5: J", 2, 7)
    alignments = [
        float(alignment.alignment(jacobian, lab.xp.stack([frame[:, k] for k in subset], axis=1)))
        for subset in itertools.combinations(range(7), 3)
    ]
    yield exact(lab, "E α of a random subspace", null(3, 7), sum(alignments) / len(alignments), terms=35).at(
        n=7, d=3, n_o=2
    )


def _moments(lab: Lab, problem: Problem, law: Law, perturb) -> tuple[float, float]:
    """Return ⟨E Ĵ, J⟩/‖J‖² and E‖Ĵ‖²/‖J‖² over a finite law."""
    points, probabilities = law
    got = estimates(lab, problem, perturb(points, problem))
    inner = lab.xp.sum(got * problem.jacobian, axis=(-2, -1))
    energy = lab.xp.sum(got**2, axis=(-2, -1))
    norm = float(lab.xp.sum(problem.jacobian**2))
    return float(lab.mean(probabilities, inner)) / norm, float(lab.mean(probabilities, energy)) / norm


PLANE_WIDTH, PLANE_ALIGNMENTS = 8, (0.12, 0.28, 0.44, 0.6, 0.76, 0.92)
PLANE_DIMENSIONS, PLANE_DRAWS = (1, 3, 5, 7), (1, 4, 16)


@functools.lru_cache(maxsize=4)
def _advantages(lab: Lab) -> dict[tuple[int, float, int], float]:
    """Return the square of NMNC's ratio over that of VNC's, by d, α and K.

    Of each α one output, g = √α u + √(1 − α) v with u in the manifold and v outside; E‖ĝ‖² at K from that of one draw.
    """
    n, found = PLANE_WIDTH, dict[tuple[int, float, int], float]()
    frame, activity = lab.orthonormal("E6: frame", n, n), lab.normal("E6: activity", n)
    for d in PLANE_DIMENSIONS:
        rows = [math.sqrt(a) * frame[:, 0] + math.sqrt(1 - a) * frame[:, d] for a in PLANE_ALIGNMENTS]
        problem = Problem(lab.xp.stack(rows), frame[:, :d], activity)
        squares = []
        for dimension, perturb in ((d, manifold_noise), (n, isotropic_noise)):
            points, probabilities = repeated(lab, lab.gaussian(dimension), 1)
            got = lab.numpy(estimates(lab, problem, perturb(points, problem)))
            mean, energy = (np.tensordot(lab.numpy(probabilities), each, 1) for each in (got, (got**2).sum(axis=-1)))
            progress, bias = (mean * lab.numpy(problem.jacobian)).sum(axis=1), (mean**2).sum(axis=1)
            squares.append([progress**2 / (bias + (energy - bias) / draws) for draws in PLANE_DRAWS])
        for index, draws in enumerate(PLANE_DRAWS):
            advantage = squares[0][index] / squares[1][index]
            found |= {(d, a, draws): float(value) for a, value in zip(PLANE_ALIGNMENTS, advantage, strict=True)}
    return found


@claim(
    "E6",
    "K draws: ⟨E Ĵ, J⟩/√(‖J‖²·E‖Ĵ‖²) = √(αK/(K+d+1)) for NMNC and √(K/(K+n+1)) for VNC (d−1, n−1 for Rademacher). "
    "NMNC has the larger ratio if and only if α > (K+d+1)/(K+n+1); VNC overtakes beyond K† = [α(n+1) − (d+1)]/(1−α).",
    formula=r"""
        \frac{\langle\mathbb{E}\hat J, J\rangle}{\sqrt{\|J\|^2\,\mathbb{E}\|\hat J\|^2}} =
            \sqrt{\frac{\alpha K}{K+d+1}} \text{ (NMNC)}, \quad \sqrt{\frac{K}{K+n+1}} \text{ (VNC)}
        \text{NMNC has the larger ratio} \;\iff\; \alpha > \frac{K+d+1}{K+n+1}
        K^{\dagger} = \frac{\alpha(n+1) - (d+1)}{1-\alpha}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "α for √α": {
            "predict": lambda alpha, draws, d, law: (
                math.sqrt(alpha) * theory.estimator.cosine_ratio(alpha, draws, d, law)
            )
        },
        "d for d + 1": {"predict": lambda alpha, draws, d, law: math.sqrt(alpha * draws / (draws + d))},
        "K† = K*": {"crossover": theory.estimator.error_crossover},
        "threshold d/n": {"threshold": lambda draws, d, n, law: d / n},
    },
)
def cosine_ratio(
    lab: Lab,
    predict=theory.estimator.cosine_ratio,
    crossover=theory.estimator.cosine_crossover,
    threshold=theory.estimator.cosine_threshold,
) -> Iterator[Comparison]:
    """Over the Gaussian moments and all signs of one and two draws; threshold and K† from the enumerated moments; the
    better rule at n = 8 from the Gaussian moments of one draw. And by sampling at n = 30, d = 6, α = 0.75, from one to
    160 Gaussian draws, at least 1,000 estimates of each.
    """
    problem = linear(lab, "E6", n=4, d=3)
    moments = {}
    for draws in (1, 2):
        cases = (("NMNC", problem.alignment, 3, manifold_noise), ("VNC", 1.0, 4, isotropic_noise))
        for name, alpha, dimension, perturb in cases:
            for law, points in (("gaussian", lab.gaussian(dimension)), ("rademacher", rademacher(lab, dimension))):
                inner, energy = _moments(lab, problem, repeated(lab, points, draws), perturb)
                moments[name, law, draws] = inner, energy
                want, label = predict(alpha, draws, dimension, law), f"ratio, {name}, {law}, K = {draws}"
                yield exact(lab, label, want, inner / math.sqrt(energy), terms=3 ** (dimension * draws)).at(
                    rule=name, law=law, **problem.sizes, alpha=alpha, K=draws
                )
    # E‖Ĵ‖² = m + v/K: its quotient q at K = 1 and 2 gives v/m = 2(q − 1)/(2 − q), which is d ± 1 or n ± 1
    alpha = moments["NMNC", "gaussian", 1][0]
    for law in ("gaussian", "rademacher"):
        quotients = {name: moments[name, law, 1][1] / moments[name, law, 2][1] for name in ("NMNC", "VNC")}
        spread = {name: 2 * (q - 1) / (2 - q) for name, q in quotients.items()}
        want, got = threshold(2, 3, 4, law), (1 + spread["NMNC"] / 2) / (1 + spread["VNC"] / 2)
        yield exact(lab, f"threshold of α at K = 2, {law}", want, got, terms=3**8, scale=10).at(
            law=law, **problem.sizes, K=2
        )
        want, got = crossover(alpha, 3, 4, law), (alpha * spread["VNC"] - spread["NMNC"]) / (1 - alpha)
        yield exact(lab, f"K†, {law}", want, got, terms=3**8, scale=100 / (1 - alpha)).at(
            law=law, **problem.sizes, alpha=alpha
        )
    for (d, alpha, draws), got in _advantages(lab).items():
        want, label = alpha / threshold(draws, d, PLANE_WIDTH, "gaussian"), f"α = {alpha}, d = {d}, K = {draws}"
        compared = exact(lab, f"(ratio of NMNC : VNC)², {label}", want, got, terms=3**PLANE_WIDTH)
        yield compared.at(quantity="advantage", law="gaussian", n=PLANE_WIDTH, d=d, alpha=alpha, K=draws)
    for each in repeated_estimates(lab):
        want = predict(each.alignment, each.draws, each.dimension, "gaussian")
        found = monte_carlo(f"ratio, {each.name}", want, *each.cosine_ratio)
        yield found.at(quantity="cosine ratio", **each.coordinates)


@claim(
    "E7",
    "Energy matching, σ_VNC = σ √(d/n), equalises E‖ξ‖² = σ²d, and cancels in the normalised estimator of a linear "
    "response. Un-normalised (ΔB = δy ξᵀ) the progress ⟨E ΔB, J⟩/‖J‖² is ασ² against (d/n)σ².",
    formula=r"""
        \sigma_{\mathrm{VNC}} = \sigma\sqrt{d/n} \;\implies\; \mathbb{E}\|\xi\|^2 = \sigma^2 d \text{ for both}
        \frac{\langle\mathbb{E}[\delta y\,\xi^{\top}], J\rangle}{\|J\|^2} = \alpha\,\sigma^2 \text{ (NMNC)}, \quad
            \frac{d}{n}\,\sigma^2 \text{ (VNC)}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "d/n for √(d/n)": {"match": lambda sigma, d, n: sigma * d / n},
        "no matching": {"match": lambda sigma, d, n: sigma},
        "√α for α": {"progress": lambda alpha, sigma: math.sqrt(alpha) * sigma**2},
        **slips(("1/σ for 1/σ²",)),
    },
)
def energy_matching(
    lab: Lab,
    match=perturbation.matched_sigma,
    progress=theory.estimator.unnormalised_progress,
    estimate=estimator.correlation,
) -> Iterator[Comparison]:
    """Over all signs, d = 5 of n = 8."""
    problem = linear(lab, "E7", n=8, d=5)
    energy = float(lab.xp.sum(problem.jacobian**2))
    matched = match(SIGMA, 5, 8)
    cases = (
        ("NMNC", problem.alignment, SIGMA, manifold_noise(lab.signs(5), problem)),
        ("VNC", 1.0, matched, perturbation.isotropic(lab.signs(8), matched)),
    )
    for name, alpha, sigma, noise in cases:
        square = lab.xp.mean(lab.xp.sum(noise**2, axis=-1))
        yield exact(lab, f"E‖ξ‖², {name}", SIGMA**2 * 5, square, terms=2**8).at(
            rule=name, law="rademacher", **problem.sizes, sigma=sigma
        )
        response = estimator.one_sided_response(problem.tail, problem.activity, noise)
        change = lab.jit(estimator.unnormalised_correlation)(response, noise)
        got = lab.xp.sum(change * problem.jacobian) / energy
        want = alpha * SIGMA**2 * 5 / 8 if name == "VNC" else progress(alpha, sigma)
        yield exact(lab, f"progress, {name}", want, got, terms=2**8, scale=SIGMA**2).at(
            rule=name, law="rademacher", **problem.sizes, alpha=alpha, sigma=sigma
        )
        mean = lab.jit(estimate)(response, noise, sigma)
        target = problem.jacobian if name == "VNC" else problem.jacobian @ problem.projector
        yield exact(lab, f"E Ĵ free of σ, {name}", target, mean, terms=2**8).at(
            rule=name, law="rademacher", **problem.sizes, sigma=sigma
        )
