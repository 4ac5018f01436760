"""Random numbers that are the same on every array library: Threefry-2x32 in array operations.

A key is an array of two 32-bit words, so it can be traced. It is never changed: to draw twice, `split` it first.
Draw i of a key is the cipher's answer to the counter (0, i), so a draw does not depend on how many follow it.
The word x0 ^ x1 of each answer is the stream of `jax.random.bits`, and `split` and `fold_in` are JAX's too
(`jax_threefry_partitionable=True`).
As there, `fold_in(key, i)` is the key i of `split`, and `normal` splits its key: use a key for one thing only.

All functions accept keys with leading batch axes, and put these axes first in what they return.

Source: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from array_api_compat import device, is_numpy_namespace

from nmnc_ref.arrays import Array, Float, Scope, Words, expect, library, namespace, word_dtype
from nmnc_ref.checked import checked
from nmnc_ref.numerics import of_rank
from nmnc_ref.scalars import Count, Dtype, Integer, Namespace, Scalar

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
MASK = 0xFFFFFFFF


class Lengths(Scalar):
    """The shape of draws: lengths of at least 1, and fewer than 2³² elements."""

    def __call__(self, path: str, value: Any, scope: Scope) -> tuple[int, ...]:
        """Return a shape of a call as a tuple."""
        if not isinstance(value, (tuple, list)):
            raise TypeError(f"{path}: expected a tuple of lengths, got {type(value).__name__}")
        shape = tuple(Integer(1)(path, length, scope) for length in value)
        Integer(1, MASK)(path, math.prod(shape), scope)
        return shape


Shape = Annotated[tuple[int, ...], Lengths()]
Seed = Annotated[int, Integer(0, 2**64 - 1)]


@checked
def threefry2x32(
    key0: Words[Array, "..."], key1: Words[Array, "..."], counter0: Words[Array, "..."], counter1: Words[Array, "..."]
) -> tuple[Words[Array, "..."], Words[Array, "..."]]:
    """Encrypt the counters: 20 rounds of Threefry-2x32.

    Args:
        key0: first words of the keys; all arguments broadcast against one another.
        key1: second words of the keys.
        counter0: first words of the counters.
        counter1: second words of the counters.

    Returns:
        The two words of each answer.
    """
    xp = namespace(key0)
    _expect_broadcastable(key0=key0, key1=key1, counter0=counter0, counter1=counter1)

    def word(x: Array) -> Array:
        return x if x.dtype == xp.uint32 else x & MASK  # which is what uint32 wraps to by itself

    given = (key0, key1, counter0, counter1)
    rank = max(each.ndim for each in given)
    key0, key1, counter0, counter1 = (of_rank(each, max(rank, 1)) for each in given)  # NumPy warns of scalars that wrap
    keys = (key0, key1, key0 ^ key1 ^ PARITY)
    x0, x1 = word(counter0 + key0), word(counter1 + key1)
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 = word(x0 + x1)
            x1 = x0 ^ (word(x1 << rotation) | (x1 >> (32 - rotation)))
        x0 = word(x0 + keys[(group + 1) % 3])
        x1 = word(x1 + keys[(group + 2) % 3] + (group + 1))
    return (xp.reshape(x0, ()), xp.reshape(x1, ())) if rank == 0 else (x0, x1)


@checked
def key(seed: Seed, xp: Namespace) -> Words[Array, "2"]:
    """The key of a seed: its high and its low word.

    Args:
        seed: from 0 to 2⁶⁴ − 1.
        xp: the library that the key is to live in, such as `numpy`, `jax.numpy` or `array_api_compat.torch`.
    """
    return xp.asarray([seed >> 32, seed & MASK], dtype=word_dtype(xp))


@checked
def fold_in(key: Words[Array, "... 2"], data: int | Array) -> Words[Array, "... 2"]:
    """A new key for each integer in `data`.

    Args:
        key: one or more keys.
        data: an integer below 2³², or words that broadcast against the keys.
    """
    xp = namespace(key)
    if isinstance(data, (int, np.integer)):
        data = xp.asarray(Integer(0, MASK)("data", data, Scope()), dtype=key.dtype, device=device(key))
    elif getattr(data, "dtype", None) != key.dtype or library("data", data) is not xp:
        got = getattr(data, "dtype", type(data).__name__)
        raise TypeError(f"data: expected an int or words of {xp.__name__}, {key.dtype} like key, got {got}")
    expect(0 not in data.shape, f"data: expected a non-empty array, got shape {list(data.shape)}")
    counter = data[..., None]
    return xp.concat(threefry2x32(key[..., :1], key[..., 1:], xp.zeros_like(counter), counter), axis=-1)


@checked
def split(key: Words[Array, "*keys 2"], number: Count) -> Words[Array, "*keys number 2"]:
    """New keys, `number` for each.

    Args:
        key: one or more keys.
        number: how many.
    """
    return namespace(key).stack(words(key, (number,)), axis=-1)


@checked
def words(key: Words[Array, "*keys 2"], shape: Shape) -> tuple[Words[Array, "..."], Words[Array, "..."]]:
    """Two independent arrays of 32-bit words; as x0·2³² + x1 they are one 64-bit word.

    Args:
        key: one or more keys.
        shape: of the draws for each key.
    """
    xp = namespace(key)
    counter = xp.arange(math.prod(shape), dtype=key.dtype, device=device(key))
    x0, x1 = _words(key, counter)
    return xp.reshape(x0, (*key.shape[:-1], *shape)), xp.reshape(x1, (*key.shape[:-1], *shape))


@checked
def bits(key: Words[Array, "*keys 2"], shape: Shape) -> Words[Array, "..."]:
    """32 random bits in each element.

    Args:
        key: one or more keys.
        shape: of the draws for each key.
    """
    return _drawn(_bits, key, key.shape[:-1], shape)


@checked
def uniform(key: Words[Array, "*keys 2"], shape: Shape, dtype: Dtype) -> Float[Array, "..."]:
    """Draws from the uniform distribution on the open interval (0, 1).

    (w + ½)·2⁻ᵖ with w the first p bits of a word: p = 23 for float32 and 52 for float64, the largest with which 1
    cannot be rounded to. Exactly the same on every library.

    Args:
        key: one or more keys.
        shape: of the draws for each key.
        dtype: the library's float32 or float64.
    """
    return _drawn(functools.partial(_uniform, dtype=dtype), key, key.shape[:-1], shape)


@checked
def normal(key: Words[Array, "*keys 2"], shape: Shape, dtype: Dtype) -> Float[Array, "..."]:
    """Draws from the standard normal distribution, z ~ N(0, 1): √(−2 ln u)·cos(2πv) (Box and Muller 1958).

    Libraries agree to the rounding of ln, cos and √. The largest |z| that can come is 5.8 in float32 and 8.6 in
    float64.

    Args:
        key: one or more keys.
        shape: of the draws for each key.
        dtype: the library's float32 or float64.
    """
    return _drawn(functools.partial(_normal, dtype=dtype), split(key, 2), key.shape[:-1], shape)


@checked
def rademacher(key: Words[Array, "*keys 2"], shape: Shape, dtype: Dtype) -> Float[Array, "..."]:
    """The signs −1 and 1 with equal probability.

    Args:
        key: one or more keys.
        shape: of the draws for each key.
        dtype: the library's float32 or float64.
    """
    return 1 - 2 * namespace(key).astype(bits(key, shape) >> 31, dtype)


def _words(key: Array, counter: Array) -> tuple[Array, Array]:
    """Return the answers to (0, counter) of each key: [..., 2], [m] → [..., m]."""
    return threefry2x32(key[..., :1], key[..., 1:], namespace(key).zeros_like(counter), counter)


def _bits(key: Array, counter: Array) -> Array:
    x0, x1 = _words(key, counter)
    return x0 ^ x1


def _uniform(key: Array, counter: Array, dtype: Any) -> Array:
    xp = namespace(key)
    if dtype == xp.float32:
        return (xp.astype(_bits(key, counter) >> 9, dtype) + 0.5) * 2.0**-23
    x0, x1 = _words(key, counter)
    return (xp.astype(x0, dtype) * 2.0**20 + xp.astype(x1 >> 12, dtype) + 0.5) * 2.0**-52


def _normal(pair: Array, counter: Array, dtype: Any) -> Array:
    xp = namespace(pair)
    u, v = (_uniform(key, counter, dtype) for key in xp.unstack(pair, axis=-2))
    return xp.sqrt(-2 * xp.log(u)) * xp.cos(2 * math.pi * v)


BLOCK = 2**15
"""Draws that NumPy makes at a time: few enough that their words stay in the processor's cache."""


def _drawn(law: Callable[[Array, Array], Array], keys: Array, lead: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Return what a law, a function of keys [*lead, …] and counters, makes of the counters of a shape."""
    xp, size = namespace(keys), math.prod(shape)
    counter = xp.arange(size, dtype=keys.dtype, device=device(keys))
    if not is_numpy_namespace(xp) or math.prod(lead) * size <= BLOCK:
        return xp.reshape(law(keys, counter), (*lead, *shape))
    keys, together = xp.reshape(keys, (-1, *keys.shape[len(lead) :])), max(1, BLOCK // size)
    found = [
        xp.concat([law(keys[first : first + together], counter[i : i + BLOCK]) for i in range(0, size, BLOCK)], axis=1)
        for first in range(0, keys.shape[0], together)
    ]
    return xp.reshape(xp.concat(found), (*lead, *shape))


def _expect_broadcastable(**arguments: Array) -> None:
    shapes = [tuple(array.shape) for array in arguments.values()]
    for lengths in itertools.zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        alike = len(set(lengths) - {1}) <= 1
        expect(alike, f"{', '.join(arguments)}: expected shapes that broadcast, got {shapes}")
