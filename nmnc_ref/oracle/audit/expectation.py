"""Mean and covariance of a correct estimate, entry by entry.

Every quantity that may be audited is a linear map of noise-correlation estimates of single samples,

    part = Σ_i T_i vec(Ĝ_i),    Ĝ_i = mean_k δ_ik ξ_ikᵀ/σ² [r, n],

with r rows for the response: the n_o outputs, or the loss alone. Its mean follows from
E[Ĝ_i] = E[J_i(x + ξ)] P (E2, E8), its covariance from the fourth moments of the coefficients (whose trace is E3, E14,
E15, F7).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nmnc_ref.nn import feedforward
from nmnc_ref.oracle.audit.coefficients import coefficients, fourth_moment
from nmnc_ref.oracle.audit.probes import Probe
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, LOSSES, Declaration, Problem, basis, forward, layers
from nmnc_ref.oracle.audit.response import declared, outputs

GROUPS = 32
"""Of points of the integral over finite noise, from whose scatter its own error is known."""
POINTS = 1 << 17
"""In all groups together."""


class Part(NamedTuple):
    """One returned array and what is expected of it.

    `name`; `shape`; `site`: the hidden layer that was perturbed for it, None for the exact output layer; `mean` [m];
    `covariance` [m, m] of one estimate, in a linear tail; `uncertainty` [m, m]: covariance of the error of `mean`
    itself, zero where it has a closed form; `maps`: T [B, m, r·n].
    """

    name: str
    shape: tuple[int, ...]
    site: int | None
    mean: np.ndarray
    covariance: np.ndarray
    uncertainty: np.ndarray
    maps: np.ndarray


def expected_parts(probe: Probe, declaration: Declaration, seed: int) -> tuple[Part, ...]:
    """Return the parts of a correct estimate, in the order in which they are returned.

    Args:
        probe: the problem; unless it is `linear`, its mean is integrated numerically.
        declaration: what the estimator is said to compute.
        seed: of that integration.
    """
    problem = probe.problem
    rows = sample_rows(problem, declaration)
    smoothed = {site: rows[site][None] for site in rows}  # [G, B, r, n], in groups
    if not probe.linear:
        smoothed = _smoothed_rows(problem, declaration, rows, np.random.default_rng([seed, 0x65]))
    found = []
    for name, shape, site, maps in _maps(problem, declaration):
        groups = np.einsum("imp,gip->gm", maps, _projected(problem, site, smoothed[site]))
        centred = groups - groups.mean(axis=0)
        uncertainty = centred.T @ centred / max(len(groups) * (len(groups) - 1), 1)
        covariance = _covariance(problem, declaration, rows, (site, maps), (site, maps))
        found.append(Part(name, shape, site, groups.mean(axis=0), covariance, uncertainty, maps))
    if declaration.returns == "weight-gradient":
        found += _output_layer(problem)
    return tuple(found)


def cross_covariance(problem: Problem, declaration: Declaration, first: Part, second: Part) -> np.ndarray:
    """Return the covariance [m, m'] between two parts of one estimate, in a linear tail (zero unless simultaneous)."""
    assert first.site is not None
    assert second.site is not None
    rows = sample_rows(problem, declaration)
    return _covariance(problem, declaration, rows, (first.site, first.maps), (second.site, second.maps))


def sample_rows(problem: Problem, declaration: Declaration) -> dict[int, np.ndarray]:
    """Return for each site the derivatives that its noise probes [B, r, n_l]: J_i/B, or the activity gradient."""
    net, phi = layers(problem), ACTIVATIONS[problem.activation]
    jacobians = {site: feedforward.jacobian(net, problem.x, site + 1, phi) for site in problem.sites}
    if declaration.returns == "jacobian":
        return {site: jacobian / len(problem.x) for site, jacobian in jacobians.items()}
    error = LOSSES[problem.loss].error(forward(problem).output, problem.target)
    return {site: error[:, None, :] @ jacobian for site, jacobian in jacobians.items()}


def _maps(problem: Problem, declaration: Declaration) -> list[tuple[str, tuple[int, ...], int, np.ndarray]]:
    """Return name, shape, site and T [B, m, r·n] of every part that is estimated."""
    passed, phi = forward(problem), ACTIVATIONS[problem.activation]
    batch, n_o = problem.target.shape
    found: list[tuple[str, tuple[int, ...], int, np.ndarray]] = []
    for site in problem.sites:
        n = len(problem.biases[site])
        if declaration.returns == "jacobian":
            maps = np.broadcast_to(np.eye(n_o * n), (batch, n_o * n, n_o * n))
            found.append((f"∂y/∂x at layer {site}", (n_o, n), site, maps))
        elif declaration.returns == "activity-gradient":
            maps = np.eye(batch * n).reshape(batch * n, batch, n).transpose(1, 0, 2)
            found.append((f"∂loss/∂x at layer {site}", (batch, n), site, maps))
        else:
            gates = phi.slope(passed.preactivation[site])[:, :, None] * np.eye(n)  # [B, n, n]
            below = passed.activity[site]
            weight = np.einsum("iab,ic->iacb", gates, below).reshape(batch, -1, n)
            found.append((f"dW of layer {site}", (n, below.shape[1]), site, weight))
            found.append((f"db of layer {site}", (n,), site, gates))
    return found


def _output_layer(problem: Problem) -> list[Part]:
    """Return the exact gradient of the output layer, which needs no estimate."""
    passed = forward(problem)
    error = LOSSES[problem.loss].error(passed.output, problem.target)
    last = len(problem.weights) - 1
    found = []
    for name, value in (("dW", error.T @ passed.activity[last]), ("db", error.sum(axis=0))):
        zero = np.zeros((value.size, value.size))
        found.append(
            Part(f"{name} of the output layer", value.shape, None, value.ravel(), zero, zero, np.zeros((0, 0, 0)))
        )
    return found


def _projected(problem: Problem, site: int, rows: np.ndarray) -> np.ndarray:
    """Return vec(G P) [..., r·n]."""
    U = basis(problem, site)
    projected = rows @ U @ U.T
    return projected.reshape(*projected.shape[:-2], -1)


def _covariance(
    problem: Problem,
    declaration: Declaration,
    rows: dict[int, np.ndarray],
    first: tuple[int, np.ndarray],
    second: tuple[int, np.ndarray],
) -> np.ndarray:
    """Return Σ_i T_i Cov(vec Ĝ_i, vec Ĝ'_i) T'_iᵀ, samples and draws being independent."""
    (l, maps), (m, other_maps) = first, second
    samples = range(len(problem.x))
    U, V = basis(problem, l), basis(problem, m)
    A, C = rows[l] @ U, rows[m] @ V  # [B, r, d]: the derivatives along the coefficients
    total = np.zeros((maps.shape[1], other_maps.shape[1]))
    for i in samples:
        if l == m:
            moment = fourth_moment(A[i], declaration.noise)  # [r, d, r, d]
            if declaration.simultaneous:
                for k in rows.keys() - {l}:  # response noise to this layer (E15)
                    other = rows[k][i] @ basis(problem, k)
                    moment = moment + np.einsum("op,ab->oapb", other @ other.T, np.eye(A.shape[2]))
        elif declaration.simultaneous:
            moment = np.einsum("ob,pa->oapb", C[i], A[i])  # each layer's response meets the other's noise
        else:
            continue
        spread = np.einsum("na,oapb,mb->onpm", U, moment, V)
        size = (spread.shape[0] * spread.shape[1], spread.shape[2] * spread.shape[3])
        total += maps[i] @ spread.reshape(size) @ other_maps[i].T
    return total / problem.draws


def _smoothed_rows(
    problem: Problem, declaration: Declaration, rows: dict[int, np.ndarray], generator: np.random.Generator
) -> dict[int, np.ndarray]:
    """Return E[δ ξᵀ]/σ² at finite σ for each site, in independent groups [G, B, r, n].

    The linear response, whose part is known, is subtracted under the integral; that leaves little variance.
    """
    passed = forward(problem)
    batch = len(problem.x)
    error = LOSSES[problem.loss].error(passed.output, problem.target)
    weighted = declaration.returns != "jacobian" and declaration.response == "output"
    smoothed = {site: np.empty((GROUPS, *rows[site].shape)) for site in rows}
    for group in range(GROUPS):
        noise = {
            site: problem.sigma
            * coefficients(generator, (POINTS // GROUPS, batch, basis(problem, site).shape[1]), declaration.noise)
            @ basis(problem, site).T
            for site in rows
        }
        for site in rows:
            offsets = noise if declaration.simultaneous else {site: noise[site]}
            mirrored = {key: -value for key, value in offsets.items()}
            forth, back = (
                declared(problem, declaration, outputs(problem, passed, each)) for each in (offsets, mirrored)
            )
            delta = (forth - back) / 2
            delta = np.sum(error * delta, axis=-1, keepdims=True) if weighted else delta / batch  # 1/B is in the error
            linear = sum(np.einsum("irn,sin->sir", rows[key], value) for key, value in offsets.items())
            left = np.einsum("sir,sin->irn", delta - linear, noise[site])
            smoothed[site][group] = rows[site] + left / (POINTS // GROUPS * problem.sigma**2)
    return smoothed
