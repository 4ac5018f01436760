"""Random initial networks: normal weights with the variance of a published scheme, zero biases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from nmnc_ref import convolution, random
from nmnc_ref.arrays import Array, count, expect_tuple
from nmnc_ref.dense import Dense
from nmnc_ref.recurrent import Cell


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
    random.expect_one_key(key)
    expect_tuple("widths", widths, of="integers")
    if len(widths) < 2:
        raise ValueError(f"widths: expected at least two, got {len(widths)}")
    return tuple(
        _dense(random.fold_in(key, index), count("widths", inputs), count("widths", outputs), dtype, scheme)
        for index, (inputs, outputs) in enumerate(itertools.pairwise(widths))
    )


class Stage(NamedTuple):
    """A convolutional layer to be: `channels` C', and the rest as in `convolution.Geometry`."""

    channels: int
    size: int
    stride: int = 1
    padding: int = 0
    pool: int = 1
    pool_stride: int = 1


def convolutional_network(
    key: Array,
    image: tuple[int, int, int],
    stages: tuple[Stage, ...],
    widths: tuple[int, ...],
    dtype: Any,
    scheme: Callable[[int, int], float] = he,
) -> tuple[Any, ...]:
    """Return convolutional layers and dense ones above, with normal weights of the scheme's deviation and zero biases.

    Args:
        key: random key [2], in the array library of the network.
        image: (C, H, W) of the input.
        stages: the convolutional layers.
        widths: of the dense layers, (…, n_o).
        dtype: the library's float32 or float64.
        scheme: standard deviation of the weights from the numbers of inputs and outputs of one unit: C·size² of a
            kernel, and C'·size².

    Raises:
        TypeError: as `dense_network`; a stage that is not a Stage.
        ValueError: as `dense_network` and `convolution.of`; ValueError also for no stage or no width.
    """
    random.expect_one_key(key)
    expect_tuple("stages", stages, of="stages", filled=True)
    expect_tuple("widths", widths, of="integers", filled=True)
    layers: list[Any] = []
    for index, stage in enumerate(stages):
        if not isinstance(stage, Stage):
            raise TypeError(f"stages[{index}]: expected a Stage, got {type(stage).__name__}")
        kind = convolution.of(convolution.Geometry(image, *stage[1:]))
        shape = (count("channels", stage.channels), image[0], stage.size, stage.size)
        deviation = scheme(image[0] * stage.size**2, stage.channels * stage.size**2)
        weight = deviation * random.normal(random.fold_in(key, index), shape, dtype)
        layers.append(kind(weight, 0 * weight[:, 0, 0, 0]))
        image = (stage.channels, *layers[-1].geometry.places)
    for index, (inputs, outputs) in enumerate(itertools.pairwise((math.prod(image), *widths)), start=len(stages)):
        layers.append(_dense(random.fold_in(key, index), inputs, count("widths", outputs), dtype, scheme))
    return tuple(layers)


def recurrent_network(
    key: Array, inputs: int, units: int, outputs: int, dtype: Any, scheme: Callable[[int, int], float] = lecun
) -> tuple[Cell, Dense]:
    """Return a recurrent network, cell and dense read-out, with normal weights and zero biases.

    Args:
        key: random key [2], in the array library of the network.
        inputs: m. units: n. outputs: n_o.
        dtype: the library's float32 or float64.
        scheme: standard deviation of the weights W [n, n], V [n, m], O [n_o, n] from the numbers of columns and rows.

    Raises:
        TypeError, ValueError: as `dense_network`.
    """
    random.expect_one_key(key)
    inputs, units, outputs = count("inputs", inputs), count("units", units), count("outputs", outputs)
    recurrent, below, above = (
        _dense(random.fold_in(key, index), *shape, dtype, scheme)
        for index, shape in enumerate(((units, units), (inputs, units), (units, outputs)))
    )
    return Cell(recurrent.weight, below.weight, recurrent.bias), above


def _dense(key: Array, inputs: int, outputs: int, dtype: Any, scheme: Callable[[int, int], float]) -> Dense:
    weight = scheme(inputs, outputs) * random.normal(key, (outputs, inputs), dtype)
    return Dense(weight, 0 * weight[:, 0])
