"""Perturbations, responses and estimates."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from nmnc_ref import estimator, random
from nmnc_ref.oracle.vectors.operations.network import tail
from twins.network import COLUMN_MAJOR_WEIGHTS
from twins.slip import RIGHT, Twin, column_major, given, then


def by_sample(of: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """Of the draws [K, d] of each element of the batch."""

    def twin(coefficients):
        if coefficients.ndim == 2:
            return of(coefficients)
        return np.stack([of(coefficients[:, b]) for b in range(coefficients.shape[1])], axis=1)

    return twin


def gram_schmidt(z, again=False, norm=True):
    """Classical, once or twice: q in rows."""
    found = []
    for row in z:
        rest = row - sum((row @ q * q for q in found), 0 * row)
        rest = rest - again * sum((rest @ q * q for q in found), 0 * row)
        found.append(rest / np.linalg.norm(rest) if norm else rest)
    return math.sqrt(z.shape[1]) * np.stack(found)


def polar(z):
    U, _, V = np.linalg.svd(z, full_matrices=False)
    return math.sqrt(z.shape[1]) * U @ V


def solved(solve: Callable[[np.ndarray, np.ndarray], np.ndarray], back: bool = True) -> Twin:
    """Least squares of draws [K, d] and responses [K, n_o] of each element of the batch."""

    def twin(response, noise, basis=None):
        coordinates = noise if basis is None else noise @ basis
        pairs = zip(np.moveaxis(coordinates, 0, -2), np.moveaxis(response, 0, -2), strict=True)
        found = np.stack([solve(z, y).T for z, y in pairs])
        return found if basis is None or not back else found @ basis.T

    return twin


def lstsq(z, y, **cut):
    return np.linalg.lstsq(z, y, **(cut or {"rcond": None}))[0]


def response(of: Callable[[Callable, np.ndarray, np.ndarray], np.ndarray]) -> Twin:
    """Of the tail, the activity and the noise."""
    return lambda activity, noise, layer, activation, **network: of(tail(network, layer, activation), activity, noise)


def mirror(of: Callable[[Callable, np.ndarray, np.ndarray], np.ndarray]) -> Twin:
    return lambda activity, noise, weight, bias: of(lambda x: x @ weight.T + bias, activity, noise)


def estimated(
    draw: Callable[[SimpleNamespace, int, int], np.ndarray],
    respond: Callable = estimator.antithetic_response,
    scale: Callable[[float], float] = lambda sigma: sigma**2,
) -> Twin:
    """The whole method with coefficients from `draw`, of the inputs, d and K."""

    def twin(**inputs):
        i = SimpleNamespace(**inputs)
        z = draw(i, i.basis.shape[1], i.draws)
        noise = i.sigma * z @ i.basis.T
        network = {name: each for name, each in inputs.items() if name.startswith(("weight_", "bias_"))}
        found = respond(tail(network, i.layer, i.activation), i.activity, noise)
        return RIGHT.unnormalised_correlation(found, noise) / np.asarray(scale(i.sigma), noise.dtype)

    return twin


def draws(law=random.normal, keys=lambda key, K: [random.fold_in(key, k) for k in range(K)], order=lambda z: z):
    def drawn(i, d, K):
        shape = order(np.empty((len(i.activity), d))).shape
        return np.stack([order(law(key, shape, i.activity.dtype)) for key in keys(i.key, K)])

    return drawn


OF_NOISE = {
    "sum over draws": then(lambda J, i: J * len(i.noise)),
    "divisor K − 1": then(lambda J, i: J * len(i.noise) / max(len(i.noise) - 1, 1)),
    "noise centred over the draws": given(noise=lambda i: i.noise - i.noise.mean(0)),
    "the other sign": then(lambda J, i: -J),
    "draws out of step": given(noise=lambda i: np.roll(i.noise, 1, axis=0)),
    "samples out of step": given(noise=lambda i: np.roll(i.noise, 1, axis=1)),
    "noise column-major": given(noise=lambda i: column_major(i.noise)),
}


OF_SIGMA = {
    "no 1/σ²": then(lambda J, i: J * i.sigma**2),
    "1/σ": then(lambda J, i: J * i.sigma),
    "energy of each draw for σ²": then(lambda J, i: J * i.sigma**2 / np.mean(i.noise**2)),
}


SCALES = {
    "no σ": lambda xi, i: xi / i.sigma,
    "σ²": lambda xi, i: xi * i.sigma,
    "√σ": lambda xi, i: xi / math.sqrt(i.sigma),
}

TWINS = {
    "isotropic_noise": {name: then(change) for name, change in SCALES.items()}
    | {
        "divided by √n": then(lambda xi, i: xi / math.sqrt(xi.shape[-1])),
        "signs alone": then(lambda xi, i: i.sigma * np.sign(xi)),
    },
    "manifold_noise": {name: then(change) for name, change in SCALES.items()}
    | {
        "scaled by √(n/d)": then(lambda xi, i: xi * math.sqrt(len(i.basis) / i.basis.shape[1])),
        "basis column-major": lambda coefficients, basis, sigma: sigma * coefficients @ column_major(basis).T,
        "the first units": lambda coefficients, basis, sigma: sigma * coefficients @ np.eye(*basis.shape).T,
        "z for U z where d = n": lambda coefficients, basis, sigma: (
            sigma * coefficients @ (basis if basis.shape[0] > basis.shape[1] else np.eye(len(basis))).T
        ),
        "Uᵀ for U where d = n": lambda coefficients, basis, sigma: (
            sigma * coefficients @ (basis.T if basis.shape[0] > basis.shape[1] else basis)
        ),
        "an absolute threshold": then(lambda xi, i: np.where(np.abs(xi) < 1e-4, 0, xi)),
        "clipped": then(lambda xi, i: np.clip(xi, -100, 100)),
        "one norm for all": then(lambda xi, i: xi / np.linalg.norm(xi, axis=-1, keepdims=True)),
    },
    "covariance_noise": {
        "factor column-major": given(factor=lambda i: column_major(i.factor)),
        "divided by √m": then(lambda xi, i: xi / math.sqrt(i.factor.shape[1])),
        "coefficients in reverse": given(coefficients=lambda i: i.coefficients[..., ::-1]),
    },
    "fixed_norm": {
        "norm 1": then(lambda z, i: z / math.sqrt(z.shape[-1])),
        "norm d": then(lambda z, i: z * math.sqrt(z.shape[-1])),
        "left alone": lambda coefficients: coefficients,
        "norm of all draws": lambda coefficients: (
            math.sqrt(coefficients.size) * coefficients / np.linalg.norm(coefficients)
        ),
    },
    "orthonormal_frame": {
        "norm 1": then(lambda z, i: z / math.sqrt(z.shape[-1])),
        "orthogonal alone": by_sample(lambda z: gram_schmidt(z, norm=False) if len(z) == 1 else unscaled(z)),
        "signs of the library": by_sample(lambda z: math.sqrt(z.shape[1]) * np.linalg.qr(z.T)[0].T),
        "polar factor": by_sample(polar),
        "last draw first": by_sample(lambda z: gram_schmidt(z[::-1], again=True)[::-1]),
        "lengths √K": then(lambda z, i: z * math.sqrt(len(z) / z.shape[-1])),
        "fixed norm alone": lambda coefficients: np.asarray(RIGHT.fixed_norm(coefficients)),
        "classical Gram–Schmidt, once": by_sample(gram_schmidt),
        "Cholesky factor of the Gram matrix": by_sample(
            lambda z: math.sqrt(z.shape[1]) * np.linalg.solve(np.linalg.cholesky(z @ z.T), z)
        ),
    },
    "matched_sigma": {
        "√(n/d)": lambda sigma, dimension, width: sigma * math.sqrt(width / dimension),
        "d/n": lambda sigma, dimension, width: sigma * dimension / width,
        "σ": lambda sigma, dimension, width: sigma,
        "σ²": lambda sigma, dimension, width: sigma**2 * dimension / width,
        "√d": lambda sigma, dimension, width: sigma * math.sqrt(dimension),
        "1/√n": lambda sigma, dimension, width: sigma / math.sqrt(width),
    },
    "unnormalised_correlation": OF_NOISE | {"divided by the energy": then(lambda G, i: G / np.mean(i.noise**2))},
    "correlation": OF_NOISE
    | OF_SIGMA
    | {
        "mean over the batch": then(lambda J, i: np.broadcast_to(J.mean(0), J.shape)),
        "divided by B": then(lambda J, i: J / len(J)),
        "one draw for all": then(lambda J, i: np.asarray(RIGHT.correlation(i.response[:1], i.noise[:1], i.sigma))),
    },
    "batch_correlation": OF_NOISE
    | OF_SIGMA
    | {
        "÷ K but not ÷ B": then(lambda J, i: J * i.noise.shape[1]),
        "outer product of batch means": lambda response, noise, sigma: RIGHT.correlation(
            response.mean(1), noise.mean(1), sigma
        ),
        "response of the whole batch": given(
            response=lambda i: np.broadcast_to(i.response.mean(1, keepdims=True), i.response.shape)
        ),
        "first sample": lambda response, noise, sigma: RIGHT.correlation(response[:, 0], noise[:, 0], sigma),
    },
    "least_squares": {
        "normal equations": solved(lambda z, y: np.linalg.solve(z.T @ z, z.T @ y)),
        "inverse of the Gram matrix": solved(lambda z, y: np.linalg.inv(z.T @ z) @ z.T @ y),
        "a ridge": solved(lambda z, y: np.linalg.solve(z.T @ z + 1e-8 * np.eye(z.shape[1]), z.T @ y)),
        "an intercept": solved(lambda z, y: lstsq(np.column_stack([z, np.ones(len(z))]), y)[:-1]),
        "small singular values cut": solved(lambda z, y: lstsq(z, y, rcond=0.1)),
        "coordinates": solved(lstsq, back=False),
        "correlation": solved(lambda z, y: z.T @ y / len(z) / np.mean(z**2)),
        "scaled by K": solved(lambda z, y: lstsq(z, y) * len(z)),
    },
    "shrunk_estimate": {
        "divided by c": lambda estimate, scaling: estimate / scaling,
        "1 − c": lambda estimate, scaling: estimate * (1 - scaling),
        "c²": lambda estimate, scaling: estimate * scaling**2,
        "not at all": lambda estimate, scaling: estimate,
        "thresholded": lambda estimate, scaling: np.sign(estimate) * np.maximum(np.abs(estimate) - scaling, 0),
    },
    "one_sided_response": {
        "no baseline": response(lambda f, x, xi: f(x + xi)),
        "the other sign": response(lambda f, x, xi: f(x) - f(x + xi)),
        "antithetic": response(estimator.antithetic_response),
        "half": response(lambda f, x, xi: (f(x + xi) - f(x)) / 2),
        "of the other side": response(lambda f, x, xi: f(x) - f(x - xi)),
        "baseline of the mean activity": response(lambda f, x, xi: f(x + xi) - f(x.mean(0))),
        "mean response for the baseline": response(lambda f, x, xi: f(x + xi) - f(x + xi).mean(0)),
        "activation on the output": response(lambda f, x, xi: np.tanh(f(x + xi)) - np.tanh(f(x))),
        "activity past φ twice": response(lambda f, x, xi: f(np.tanh(x + xi)) - f(np.tanh(x))),
        "first sample's noise": response(lambda f, x, xi: f(x + xi[:, :1]) - f(x)),
        "weights column-major": COLUMN_MAJOR_WEIGHTS,
    },
    "antithetic_response": {
        "whole difference": response(lambda f, x, xi: f(x + xi) - f(x - xi)),
        "one-sided": response(estimator.one_sided_response),
        "of the other side": response(lambda f, x, xi: f(x) - f(x - xi)),
        "mean of the sides": response(lambda f, x, xi: (f(x + xi) + f(x - xi)) / 2),
        "the other sign": response(lambda f, x, xi: (f(x - xi) - f(x + xi)) / 2),
        "σ twice": response(lambda f, x, xi: (f(x + 2 * xi) - f(x - 2 * xi)) / 2),
        "activation on the output": response(lambda f, x, xi: (np.tanh(f(x + xi)) - np.tanh(f(x - xi))) / 2),
        "activity past φ twice": response(lambda f, x, xi: (f(np.tanh(x + xi)) - f(np.tanh(x - xi))) / 2),
        "linear": response(lambda f, x, xi: (f(x + xi / 64) - f(x - xi / 64)) * 32),
        "tail from the next layer": lambda activity, noise, layer, activation, **network: RIGHT.antithetic_response(
            activity, noise, layer=layer, activation="identity", **network
        ),
    },
    "mirror_response": {
        "whole difference": mirror(lambda s, x, xi: s(x + xi) - s(x - xi)),
        "of the next activity": mirror(lambda s, x, xi: (np.tanh(s(x + xi)) - np.tanh(s(x - xi))) / 2),
        "of the next activity, linearised": mirror(lambda s, x, xi: (1 - np.tanh(s(x)) ** 2) * (s(x + xi) - s(x))),
        "no baseline": mirror(lambda s, x, xi: s(x + xi)),
        "mean of the sides": mirror(lambda s, x, xi: (s(x + xi) + s(x - xi)) / 2),
        "the other sign": mirror(lambda s, x, xi: s(x) - s(x + xi)),
        "noise and bias": mirror(lambda s, x, xi: s(xi)),
        "weight column-major": given(weight=lambda i: column_major(i.weight)),
    },
    "estimated_jacobian": {
        "fold_in from 1": estimated(draws(keys=lambda key, K: [random.fold_in(key, k + 1) for k in range(K)])),
        "one key for all draws": estimated(draws(keys=lambda key, K: [key] * K)),
        "all draws of the key": estimated(
            lambda i, d, K: random.normal(i.key, (K, len(i.activity), d), i.activity.dtype)
        ),
        "samples share a draw": estimated(draws(order=lambda z: np.broadcast_to(z[:1], z.shape))),
        "draws column-major": estimated(draws(order=lambda z: np.reshape(z, z.shape[::-1]).T)),
        "one-sided": estimated(draws(), estimator.one_sided_response),
        "signs": estimated(draws(random.rademacher)),
        "no 1/σ²": estimated(draws(), scale=lambda sigma: 1),
        "1/σ": estimated(draws(), scale=lambda sigma: sigma),
        "sum over draws": then(lambda J, i: J * i.draws),
    },
}


def unscaled(z):
    """Rows made orthogonal, each as long as what is left of it."""
    q = gram_schmidt(z, again=True) / math.sqrt(z.shape[1])
    return math.sqrt(z.shape[1]) * q * np.sum(q * z, axis=1, keepdims=True)
