"""Perturbations, the responses to them, and the estimates from these."""
# ruff: noqa: D103

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmnc_ref import estimator, perturbation
from nmnc_ref.arrays import Array
from nmnc_ref.nn import feedforward as networks
from nmnc_ref.nn.dense import Dense
from nmnc_ref.noise_correlation import estimate_jacobian
from nmnc_ref.oracle.vectors.operation import layers, operation
from nmnc_ref.oracle.vectors.operations.network import phi


def _condition_of_draws(inputs: Mapping[str, Any], value: np.ndarray) -> float:
    """Return the largest condition number of the matrices of draws [K, n] of a batch."""
    draws = inputs.get("coefficients", inputs.get("noise"))
    draws = draws if inputs.get("basis") is None else draws @ inputs["basis"]
    return float(np.max(np.linalg.cond(np.moveaxis(draws, 0, -2))))


@operation("E1", "ξ = σ z", "linear")
def isotropic_noise(coefficients: Array, *, sigma: float) -> Array:
    return perturbation.isotropic(coefficients, sigma)


@operation("E2", "ξ = σ U z", "linear")
def manifold_noise(coefficients: Array, basis: Array, *, sigma: float) -> Array:
    return perturbation.on_manifold(coefficients, basis, sigma)


@operation("E11", "ξ = F z", "linear")
def covariance_noise(coefficients: Array, factor: Array) -> Array:
    return perturbation.covariance_shaped(coefficients, factor)


@operation("E5", "z ← √d z/‖z‖", "nonlinear")
def fixed_norm(coefficients: Array) -> Array:
    return perturbation.fixed_norm(coefficients)


@operation("E10", "z_k = √d q_k, q_k the Gram–Schmidt basis of z_1 … z_K", "inverse", _condition_of_draws)
def orthonormal_frame(coefficients: Array) -> Array:
    return perturbation.orthonormal_frame(coefficients)


@operation("E7", "σ √(d/n)", "linear")
def matched_sigma(*, sigma: float, dimension: int, width: int) -> float:
    return perturbation.matched_sigma(sigma, dimension, width)


def _cancellation(inputs: Mapping[str, Any], value: np.ndarray) -> float:
    """Return max|y|/max|δy|, by which the rounding of outputs counts in their difference."""
    if "network" in inputs or "weight_1" in inputs:
        passed = networks.tail(layers(inputs), inputs["layer"], phi(inputs["activation"]))(inputs["activity"])
    else:
        passed = Dense(inputs["weight"], inputs["bias"]).preactivation(inputs["activity"])
    largest = np.max(np.abs(value))
    return max(1.0, float(np.max(np.abs(passed)) / largest)) if largest > 0 else 1.0


@operation("E9", "δy = f(x + ξ) - f(x)", "inverse", _cancellation)
def one_sided_response(activity: Array, noise: Array, network: tuple, *, layer: int, activation: str) -> Array:
    return estimator.one_sided_response(networks.tail(network, layer, phi(activation)), activity, noise)


@operation("E9", "δy = ½[f(x + ξ) - f(x - ξ)]", "inverse", _cancellation)
def antithetic_response(activity: Array, noise: Array, network: tuple, *, layer: int, activation: str) -> Array:
    return estimator.antithetic_response(networks.tail(network, layer, phi(activation)), activity, noise)


@operation("F3", "δs = ½[s(x + ξ) - s(x - ξ)] of the next preactivation s", "inverse", _cancellation)
def mirror_response(activity: Array, noise: Array, weight: Array, bias: Array) -> Array:
    return estimator.antithetic_response(Dense(weight, bias).preactivation, activity, noise)


@operation("E11", "Ĝ = (1/K) Σ_k δy_k ξ_kᵀ", "linear")
def unnormalised_correlation(response: Array, noise: Array) -> Array:
    return estimator.unnormalised_correlation(response, noise)


@operation("E2", "Ĵ = (1/K) Σ_k δy_k ξ_kᵀ / σ²", "linear")
def correlation(response: Array, noise: Array, *, sigma: float) -> Array:
    return estimator.correlation(response, noise, sigma)


@operation("E14", "Ĵ = (1/(BK)) Σ_i Σ_k δy_ik ξ_ikᵀ / σ²", "linear")
def batch_correlation(response: Array, noise: Array, *, sigma: float) -> Array:
    return estimator.batch_correlation(response, noise, sigma)


@operation("E13", "argmin_A Σ_k ‖δy_k - A ξ_k‖², rows of A in the manifold", "inverse", _condition_of_draws)
def least_squares(response: Array, noise: Array, basis: Array | None = None) -> Array:
    return estimator.least_squares(response, noise, basis)


@operation("E16", "c Ĵ", "linear")
def shrunk_estimate(estimate: Array, *, scaling: float) -> Array:
    return estimator.shrunk(estimate, scaling)


@operation("E2", "Ĵ of antithetic pairs with z_k = normal(fold_in(key, k))", "nonlinear")
def estimated_jacobian(
    key: Array, activity: Array, basis: Array, network: tuple, *, layer: int, activation: str, sigma: float, draws: int
) -> Array:
    tail = networks.tail(network, layer, phi(activation))
    return estimate_jacobian(key, tail, activity, sigma=sigma, draws=draws, basis=basis)
