"""Means and squares that keep their digits and range, for any number of samples and any scale of the activity."""

from __future__ import annotations

import math

from array_api_compat import device

from nmnc_ref.arrays import Array, expect, is_concrete, namespace

ROWS = 1024
"""Rows that a library sums in its own way; more are summed in halves, so that rounding does not grow with them."""
TIE = 0.99
"""From this share of the largest on, entries of a component count as equally large, lest rounding choose its sign."""


def total(array: Array) -> Array:
    """Return the sum over axis 0."""
    rows = array.shape[0]
    if rows > ROWS:
        return total(array[: rows // 2, ...]) + total(array[rows // 2 :, ...])
    return namespace(array).sum(array, axis=0)


def gram(array: Array) -> Array:
    """Return xᵀ x of [B, n]."""
    rows = array.shape[0]
    if rows > ROWS:
        return gram(array[: rows // 2, :]) + gram(array[rows // 2 :, :])
    return array.T @ array


def compressed(array: Array) -> Array:
    """Return fewer rows with the same xᵀ x, singular values and right singular vectors: R of x = Q R."""
    xp, (rows, n) = namespace(array), array.shape
    if rows <= max(ROWS, 2 * n):
        return array
    halves = [compressed(array[: rows // 2, :]), compressed(array[rows // 2 :, :])]
    return xp.linalg.qr(xp.concat(halves, axis=0)).R


def mean(array: Array) -> Array:
    """Return the mean over axis 0."""
    return total(array) / array.shape[0]


def centred(array: Array) -> tuple[Array, Array]:
    """Return the mean m over axis 0 and the deviations x − m, which are exactly 0 where all rows are the same."""
    xp = namespace(array)
    found = mean(array)
    deviation = array - found[None, ...]
    rest = mean(deviation)  # what rounding left of the mean
    same = xp.all(array == array[:1, ...], axis=0)
    deviation = xp.where(same[None, ...], xp.zeros_like(array), deviation - rest[None, ...])
    return xp.where(same, array[0, ...], found + rest), deviation


def scaled(array: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """Return x/s, with s a power of two not far below max|x| over some axes or all: squares keep their range.

    Dividing by a power of two is exact.
    """
    xp, lowest = namespace(array), round(math.log2(namespace(array).finfo(array.dtype).smallest_normal))
    largest = xp.max(xp.abs(array), axis=axis, keepdims=True)[..., None]
    powers = [2.0**exponent for exponent in range(lowest, -lowest, -lowest // 4)]
    powers = xp.reshape(xp.asarray(powers, dtype=array.dtype, device=device(array)), (1,) * array.ndim + (-1,))
    return array / xp.max(xp.where(largest >= powers, powers, powers[..., :1]), axis=-1)


def of_rank(array: Array, rank: int) -> Array:
    """Return the array with axes of length 1 in front, up to a rank, as JAX can be told to insist on."""
    return array[(*(None,) * (rank - array.ndim), ...)]


def move_axis(array: Array, source: int, destination: int) -> Array:
    """Return the array with one axis moved: a permutation, which PyTorch's `vmap` can map, unlike its `moveaxis`."""
    axes = list(range(array.ndim))
    moved = axes.pop(source)
    axes.insert(destination % array.ndim, moved)
    return namespace(array).permute_dims(array, tuple(axes))


def signed(basis: Array) -> Array:
    """Return the columns with the sign that makes the first of their largest entries positive."""
    xp = namespace(basis)
    magnitude = xp.abs(basis)
    first = xp.argmax(xp.astype(magnitude >= TIE * xp.max(magnitude, axis=0, keepdims=True), xp.int32), axis=0)
    row = xp.arange(basis.shape[0], device=device(basis))
    leading = xp.where(row[:, None] == first[None, :], basis, xp.zeros_like(basis))
    return xp.where(xp.sum(leading, axis=0, keepdims=True) < 0, -basis, basis)


def expect_symmetric(name: str, matrix: Array) -> None:
    """Raise ValueError unless a matrix equals its transpose, to √eps of the largest entry."""
    xp = namespace(matrix)
    asymmetry = xp.max(xp.abs(matrix - matrix.T))
    symmetric = asymmetry <= math.sqrt(xp.finfo(matrix.dtype).eps) * xp.max(xp.abs(matrix))
    expect(symmetric, f"{name}: expected a symmetric matrix, got a difference of {{:.2g}} to its transpose", asymmetry)


def orthonormalised(name: str, vectors: Array) -> Array:
    """Return columns whose first k span what the first k of these span, by Gram and Schmidt; refuse dependent ones."""
    xp, vectors = namespace(vectors), scaled(vectors, -2)  # lengths cancel, but squares of some may be out of range
    columns, triangle = xp.linalg.qr(vectors)
    length = xp.linalg.diagonal(triangle)
    rounding = 8 * xp.finfo(vectors.dtype).eps * math.sqrt(vectors.shape[-2])
    independent = xp.all(xp.abs(length) > rounding * xp.linalg.vector_norm(vectors, axis=-2))
    expect(independent, f"{name}: expected linearly independent vectors, got dependent ones")
    return xp.where(length[..., None, :] < 0, -columns, columns)  # libraries choose the sign of a length freely


class RangeError(ValueError):
    """Values whose squares are too large or too small for their dtype."""


def expect_squares(name: str, array: Array) -> None:
    """Raise RangeError if sums of squares of an array's values may overflow, or all of them vanish but zeros."""
    xp, limits = namespace(array), namespace(array).finfo(array.dtype)
    largest = xp.maximum(xp.max(array), -xp.min(array))
    least, most = math.sqrt(limits.smallest_normal), math.sqrt(limits.max / math.prod(array.shape))
    within = (largest == 0) | ((largest >= least) & (largest <= most))
    if is_concrete(within) and not bool(within):
        wanted = f"values whose squares are in the range of {array.dtype}, at most {most:.1g}"
        raise RangeError(
            f"{name}: expected {wanted} and not all below {least:.1g}, got a largest of {float(largest):.3g}"
        )
