"""Perturbations ξ of a layer's activity x, made from coefficients z that the caller has drawn.

The coefficients are data: standard normal, ±1, of fixed norm or orthonormal frames. Every law here has E[z zᵀ] = I.
The manifold is the span of a basis U with UᵀU = I, and P = U Uᵀ projects on it. Vectors are columns in the formulas,
and rows of the arrays; draws and batch come before them.

(E1), (F3), … are claims, which THEORY.md derives; what stands in brackets is where they come from.
"""

from __future__ import annotations

import math

from nmnc_ref.arrays import Array, Basis, Float, at_most, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import move_axis, orthonormalised, scaled
from nmnc_ref.scalars import Count, Positive


@checked
def isotropic(coefficients: Float[Array, "*draws n"], sigma: Positive) -> Float[Array, "*draws n"]:
    """ξ = σ z: perturb in all directions, vanilla noise correlation, VNC (E1) [abstract].

    Args:
        coefficients: z.
        sigma: σ, in units of activity.
    """
    return sigma * coefficients


@checked
def on_manifold(
    coefficients: Float[Array, "*draws d"], basis: Basis[Array, "n d"], sigma: Positive
) -> Float[Array, "*draws n"]:
    """ξ = σ U z: perturb along the manifold only, neural manifold noise correlation, NMNC (E2) [abstract].

    Args:
        coefficients: z.
        basis: U.
        sigma: σ, in units of activity.
    """
    return sigma * (coefficients @ basis.T)


@checked
def covariance_shaped(coefficients: Float[Array, "*draws m"], factor: Float[Array, "n m"]) -> Float[Array, "*draws n"]:
    """ξ = F z: perturb with covariance C = F Fᵀ (E11) [derived].

    Args:
        coefficients: z.
        factor: F, in units of activity; a Cholesky factor of C, say, or `activity.T / √B`.
    """
    return coefficients @ factor.T


@checked
def fixed_norm(coefficients: Float[Array, "*draws d"]) -> Float[Array, "*draws d"]:
    """z ← √d z/‖z‖: scale each vector to the norm √d, uniform on the sphere if z is normal.

    Args:
        coefficients: z of d or, for isotropic noise, n dimensions; none is zero (under `jax.jit` that yields NaN).
    """
    xp, coefficients = namespace(coefficients), scaled(coefficients, -1)
    norm = xp.linalg.vector_norm(coefficients, axis=-1, keepdims=True)
    expect(xp.all(norm > 0), "coefficients: expected vectors that are not zero, got a zero vector")
    return math.sqrt(coefficients.shape[-1]) * coefficients / norm


@checked
def orthonormal_frame(coefficients: Float[Array, "K *batch d"]) -> Float[Array, "K *batch d"]:
    """z_k = √d q_k with q_1 … q_K orthonormal, Haar-distributed if z is normal: orthogonalise K ≤ d draws (E10).

    Args:
        coefficients: z, linearly independent for each element of the batch.
    """
    draws, d = coefficients.shape[0], coefficients.shape[-1]
    expect(draws <= d, f"coefficients: expected at most d = {d} draws, got K = {draws}")
    frame = orthonormalised("coefficients", move_axis(coefficients, 0, -1))  # [..., d, K]
    return math.sqrt(d) * move_axis(frame, -1, 0)


@checked
def matched_sigma(sigma: Positive, dimension: Count, width: Count) -> float:
    """σ √(d/n): the scale of isotropic noise that has the energy E‖ξ‖² = σ²d of manifold noise (E7) [choice].

    Args:
        sigma: σ of the manifold noise.
        dimension: d.
        width: n ≥ d.
    """
    at_most("dimension", dimension, width, "width")
    return sigma * math.sqrt(dimension / width)
