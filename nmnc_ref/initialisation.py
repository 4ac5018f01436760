"""Random initial networks: normal weights with the variance of a published scheme, zero biases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from nmnc_ref import random
from nmnc_ref.arrays import Array, count, expect_tuple
from nmnc_ref.dense import Dense


def he(inputs: int, outputs: int) -> float:
    """Return the standard deviation √(2/inputs), which keeps ReLU activity at its scale (He et al. 2015)."""
    del outputs
    return math.sqrt(2 / count("inputs", inputs))


def glorot(inputs: int, outputs: int) -> float:
    """Return the standard deviation √(2/(inputs + outputs)) (Glorot and Bengio 2010)."""
    return math.sqrt(2 / (count("inputs", inputs) + count("outputs", outputs)))


def lecun(inputs: int, outputs: int) -> float:
    """Return the standard deviation √(1/inputs), which keeps linear activity at its scale (LeCun et al. 1998)."""
    del outputs
    return math.sqrt(1 / count("inputs", inputs))


def dense_network(
    key: Array, widths: tuple[int, ...], dtype: Any, scheme: Callable[[int, int], float] = he
) -> tuple[Dense, ...]:
    """Return a dense network with W_l ~ N(0, scheme(n_{l−1}, n_l)²) and b_l = 0.

    Args:
        key: random key [2], in the array library of the network.
        widths: (n_0, n_1, …, n_L).
        dtype: the library's float32 or float64.
        scheme: standard deviation of the weights from the numbers of inputs and outputs: `he`, `glorot`, `lecun`.

    Returns:
        L layers.

    Raises:
        TypeError: a key or dtype that `random.normal` refuses; a width that is not an integer.
        ValueError: fewer than two widths, or one below 1.
    """
    random.expect_key(key)
    if key.ndim != 1:
        raise ValueError(f"key: expected one key, of shape [2], got {list(key.shape)}")
    expect_tuple("widths", widths, of="integers")
    if len(widths) < 2:
        raise ValueError(f"widths: expected at least two, got {len(widths)}")
    layers = []
    for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        shape = (count("widths", outputs), count("widths", inputs))
        weight = scheme(inputs, outputs) * random.normal(random.fold_in(key, index), shape, dtype)
        layers.append(Dense(weight, 0 * weight[:, 0]))
    return tuple(layers)
