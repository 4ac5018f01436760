"""Estimates of the Jacobian J = ∂y/∂x of a tail y = f(x) from its response to perturbations.

A tail is any callable [..., n] → [..., n_o]. The axis of the draws, K, comes first in `noise` and `response`; all
axes between it and the last one are batch axes. To perturb all layers at once, take `network.injection` as tail.
"""

from __future__ import annotations

from collections.abc import Callable

from nmnc_ref.arrays import Array, count, expect, expect_orthonormal, is_false, positive


def one_sided_response(tail: Callable[[Array], Array], activity: Array, noise: Array) -> Array:
    """Return δy = f(x + ξ) − f(x), from K + 1 forward passes.

    Args:
        tail: f, [..., n] → [..., n_o].
        activity: x [..., n].
        noise: ξ [K, ..., n].

    Returns:
        [K, ..., n_o].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: shapes that do not fit, empty, NaN or infinity, in the arguments or in what the tail returns.
    """
    _expect_noise(activity, noise)
    baseline = tail(activity)
    perturbed = tail(activity + noise)
    expect(activity=(activity, "... n"), tail_output=(baseline, "... o"))
    expect(noise=(noise, "... n"), tail_output=(perturbed, "... o"))
    return perturbed - baseline


def antithetic_response(tail: Callable[[Array], Array], activity: Array, noise: Array) -> Array:
    """Return δy = ½[f(x + ξ) − f(x − ξ)], from 2K forward passes: no even-order terms (E9).

    Arguments, returned shape and errors are those of `one_sided_response`.
    """
    _expect_noise(activity, noise)
    forth, back = tail(activity + noise), tail(activity - noise)
    for output in (forth, back):
        expect(noise=(noise, "... n"), tail_output=(output, "... o"))
    return (forth - back) / 2


def _expect_noise(activity: Array, noise: Array) -> None:
    expect(activity=(activity, "... n"), noise=(noise, "K ... n"))


def unnormalised_correlation(response: Array, noise: Array) -> Array:
    """Return Ĝ = (1/K) Σ_k δy_k ξ_kᵀ, with mean J C for noise of covariance C (E7, E11).

    Args:
        response: δy [K, ..., n_o].
        noise: ξ [K, ..., n].

    Returns:
        [..., n_o, n].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: shapes that do not fit, K = 0 or otherwise empty, NaN or infinity.
    """
    xp = expect(noise=(noise, "K ... n"), response=(response, "K ... o"))
    return xp.moveaxis(response, 0, -1) @ xp.moveaxis(noise, 0, -2) / noise.shape[0]


def correlation(response: Array, noise: Array, sigma: float) -> Array:
    """Return the noise-correlation estimate Ĵ = (1/K) Σ_k δy_k ξ_kᵀ / σ² (E1–E6, E8–E10) [abstract].

    Its mean is J P, P the projector on the manifold that the noise was confined to (J for isotropic noise).

    Args:
        response: δy [K, ..., n_o].
        noise: ξ [K, ..., n].
        sigma: σ > 0, the scale that the noise was made with, in units of activity.

    Returns:
        Ĵ [..., n_o, n], one for each element of the batch.

    Raises:
        TypeError: as `unnormalised_correlation`; σ is not a number.
        ValueError: as `unnormalised_correlation`; σ not positive.
    """
    sigma = positive("sigma", sigma, like=noise)
    return unnormalised_correlation(response, noise) / sigma**2


def batch_correlation(response: Array, noise: Array, sigma: float) -> Array:
    """Return the estimate of mean_i(J_i) P: `correlation`, averaged over the first batch axis too (E14).

    Args:
        response: δy [K, B, ..., n_o].
        noise: ξ [K, B, ..., n], drawn afresh for each element of the batch.
        sigma: σ > 0, in units of activity.

    Returns:
        [..., n_o, n].

    Raises:
        TypeError, ValueError: as `correlation`; ValueError also where there is no batch axis.
    """
    xp = expect(noise=(noise, "K B ... n"), response=(response, "K B ... o"))
    merge = noise.shape[0] * noise.shape[1]
    response = xp.reshape(response, (merge, *response.shape[2:]))
    return correlation(response, xp.reshape(noise, (merge, *noise.shape[2:])), sigma)


def least_squares(response: Array, noise: Array, basis: Array | None = None) -> Array:
    """Return argmin_A Σ_k ‖δy_k − A ξ_k‖² over matrices with rows in the manifold (E13).

    On a linear tail without response noise it is J P exactly from K = d draws on, at any σ.

    Args:
        response: δy [K, ..., n_o].
        noise: ξ [K, ..., n], confined to the span of `basis`.
        basis: U [n, d]; None for isotropic noise, where d = n.

    Returns:
        [..., n_o, n], one for each element of the batch.

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: shapes that do not fit, K < d, a basis that is not orthonormal, noise outside its span or that does
            not span d dimensions, empty, NaN or infinity.
    """
    xp = expect(noise=(noise, "K ... n"), response=(response, "K ... o"))
    coordinates = noise
    if basis is not None:
        expect(noise=(noise, "K ... n"), basis=(basis, "n d"))
        expect_orthonormal("basis", basis)
        coordinates = noise @ basis
        outside = xp.max(xp.abs(noise - coordinates @ basis.T))
        if is_false(outside <= xp.finfo(noise.dtype).eps ** 0.5 * xp.max(xp.abs(noise))):
            raise ValueError(f"noise: expected noise inside the span of basis, got {float(outside):.2g} outside")
    draws, d = coordinates.shape[0], coordinates.shape[-1]
    if draws < d:
        raise ValueError(f"noise: expected at least d = {d} draws, got K = {draws}")
    q, r = xp.linalg.qr(xp.moveaxis(coordinates, 0, -2))  # [..., K, d], [..., d, d]
    singular = xp.linalg.svdvals(r)
    if is_false(xp.all(singular[..., -1] > singular[..., 0] * xp.finfo(r.dtype).eps * draws)):
        raise ValueError(f"noise: expected to span the d = {d} dimensions of basis, or all if it is None, got fewer")
    estimate = xp.linalg.solve(r, q.mT @ xp.moveaxis(response, 0, -2)).mT  # [..., n_o, d]
    return estimate if basis is None else estimate @ basis.T


def shrunk(estimate: Array, scaling: float) -> Array:
    """Return c Ĵ; with c = `theory.estimator.best_scaling` it has the least squared error of all multiples of Ĵ (E16).

    Args:
        estimate: Ĵ [..., n_o, n].
        scaling: c > 0.

    Raises:
        TypeError: not an array of float32 or float64; c is not a number.
        ValueError: empty, NaN or infinity; c not positive.
    """
    expect(estimate=(estimate, "... o n"))
    return positive("scaling", scaling, like=estimate) * estimate


def in_chunks(estimate: Callable[[int, int], Array], draws: int, chunk: int) -> Array:
    """Average an estimate over many draws, `chunk` of them in memory at a time.

    Args:
        estimate: (start, stop) ↦ the estimate from the draws start … stop − 1, a mean over them.
        draws: K.
        chunk: draws in memory at a time.

    Returns:
        The estimate from all draws, up to the rounding of sums.

    Raises:
        TypeError: K or chunk is not an integer.
        ValueError: K or chunk below 1.
    """
    draws, chunk = count("draws", draws), count("chunk", chunk)
    total = None
    for start in range(0, draws, chunk):
        stop = min(start + chunk, draws)
        part = (stop - start) / draws * estimate(start, stop)
        total = part if total is None else total + part
    return total
