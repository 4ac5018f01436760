"""Random numbers: words are exact everywhere."""
# ruff: noqa: D103

from __future__ import annotations

from nmnc_ref import random
from nmnc_ref.arrays import Array, library
from nmnc_ref.oracle.vectors.operation import operation


@operation("", "bits_i = x0 ^ x1 of Threefry-2x32(key, counter (0, i))", "exact")
def bits(key: Array, *, draws: int) -> Array:
    return random.bits(key, (draws,))


@operation("", "key_i = (x0, x1) of Threefry-2x32(key, counter (0, i))", "exact")
def split_keys(key: Array, *, number: int) -> Array:
    return random.split(key, number)


@operation("", "(x0, x1) of Threefry-2x32(key, counter (0, data))", "exact")
def folded_key(key: Array, *, data: int) -> Array:
    return random.fold_in(key, data)


@operation("", "u = (w + 1/2) 2^-p, w the first p bits: p = 23 of x0 ^ x1 (float32), 52 of x0 2^32 + x1", "exact")
def uniform(key: Array, *, draws: int, dtype: str) -> Array:
    return random.uniform(key, (draws,), getattr(library("key", key), dtype))


@operation("", "1 - 2 (first bit of bits_i)", "exact")
def signs(key: Array, *, draws: int, dtype: str) -> Array:
    return random.rademacher(key, (draws,), getattr(library("key", key), dtype))


@operation("", "z = √(-2 ln u) cos(2πv), u and v uniform with the two keys of split(key, 2)", "nonlinear")
def normal(key: Array, *, draws: int, dtype: str) -> Array:
    return random.normal(key, (draws,), getattr(library("key", key), dtype))
