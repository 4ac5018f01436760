"""Random numbers that are the same on every array library: Threefry-2x32 in array operations.

A key is an array [2] of 32-bit words, so it can be traced. It is never changed: to draw twice, `split` it first.
Draw i of a key is the cipher's answer to the counter (0, i), so a draw does not depend on how many follow it.
The word x0 ^ x1 of each answer is the stream of `jax.random.bits`, and `split` and `fold_in` are JAX's too
(`jax_threefry_partitionable=True`).

All functions accept keys with leading batch axes, [..., 2], and put these axes first in what they return.

Source: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3.
"""

from __future__ import annotations

import itertools
import math
import warnings
from types import ModuleType
from typing import Any

import numpy as np
from array_api_compat import device, is_torch_namespace

from nmnc_ref.arrays import Array, count, expect_tuple, library

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
MASK = 0xFFFFFFFF


def word_dtype(xp: ModuleType) -> Any:
    """Return the dtype that holds a 32-bit word: uint32, or int64 in PyTorch, which has no uint32 arithmetic."""
    return xp.int64 if is_torch_namespace(xp) else xp.uint32


def threefry2x32(key0: Array, key1: Array, counter0: Array, counter1: Array) -> tuple[Array, Array]:
    """Encrypt the counters: 20 rounds of Threefry-2x32.

    Args:
        key0, key1, counter0, counter1: arrays of words (`word_dtype`) that broadcast against one another.

    Returns:
        The two words of each answer.

    Raises:
        TypeError: not arrays of words, or of two libraries.
        ValueError: an empty array, or shapes that do not broadcast.
    """
    xp = _expect_words(key0=key0, key1=key1, counter0=counter0, counter1=counter1)
    mask = xp.asarray(MASK, dtype=counter0.dtype, device=device(counter0))  # changes nothing where words are uint32
    keys = (key0, key1, key0 ^ key1 ^ PARITY)
    x0, x1 = (counter0 + key0) & mask, (counter1 + key1) & mask
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 = (x0 + x1) & mask
            x1 = ((x1 << rotation) & mask) | (x1 >> (32 - rotation))
            x1 = x0 ^ x1
        x0 = (x0 + keys[(group + 1) % 3]) & mask
        x1 = (x1 + keys[(group + 2) % 3] + (group + 1)) & mask
    return x0, x1


def key(seed: int, xp: ModuleType) -> Array:
    """Return the key [2] of a seed: its high and its low word.

    Args:
        seed: an integer from 0 to 2⁶⁴ − 1.
        xp: the array namespace that the key is to live in, such as `numpy`, `jax.numpy` or `array_api_compat.torch`.

    Raises:
        TypeError: `seed` is not an integer.
        ValueError: `seed` is out of range.
    """
    seed = count("seed", seed, 0, 2**64 - 1)
    return xp.asarray([seed >> 32, seed & MASK], dtype=word_dtype(xp))


def fold_in(key: Array, data: int | Array) -> Array:
    """Return a new key [..., 2] for each integer in `data` (an int, or words that broadcast against the key's batch).

    Raises:
        TypeError: `key` is not an array of words, or `data` not an integer or an array of words.
        ValueError: `key` has no last axis of length 2, or an int `data` is out of [0, 2³²).
    """
    xp = expect_key(key)
    if isinstance(data, (int, np.integer)):
        data = xp.asarray(count("data", data, 0, MASK), dtype=key.dtype, device=device(key))
    elif getattr(data, "dtype", None) != key.dtype or library("data", data) is not xp:
        raise TypeError(f"data: expected an int or words of {xp.__name__} like key, got {type(data).__name__}")
    elif 0 in data.shape:
        raise ValueError(f"data: expected a non-empty array, got shape {list(data.shape)}")
    counter = data[..., None]
    return xp.concat(threefry2x32(key[..., :1], key[..., 1:], xp.zeros_like(counter), counter), axis=-1)


def split(key: Array, number: int) -> Array:
    """Return `number` new keys, [..., number, 2].

    Raises:
        TypeError: `key` is not an array of words, or `number` not an integer.
        ValueError: `key` has no last axis of length 2, or `number` is below 1.
    """
    xp = expect_key(key)
    return xp.stack(words(key, (count("number", number),)), axis=-1)


def words(key: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return two independent arrays of 32-bit words, each [..., *shape]; as x0·2³² + x1 they are one 64-bit word.

    Raises:
        TypeError: `key` is not an array of words.
        ValueError: `key` has no last axis of length 2; `shape` has a length below 1, or 2³² or more elements.
    """
    xp = expect_key(key)
    expect_tuple("shape", shape, of="lengths")
    shape = tuple(count("shape", length) for length in shape)
    size = count("shape", math.prod(shape), 1, MASK)
    counter = xp.arange(size, dtype=key.dtype, device=device(key))
    x0, x1 = threefry2x32(key[..., :1], key[..., 1:], xp.zeros_like(counter), counter)
    return xp.reshape(x0, (*key.shape[:-1], *shape)), xp.reshape(x1, (*key.shape[:-1], *shape))


def bits(key: Array, shape: tuple[int, ...]) -> Array:
    """Return 32 random bits in each element of [..., *shape]; the errors are those of `words`."""
    x0, x1 = words(key, shape)
    return x0 ^ x1


def uniform(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Draw from the uniform distribution on the open interval (0, 1).

    (w + ½)·2⁻ᵖ with w the first p bits of a word: p = 23 for float32 and 52 for float64, the largest with which 1
    cannot be rounded to. Exactly the same on every library.

    Args:
        key: [..., 2].
        shape: of the draws for each key.
        dtype: the library's float32 or float64.

    Returns:
        [..., *shape].

    Raises:
        TypeError: as `words`, or a dtype that is none of the two or that the library is not set up for.
        ValueError: as `words`.
    """
    xp = expect_key(key)
    _expect_dtype(xp, dtype)
    x0, x1 = words(key, shape)
    if dtype == xp.float32:
        return (xp.astype((x0 ^ x1) >> 9, dtype) + 0.5) * 2.0**-23
    return (xp.astype(x0, dtype) * 2.0**20 + xp.astype(x1 >> 12, dtype) + 0.5) * 2.0**-52


def normal(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Draw from the standard normal distribution, z ~ N(0, 1): √(−2 ln u)·cos(2πv) (Box and Muller 1958).

    Arguments, returned shape and errors are those of `uniform`. Libraries agree to the rounding of ln, cos and √.
    The largest |z| that can come is 5.8 in float32 and 8.5 in float64.
    """
    xp = expect_key(key)
    keys = split(key, 2)
    u, v = uniform(keys[..., 0, :], shape, dtype), uniform(keys[..., 1, :], shape, dtype)
    return xp.sqrt(-2 * xp.log(u)) * xp.cos(2 * math.pi * v)


def rademacher(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Draw the signs −1 and 1 with equal probability; arguments, returned shape and errors as `uniform`."""
    xp = expect_key(key)
    _expect_dtype(xp, dtype)
    return 1 - 2 * xp.astype(bits(key, shape) >> 31, dtype)


def _expect_words(**arguments: Array) -> ModuleType:
    first = next(iter(arguments))
    xp = library(first, arguments[first])
    for name, array in arguments.items():
        own = library(name, array)
        if own is not xp:
            raise TypeError(f"{name}: expected an array of {xp.__name__} like {first}, got one of {own.__name__}")
        if array.dtype != word_dtype(xp):
            raise TypeError(f"{name}: expected an array of words, {word_dtype(xp)}, got {array.dtype}")
        if 0 in array.shape:
            raise ValueError(f"{name}: expected a non-empty array, got shape {list(array.shape)}")
    shapes = [tuple(array.shape) for array in arguments.values()]
    for lengths in itertools.zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        if len(set(lengths) - {1}) > 1:
            raise ValueError(f"{', '.join(arguments)}: expected shapes that broadcast, got {shapes}")
    return xp


def expect_key(key: Array) -> ModuleType:
    """Return the namespace of a key [..., 2].

    Raises:
        TypeError: not an array of words.
        ValueError: no last axis of length 2, or empty.
    """
    xp = _expect_words(key=key)
    if key.ndim < 1 or key.shape[-1] != 2:
        raise ValueError(f"key: expected shape [..., 2], got {list(key.shape)}")
    return xp


def expect_one_key(key: Array, **like: Array) -> ModuleType:
    """Return the namespace of one key [2], which is that of the array `like`, given by its name.

    Raises:
        TypeError: as `expect_key`, or another library than that of the array.
        ValueError: not of shape [2].
    """
    xp = expect_key(key)
    if key.ndim != 1:
        raise ValueError(f"key: expected one key, of shape [2], got {list(key.shape)}")
    for name, array in like.items():
        own = library(name, array)
        if own is not xp:
            raise TypeError(f"key: expected an array of {own.__name__} like {name}, got one of {xp.__name__}")
    return xp


def _expect_dtype(xp: ModuleType, dtype: Any) -> None:
    if dtype not in (xp.float32, xp.float64):
        raise TypeError(f"dtype: expected float32 or float64 of {xp.__name__}, got {dtype}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns here, and goes on in float32
        available = xp.empty(1, dtype=dtype).dtype == dtype
    if not available:
        raise TypeError(f"dtype: {xp.__name__} is not set up for {dtype}; with JAX, set JAX_ENABLE_X64=1")
