"""Estimates of the Jacobian J = ∂y/∂x of a tail y = f(x) from its response to perturbations.

A tail is any callable. The axis of the draws, K, comes first in noise and response; all axes between it and the last
one are batch axes. To perturb all layers at once, take `nn.feedforward.injection` as tail.
"""

from __future__ import annotations

from collections.abc import Callable

from nmnc_ref.arrays import Array, Basis, Float, Tail, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import move_axis
from nmnc_ref.scalars import Count, Positive


@checked
def one_sided_response(
    tail: Tail, activity: Float[Array, "*batch n"], noise: Float[Array, "K *batch n"]
) -> Float[Array, "K *batch o"]:
    """δy = f(x + ξ) − f(x), from K + 1 forward passes.

    Args:
        tail: f.
        activity: x.
        noise: ξ.
    """
    return tail(activity[None, ...] + noise) - tail(activity)[None, ...]


@checked
def antithetic_response(
    tail: Tail, activity: Float[Array, "*batch n"], noise: Float[Array, "K *batch n"]
) -> Float[Array, "K *batch o"]:
    """δy = ½[f(x + ξ) − f(x − ξ)], from 2K forward passes: no even-order terms (E9).

    Args:
        tail: f.
        activity: x.
        noise: ξ.
    """
    activity = activity[None, ...]
    return (tail(activity + noise) - tail(activity - noise)) / 2


@checked
def unnormalised_correlation(
    response: Float[Array, "K *batch o"], noise: Float[Array, "K *batch n"]
) -> Float[Array, "*batch o n"]:
    """Ĝ = (1/K) Σ_k δy_k ξ_kᵀ, with mean J C for noise of covariance C (E7, E11).

    Args:
        response: δy.
        noise: ξ.
    """
    return _mean_outer(response, noise)


def _mean_outer(response: Array, noise: Array) -> Array:
    """Return (1/K) Σ_k δy_k ξ_kᵀ: [K, …, o], [K, …, n] → [… , o, n]."""
    if noise.ndim == 2:  # the same, without axes to move: several times as fast for small arrays
        return response.T @ noise / noise.shape[0]
    return move_axis(response, 0, -1) @ move_axis(noise, 0, -2) / noise.shape[0]


@checked
def correlation(
    response: Float[Array, "K *batch o"], noise: Float[Array, "K *batch n"], sigma: Positive
) -> Float[Array, "*batch o n"]:
    """Ĵ = (1/K) Σ_k δy_k ξ_kᵀ / σ²: the noise-correlation estimate (E1–E6, E8–E10) [abstract].

    Its mean is J P, P the projector on the manifold that the noise was confined to (J for isotropic noise): exactly for
    a linear tail, and otherwise up to O(σ²).

    Args:
        response: δy.
        noise: ξ.
        sigma: σ that the noise was made with, in units of activity.
    """
    return _mean_outer(response, noise / sigma) / sigma  # σ² may be out of range where the estimate is not


@checked
def batch_correlation(
    response: Float[Array, "K B *batch o"], noise: Float[Array, "K B *batch n"], sigma: Positive
) -> Float[Array, "*batch o n"]:
    """The estimate of mean_i(J_i) P: `correlation`, averaged over the first batch axis too (E14).

    Args:
        response: δy.
        noise: ξ, drawn afresh for each element of the batch.
        sigma: σ, in units of activity.
    """
    xp = namespace(response)
    merge = noise.shape[0] * noise.shape[1]
    response = xp.reshape(response, (merge, *response.shape[2:]))
    return _mean_outer(response, xp.reshape(noise, (merge, *noise.shape[2:])) / sigma) / sigma


@checked
def least_squares(
    response: Float[Array, "K *batch o"], noise: Float[Array, "K *batch n"], basis: Basis[Array, "n d"] | None = None
) -> Float[Array, "*batch o n"]:
    """argmin_A Σ_k ‖δy_k − A ξ_k‖² over matrices with rows in the manifold (E13).

    On a linear tail without response noise it is J P exactly from K = d draws on, at any σ.

    Args:
        response: δy.
        noise: ξ, confined to the manifold, of which it spans all d dimensions.
        basis: U; None for isotropic noise, where d = n.
    """
    xp, coordinates = namespace(response), noise if basis is None else noise @ basis
    _expect_spanning(noise, coordinates, basis)
    coordinates = move_axis(coordinates, 0, -2)  # [..., K, d]
    q, _ = xp.linalg.qr(coordinates)
    # QᵀZ is R, and not before Q: XLA runs what is independent at once, and its threads then may wait for one another
    estimate = xp.linalg.solve(q.mT @ coordinates, q.mT @ move_axis(response, 0, -2)).mT  # [..., o, d]
    return estimate if basis is None else estimate @ basis.T


def _expect_spanning(noise: Array, coordinates: Array, basis: Array | None) -> None:
    """Refuse noise outside of the span of a basis, or with coordinates that do not span d dimensions."""
    xp, eps = namespace(noise), namespace(noise).finfo(noise.dtype).eps
    if basis is not None:
        outside = xp.max(xp.abs(noise - coordinates @ basis.T))
        within = outside <= eps**0.5 * xp.max(xp.abs(noise))
        expect(within, "noise: expected noise inside the span of basis, got {:.2g} outside", outside)
    draws, d = coordinates.shape[0], coordinates.shape[-1]
    expect(draws >= d, f"noise: expected at least d = {d} draws, got K = {draws}")
    singular = xp.linalg.svdvals(move_axis(coordinates, 0, -2))
    full = xp.all(singular[..., -1] > singular[..., 0] * 4 * eps * d)
    expect(full, f"noise: expected to span the d = {d} dimensions of basis, or all if it is None, got fewer")


@checked
def shrunk(estimate: Float[Array, "*batch o n"], scaling: Positive) -> Float[Array, "*batch o n"]:
    """c Ĵ: with c = `theory.estimator.best_scaling` the least squared error of all multiples of Ĵ (E16).

    Args:
        estimate: Ĵ.
        scaling: c.
    """
    return scaling * estimate


@checked
def in_chunks(estimate: Callable[[int, int], Float[Array, "..."]], draws: Count, chunk: Count) -> Array:
    """The average of an estimate over many draws, `chunk` of them in memory at a time, up to the rounding of sums.

    Args:
        estimate: (start, stop) ↦ the estimate from the draws start … stop − 1, a mean over them.
        draws: K.
        chunk: draws in memory at a time.
    """
    total = None
    for start in range(0, draws, chunk):
        stop = min(start + chunk, draws)
        part = (stop - start) / draws * estimate(start, stop)
        total = part if total is None else total + part
    return total
