"""Row: the basis of a manifold."""

from __future__ import annotations

import numpy as np

from nmnc_ref.bench.row import Cost, Finding, row
from nmnc_ref.bench.timing import paired
from nmnc_ref.fast import gram

SAMPLES, UNITS, DIMENSION = 5000, 500, 50


@row(
    "manifold-basis",
    work="fast.gram.fit of 5000 × 500 activity, float64, d = 50: mean, covariance, eigenvectors, signs, checks",
    baseline="numpy.linalg.eigh of the 500 × 500 matrix XᵀX, and the product that forms it",
    goal=1.2,
)
def basis_of_activity() -> Finding:
    """By the smaller Gram matrix."""
    generator = np.random.default_rng(0)
    activity = generator.standard_normal((SAMPLES, UNITS)) @ np.diag(np.geomspace(1, 1e-2, UNITS))
    decomposition = 9.0 * UNITS**3  # tridiagonal form 4/3 n³, its eigenvectors by divide and conquer, and back
    cost = Cost(2.0 * SAMPLES * UNITS**2 + decomposition, 8.0 * SAMPLES * UNITS)
    return paired(
        lambda: gram.fit(activity, dimension=DIMENSION),
        lambda: np.linalg.eigh(activity.T @ activity),
        cost=cost,
        of_baseline=cost,
    )
