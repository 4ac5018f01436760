"""Manifolds: bases have free signs, so their projectors are compared."""
# ruff: noqa: D103

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmnc_ref import alignment as alignments
from nmnc_ref import dimension as dimensions
from nmnc_ref import manifold
from nmnc_ref.arrays import Array
from nmnc_ref.oracle.vectors.operation import operation


def _gap(inputs: Mapping[str, Any], value: np.ndarray) -> float:
    """Return λ_1/(λ_d − λ_{d+1}), by which an error of the covariance turns the span of the first d components."""
    variances = np.append(spectrum(inputs["activity"], centring=inputs["centring"]), 0.0)
    return float(variances[0] / (variances[inputs["dimension"] - 1] - variances[inputs["dimension"]]))


@operation("D1", "λ: squared singular values of X/√B, or of X minus its mean", "nonlinear")
def spectrum(activity: Array, *, centring: str) -> Array:
    return manifold.fit(activity, dimension=1, centring=centring).spectrum


@operation("A4", "P = U Uᵀ, U the first d principal components of X/√B", "inverse", _gap)
def manifold_projector(activity: Array, *, dimension: int, centring: str) -> Array:
    return manifold.projector(manifold.fit(activity, dimension=dimension, centring=centring).basis)


@operation("E2", "J P, P = U Uᵀ", "linear")
def projected_jacobian(jacobian: Array, basis: Array) -> Array:
    return jacobian @ manifold.projector(basis)


@operation("E5", "α = ‖J P‖² / ‖J‖²", "nonlinear")
def alignment(jacobian: Array, basis: Array) -> Array:
    return alignments.alignment(jacobian, basis)


@operation("E4", "α = Σ_i ‖J_i P‖² / Σ_i ‖J_i‖²", "nonlinear")
def pooled_alignment(jacobian: Array, basis: Array) -> Array:
    return alignments.pooled_alignment(jacobian, basis)


@operation("E5", "cos θ_i: singular values of U₁ᵀU₂, ascending θ", "nonlinear")
def principal_angles(basis: Array, other_basis: Array) -> Array:
    return alignments.principal_angles(basis, other_basis)


@operation("D1", "(Σλ)² / Σλ²", "nonlinear")
def participation_ratio(spectrum: Array) -> Array:
    return dimensions.participation_ratio(spectrum)


@operation("D1", "the fewest leading λ whose share of Σλ is at least `explained`", "exact")
def explained_dimension(spectrum: Array, *, explained: float) -> Array:
    return dimensions.explained_variance_dimension(spectrum, explained)


@operation("D2", "1 / mean log(r₂/r₁), each repeated point counted once", "nonlinear")
def two_nearest_neighbours(points: Array) -> Array:
    return dimensions.two_nearest_neighbours(points)
