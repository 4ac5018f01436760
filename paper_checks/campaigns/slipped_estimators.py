"""Estimators as strangers write them: plain NumPy, of every kind, antithetic or one-sided, correct or with one slip.

They share nothing but names with the audit, so that what it says of them is evidence. `SLIPS` are those that it knows
by name, `SCALES` those that it names by their law, `UNKNOWN` are others, for which it must find no explanation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nmnc_ref.oracle.audit.problem import Declaration

PHI = {
    "identity": (lambda s: s, lambda s: np.ones_like(s)),
    "tanh": (np.tanh, lambda s: 1 - np.tanh(s) ** 2),
    "relu": (lambda s: s * (s.real > 0), lambda s: (s > 0) * 1.0),
}
LAWS = {"gaussian", "rademacher", "fixed-norm", "uniform", "sphere"}
SLIPS = (
    "no 1/σ²",
    "1/σ for 1/σ²",
    "no 1/K",
    "pair counted twice, or antithetic pairs without ½",
    "½ twice, or ½ on a one-sided response",
    "sign",
    "sum for mean over the batch",
    "sum for mean over the batch, in weights only",
    "sum for mean over the batch, in biases only",
    "mean over the batch taken twice",
    "norm 1 for norm √d, of the noise or of the basis",
    "norm 1 for norm √n, of the noise",
    "energy mismatch: noise of σ√(d/n), estimate divided by σ²",
    "energy mismatch: noise of σ, estimate divided by σ²d/n",
    "loss averaged over outputs",
    "noise shared over the batch",
    "one noise for the batch, with the batch's loss change",
    "noise shared between layers",
    "noise before the activation",
    "stale baseline (of another sample)",
    "propagated noise at the output",
    "estimates clipped, or scaled to a size",
    "transposed",
    "sites in another order than asked for",
    "activation derivative left out",
    "activation derivative twice",
    "activation derivative at the activity, φ'(x) for φ'(s)",
    "derivative threshold s ≥ 0 for s > 0",
    "isotropic noise where the manifold was claimed",
    "mean direction lost from the basis",
    "basis of another layer",
    "basis not orthonormal: rows normalised for columns",
)
KIND_OF: dict[str, dict[str, Any]] = {
    "norm 1 for norm √n, of the noise": {"target": "full", "noise": "fixed-norm"},
    "propagated noise at the output": {"simultaneous": True, "output_layer": True},
    "activation derivative twice": {"target": "full", "perturbs": "preactivation", "response": "loss"},
}
"""Of slips that not every kind can have: the words of one that can."""
SCALES = {
    "5 % too large": ("1.0", lambda problem: 1.05),
    "a quarter": ("1/4 times", lambda problem: 0.25),
    "K² too large": ("K² times", lambda problem: problem.draws**2),
    "√K too large": ("K^½ times", lambda problem: problem.draws**0.5),
    "K σ too large": ("K·σ times", lambda problem: problem.draws * problem.sigma),
    "B² too small": ("B⁻² times", lambda problem: len(problem.x) ** -2.0),
    "3 σ² too large": ("3·σ² times", lambda problem: 3 * problem.sigma**2),
}
"""By name: the law as the audit writes it, and the factor."""
UNKNOWN = (
    "3 degrees off",
    "10 % more variance",
    "draws centred on their mean",
    "responses clipped",
    "last sample forgotten",
    "outputs in half precision",
    "sign of the response",
    "constant added",
    "one draw counted K times",
    "units shifted by one",
)


def stranger(returns: str, slip: str = "", *, antithetic: bool = True, **kind) -> Callable:
    """Return an estimator of a kind (the words of `Declaration`), with a slip from any list, or a correct one."""
    assert not slip or slip in (*SLIPS, *SCALES, *UNKNOWN), slip
    declared = Declaration(returns, **kind)

    def estimate(problem, seed):
        rng = np.random.default_rng(seed)
        if slip == "10 % more variance":
            one, two, three = (_estimate(problem, rng, declared, "", antithetic) for _ in range(3))
            arrays = [a + np.sqrt(0.05) * (b - c) for a, b, c in zip(one, two, three, strict=True)]
        else:
            arrays = _estimate(problem, rng, declared, slip, antithetic)
        if returns == "weight-gradient":
            return tuple(zip(arrays[::2], arrays[1::2], strict=True))
        return tuple(arrays[::-1] if slip == "sites in another order than asked for" else arrays)

    return estimate


def _coefficients(rng, shape, noise, slip):
    if noise == "rademacher":
        return rng.choice([-1.0, 1.0], size=shape)
    if noise == "uniform":
        return rng.uniform(-np.sqrt(3), np.sqrt(3), size=shape)
    z = rng.normal(size=shape)
    if noise in ("fixed-norm", "sphere"):
        z = z / np.linalg.norm(z, axis=-1, keepdims=True)
        if slip != "norm 1 for norm √n, of the noise":
            z = np.sqrt(shape[-1]) * z
    if slip == "draws centred on their mean":
        z = z - z.mean(axis=0)
    if slip == "one draw counted K times":
        z = np.broadcast_to(z[:1], shape)
    return z


def _carrier(problem, site, slip, activity):
    """Return the matrix [n, d] from coefficients to perturbations of an activity, but for σ."""
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
    if slip == "norm 1 for norm √d, of the noise or of the basis":
        return U / np.sqrt((U**2).sum())
    if slip == "energy mismatch: noise of σ√(d/n), estimate divided by σ²":
        return U * np.sqrt(U.shape[1] / n)
    return U


def _run(problem, moved, declared, slip=""):
    """Return activities and preactivations with noise [K, B, n] on layers, or ([K, B, n, m], [K, B, n]) on weights."""
    phi, last = PHI[problem.activation][0], len(problem.weights) - 1
    activities, preactivations = [problem.x], []
    for l, (W, b) in enumerate(zip(problem.weights, problem.biases, strict=True)):
        s = _times(activities[-1], W.T) + b
        late = declared.perturbs == "activity" and slip != "noise before the activation" and l < last
        if l in moved and declared.perturbs == "weights":
            weights, biases = moved[l]
            if weights.shape[1] == 1:  # of the whole batch
                s = s + activities[-1] @ np.swapaxes(weights[:, 0], 1, 2) + biases
            else:
                s = s + (weights @ activities[-1][..., None])[..., 0] + biases
        elif l in moved and not late:
            s = s + moved[l]
        x = s if l == last else phi(s)
        activities.append(x + moved[l] if l in moved and late else x)
        preactivations.append(s)
    if slip == "outputs in half precision":
        activities[-1] = activities[-1].astype(np.float16).astype(float)
    return activities, preactivations


def _times(arrays, matrix):
    """Return arrays [..., n] times a matrix [n, m], as one product of matrices and not as many small ones."""
    return (arrays.reshape(-1, len(matrix)) @ matrix).reshape(*arrays.shape[:-1], -1)


def _losses(problem, y):
    if problem.loss == "squared error":
        return ((y - problem.target) ** 2).sum(axis=-1) / 2
    top = y.real.max(axis=-1, keepdims=True)
    return np.log(np.exp(y - top).sum(axis=-1)) + top[..., 0] - (y * problem.target).sum(axis=-1)


def _estimate(problem, rng, declared, slip, antithetic):
    slope = PHI[problem.activation][1]
    K, B, last, returns = problem.draws, len(problem.x), len(problem.weights) - 1, declared.returns
    activities, preactivations = _run(problem, {}, declared, slip)
    y, t = activities[-1], problem.target
    if problem.loss == "squared error":
        e = (y - t) / B
    else:
        p = np.exp(y - y.max(axis=1, keepdims=True))
        e = (p / p.sum(axis=1, keepdims=True) - t) / B
    e_hidden = e / y.shape[1] if slip == "loss averaged over outputs" else e
    of_batch = declared.response == "batch-loss" or slip == "one noise for the batch, with the batch's loss change"
    exact, one = declared.measures == "derivative", declared.perturbs == "weights" and of_batch
    sigma = 1.0 if exact else problem.sigma
    layers = [*problem.sites, last] if declared.output_layer else list(problem.sites)

    def read(moved):
        """Return what is read, [K, B, r], with noise on layers."""
        y = _run(problem, moved, declared, slip)[0][-1]
        if returns == "jacobian":
            return y
        if declared.response == "output" and not of_batch:
            return (e_hidden * y).sum(axis=-1, keepdims=True)
        losses = _losses(problem, y)[..., None] / B
        return losses.sum(axis=-2, keepdims=True) + 0 * losses if of_batch else losses

    # noise
    shared = slip in ("noise shared over the batch", "one noise for the batch, with the batch's loss change")
    rows = 1 if shared or one else B
    sizes, z, moved = {}, {}, {}
    for l in layers:
        C = np.eye(len(problem.biases[l]))
        if l < last and declared.perturbs == "activity":
            C = _carrier(problem, l, slip, activities[l + 1])
        sizes[l] = C.shape[1] if declared.perturbs != "weights" else problem.weights[l].size + len(problem.biases[l])
    if declared.perturbs == "weights" and declared.simultaneous:
        every = _coefficients(rng, (K, rows, sum(sizes.values())), declared.noise, slip)
        z = dict(zip(layers, np.split(every, np.cumsum(list(sizes.values()))[:-1], axis=-1), strict=True))
    else:
        z = {l: _coefficients(rng, (K, rows, sizes[l]), declared.noise, slip) for l in layers}
    if slip == "noise shared between layers":
        widest = max(z.values(), key=lambda each: each.shape[-1])
        z = {l: widest[..., : sizes[l]] for l in layers}
    dimension = {
        l: sum(sizes.values()) if declared.perturbs == "weights" and declared.simultaneous else d
        for l, d in sizes.items()
    }
    scale = {l: sigma / np.sqrt(dimension[l]) if declared.noise == "sphere" and not exact else sigma for l in layers}
    for l in layers:
        xi = scale[l] * (z[l] if one else np.broadcast_to(z[l], (K, B, sizes[l])))
        if declared.perturbs == "weights":
            weights = xi[..., : problem.weights[l].size].reshape(K, len(xi[0]), *problem.weights[l].shape)
            moved[l] = weights, xi[..., problem.weights[l].size :]
        elif l < last and declared.perturbs == "activity":
            moved[l] = _times(xi, _carrier(problem, l, slip, activities[l + 1]).T)
        else:
            moved[l] = xi
    seen = dict(moved)  # what responses are correlated with
    if slip == "propagated noise at the output":
        seen[last] = _run(problem, moved, declared, slip)[0][-1] - y

    arrays, at_once = [], None
    for l in layers:
        offsets = moved if declared.simultaneous else {l: moved[l]}

        def times(factor, offsets=offsets):
            return {
                k: (factor * v[0], factor * v[1]) if isinstance(v, tuple) else factor * v for k, v in offsets.items()
            }

        if declared.simultaneous and at_once is not None:
            change = at_once
        elif exact:
            change = read(times(1e-20j)).imag / 1e-20
        elif declared.measures == "value":
            change = read(offsets)
        elif slip == "stale baseline (of another sample)":
            change = read(offsets) - np.roll(read(times(0)), 1, axis=1)
        elif antithetic:
            change = (read(offsets) - read(times(-1))) / 2
        else:
            change = read(offsets) - read(times(0))
        at_once = change
        if slip == "responses clipped":
            change = np.clip(change, -2 * change.std(), 2 * change.std())
        if slip == "sign of the response":
            change = np.sign(change) * problem.sigma
        factor = {
            "no 1/σ²": problem.sigma**2,
            "1/σ for 1/σ²": problem.sigma,
            "no 1/K": K,
            "pair counted twice, or antithetic pairs without ½": 2,
            "½ twice, or ½ on a one-sided response": 0.5,
            "sign": -1,
        }.get(slip, SCALES[slip][1](problem) if slip in SCALES else 1) / (K * scale[l] ** 2)
        if declared.perturbs == "weights":
            weights, biases = moved[l]
            change = change[:, : weights.shape[1]]
            arrays += [
                factor * np.tensordot(change[..., 0], weights, 2),
                factor * np.tensordot(change[..., 0], biases, 2),
            ]
            continue
        J = np.transpose(change, (1, 2, 0)) @ np.swapaxes(seen[l], 0, 1) * factor
        if problem.bases is not None and slip == "energy mismatch: noise of σ, estimate divided by σ²d/n":
            J = J * (J.shape[-1] / problem.bases[l].shape[1] if l < last else 1)
        if slip == "last sample forgotten" and B > 1:
            J = J * (np.arange(B) < B - 1)[:, None, None]
        if slip == "units shifted by one":
            J = np.roll(J, 1, axis=-1)
        over = {"sum for mean over the batch": B, "mean over the batch taken twice": 1 / B}.get(slip, 1)
        if returns == "jacobian":
            arrays.append(over * J.mean(axis=0))
            continue
        g = J[:, 0] * (over if returns == "activity-gradient" else 1)
        if returns == "activity-gradient":
            arrays.append(g)
            continue
        gate = slope(preactivations[l]) if declared.perturbs == "activity" and l < last else 1.0
        if slip == "activation derivative left out":
            gate = 1.0
        if slip == "activation derivative twice" and l < last:
            gate = slope(preactivations[l])
        if slip == "activation derivative at the activity, φ'(x) for φ'(s)" and l < last:
            gate = slope(activities[l + 1])
        if slip == "derivative threshold s ≥ 0 for s > 0" and problem.activation == "relu" and l < last:
            gate = (preactivations[l] >= 0) * 1.0
        delta = gate * g
        arrays += [delta.T @ activities[l], delta.sum(axis=0)]
    if slip == "estimates clipped, or scaled to a size":
        arrays = [a * min(1, 0.3 / max(np.linalg.norm(a), 1e-300)) for a in arrays]
    if slip == "constant added":
        arrays = [a + 0.1 * np.abs(a).mean() for a in arrays]
    if slip == "3 degrees off":
        arrays = [_turned(a) for a in arrays]
    if returns == "weight-gradient":
        if not declared.output_layer:
            arrays += [e.T @ activities[-2], e.sum(axis=0)]
        over_both = {"sum for mean over the batch": B, "mean over the batch taken twice": 1 / B}.get(slip, 1)
        arrays[::2] = [a * (B if "in weights only" in slip else over_both) for a in arrays[::2]]
        arrays[1::2] = [a * (B if "in biases only" in slip else over_both) for a in arrays[1::2]]
    return [a.T for a in arrays] if slip == "transposed" else arrays


def _turned(array):
    """Turn entries pairwise by 3 degrees."""
    flat, angle = array.ravel().copy(), np.deg2rad(3)
    half = len(flat) // 2
    first, second = flat[:half].copy(), flat[half : 2 * half].copy()
    flat[:half] = np.cos(angle) * first - np.sin(angle) * second
    flat[half : 2 * half] = np.sin(angle) * first + np.cos(angle) * second
    return flat.reshape(array.shape)
