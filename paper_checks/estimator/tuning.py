"""Making the best of a budget: E16, E17."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

from nmnc_ref import alignment, estimator, theory
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact
from paper_checks.data import digits
from paper_checks.estimator.problem import (
    Problem,
    estimates,
    linear,
    manifold_noise,
    rademacher,
    repeated,
)
from paper_checks.lab import Lab


@claim(
    "E16",
    "The best scaling c* = 1/(1+(d+1)/K) of the estimate gives relMSE 1 − α/(1+(d+1)/K).",
    formula=r"""
        c^{\ast} = \frac{1}{1 + (d+1)/K}
        \mathrm{relMSE}(c^{\ast}\hat J) = 1 - \frac{\alpha}{1 + (d+1)/K}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "d for d + 1": {"scaling": lambda draws, d, law: 1 / (1 + d / draws)},
        "c* squared": {"scaling": lambda draws, d, law: theory.estimator.best_scaling(draws, d, law) ** 2},
        "one law for both": {"scaling": lambda draws, d, law: theory.estimator.best_scaling(draws, d)},
        "not shrunk": {"shrink": lambda estimate, scaling: estimate},
    },
)
def best_scaling(lab: Lab, scaling=theory.estimator.best_scaling, shrink=estimator.shrunk) -> Iterator[Comparison]:
    """Over the Gaussian moments and all signs of one and two draws; the best c from the parabola through three
    scalings.
    """
    problem = linear(lab, "E16")
    energy = float(lab.xp.sum(problem.jacobian**2))
    laws = {"gaussian": lab.gaussian(3), "rademacher": rademacher(lab, 3)}
    for draws, law in itertools.product((1, 2), laws):
        points, probabilities = repeated(lab, laws[law], draws)
        got = estimates(lab, problem, manifold_noise(points, problem))

        def error(c: float, got=got, probabilities=probabilities) -> float:
            return float(lab.mean(probabilities, lab.squared_error(shrink(got, c), problem.jacobian))) / energy

        want, best = theory.estimator.best_scaled_error(problem.alignment, draws, 3, law), scaling(draws, 3, law)
        yield exact(lab, f"relMSE at c*, {law}, K = {draws}", want, error(best), terms=3 ** (3 * draws), scale=2).at(
            law=law, **problem.sizes, alpha=problem.alignment, K=draws
        )
        below, middle, above = error(0.5), error(1.0), error(1.5)
        vertex = 1 + (below - above) / (4 * (below - 2 * middle + above))
        yield exact(
            lab, f"c*, {law}, K = {draws}", best, vertex, terms=3 ** (3 * draws), scale=10 / problem.alignment
        ).at(law=law, **problem.sizes, K=draws)


SHOWN = (3, 10, 30)
"""Numbers of draws at which every d is compared."""


@claim(
    "E17",
    "The best manifold dimension for a budget, A(d) the alignment with the first d components: for squared error "
    "argmin_d 1 − A(d) + A(d)(d+1)/K, for cosine argmax_d A(d)/(K+d+1) (d−1 for Rademacher).",
    formula=r"""
        d_{\mathrm{error}} = \mathrm{argmin}_d\left[1 - A(d) + A(d)\,\frac{d+1}{K}\right]
        d_{\mathrm{cosine}} = \mathrm{argmax}_d\,\frac{A(d)}{K+d+1}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "largest alignment": {
            "for_error": lambda A, K, law: 1 + A.index(max(A)),
            "for_cosine": lambda A, K, law: 1 + A.index(max(A)),
        },
        "criteria exchanged": {
            "for_error": theory.estimator.best_dimension_for_cosine,
            "for_cosine": theory.estimator.best_dimension_for_error,
        },
        "budget ignored": {
            "for_error": lambda A, K, law: theory.estimator.best_dimension_for_error(A, 1, law),
            "for_cosine": lambda A, K, law: theory.estimator.best_dimension_for_cosine(A, 1, law),
        },
    },
)
def best_dimension(
    lab: Lab,
    for_error=theory.estimator.best_dimension_for_error,
    for_cosine=theory.estimator.best_dimension_for_cosine,
) -> Iterator[Comparison]:
    """Every d from 1 to 10 on the Jacobian of a real image in a trained network: the moments of one draw over all signs
    (for d up to 7 also the Gaussian ones) give error and ratio for every K. The regret of the predicted d against the
    best measured one must vanish. Error and ratio of every d are those of E4 and E6.
    """
    for law, of, most in (("rademacher", rademacher, digits.DIMENSION), ("gaussian", Lab.gaussian, 7)):
        yield from _regrets(lab, law, of, most, for_error, for_cosine)


def _regrets(lab: Lab, law: str, of: Callable, most: int, for_error: Callable, for_cosine: Callable):
    trained = digits.trained(lab)
    jacobian, basis = trained.jacobians(1, 1)[0, ...], trained.basis(1)
    energy = float(lab.xp.sum(jacobian**2))
    alignments, seconds = [], []
    for d in range(1, most + 1):
        problem = Problem(jacobian, basis[:, :d], 0 * basis[:, 0])
        alignments.append(float(alignment.alignment(jacobian, basis[:, :d])))
        points, probabilities = repeated(lab, of(lab, d), 1)
        # in coordinates of the manifold, as 2¹⁰ estimates of 10 × 100 numbers need not be formed
        reduced = Problem(jacobian @ problem.basis, lab.xp.eye(d, dtype=lab.dtype), 0 * basis[:d, 0])
        got = estimates(lab, reduced, manifold_noise(points, reduced))
        seconds.append(float(lab.mean(probabilities, lab.xp.sum(got**2, axis=(-2, -1)))) / energy)
    for draws in (1, 3, 10, 30, 100):
        # E‖Ĵ‖² = A + (s − A)/K, where s is that of one draw
        energies = [a + (s - a) / draws for a, s in zip(alignments, seconds, strict=True)]
        errors = [1 - 2 * a + e for a, e in zip(alignments, energies, strict=True)]
        ratios = [a / math.sqrt(e) for a, e in zip(alignments, energies, strict=True)]
        name = f"at the best d, {law}, K = {draws}"
        chosen = for_error(alignments, draws, law)
        yield exact(lab, f"error {name}", min(errors), errors[chosen - 1], terms=2**10, scale=10).at(
            law=law, n=jacobian.shape[-1], d=chosen, alpha=alignments[chosen - 1], K=draws
        )
        chosen = for_cosine(alignments, draws, law)
        yield exact(lab, f"ratio {name}", max(ratios), ratios[chosen - 1], terms=2**10, scale=1).at(
            law=law, n=jacobian.shape[-1], d=chosen, alpha=alignments[chosen - 1], K=draws
        )
        if law == "rademacher" and draws in SHOWN:
            for d, a in enumerate(alignments, start=1):
                place: dict[str, str | float] = {"law": law, "n": jacobian.shape[-1], "d": d, "alpha": a, "K": draws}
                name = f"at d = {d}, {law}, K = {draws}"
                want = theory.estimator.relative_error(a, draws, d, law)
                found = exact(lab, f"error {name}", want, errors[d - 1], terms=2**10, scale=10)
                yield found.at(quantity="relative error", **place)
                want = theory.estimator.cosine_ratio(a, draws, d, law)
                found = exact(lab, f"ratio {name}", want, ratios[d - 1], terms=2**10, scale=1)
                yield found.at(quantity="cosine ratio", **place)
