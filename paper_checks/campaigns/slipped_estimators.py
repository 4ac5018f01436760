"""Estimators as strangers write them: plain NumPy, antithetic or one-sided, correct or with one slip.

They share nothing but names with the audit, so that what it says of them is evidence. `SLIPS` are those of its
catalogue, `UNKNOWN` are others, for which it must find no explanation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nmnc_ref.oracle.audit.slips import CATALOGUE

PHI = {
    "identity": (lambda s: s, lambda s: np.ones_like(s)),
    "tanh": (np.tanh, lambda s: 1 - np.tanh(s) ** 2),
    "relu": (lambda s: np.maximum(s, 0), lambda s: (s > 0) * 1.0),
}

SLIPS = tuple(dict.fromkeys(slip.name for slip in CATALOGUE))
UNKNOWN = (
    "5 % too large",
    "3 degrees off",
    "10 % more variance",
    "K − 1 for K",
    "uniform noise",
    "draws centred on their mean",
    "responses clipped",
    "last sample forgotten",
    "outputs in half precision",
    "of unit norm",
    "sign of the response",
    "upper layer 20 % too small",
    "constant added",
    "one draw counted K times",
    "units shifted by one",
    "loss averaged over outputs",
)


def stranger(
    returns: str, slip: str = "", *, noise: str = "gaussian", antithetic: bool = True, simultaneous: bool = False
) -> Callable:
    """Return an estimator with a slip from either list, or a correct one."""
    assert not slip or slip in (*SLIPS, *UNKNOWN), slip

    def estimate(problem, seed):
        rng = np.random.default_rng(seed)
        if slip == "10 % more variance":
            one, two, three = (_estimate(problem, rng, returns, "", noise, antithetic, simultaneous) for _ in range(3))
            arrays = [a + np.sqrt(0.05) * (b - c) for a, b, c in zip(one, two, three, strict=True)]
        else:
            arrays = _estimate(problem, rng, returns, slip, noise, antithetic, simultaneous)
        if returns == "weight-gradient":
            return tuple(zip(arrays[::2], arrays[1::2], strict=True))
        return tuple(arrays)

    return estimate


def _coefficients(rng, shape, noise, slip):
    law = slip.removesuffix(" noise") if slip.endswith("noise") else noise
    if law == "rademacher":
        return rng.choice([-1.0, 1.0], size=shape)
    if law == "uniform":
        return rng.uniform(-np.sqrt(3), np.sqrt(3), size=shape)
    z = rng.normal(size=shape)
    if law == "fixed-norm":
        z = np.sqrt(shape[-1]) * z / np.linalg.norm(z, axis=-1, keepdims=True)
    if slip == "draws centred on their mean":
        z = z - z.mean(axis=0)
    if slip == "one draw counted K times":
        z = np.broadcast_to(z[:1], shape)
    return z


def _carrier(problem, site, slip, activity):
    """Return the matrix [n, d] from coefficients to perturbations, but for σ."""
    n = len(problem.biases[site])
    if problem.bases is None or slip == "isotropic noise where the manifold was claimed":
        return np.eye(n)
    U = problem.bases[site]
    if slip == "mean direction lost from the basis":
        m = activity.mean(axis=0) / max(np.linalg.norm(activity.mean(axis=0)), 1e-300)
        return U - np.outer(m, m) @ U
    if slip == "basis of another layer":
        other = problem.bases[(site + 1) % len(problem.bases)]
        return other if other.shape == U.shape else U
    if slip == "basis not orthonormal: rows normalised for columns":
        return U / np.sqrt((U**2).sum(axis=1, keepdims=True))
    if slip == "basis not orthonormal: of Frobenius norm 1":
        return U / np.sqrt((U**2).sum())
    if slip == "energy mismatch: noise of σ√(d/n), estimate divided by σ²":
        return U * np.sqrt(U.shape[1] / n)
    return U


def _estimate(problem, rng, returns, slip, noise, antithetic, simultaneous):
    phi, slope = PHI[problem.activation]
    K, B, last = problem.draws, len(problem.x), len(problem.weights) - 1

    def run(offsets):
        """Return the activities and preactivations, with offsets [K, B, n] by layer."""
        activities, preactivations = [problem.x], []
        for l, (W, b) in enumerate(zip(problem.weights, problem.biases, strict=True)):
            s = activities[-1] @ W.T + b
            early = slip == "noise before the activation"
            s = s + offsets.get(l, 0) if early else s
            x = s if l == last else phi(s)
            activities.append(x + offsets.get(l, 0) if not early else x)
            preactivations.append(s)
        if slip == "outputs in half precision":
            activities[-1] = activities[-1].astype(np.float16).astype(float)
        return activities, preactivations

    activities, preactivations = run({})
    y, t = activities[-1], problem.target
    if problem.loss == "squared error":
        e = (y - t) / B
    else:
        p = np.exp(y - y.max(axis=1, keepdims=True))
        e = (p / p.sum(axis=1, keepdims=True) - t) / B
    e_hidden = e / y.shape[1] if slip == "loss averaged over outputs" else e
    one_noise = _coefficients(rng, (K, B, 99), noise, slip)
    xi = {}
    for site in problem.sites:
        C = _carrier(problem, site, slip, activities[site + 1])
        z = _coefficients(rng, (K, 1 if slip == "noise shared over the batch" else B, C.shape[1]), noise, slip)
        if slip == "noise shared between layers":
            z = one_noise[..., : C.shape[1]]
        xi[site] = problem.sigma * np.broadcast_to(z, (K, B, C.shape[1])) @ C.T
    together = simultaneous or slip == "all layers perturbed at once, not one after another"
    arrays = []
    for site in problem.sites:
        offsets = xi if together else {site: xi[site]}
        forth = run(offsets)[0][-1]
        if slip == "stale baseline (of another sample)":
            change = forth - np.roll(y, 1, axis=0)
        elif antithetic:
            change = (forth - run({l: -v for l, v in offsets.items()})[0][-1]) / 2
        else:
            change = forth - y
        if slip == "responses clipped":
            change = np.clip(change, -2 * change.std(), 2 * change.std())
        if slip == "sign of the response":
            change = np.sign(change) * problem.sigma
        J = np.einsum("kbo,kbn->bon", change, xi[site]) / (K * problem.sigma**2)
        n = J.shape[-1]
        if problem.bases is not None and slip == "energy mismatch: noise of σ, estimate divided by σ²d/n":
            J = J * n / problem.bases[site].shape[1]
        J = J * {
            "no 1/σ²": problem.sigma**2,
            "1/σ for 1/σ²": problem.sigma,
            "no 1/K": K,
            "pair counted twice, or antithetic pairs without ½": 2,
            "½ twice, or ½ on a one-sided response": 0.5,
            "sign": -1,
            "5 % too large": 1.05,
            "K − 1 for K": K / (K - 1),
            "upper layer 20 % too small": 0.8 if site == last - 1 else 1,
        }.get(slip, 1)
        if slip == "last sample forgotten" and B > 1:
            J = J * (np.arange(B) < B - 1)[:, None, None]
        if slip == "units shifted by one":
            J = np.roll(J, 1, axis=-1)
        summed = slip == "sum for mean over the batch"
        if returns == "jacobian":
            arrays.append(J.sum(axis=0) if summed else J.mean(axis=0))
            continue
        g = np.einsum("bo,bon->bn", e_hidden, J) * (B if summed and returns != "weight-gradient" else 1)
        if returns == "activity-gradient":
            arrays.append(g)
            continue
        gate = slope(preactivations[site])
        if slip == "activation derivative left out":
            gate = 1.0
        if slip == "activation derivative at the activity, φ'(x) for φ'(s)":
            gate = slope(activities[site + 1])
        if slip == "derivative threshold s ≥ 0 for s > 0" and problem.activation == "relu":
            gate = (preactivations[site] >= 0) * 1.0
        delta = gate * g
        arrays += [delta.T @ activities[site], delta.sum(axis=0)]
    if slip == "of unit norm":
        arrays = [a / max(np.linalg.norm(a), 1e-300) for a in arrays]
    if slip == "constant added":
        arrays = [a + 0.1 * np.abs(a).mean() for a in arrays]
    if slip == "3 degrees off":
        arrays = [_turned(a) for a in arrays]
    if returns == "weight-gradient":
        arrays += [e.T @ activities[-2], e.sum(axis=0)]
        over_weights = slip in ("sum for mean over the batch", "sum for mean over the batch, in weights only")
        over_biases = slip in ("sum for mean over the batch", "sum for mean over the batch, in biases only")
        arrays[::2] = [a * (B if over_weights else 1) for a in arrays[::2]]
        arrays[1::2] = [a * (B if over_biases else 1) for a in arrays[1::2]]
    return [a.T for a in arrays] if slip == "transposed" else arrays


def _turned(array):
    """Turn entries pairwise by 3 degrees."""
    flat, angle = array.ravel().copy(), np.deg2rad(3)
    half = len(flat) // 2
    first, second = flat[:half].copy(), flat[half : 2 * half].copy()
    flat[:half] = np.cos(angle) * first - np.sin(angle) * second
    flat[half : 2 * half] = np.sin(angle) * first + np.cos(angle) * second
    return flat.reshape(array.shape)
