"""Manifolds: bases have free signs, so their projectors are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmnc_ref import alignment, manifold
from nmnc_ref import dimension as dimensions
from nmnc_ref.arrays import Array
from nmnc_ref.oracle.vectors.operation import operation


def _spectrum(activity: Array, centring: str) -> Array:
    return manifold.fit(activity, dimension=1, centring=centring).spectrum


def _gap(inputs: Mapping[str, Any], value: np.ndarray) -> float:
    """Return λ_1/(λ_d − λ_{d+1}), by which an error of the covariance turns the span of the first d components."""
    variances = np.append(_spectrum(inputs["activity"], inputs["centring"]), 0.0)
    return float(variances[0] / (variances[inputs["dimension"] - 1] - variances[inputs["dimension"]]))


ELEMENTARY = (
    operation("spectrum", "D1", "λ: squared singular values of X/√B, or of (X − 1 mᵀ)/√B with the mean m", "nonlinear")(
        ("activity",), ("centring",), _spectrum
    ),
    operation("manifold_projector", "A4", "P = U Uᵀ, U the first d principal components of X/√B", "inverse")(
        ("activity",),
        ("dimension", "centring"),
        lambda activity, dimension, centring: manifold.projector(
            manifold.fit(activity, dimension=dimension, centring=centring).basis
        ),
        _gap,
    ),
    operation("projected_jacobian", "E2", "J P, P = U Uᵀ", "linear")(
        ("jacobian", "basis"), (), lambda jacobian, basis: jacobian @ manifold.projector(basis)
    ),
    operation("alignment", "E5", "α = ‖J P‖² / ‖J‖²", "nonlinear")(("jacobian", "basis"), (), alignment.alignment),
    operation("pooled_alignment", "E4", "α = Σ_i ‖J_i P‖² / Σ_i ‖J_i‖²", "nonlinear")(
        ("jacobian", "basis"), (), alignment.pooled_alignment
    ),
    operation(
        "principal_angles",
        "E5",
        "ascending θ: cos θ_i, the singular values of U₁ᵀU₂, or below 45° sin θ_i, those of U₂ - U₁U₁ᵀU₂ (d₁ ≥ d₂)",
        "nonlinear",
    )(("basis", "other_basis"), (), alignment.principal_angles),
    operation("participation_ratio", "D1", "(Σλ)² / Σλ²", "nonlinear")(
        ("spectrum",), (), dimensions.participation_ratio
    ),
    operation("explained_dimension", "D1", "the fewest leading λ whose share of Σλ is at least `explained`", "exact")(
        ("spectrum",), ("explained",), dimensions.explained_variance_dimension
    ),
    operation(
        "two_nearest_neighbours",
        "D2",
        "1 / mean log(r₂/r₁) of the distinct points, each once, r to the two nearest others",
        "nonlinear",
    )(("points",), (), dimensions.two_nearest_neighbours),
)
