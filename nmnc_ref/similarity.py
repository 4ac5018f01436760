"""How alike two representations of the same stimuli are, such as those of two networks, or of a network and a brain.

Both measures compare how the stimuli relate to one another within each representation. So the units need not
correspond, nor be equally many.
"""

from __future__ import annotations

from types import ModuleType

from array_api_compat import device

from nmnc_ref.arrays import Array, Float, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import centred, expect_symmetric, scaled

ROUNDING = 8
"""Dissimilarities, or likenesses of a size of 1, that differ by at most so many eps are equal: rounding tells even
those apart that are exactly so."""


@checked
def linear_cka(activity: Float[Array, "N n"], other_activity: Float[Array, "N m"]) -> Float[Array, ""]:
    """⟨K, L⟩ / (‖K‖ ‖L‖), in [0, 1]: the linear centred kernel alignment (Kornblith et al. 2019).

    K = X Xᵀ and L = Y Yᵀ with every column of X and Y centred. Equal to ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖). Orthogonal
    transformations of the units, a common factor and constants added to units do not change it.
    It has a bias upwards: with far more units than stimuli it is near 1 for units that have nothing in common.

    Args:
        activity: X, one row for each stimulus, not the same for all (under `jax.jit`: arbitrary or NaN).
        other_activity: Y, of the same stimuli in the same order.
    """
    xp = namespace(activity)
    k, l = _gram("activity", activity), _gram("other_activity", other_activity)
    norms = xp.linalg.vector_norm(k) * xp.linalg.vector_norm(l)
    return xp.clip(xp.sum(k * l) / norms, min=0.0, max=1.0)


@checked
def debiased_cka(activity: Float[Array, "N n"], other_activity: Float[Array, "N m"]) -> Float[Array, ""]:
    """The same from unbiased estimates: near 0 for units with nothing in common, however many (Murphy et al. 2024).

    Args:
        activity: X, one row for each of at least four stimuli, as for `linear_cka`.
        other_activity: Y, of the same stimuli in the same order.
    """
    _expect_stimuli("activity", activity, 4)
    given = {"activity": activity, "other_activity": other_activity}
    return _cosine(*(_u_centred(name, _gram(name, x)) for name, x in given.items()))


@checked
def debiased_alignment(gram: Float[Array, "N N"], other_gram: Float[Array, "N N"]) -> Float[Array, ""]:
    """⟨K, L⟩ / (‖K‖ ‖L‖) of unbiased estimates, which see no diagonal (Song et al. 2012).

    ⟨K, L⟩ = Σ K_ij L_ij + ΣK ΣL/((N−1)(N−2)) − 2 Σ_i (K1)_i (L1)_i/(N−2), all over i ≠ j. In [−1, 1].

    Args:
        gram: K, likenesses of at least four stimuli, such as X Xᵀ or 1 − dissimilarities, symmetric, and more than the
            sum of a number for each of the two stimuli, as all equal ones are (under `jax.jit` that yields NaN or
            rounding errors).
        other_gram: L, of the same stimuli in the same order.
    """
    _expect_stimuli("gram", gram, 4)
    return _cosine(_u_centred("gram", gram), _u_centred("other_gram", other_gram))


@checked
def dissimilarity(activity: Float[Array, "N n"]) -> Float[Array, "N N"]:
    """1 − Pearson's correlation, in [0, 2], of the activity for two stimuli (Kriegeskorte, Mur and Bandettini 2008).

    Symmetric, with a diagonal of 0, to the last bit.

    For each stimulus its mean over units is subtracted, so that the result is invariant to permutations of the units,
    but not to all orthogonal transformations. Off by some eps, whatever its size.

    Args:
        activity: X, one row for each stimulus, in which not all units are the same (under `jax.jit`: arbitrary or NaN).
    """
    return _dissimilarity("activity", activity)


@checked
def rsa(activity: Float[Array, "N n"], other_activity: Float[Array, "N m"]) -> Float[Array, ""]:
    """Spearman's correlation, in [−1, 1], of two dissimilarity matrices: the representational similarity.

    Compared are the elements above the diagonal, by their ranks; equal ones, to 8 eps, share the average of theirs.

    Args:
        activity: X, one row for each of at least three stimuli, as for `dissimilarity`, of which not all are equally
            dissimilar (under `jax.jit`: arbitrary or NaN).
        other_activity: Y, of the same stimuli in the same order.
    """
    xp = namespace(activity)
    _expect_stimuli("activity", activity, 3)
    scores = []
    for name, x in (("activity", activity), ("other_activity", other_activity)):
        pairs = _above_diagonal(xp, _dissimilarity(name, x))
        differ = xp.max(pairs) - xp.min(pairs) > ROUNDING * xp.finfo(x.dtype).eps
        expect(differ, f"{name}: expected dissimilarities that differ, got the same between all stimuli")
        deviation = _ranks(xp, pairs) - (pairs.shape[0] + 1) / 2
        scores.append(deviation / xp.linalg.vector_norm(deviation))
    return _cosine(*scores)


def _expect_stimuli(name: str, array: Array, least: int) -> None:
    stimuli = array.shape[0]
    expect(stimuli >= least, f"{name}: expected at least N = {least} stimuli, got {stimuli}")


def _gram(name: str, activity: Array) -> Array:
    """Return X Xᵀ of the centred columns, [N, N], at a norm of 1 of X."""
    deviation = scaled(centred(scaled(activity))[1])
    norm = namespace(activity).linalg.vector_norm(deviation)
    expect(norm > 0, f"{name}: expected activity that differs between stimuli, got the same for all")
    return (deviation / norm) @ (deviation / norm).T


def _u_centred(name: str, gram: Array) -> Array:
    """Return K_ij − (K1)_i/(N−2) − (K1)_j/(N−2) + ΣK/((N−1)(N−2)) for i ≠ j, sums without the diagonal, at a norm of 1.

    The sum of the products of two of these is ⟨K, L⟩ (Székely and Rizzo 2014), and rounding cannot make it a square
    below 0.
    """
    expect_symmetric(name, gram)
    xp, stimuli = namespace(gram), gram.shape[0]
    index = xp.arange(stimuli, device=device(gram))
    apart = index[:, None] != index[None, :]
    k = xp.where(apart, scaled(gram), xp.zeros_like(gram))
    sums = xp.sum(k, axis=1) / (stimuli - 2)
    rest = k - sums[:, None] - sums[None, :] + xp.sum(sums) / (stimuli - 1)
    rest = xp.where(apart, rest, xp.zeros_like(gram))
    norm, rounding = xp.linalg.vector_norm(rest), ROUNDING * xp.finfo(k.dtype).eps * xp.linalg.vector_norm(k)
    expect(norm > rounding, f"{name}: expected likenesses that differ between pairs of stimuli, got none that do")
    rest = scaled(rest)  # whose squares may be out of range
    return rest / xp.linalg.vector_norm(rest)


def _cosine(a: Array, b: Array) -> Array:
    """Return the cosine of two arrays of norm 1."""
    return namespace(a).clip(namespace(a).sum(a * b), min=-1.0, max=1.0)


def _dissimilarity(name: str, activity: Array) -> Array:
    xp = namespace(activity)
    deviation = scaled(centred(scaled(activity, 1).T)[1].T, 1)
    norm = xp.linalg.vector_norm(deviation, axis=1, keepdims=True)
    differ = xp.all(norm > 0)
    expect(differ, f"{name}: expected units that differ in their response to each stimulus, got equal ones")
    normalised = deviation / norm
    correlation = normalised @ normalised.T
    found = 1 - xp.clip((correlation + correlation.T) / 2, min=-1.0, max=1.0)
    index = xp.arange(found.shape[0], device=device(activity))
    return xp.where(index[:, None] == index[None, :], xp.zeros_like(found), found)


def _above_diagonal(xp: ModuleType, matrix: Array) -> Array:
    """Return the N (N − 1)/2 elements above the diagonal of a matrix [N, N], row by row."""
    size = matrix.shape[0]
    index = xp.arange(size, device=device(matrix))
    position = index[:, None] * size + index[None, :]
    below_last = xp.where(index[:, None] < index[None, :], position, size * size)
    chosen = xp.sort(xp.reshape(below_last, (-1,)))[: size * (size - 1) // 2]
    return xp.take(xp.reshape(matrix, (-1,)), chosen)


def _ranks(xp: ModuleType, values: Array) -> Array:
    """Return ranks from 1 of values [M], ties by their average: half of those below and of those not above, plus ½."""
    ascending, rounding = xp.sort(values), ROUNDING * xp.finfo(values.dtype).eps
    below = xp.searchsorted(ascending, values - rounding, side="left")
    not_above = xp.searchsorted(ascending, values + rounding, side="right")
    return xp.astype(below + not_above + 1, values.dtype) / 2
