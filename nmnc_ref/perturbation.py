"""Perturbations ξ of a layer's activity, made from coefficients z that the caller has drawn.

The coefficients are data: standard normal, ±1, of fixed norm or orthonormal frames. Every law here has E[z zᵀ] = I.
"""

from __future__ import annotations

import math

from nmnc_ref.arrays import Array, count, expect, expect_orthonormal, is_false, positive


def isotropic(coefficients: Array, sigma: float) -> Array:
    """Perturb in all directions, ξ = σ z: vanilla noise correlation, VNC (E1) [abstract].

    Args:
        coefficients: z [..., n].
        sigma: σ > 0, in units of activity.

    Returns:
        ξ [..., n].

    Raises:
        TypeError: not an array of float32 or float64; σ is not a number.
        ValueError: empty, NaN or infinity; σ not positive.
    """
    expect(coefficients=(coefficients, "... n"))
    return positive("sigma", sigma, like=coefficients) * coefficients


def on_manifold(coefficients: Array, basis: Array, sigma: float) -> Array:
    """Perturb along the manifold only, ξ = σ U z: neural manifold noise correlation, NMNC (E2) [abstract].

    Args:
        coefficients: z [..., d].
        basis: U [n, d], orthonormal columns.
        sigma: σ > 0, in units of activity.

    Returns:
        ξ [..., n].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64; σ is not a number.
        ValueError: shapes that do not fit, a basis that is not orthonormal, empty, NaN, infinity; σ not positive.
    """
    expect(basis=(basis, "n d"), coefficients=(coefficients, "... d"))
    expect_orthonormal("basis", basis)
    return positive("sigma", sigma, like=coefficients) * (coefficients @ basis.T)


def covariance_shaped(coefficients: Array, factor: Array) -> Array:
    """Perturb with covariance C = F Fᵀ: ξ = F z (E11) [derived].

    Args:
        coefficients: z [..., m].
        factor: F [n, m], in units of activity; a Cholesky factor of C, say, or `activity.T / √B`.

    Returns:
        ξ [..., n].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: shapes that do not fit, empty, NaN or infinity.
    """
    expect(factor=(factor, "n m"), coefficients=(coefficients, "... m"))
    return coefficients @ factor.T


def fixed_norm(coefficients: Array) -> Array:
    """Scale each vector to the norm √d: z ← √d z/‖z‖, uniform on the sphere if z is normal.

    Args:
        coefficients: z [..., d], none zero.

    Returns:
        [..., d].

    Raises:
        TypeError: not an array of float32 or float64.
        ValueError: empty, NaN, infinity, or a vector that is zero (under `jax.jit`: NaN).
    """
    xp = expect(coefficients=(coefficients, "... d"))
    norm = xp.linalg.vector_norm(coefficients, axis=-1, keepdims=True)
    if is_false(xp.all(norm > 0)):
        raise ValueError("coefficients: expected vectors that are not zero, got a zero vector")
    return math.sqrt(coefficients.shape[-1]) * coefficients / norm


def orthonormal_frame(coefficients: Array) -> Array:
    """Orthogonalise K draws: z_k = √d q_k with q_1 … q_K orthonormal, Haar-distributed if z is normal (E10).

    Args:
        coefficients: z [K, ..., d] with K ≤ d, linearly independent; or [K, ..., n].

    Returns:
        [K, ..., d], one frame of K draws for each element of the batch.

    Raises:
        TypeError: not an array of float32 or float64.
        ValueError: K > d, draws that are linearly dependent (where values are known), empty, NaN or infinity.
    """
    xp = expect(coefficients=(coefficients, "K ... d"))
    draws, d = coefficients.shape[0], coefficients.shape[-1]
    if draws > d:
        raise ValueError(f"coefficients: expected at most d = {d} draws, got K = {draws}")
    q, r = xp.linalg.qr(xp.moveaxis(coefficients, 0, -1))  # [..., d, K], [..., K, K]
    diagonal = xp.linalg.diagonal(r)  # its sign, which libraries choose freely, would make the frame non-Haar
    floor = xp.finfo(r.dtype).eps * d * xp.max(xp.abs(coefficients))
    if is_false(xp.all(xp.abs(diagonal) > floor)):
        raise ValueError("coefficients: expected linearly independent draws, got dependent ones")
    return math.sqrt(d) * xp.moveaxis(q * xp.sign(diagonal)[..., None, :], -1, 0)


def matched_sigma(sigma: float, dimension: int, width: int) -> float:
    """Return the σ of isotropic noise with the energy E‖ξ‖² = σ²d of manifold noise: σ √(d/n) (E7) [choice].

    Args:
        sigma: σ > 0 of the manifold noise.
        dimension: d.
        width: n ≥ d.

    Raises:
        TypeError: σ is not a number, or d or n not an integer.
        ValueError: σ not positive, d < 1 or d > n.
    """
    width = count("width", width)
    return positive("sigma", sigma) * math.sqrt(count("dimension", dimension, 1, width) / width)
