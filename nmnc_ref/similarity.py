"""How alike two representations of the same stimuli are, such as those of two networks, or of a network and a brain.

Both measures compare how the stimuli relate to one another within each representation. So the units need not
correspond, nor be equally many.
"""

from __future__ import annotations

from types import ModuleType

from array_api_compat import device

from nmnc_ref.arrays import Array, expect, is_false


def linear_cka(activity: Array, other_activity: Array) -> Array:
    """Return the linear centred kernel alignment ⟨K, L⟩ / (‖K‖ ‖L‖), in Frobenius norms (Kornblith et al. 2019).

    K = X Xᵀ and L = Y Yᵀ with every column of X and Y centred. Equal to ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖). Orthogonal
    transformations of the units, a common factor and constants added to units do not change it.

    Args:
        activity: X [N, n], one row for each stimulus.
        other_activity: Y [N, m], of the same stimuli in the same order.

    Returns:
        A scalar in [0, 1].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: different N, NaN, infinity, or activity that is the same for all stimuli, to rounding (unchecked
            under `jax.jit`, where the result is then arbitrary or NaN).
    """
    xp = expect(activity=(activity, "N n"), other_activity=(other_activity, "N m"))
    grams = []
    for name, x in (("activity", activity), ("other_activity", other_activity)):
        centred = _centred(xp, x, axis=0)
        norm = xp.linalg.vector_norm(centred)
        if is_false(norm > _floor(xp, x)):
            raise ValueError(f"{name}: expected activity that differs between stimuli, got the same for all")
        grams.append((centred / norm) @ (centred / norm).T)  # [N, N]
    return xp.sum(grams[0] * grams[1]) / (xp.linalg.vector_norm(grams[0]) * xp.linalg.vector_norm(grams[1]))


def dissimilarity(activity: Array) -> Array:
    """Return the representational dissimilarity matrix: 1 − Pearson correlation of the activity for two stimuli.

    (Kriegeskorte, Mur and Bandettini 2008.) For each stimulus its mean over units is subtracted, so that the result
    is invariant to permutations of the units, but not to all orthogonal transformations.

    Args:
        activity: X [N, n], one row for each stimulus.

    Returns:
        [N, N], in [0, 2].

    Raises:
        TypeError: not an array of float32 or float64.
        ValueError: not [N, n], empty, NaN, infinity, or a stimulus for which all units are the same, to rounding
            (unchecked under `jax.jit`, where its row is then arbitrary or NaN).
    """
    return _dissimilarity("activity", activity)


def rsa(activity: Array, other_activity: Array) -> Array:
    """Return the representational similarity: Spearman's correlation of two dissimilarity matrices.

    Compared are the elements above the diagonal, by their ranks; equal ones share the average of theirs.

    Args:
        activity: X [N, n], one row for each of at least three stimuli.
        other_activity: Y [N, m], of the same stimuli in the same order.

    Returns:
        A scalar in [−1, 1].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: different N, N < 3, NaN, infinity, a stimulus for which all units are the same, or dissimilarities
            that are all equal, to rounding (unchecked under `jax.jit`, where the result is then arbitrary or NaN).
    """
    xp = expect(activity=(activity, "N n"), other_activity=(other_activity, "N m"))
    stimuli = activity.shape[0]
    if stimuli < 3:
        raise ValueError(f"activity: expected at least N = 3 stimuli, got {stimuli}")
    scores = []
    for name, x in (("activity", activity), ("other_activity", other_activity)):
        pairs = _above_diagonal(xp, _dissimilarity(name, x))
        if is_false(xp.max(pairs) - xp.min(pairs) > xp.finfo(x.dtype).eps * x.shape[1]):
            raise ValueError(f"{name}: expected dissimilarities that differ, got the same between all stimuli")
        centred = _ranks(xp, pairs) - (pairs.shape[0] + 1) / 2
        scores.append(centred / xp.linalg.vector_norm(centred))
    return xp.sum(scores[0] * scores[1])


def _dissimilarity(name: str, activity: Array) -> Array:
    xp = expect(**{name: (activity, "N n")})
    centred = _centred(xp, activity, axis=1)
    norm = xp.linalg.vector_norm(centred, axis=1, keepdims=True)
    if is_false(xp.all(norm > _floor(xp, activity, axis=1))):
        raise ValueError(f"{name}: expected units that differ in their response to each stimulus, got equal ones")
    normalised = centred / norm
    return 1 - xp.clip(normalised @ normalised.T, min=-1.0, max=1.0)


def _centred(xp: ModuleType, activity: Array, axis: int) -> Array:
    """Subtract the mean; once more, as rounding in the first mean grows with the number of its terms."""
    for _ in range(2):
        activity = activity - xp.mean(activity, axis=axis, keepdims=True)
    return activity


def _floor(xp: ModuleType, activity: Array, axis: int | None = None) -> Array:
    """Return the norm that rounding may leave of centred constants: some units in the last place of each."""
    return 8 * xp.finfo(activity.dtype).eps * xp.linalg.vector_norm(activity, axis=axis, keepdims=axis is not None)


def _above_diagonal(xp: ModuleType, matrix: Array) -> Array:
    """Return the N (N − 1)/2 elements above the diagonal of a matrix [N, N], row by row."""
    size = matrix.shape[0]
    index = xp.arange(size, device=device(matrix))
    position = index[:, None] * size + index
    below_last = xp.where(index[:, None] < index, position, size * size)
    chosen = xp.sort(xp.reshape(below_last, (-1,)))[: size * (size - 1) // 2]
    return xp.take(xp.reshape(matrix, (-1,)), chosen)


def _ranks(xp: ModuleType, values: Array) -> Array:
    """Return ranks from 1 of values [M], ties by their average: half of those below and of those not above, plus ½."""
    ascending = xp.sort(values)
    below = xp.searchsorted(ascending, values, side="left")
    not_above = xp.searchsorted(ascending, values, side="right")
    return xp.astype(below + not_above + 1, values.dtype) / 2
