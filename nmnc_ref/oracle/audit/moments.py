"""An estimator as an experiment: responses, coefficients, and what is made of their products; so mean and covariance.

Whatever is perturbed and read, an estimate of any kind is linear in the products of responses ρ [R] and independent
coefficients z [D] of K draws, and while the response is linear, ρ = f + A z:

    part = mean_k Σ_ra T_mra ρ_r z_a,    E[part] = T·A,
    K Cov = Σ T_mra T_nsb [δ_ab (A Aᵀ + f fᵀ)_rs + A_rb A_sa] + what fourth moments add (E3, E14, E15, E18–E21).

Entries of another fourth moment than 3 add κ − 3 times the terms with four equal indices; coefficients of fixed norm
shrink the moments within their vector by d/(d + 2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.law import FIXED_NORM, KURTOSIS, draw
from nmnc_ref.oracle.audit.problem import Problem


class Experiment(NamedTuple):
    """`slopes` A [R, D]; `offset` f [R]; `units`: the columns of each independent vector of coefficients.

    `maps`: T of each part with its name, shape and site; `columns`: those of the coefficients of (layer, sample).
    """

    problem: Problem
    law: str
    slopes: np.ndarray
    offset: np.ndarray
    units: tuple[np.ndarray, ...]
    maps: tuple[tuple[str, tuple[int, ...], int, np.ndarray], ...]
    columns: dict[tuple[int, int], np.ndarray]

    def mean(self, maps: np.ndarray) -> np.ndarray:
        """Return T·A [m]."""
        return np.tensordot(maps, self.slopes, 2)

    def covariance(self, maps: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the covariance [m, m'] between two parts of one estimate."""
        A, T, S = self.slopes, maps, others
        total = _wick(A, T, S)
        at_rest, other_at_rest = (np.einsum("mra,r->ma", each, self.offset) for each in (T, S))
        total += at_rest @ other_at_rest.T
        if self.law in FIXED_NORM:
            for unit in self.units:
                within = A[:, unit], T[:, :, unit], S[:, :, unit]
                product = np.outer(*(np.tensordot(each, within[0], 2) for each in within[1:]))
                total -= 2 / (len(unit) + 2) * (_wick(*within) + product)
        else:
            alike, other_alike = (np.einsum("mra,ra->ma", each, A) for each in (T, S))
            total += (KURTOSIS[self.law] - 3) * alike @ other_alike.T
        return total / self.problem.draws

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Draw coefficients [count, D]."""
        z = np.empty((count, self.slopes.shape[1]))
        for unit in self.units:
            z[:, unit] = draw(generator, (count, len(unit)), self.law)
        return z


def _wick(A: np.ndarray, T: np.ndarray, S: np.ndarray) -> np.ndarray:
    """Return Σ T_mra S_nsb [δ_ab (A Aᵀ)_rs + A_rb A_sa]."""
    own = np.einsum("rs,nsa->nra", A @ A.T, S, optimize=True)
    crossed = np.einsum("mra,sa->mrs", T, A, optimize=True), np.einsum("nsb,rb->nrs", S, A, optimize=True)
    return np.tensordot(T, own, ([1, 2], [1, 2])) + np.tensordot(*crossed, ([1, 2], [1, 2]))
