"""The neural manifold of a layer: the linear span of its activity, and how much of the Jacobian lies in it.

The manifold is estimated by principal component analysis, global and linear [summary]: of the activity itself, or of
its mean and covariance. Weight updates span the uncentred activity (A4): with non-negative units the centred components
miss the mean direction. All three versions are here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from nmnc_ref.arrays import Array, choice, count, expect, expect_orthonormal, fraction, is_concrete, is_false

CENTRINGS = ("uncentred", "centred", "mean-added")


class Manifold(NamedTuple):
    """`basis`: U [n, d], orthonormal columns; `spectrum`: all variances λ_1 ≥ λ_2 ≥ … [min(B, n)]; `mean`: [n]."""

    basis: Array
    spectrum: Array
    mean: Array


def fit(
    activity: Array,
    *,
    dimension: int | None = None,
    explained: float | None = None,
    centring: str = "uncentred",
) -> Manifold:
    """Fit the manifold of an activity matrix X by PCA: X/√B = V diag(√λ) Uᵀ, keeping the first columns of U.

    Args:
        activity: X [B, n], one row for each input.
        dimension: number d of principal components to keep; or
        explained: keep the fewest components whose share of Σλ is at least this, in (0, 1] (not under `jax.jit`).
        centring: "uncentred": of X, so that Σλ is the mean squared norm; "centred": of X minus its mean;
            "mean-added": the centred components and, as column d + 1, the part of the mean orthogonal to them.

    Returns:
        The manifold, with d columns (d + 1 for "mean-added"). Each component has the sign that makes its largest entry
        positive, so that noise along it is the same on every library. The `mean` is that of X whatever the centring,
        the spectrum is in units of activity squared, with divisor B.

    Raises:
        TypeError: not an array of float32 or float64.
        ValueError: not [B, n], NaN or infinity; both or neither of `dimension` and `explained`; more components than
            the activity has numerical rank (a constant matrix has rank 0 after centring); for "mean-added" a mean
            that lies in the span already. Under `jax.jit` rank is not checked: columns beyond it are arbitrary.
    """
    xp = expect(activity=(activity, "B n"))
    dimension, explained = _expect_options(dimension, explained, centring)
    samples, n = activity.shape
    mean = xp.mean(activity, axis=0)
    deviation = activity if centring == "uncentred" else activity - mean
    most = min(samples if centring == "uncentred" else samples - 1, n)
    if most < (dimension or 1):
        raise ValueError(
            f"activity: expected enough samples and units for d = {dimension or 1} {centring} components, "
            f"got shape [{samples}, {n}]"
        )
    _, singular, components = xp.linalg.svd(deviation / math.sqrt(samples), full_matrices=False)
    spectrum = singular**2
    floor = xp.finfo(activity.dtype).eps * max(samples, n) * xp.linalg.vector_norm(activity) / math.sqrt(samples)
    d = _columns("activity", spectrum, (singular > floor)[:most], dimension, explained, centring)
    basis = _signed(components[:d, :].T)
    if centring == "mean-added":
        basis = _append_direction("activity", basis, mean)
    return Manifold(basis, spectrum, mean)


def from_moments(
    mean: Array,
    covariance: Array,
    *,
    dimension: int | None = None,
    explained: float | None = None,
    centring: str = "uncentred",
) -> Manifold:
    """Fit the manifold from the mean m and the covariance C of the activity: eigenvectors of C, or of C + m mᵀ.

    The same manifold as `fit` gives for the activity itself, to rounding, for activity too large to hold or that
    arrives over time (`nmnc_ref.moments`). A variance below eps·n of the largest is rounding here, where `fit` resolves
    down to its square.

    Args:
        mean: m [n].
        covariance: C [n, n], with divisor B; symmetric.
        dimension, explained: as in `fit`.
        centring: "uncentred": C + m mᵀ; "centred": C; "mean-added": C, with the column that `fit` adds.

    Returns:
        The manifold, with a spectrum [n]; variances that rounding made negative are 0.

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: shapes that do not fit, empty, NaN or infinity; a covariance that is not symmetric or has a negative
            variance; otherwise as `fit`, and under `jax.jit` unchecked as there.
    """
    xp = expect(mean=(mean, "n"), covariance=(covariance, "n n"))
    dimension, explained = _expect_options(dimension, explained, centring)
    n, eps = mean.shape[0], xp.finfo(mean.dtype).eps
    if n < (dimension or 1):
        raise ValueError(f"covariance: expected at least n = {dimension} units for d = {dimension}, got n = {n}")
    asymmetry = xp.max(xp.abs(covariance - covariance.T))
    if is_false(asymmetry <= math.sqrt(eps) * xp.max(xp.abs(covariance))):
        raise ValueError(f"covariance: expected a symmetric matrix, got max |C − Cᵀ| = {float(asymmetry):.2g}")
    moment = covariance + mean[:, None] * mean if centring == "uncentred" else covariance
    ascending, components = xp.linalg.eigh(moment)
    spectrum = xp.flip(ascending)
    # Rounding of the mean by c units in the last place leaves a variance of (c·eps·‖m‖)²: c = eps^-¼ is admitted.
    floor = eps * n * xp.max(xp.abs(spectrum)) + eps**1.5 * xp.sum(mean**2)
    if is_false(xp.min(spectrum) >= -floor):
        raise ValueError(f"covariance: expected no negative variance, got {float(xp.min(spectrum)):.2g}")
    d = _columns("covariance", spectrum, spectrum > floor, dimension, explained, centring)
    basis = _signed(xp.flip(components, axis=1)[:, :d])
    if centring == "mean-added":
        basis = _append_direction("mean", basis, mean)
    return Manifold(basis, xp.clip(spectrum, min=0.0), mean)


def _expect_options(
    dimension: int | None, explained: float | None, centring: str
) -> tuple[int, None] | tuple[None, float]:
    """Return the one of `dimension` and `explained` that is given, checked, and None for the other."""
    choice("centring", centring, CENTRINGS)
    if dimension is not None and explained is None:
        return count("dimension", dimension), None
    if dimension is not None or explained is None:
        got = "neither" if dimension is None else "both"
        raise ValueError(f"dimension, explained: expected exactly one of the two, got {got}")
    if not is_concrete(explained) or (explained := fraction("explained", explained)) <= 0:
        raise ValueError(f"explained: expected a known number above 0, got {explained}")
    return None, explained


def _columns(
    name: str, spectrum: Array, resolved: Array, dimension: int | None, explained: float | None, centring: str
) -> int:
    """Return how many components to keep; `resolved` tells of each that there can be whether it exceeds rounding."""
    xp = expect(spectrum=(spectrum, "m"))
    independent = xp.sum(xp.astype(resolved, xp.int32))
    rank = int(independent) if is_concrete(independent) else resolved.shape[0]
    if dimension is None:
        if not is_concrete(independent):
            raise ValueError("explained: expected `dimension` in its place while tracing, got traced values")
        share = xp.cumulative_sum(spectrum) / xp.sum(spectrum) if rank else spectrum
        dimension = min(1 + int(xp.sum(xp.astype(share < explained, xp.int32))), max(rank, 1))
    if dimension > rank:
        raise ValueError(f"{name}: expected rank of at least d = {dimension} ({centring}), got rank {rank}")
    return dimension


def _signed(basis: Array) -> Array:
    """Return the columns with the sign that makes the entry of largest magnitude positive."""
    xp = expect(basis=(basis, "n d"))
    negative = xp.max(basis, axis=0) + xp.min(basis, axis=0) < 0
    return xp.where(negative, -basis, basis)


def _append_direction(name: str, basis: Array, direction: Array) -> Array:
    xp = expect(basis=(basis, "n d"), direction=(direction, "n"))
    rest = direction
    for _ in range(2):  # once more, as the first projection leaves rounding errors inside the span
        rest = rest - basis @ (basis.T @ rest)
    length = xp.linalg.vector_norm(rest)
    floor = math.sqrt(xp.finfo(basis.dtype).eps) * xp.linalg.vector_norm(direction)
    if is_false(length > floor):
        raise ValueError(f"{name}: expected a mean outside the span of the centred components, got one inside it")
    return xp.concat([basis, (rest / length)[:, None]], axis=1)


def projector(basis: Array) -> Array:
    """Return P = U Uᵀ [n, n] of `basis` U [n, d].

    Raises:
        TypeError: not an array of float32 or float64.
        ValueError: not [n, d] with d ≤ n, columns not orthonormal, empty, NaN or infinity.
    """
    expect(basis=(basis, "n d"))
    expect_orthonormal("basis", basis)
    return basis @ basis.T


def alignment(jacobian: Array, basis: Array) -> Array:
    """Return the alignment α = ‖J P‖²_F / ‖J‖²_F of each Jacobian (E4, E5).

    Args:
        jacobian: J [..., n_o, n].
        basis: U [n, d].

    Returns:
        α [...], in [0, 1]. A random d-dimensional subspace has mean d/n.

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: shapes that do not fit, a basis that is not orthonormal, NaN or infinity, a Jacobian that is zero
            (under `jax.jit`: NaN).
    """
    inside, whole = _energies(jacobian, basis)
    return inside / whole


def pooled_alignment(jacobian: Array, basis: Array) -> Array:
    """Return the pooled alignment Σ_i ‖J_i P‖² / Σ_i ‖J_i‖² over all leading axes (E4 for a batch).

    Arguments and errors are those of `alignment`; the result is a scalar.
    """
    inside, whole = _energies(jacobian, basis, pooled=True)
    return inside / whole


def _energies(jacobian: Array, basis: Array, pooled: bool = False) -> tuple[Array, Array]:
    xp = expect(jacobian=(jacobian, "... o n"), basis=(basis, "n d"))
    expect_orthonormal("basis", basis)
    axes = None if pooled else (-2, -1)
    inside, whole = xp.sum((jacobian @ basis) ** 2, axis=axes), xp.sum(jacobian**2, axis=axes)
    if is_false(xp.all(whole > 0)):
        raise ValueError("jacobian: expected a non-zero norm, got 0")
    return inside, whole


def principal_angles(basis: Array, other_basis: Array) -> Array:
    """Return the principal angles between two subspaces, ascending, in radians.

    cos θ_i are the singular values of U₁ᵀU₂ and sin θ_i those of (I − U₁U₁ᵀ)U₂; below 45° the sine is used, which
    keeps small angles accurate (Björck and Golub 1973).

    Args:
        basis: U₁ [n, d₁].
        other_basis: U₂ [n, d₂].

    Returns:
        [min(d₁, d₂)].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: different n, columns not orthonormal, empty, NaN or infinity.
    """
    xp = expect(basis=(basis, "n d"), other_basis=(other_basis, "n c"))
    expect_orthonormal("basis", basis)
    expect_orthonormal("other_basis", other_basis)
    if basis.shape[1] < other_basis.shape[1]:
        basis, other_basis = other_basis, basis
    cosine = xp.clip(xp.linalg.svdvals(basis.T @ other_basis), max=1.0)
    outside = other_basis - basis @ (basis.T @ other_basis)
    sine = xp.clip(xp.flip(xp.linalg.svdvals(outside)), max=1.0)
    return xp.where(cosine**2 > 0.5, xp.asin(sine), xp.acos(cosine))
