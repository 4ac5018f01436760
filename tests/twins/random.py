"""Random numbers: slips in the cipher, and in what is made of its words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nmnc_ref import random
from twins.slip import RIGHT, Twin, given, then


def threefry(key, counter0, counter1, rounds=20, rotate=1, parity=0x1BD11BDA, injected=1, wrap=2**32):
    """Threefry-2x32 in Python's integers."""
    (k0, k1), x0, x1 = key.tolist(), int(counter0), int(counter1)
    keys = (k0, k1, k0 ^ k1 ^ parity)
    x0, x1 = (x0 + k0) % wrap, (x1 + k1) % wrap
    for group in range(rounds // 4):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            left = rotation if rotate == 1 else 32 - rotation
            x0 = (x0 + x1) % wrap
            x1 = (x1 << left | x1 >> 32 - left) % wrap ^ x0
        x0 = (x0 + keys[(group + 1) % 3]) % wrap
        x1 = (x1 + keys[(group + 2) % 3] + injected * (group + 1)) % wrap
    return x0 % 2**32, x1 % 2**32


def words(key, draws, start=0, of=lambda i: (0, i), **slip):
    return np.array([threefry(key, *of(i), **slip) for i in range(start, start + draws)], dtype=np.uint32).T


def bits(**slip) -> Twin:
    return lambda key, draws: np.bitwise_xor(*words(key, draws, **slip))


def uniform(of: Callable[[np.ndarray, np.ndarray, int], Any]) -> Twin:
    """Of the two words of each answer, and 23 or 52 digits."""
    return lambda key, draws, dtype: np.asarray(
        of(*(each.astype(np.uint64) for each in words(key, draws)), 23 if dtype == "float32" else 52), dtype
    )


def leading(x0, x1, digits, add=0.5, less=0):
    """The first digits of a word of 64 bits, as of the pack in float64."""
    return (((x0 << np.uint64(32) | x1) >> np.uint64(64 - digits + less)) + add) * 2.0 ** (less - digits)


def normal(make=lambda u, v: np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v), keys=(0, 1)) -> Twin:
    def twin(key, draws, dtype):
        drawn = [RIGHT.uniform(random.fold_in(key, k), draws=draws, dtype=dtype) for k in keys]
        return np.asarray(make(*drawn), dtype)

    return twin


TWINS = {
    "bits": {
        "the first word alone": lambda key, draws: words(key, draws)[0],
        "the second word alone": lambda key, draws: words(key, draws)[1],
        "counter (i, 0)": bits(of=lambda i: (i, 0)),
        "counter from 1": bits(start=1),
        "both words in a row": lambda key, draws: words(key, draws).T.ravel()[:draws],
        "12 rounds": bits(rounds=12),
        "rotation to the right": bits(rotate=-1),
        "no parity word": bits(parity=0),
        "key injected without its number": bits(injected=0),
        "sums that do not wrap": bits(wrap=2**64),
        "key words swapped": lambda key, draws: np.bitwise_xor(*words(key[::-1], draws)),
    },
    "split_keys": {
        "words swapped": then(lambda keys, i: keys[:, ::-1]),
        "counter from 1": lambda key, number: words(key, number, start=1).T,
        "bits in a row": lambda key, number: bits()(key, 2 * number).reshape(number, 2),
        "words in columns": lambda key, number: words(key, number).ravel().reshape(number, 2),
    },
    "folded_key": {
        "words swapped": then(lambda key, i: key[::-1]),
        "counter (data, 0)": lambda key, data: threefry(key, data, 0),
        "data of 31 bits": given(data=lambda i: i.data % 2**31),
        "added to the key": lambda key, data: key + np.uint32(data),
    },
    "uniform": {
        "without the half": uniform(lambda x0, x1, p: leading(x0, x1, 52, 0) if p == 52 else ((x0 ^ x1) >> 9) / 2**23),
        "a bit more": uniform(
            lambda x0, x1, p: leading(x0, x1, 52, less=-1) if p == 52 else (((x0 ^ x1) >> 8) + 0.5) / 2**24
        ),
        "32 bits": uniform(lambda x0, x1, p: ((x0 ^ x1) + 0.5) / 2**32),
        "words swapped": uniform(lambda x0, x1, p: leading(x1, x0, 52) if p == 52 else (x1 >> 9) / 2**23),
        "1 − u": then(lambda u, i: 1 - u),
    },
    "signs": {
        "+1 for a set bit": then(lambda sign, i: -sign),
        "the last bit": lambda key, draws, dtype: (1 - 2.0 * (bits()(key, draws) % 2)).astype(dtype),
        "of the first word": lambda key, draws, dtype: (1 - 2.0 * (words(key, draws)[0] >> 31)).astype(dtype),
    },
    "normal": {
        "sine": normal(lambda u, v: np.sqrt(-2 * np.log(u)) * np.sin(2 * np.pi * v)),
        "log10": normal(lambda u, v: np.sqrt(-2 * np.log10(u)) * np.cos(2 * np.pi * v)),
        "no factor 2": normal(lambda u, v: np.sqrt(-np.log(u)) * np.cos(2 * np.pi * v)),
        "half the angle": normal(lambda u, v: np.sqrt(-2 * np.log(u)) * np.cos(np.pi * v)),
        "u and v swapped": normal(keys=(1, 0)),
        "keys from 1": normal(keys=(1, 2)),
        "one key": normal(keys=(0, 0)),
    },
}
