"""Estimates of one problem from few draws to many: what the curves over K of E4 and E6 are measured on."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from paper_checks.estimator.problem import aligned, estimates, isotropic_noise, manifold_noise
from paper_checks.lab import Lab

N, D, ALPHA = 30, 6, 0.75
"""K* and K† are then among the numbers of draws."""
DRAWS = (1, 3, 10, 30, 90, 160)
REPETITIONS, ALTOGETHER = 1_000, 60_000
"""Estimates, and draws if these are more: as many as an error of 5 % needs to be seen."""


class Estimates(NamedTuple):
    """Many estimates Ĵ, each from K Gaussian draws.

    `alignment`, `dimension`: α and d of NMNC, 1 and n of VNC; `errors`: ‖Ĵ − J‖²; `progress`: ⟨Ĵ, J⟩; `energies`:
    ‖Ĵ‖²; all in units of ‖J‖².
    """

    rule: str
    alignment: float
    dimension: int
    draws: int
    errors: np.ndarray
    progress: np.ndarray
    energies: np.ndarray

    @property
    def name(self) -> str:
        """What is estimated from what."""
        return f"{self.rule}, n = {N}, K = {self.draws}"

    @property
    def coordinates(self) -> dict[str, str | float]:
        """Parameters by name."""
        return {"rule": self.rule, "law": "gaussian", "n": N, "d": D, "alpha": ALPHA, "K": self.draws}

    @property
    def cosine_ratio(self) -> tuple[float, float]:
        """Return mean progress over the root of mean energy, and its standard error (delta method)."""
        progress, energy = self.progress.mean(), self.energies.mean()
        scatter = self.progress / progress - self.energies / (2 * energy)
        ratio = float(progress / math.sqrt(energy))
        return ratio, ratio * float(scatter.std(ddof=1)) / math.sqrt(scatter.shape[0])


@functools.lru_cache(maxsize=4)
def repeated_estimates(lab: Lab) -> tuple[Estimates, ...]:
    """Return the estimates of both rules from each number of draws."""
    problem, found = aligned(lab, "draws", N, D, D, ALPHA), []
    jacobian = lab.numpy(problem.jacobian)
    energy = (jacobian**2).sum()
    for rule, alignment, dimension, perturb in (
        ("NMNC", ALPHA, D, manifold_noise),
        ("VNC", 1.0, N, isotropic_noise),
    ):
        z = lab.normal(f"draws: z, {rule}", DRAWS[-1] * REPETITIONS, dimension)
        for draws in DRAWS:
            repetitions = max(REPETITIONS, ALTOGETHER // draws)
            coefficients = lab.xp.reshape(z[: draws * repetitions, :], (draws, repetitions, dimension))
            got = lab.numpy(estimates(lab, problem, perturb(coefficients, problem)))
            errors, progress, energies = (
                each.sum(axis=(-2, -1)) / energy for each in ((got - jacobian) ** 2, got * jacobian, got**2)
            )
            found.append(Estimates(rule, alignment, dimension, draws, errors, progress, energies))
    return tuple(found)
