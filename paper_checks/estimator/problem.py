"""A small linear problem with a random Jacobian and a random manifold, and estimates on finite laws of draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from nmnc_ref import alignment, estimator, manifold, perturbation
from nmnc_ref.arrays import Array
from paper_checks.lab import Lab

N, D, N_O = 7, 3, 2
SIGMA = 0.3
Law = tuple[Array, Array]
Estimate = Callable[[Array, Array, float], Array]


class Problem(NamedTuple):
    """`jacobian` J [n_o, n], `basis` U [n, d], `activity` x [n]; the tail is y = x Jᵀ."""

    jacobian: Array
    basis: Array
    activity: Array

    @property
    def projector(self) -> Array:
        """P = U Uᵀ."""
        return manifold.projector(self.basis)

    @property
    def alignment(self) -> float:
        """α of the Jacobian."""
        return float(alignment.alignment(self.jacobian, self.basis))

    @property
    def sizes(self) -> dict[str, int]:
        """Return n, d and n_o by name."""
        (n_o, n), d = self.jacobian.shape, self.basis.shape[1]
        return {"n": n, "d": d, "n_o": n_o}

    def tail(self, activity: Array) -> Array:
        """Return the linear output of [..., n]."""
        return activity @ self.jacobian.T


def linear(lab: Lab, name: str, n: int = N, d: int = D, n_o: int = N_O) -> Problem:
    """Draw a problem for a named purpose."""
    return Problem(lab.normal(f"{name}: J", n_o, n), lab.orthonormal(f"{name}: U", n, d), lab.normal(f"{name}: x", n))


def aligned(lab: Lab, name: str, n: int, d: int, n_o: int, alignment: float) -> Problem:
    """Draw a problem of a given α, J = √α U₁ᵀ + √(1 − α) Vᵀ with n_o ≤ d columns U₁ of U, and V off the manifold."""
    frame = lab.orthonormal(f"{name}: frame", n, n)
    inside, outside = frame[:, :n_o], frame[:, d : d + n_o]
    jacobian = (math.sqrt(alignment) * inside + math.sqrt(1 - alignment) * outside).T
    return Problem(jacobian, frame[:, :d], lab.normal(f"{name}: x", n))


def manifold_noise(coefficients: Array, problem: Problem) -> Array:
    """Return NMNC's perturbation at the scale SIGMA."""
    return perturbation.on_manifold(coefficients, problem.basis, SIGMA)


def isotropic_noise(coefficients: Array, problem: Problem) -> Array:
    """Return VNC's perturbation at the scale SIGMA."""
    del problem
    return perturbation.isotropic(coefficients, SIGMA)


def rademacher(lab: Lab, d: int) -> Law:
    """Return the whole Rademacher law: its vectors and probabilities."""
    points = lab.signs(d)
    return points, lab.xp.full(points.shape[0], 1 / points.shape[0], dtype=lab.dtype)


def uniform(lab: Lab, d: int) -> Law:
    """Return a finite law with the moments up to the fifth of d independent entries uniform in [−√3, √3]."""
    point, weight = 1.8**0.5, 1 / 3.6
    grid = list(itertools.product((-point, 0.0, point), repeat=d))
    probabilities = [math.prod(weight if each else 1 - 2 * weight for each in row) for row in grid]
    return lab.array(grid), lab.array(probabilities)


def directions(lab: Lab, d: int) -> Law:
    """Return directions with the moments up to the fifth of one that is uniform in R³ or R⁴, of arbitrary lengths.

    They are the vertices of the icosahedron and of the 24-cell (Delsarte, Goethals and Seidel 1977).
    """
    if d == 3:
        golden = (1 + math.sqrt(5)) / 2
        faces = [(0.0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
        vertices = [face[k:] + face[:k] for face in faces for k in range(3)]
    else:
        vertices = [v for v in itertools.product((-1.0, 0.0, 1.0), repeat=4) if sum(map(abs, v)) == 2]
    points = [[(1 + index) * entry for entry in vertex] for index, vertex in enumerate(vertices)]
    return lab.array(points), lab.xp.full(len(points), 1 / len(points), dtype=lab.dtype)


def repeated(lab: Lab, law: Law, draws: int) -> Law:
    """Return the joint law of K independent draws, points [K, S, d]."""
    points, probabilities = lab.independent(*[law] * draws)
    return lab.xp.stack(points), probabilities


def estimates(
    lab: Lab,
    problem: Problem,
    noise: Array,
    estimate: Estimate = estimator.correlation,
    tail: Callable[[Array], Array] | None = None,
    respond: Callable[..., Array] = estimator.one_sided_response,
) -> Array:
    """Return the estimate for each of S outcomes of the noise [K, S, n]: [S, n_o, n]."""

    def measure(activity: Array, noise: Array) -> Array:
        return estimate(respond(tail or problem.tail, activity, noise), noise, SIGMA)

    activity = lab.xp.broadcast_to(problem.activity, noise.shape[1:])
    return lab.jit(measure)(activity, noise)


def slips(names: tuple[str, ...]) -> dict[str, dict[str, Estimate]]:
    """Return twins whose part `estimate` makes a common slip."""
    wrong: dict[str, Estimate] = {
        "1/σ for 1/σ²": lambda response, noise, sigma: estimator.correlation(response, noise, sigma) * sigma,
        "no 1/K": lambda response, noise, sigma: estimator.correlation(response, noise, sigma) * noise.shape[0],
        "wrong sign": lambda response, noise, sigma: -estimator.correlation(response, noise, sigma),
        "first draw counted twice": lambda response, noise, sigma: (
            estimator.correlation(response, noise, sigma)
            + estimator.correlation(response[:1, ...], noise[:1, ...], sigma) / noise.shape[0]
        ),
    }
    return {name: {"estimate": wrong[name]} for name in names}
