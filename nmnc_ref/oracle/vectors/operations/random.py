"""Random numbers: words are exact everywhere."""

from __future__ import annotations

from collections.abc import Callable

from nmnc_ref import random
from nmnc_ref.arrays import Array, library
from nmnc_ref.oracle.vectors.operation import operation


def _real(law: Callable[..., Array]) -> Callable[..., Array]:
    """Return a law of one row of draws, in a dtype of the key's library."""
    return lambda key, draws, dtype: law(key, (draws,), getattr(library("key", key), dtype))


ELEMENTARY = (
    operation("bits", "", "bits_i = x0 ^ x1 of Threefry-2x32(key, counter (0, i))", "exact")(
        ("key",), ("draws",), lambda key, draws: random.bits(key, (draws,))
    ),
    operation("split_keys", "", "key_i = (x0, x1) of Threefry-2x32(key, counter (0, i))", "exact")(
        ("key",), ("number",), random.split
    ),
    operation("folded_key", "", "(x0, x1) of Threefry-2x32(key, counter (0, data))", "exact")(
        ("key",), ("data",), random.fold_in
    ),
    operation(
        "uniform",
        "",
        "u = (w + 1/2) 2^-p, w the p most significant bits: p = 23 of x0 ^ x1 (float32), 52 of x0 2^32 + x1",
        "exact",
    )(("key",), ("draws", "dtype"), _real(random.uniform)),
    operation("signs", "", "1 - 2 (most significant bit of bits_i)", "exact")(
        ("key",), ("draws", "dtype"), _real(random.rademacher)
    ),
    operation(
        "normal", "", "z = √(-2 ln u) cos(2πv), u uniform with key 0 of split(key, 2) and v with key 1", "nonlinear"
    )(("key",), ("draws", "dtype"), _real(random.normal)),
)
