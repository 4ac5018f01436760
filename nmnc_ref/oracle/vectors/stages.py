"""The stages of the golden vectors: each of the reference's equations as an operation on arrays and parameters.

The decorator of each states claim, equation and class of tolerance; what a function computes is its equation, and it
does so by a public function of `nmnc_ref`.
"""
# ruff: noqa: D103

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref import activation as activations
from nmnc_ref import dimension as dimensions
from nmnc_ref import estimator, manifold, perturbation, random, sgd
from nmnc_ref import feedback as feedbacks
from nmnc_ref import loss as losses
from nmnc_ref import network as networks
from nmnc_ref.arrays import Array, library
from nmnc_ref.dense import Dense
from nmnc_ref.noise_correlation import estimate_jacobian
from nmnc_ref.oracle.vectors.operation import layers, operation

LOSSES = {"squared_error": losses.squared_error, "softmax_cross_entropy": losses.softmax_cross_entropy}


def _phi(name: str) -> activations.Activation:
    return {each.name: each for each in (activations.identity, activations.relu, activations.tanh)}[name]


# Random numbers: words are exact everywhere


@operation("", "bits_i = x0 ^ x1 of Threefry-2x32(key, counter (0, i))", "exact")
def bits(key: Array, *, draws: int) -> Array:
    return random.bits(key, (draws,))


@operation("", "key_i = (x0, x1) of Threefry-2x32(key, counter (0, i))", "exact")
def split_keys(key: Array, *, number: int) -> Array:
    return random.split(key, number)


@operation("", "(x0, x1) of Threefry-2x32(key, counter (0, data))", "exact")
def folded_key(key: Array, *, data: int) -> Array:
    return random.fold_in(key, data)


@operation("", "u = (w + 1/2) 2^-p, w the first p bits: p = 23 of x0 ^ x1 (float32), 52 of x0 2^32 + x1", "exact")
def uniform(key: Array, *, draws: int, dtype: str) -> Array:
    return random.uniform(key, (draws,), getattr(library("key", key), dtype))


@operation("", "1 - 2 (first bit of bits_i)", "exact")
def signs(key: Array, *, draws: int, dtype: str) -> Array:
    return random.rademacher(key, (draws,), getattr(library("key", key), dtype))


@operation("", "z = √(-2 ln u) cos(2πv), u and v uniform with the two keys of split(key, 2)", "nonlinear")
def normal(key: Array, *, draws: int, dtype: str) -> Array:
    return random.normal(key, (draws,), getattr(library("key", key), dtype))


# Networks


@operation("F4", "s_l = x_{l-1} W_lᵀ + b_l", "linear")
def preactivation(activity: Array, weight: Array, bias: Array) -> Array:
    return Dense(weight, bias).preactivation(activity)


@operation("F4", "x_l = φ(s_l)", "nonlinear")
def activity(preactivation: Array, *, activation: str) -> Array:
    return _phi(activation).value(preactivation)


@operation("F4", "φ'(s_l), with φ'(0) = 0 for ReLU", "nonlinear")
def slope(preactivation: Array, *, activation: str) -> Array:
    return _phi(activation).slope(preactivation)


@operation("F4", "mean_i ½‖y_i - t_i‖², or mean_i -t_i · log softmax(y_i)", "nonlinear")
def loss_value(output: Array, target: Array, *, loss: str) -> Array:
    return LOSSES[loss].value(output, target)


@operation("F4", "e = ∂loss/∂y: (y - t)/B, or (softmax(y) - t)/B", "nonlinear")
def error(output: Array, target: Array, *, loss: str) -> Array:
    return LOSSES[loss].error(output, target)


@operation("E8", "y = f_l(x_l), the layers above l", "nonlinear")
def tail_output(activity: Array, network: tuple, *, layer: int, activation: str) -> Array:
    return networks.tail(network, layer, _phi(activation))(activity)


@operation("E15", "y with x_l = φ(s_l) + offset_l at every hidden layer", "nonlinear")
def injected_output(offset: Array, x: Array, network: tuple, *, activation: str) -> Array:
    return networks.injection(network, x, _phi(activation))(offset)


@operation("A1", "J_l = ∂y/∂x_l = W_L diag φ'(s_{L-1}) W_{L-1} … diag φ'(s_{l+1}) W_{l+1}", "nonlinear")
def jacobian(x: Array, network: tuple, *, layer: int, activation: str) -> Array:
    return networks.jacobian(network, x, layer, _phi(activation))


@operation("F4", "∂loss/∂W_l by exact backpropagation", "nonlinear")
def loss_gradient(x: Array, target: Array, network: tuple, *, layer: int, activation: str, loss: str) -> Array:
    passed = networks.backpropagation(network, x, target, _phi(activation), LOSSES[loss])
    return passed.gradient[layer - 1].weight


# Manifolds: bases have free signs, so their projectors are compared


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
    return manifold.alignment(jacobian, basis)


@operation("E4", "α = Σ_i ‖J_i P‖² / Σ_i ‖J_i‖²", "nonlinear")
def pooled_alignment(jacobian: Array, basis: Array) -> Array:
    return manifold.pooled_alignment(jacobian, basis)


@operation("E5", "cos θ_i: singular values of U₁ᵀU₂, ascending θ", "nonlinear")
def principal_angles(basis: Array, other_basis: Array) -> Array:
    return manifold.principal_angles(basis, other_basis)


@operation("D1", "(Σλ)² / Σλ²", "nonlinear")
def participation_ratio(spectrum: Array) -> Array:
    return dimensions.participation_ratio(spectrum)


@operation("D1", "the fewest leading λ whose share of Σλ is at least `explained`", "exact")
def explained_dimension(spectrum: Array, *, explained: float) -> Array:
    return dimensions.explained_variance_dimension(spectrum, explained)


@operation("D2", "1 / mean log(r₂/r₁), each repeated point counted once", "nonlinear")
def two_nearest_neighbours(points: Array) -> Array:
    return dimensions.two_nearest_neighbours(points)


# Perturbations


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


# Estimators


def _cancellation(inputs: Mapping[str, Any], value: np.ndarray) -> float:
    """Return max|y|/max|δy|, by which the rounding of outputs counts in their difference."""
    if "network" in inputs or "weight_1" in inputs:
        passed = networks.tail(layers(inputs), inputs["layer"], _phi(inputs["activation"]))(inputs["activity"])
    else:
        passed = Dense(inputs["weight"], inputs["bias"]).preactivation(inputs["activity"])
    largest = np.max(np.abs(value))
    return max(1.0, float(np.max(np.abs(passed)) / largest)) if largest > 0 else 1.0


@operation("E9", "δy = f(x + ξ) - f(x)", "inverse", _cancellation)
def one_sided_response(activity: Array, noise: Array, network: tuple, *, layer: int, activation: str) -> Array:
    return estimator.one_sided_response(networks.tail(network, layer, _phi(activation)), activity, noise)


@operation("E9", "δy = ½[f(x + ξ) - f(x - ξ)]", "inverse", _cancellation)
def antithetic_response(activity: Array, noise: Array, network: tuple, *, layer: int, activation: str) -> Array:
    return estimator.antithetic_response(networks.tail(network, layer, _phi(activation)), activity, noise)


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
    tail = networks.tail(network, layer, _phi(activation))
    return estimate_jacobian(key, tail, activity, sigma=sigma, draws=draws, basis=basis)


# Feedback and credit


@operation("F1", "B ← (1 - η) B + η Ĵ", "linear")
def running_average(feedback: Array, estimate: Array, *, rate: float) -> Array:
    return feedbacks.running_average(feedback, estimate, rate)


@operation("F5", "g = e B (direct) or δ_{l+1} M (layer-wise)", "linear")
def activity_gradient(signal: Array, feedback: Array) -> Array:
    return feedbacks.activity_gradient(signal, feedback)


@operation("F4", "δ_l = φ'(s_l) ⊙ (e B_l), or ⊙ (δ_{l+1} M_l)", "linear")
def delta(signal: Array, feedback: Array, slope: Array) -> Array:
    return feedbacks.delta(signal, feedback, slope)


def _dense_like(delta: Array, activity: Array) -> Dense:
    return Dense(delta[:1, :].T * activity[:1, :], delta[0, :])


@operation("F4", "∂W_l = δ_lᵀ x_{l-1}", "linear")
def weight_gradient(delta: Array, activity: Array) -> Array:
    return _dense_like(delta, activity).gradient(delta, activity).weight


@operation("F4", "∂b_l = Σ_i δ_l", "linear")
def bias_gradient(delta: Array, activity: Array) -> Array:
    return _dense_like(delta, activity).gradient(delta, activity).bias


# Gradient descent


class Parameter(NamedTuple):
    """One array of parameters as a layer."""

    value: Array


def _descend(parameter: Array, gradient: Array, velocity: Array, **rates: float) -> tuple[Array, Array]:
    moved, speed = sgd.step(*(((Parameter(each)),) for each in (parameter, gradient, velocity)), **rates)
    return moved[0].value, speed[0].value


@operation("A2", "v ← μ v + g + λ W", "linear")
def velocity(
    parameter: Array, gradient: Array, velocity: Array, *, learning_rate: float, momentum: float, decay: float
) -> Array:
    rates = {"learning_rate": learning_rate, "momentum": momentum, "decay": decay}
    return _descend(parameter, gradient, velocity, **rates)[1]


@operation("A2", "W ← W - η v, with v ← μ v + g + λ W", "linear")
def parameter(
    parameter: Array, gradient: Array, velocity: Array, *, learning_rate: float, momentum: float, decay: float
) -> Array:
    rates = {"learning_rate": learning_rate, "momentum": momentum, "decay": decay}
    return _descend(parameter, gradient, velocity, **rates)[0]
