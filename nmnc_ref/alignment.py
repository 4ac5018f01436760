"""How much of the Jacobian lies in the manifold, and how far two manifolds are apart."""

from __future__ import annotations

from nmnc_ref.arrays import Array, Basis, Float, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import scaled


@checked
def alignment(jacobian: Float[Array, "*batch o n"], basis: Basis[Array, "n d"]) -> Float[Array, "*batch"]:
    """α = ‖J P‖²_F / ‖J‖²_F, in [0, 1], of each Jacobian (E4, E5); a random d-dimensional subspace has mean d/n.

    Args:
        jacobian: J, not zero (under `jax.jit` that yields NaN).
        basis: U.
    """
    return _share(jacobian, basis, (-2, -1))


@checked
def pooled_alignment(jacobian: Float[Array, "*batch o n"], basis: Basis[Array, "n d"]) -> Float[Array, ""]:
    """Σ_i ‖J_i P‖² / Σ_i ‖J_i‖²: the alignment of a batch of Jacobians taken together (E4).

    Args:
        jacobian: J_i, not all zero (under `jax.jit` that yields NaN).
        basis: U.
    """
    return _share(jacobian, basis, None)


def _share(jacobian: Array, basis: Array, axes: tuple[int, int] | None) -> Array:
    xp, jacobian = namespace(jacobian), scaled(jacobian, axes)
    inside, whole = xp.sum((jacobian @ basis) ** 2, axis=axes), xp.sum(jacobian**2, axis=axes)
    expect(xp.all(whole > 0), "jacobian: expected a non-zero norm, got 0")
    return xp.clip(inside / whole, max=1.0)


@checked
def principal_angles(basis: Basis[Array, "n d"], other_basis: Basis[Array, "n c"]) -> Float[Array, "_"]:
    """The principal angles θ between two subspaces, ascending, in radians; as many as the smaller has dimensions.

    cos θ_i are the singular values of U₁ᵀU₂ and sin θ_i those of (I − U₁U₁ᵀ)U₂; below 45° the sine is used, which
    keeps small angles accurate (Björck and Golub 1973).

    Args:
        basis: U₁.
        other_basis: U₂.
    """
    xp = namespace(basis)
    if basis.shape[1] < other_basis.shape[1]:
        basis, other_basis = other_basis, basis
    cosine = xp.clip(xp.linalg.svdvals(basis.T @ other_basis), max=1.0)
    outside = other_basis - basis @ (basis.T @ other_basis)
    sine = xp.clip(xp.flip(xp.linalg.svdvals(outside)), max=1.0)
    return xp.where(cosine**2 > 0.5, xp.asin(sine), xp.acos(cosine))
