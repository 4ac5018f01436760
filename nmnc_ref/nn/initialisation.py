"""Random initial networks: normal weights with the variance of a published scheme, zero biases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

from nmnc_ref import random
from nmnc_ref.arrays import Array, Key, expect
from nmnc_ref.checked import checked
from nmnc_ref.nn import convolution
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.feedforward import Network
from nmnc_ref.nn.recurrent import Cell
from nmnc_ref.scalars import Count, Dtype, Index, Positive, Some

Scheme = Callable[[int, int], Positive]
"""From the numbers of inputs and outputs of a unit, the standard deviation of its weights."""


@checked
def he(inputs: Count, outputs: Count) -> float:
    """√(2/inputs), which keeps ReLU activity at its scale (He et al. 2015).

    Args:
        inputs: of a unit.
        outputs: of a unit, which this scheme does not use.
    """
    del outputs
    return math.sqrt(2 / inputs)


@checked
def glorot(inputs: Count, outputs: Count) -> float:
    """√(2/(inputs + outputs)) (Glorot and Bengio 2010).

    Args:
        inputs: of a unit.
        outputs: of a unit.
    """
    return math.sqrt(2 / (inputs + outputs))


@checked
def lecun(inputs: Count, outputs: Count) -> float:
    """√(1/inputs), which keeps linear activity at its scale (LeCun et al. 1998).

    Args:
        inputs: of a unit.
        outputs: of a unit, which this scheme does not use.
    """
    del outputs
    return math.sqrt(1 / inputs)


@checked
def dense_network(key: Key, widths: tuple[Count, ...], dtype: Dtype, scheme: Scheme = he) -> Network:
    """A dense network with W_l ~ N(0, scheme(n_{l−1}, n_l)²) and b_l = 0.

    Args:
        key: random key, in the array library of the network.
        widths: (n_0, n_1, …, n_L).
        dtype: the library's float32 or float64.
        scheme: `he`, `glorot` or `lecun`, say.
    """
    expect(len(widths) > 1, f"widths: expected at least two, got {len(widths)}")
    return tuple(
        _dense(random.fold_in(key, index), inputs, outputs, dtype, scheme)
        for index, (inputs, outputs) in enumerate(itertools.pairwise(widths))
    )


class Kernel(NamedTuple):
    """A convolutional layer to be: `channels` C', and the rest as in `convolution.Geometry`."""

    channels: Count
    size: Count
    stride: Count = 1
    padding: Index = 0
    pool: Count = 1
    pool_stride: Count = 1


@checked
def convolutional_network(
    key: Key,
    image: tuple[Count, Count, Count],
    kernels: Annotated[tuple[Kernel, ...], Some],
    widths: Annotated[tuple[Count, ...], Some],
    dtype: Dtype,
    scheme: Scheme = he,
) -> Network:
    """Convolutional layers and dense ones above, with normal weights of the scheme's deviation and zero biases.

    Args:
        key: random key, in the array library of the network.
        image: (C, H, W) of the input.
        kernels: of the convolutional layers, one or more.
        widths: of the dense layers, (…, n_o).
        dtype: the library's float32 or float64.
        scheme: of a convolution with C·size² inputs of a unit, and C'·size² outputs.
    """
    layers: list = []
    for index, kernel in enumerate(kernels):
        geometry = convolution.Geometry(image, *kernel[1:])
        deviation = scheme(image[0] * kernel.size**2, kernel.channels * kernel.size**2)
        shape = (kernel.channels, image[0], kernel.size, kernel.size)
        weight = deviation * random.normal(random.fold_in(key, index), shape, dtype)
        layers.append(convolution.layer(weight, 0 * weight[:, 0, 0, 0], geometry))
        image = (kernel.channels, *geometry.places)
    for index, (inputs, outputs) in enumerate(itertools.pairwise((math.prod(image), *widths)), start=len(kernels)):
        layers.append(_dense(random.fold_in(key, index), inputs, outputs, dtype, scheme))
    return tuple(layers)


@checked
def recurrent_network(
    key: Key, inputs: Count, units: Count, outputs: Count, dtype: Dtype, scheme: Scheme = lecun
) -> tuple[Cell, Dense]:
    """A recurrent network, cell and dense read-out, with normal weights and zero biases.

    Args:
        key: random key, in the array library of the network.
        inputs: m.
        units: n.
        outputs: n_o.
        dtype: the library's float32 or float64.
        scheme: of the weights W, V and O, from their numbers of columns and rows.
    """
    recurrent, below, above = (
        _dense(random.fold_in(key, index), *shape, dtype, scheme)
        for index, shape in enumerate(((units, units), (inputs, units), (units, outputs)))
    )
    return Cell(recurrent.weight, below.weight, recurrent.bias), above


def _dense(key: Array, inputs: int, outputs: int, dtype: Dtype, scheme: Scheme) -> Dense:
    weight = scheme(inputs, outputs) * random.normal(key, (outputs, inputs), dtype)
    return Dense(weight, 0 * weight[:, 0])
