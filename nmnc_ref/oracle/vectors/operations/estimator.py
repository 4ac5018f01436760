"""Perturbations, the responses to them, and the estimates from these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmnc_ref import estimator, perturbation
from nmnc_ref.arrays import Array
from nmnc_ref.nn.dense import Dense
from nmnc_ref.noise_correlation import estimate_jacobian
from nmnc_ref.oracle.vectors.operation import operation
from nmnc_ref.oracle.vectors.operations.network import tail


def _condition_of_draws(inputs: Mapping[str, Any], value: np.ndarray) -> float:
    """Return the largest condition number of the matrices of draws [K, n] of a batch."""
    draws = inputs.get("coefficients", inputs.get("noise"))
    draws = draws if inputs.get("basis") is None else draws @ inputs["basis"]
    return float(np.max(np.linalg.cond(np.moveaxis(draws, 0, -2))))


def _cancellation(inputs: Mapping[str, Any], value: np.ndarray) -> float:
    """Return max|y|/max|δy|, by which the rounding of outputs counts in their difference."""
    if "layer" in inputs:
        passed = tail(inputs, inputs["layer"], inputs["activation"])(inputs["activity"])
    else:
        passed = Dense(inputs["weight"], inputs["bias"]).preactivation(inputs["activity"])
    return max(1.0, float(np.max(np.abs(passed)) / np.max(np.abs(value))))


def _estimated_jacobian(
    key: Array,
    activity: Array,
    basis: Array,
    *,
    layer: int,
    activation: str,
    sigma: float,
    draws: int,
    **network: Array,
) -> Array:
    return estimate_jacobian(key, tail(network, layer, activation), activity, sigma=sigma, draws=draws, basis=basis)


ELEMENTARY = (
    operation("isotropic_noise", "E1", "ξ = σ z", "linear")(("coefficients",), ("sigma",), perturbation.isotropic),
    operation("manifold_noise", "E2", "ξ = σ U z", "linear")(
        ("coefficients", "basis"), ("sigma",), perturbation.on_manifold
    ),
    operation("covariance_noise", "E11", "ξ = F z", "linear")(
        ("coefficients", "factor"), (), perturbation.covariance_shaped
    ),
    operation("fixed_norm", "E5", "z ← √d z/‖z‖", "nonlinear")(("coefficients",), (), perturbation.fixed_norm),
    operation("orthonormal_frame", "E10", "z_k = √d q_k, q_k the Gram–Schmidt basis of z_1 … z_K", "inverse")(
        ("coefficients",), (), perturbation.orthonormal_frame, _condition_of_draws
    ),
    operation("matched_sigma", "E7", "σ √(d/n)", "linear")(
        (), ("sigma", "dimension", "width"), perturbation.matched_sigma
    ),
    operation("unnormalised_correlation", "E11", "Ĝ = (1/K) Σ_k δy_k ξ_kᵀ", "linear")(
        ("response", "noise"), (), estimator.unnormalised_correlation
    ),
    operation("correlation", "E2", "Ĵ = (1/K) Σ_k δy_k ξ_kᵀ / σ²", "linear")(
        ("response", "noise"), ("sigma",), estimator.correlation
    ),
    operation("batch_correlation", "E14", "Ĵ = (1/(BK)) Σ_i Σ_k δy_ik ξ_ikᵀ / σ²", "linear")(
        ("response", "noise"), ("sigma",), estimator.batch_correlation
    ),
    operation("least_squares", "E13", "argmin_A Σ_k ‖δy_k - A ξ_k‖², rows of A in the manifold", "inverse")(
        ("response", "noise", "basis"), (), estimator.least_squares, _condition_of_draws
    ),
    operation("shrunk_estimate", "E16", "c Ĵ", "linear")(("estimate",), ("scaling",), estimator.shrunk),
)
COMPOSITE = (
    operation("one_sided_response", "E9", "δy = f(x + ξ) - f(x)", "inverse")(
        ("activity", "noise", "network"),
        ("layer", "activation"),
        lambda activity, noise, layer, activation, **network: estimator.one_sided_response(
            tail(network, layer, activation), activity, noise
        ),
        _cancellation,
    ),
    operation("antithetic_response", "E9", "δy = ½[f(x + ξ) - f(x - ξ)]", "inverse")(
        ("activity", "noise", "network"),
        ("layer", "activation"),
        lambda activity, noise, layer, activation, **network: estimator.antithetic_response(
            tail(network, layer, activation), activity, noise
        ),
        _cancellation,
    ),
    operation("mirror_response", "F3", "δs = ½[s(x + ξ) - s(x - ξ)] of the next preactivation s", "inverse")(
        ("activity", "noise", "weight", "bias"),
        (),
        lambda activity, noise, weight, bias: estimator.antithetic_response(
            Dense(weight, bias).preactivation, activity, noise
        ),
        _cancellation,
    ),
    operation("estimated_jacobian", "E2", "Ĵ of antithetic pairs with z_k = normal(fold_in(key, k))", "nonlinear")(
        ("key", "activity", "basis", "network"), ("layer", "activation", "sigma", "draws"), _estimated_jacobian
    ),
)
