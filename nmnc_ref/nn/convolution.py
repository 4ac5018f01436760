"""The convolutional layer, on images flattened to [..., C·H·W], channels first.

The activity below may first be averaged over windows: in the usual order, convolution, non-linearity, pooling, the
pooling is the linear start of the next layer.

    geometry = convolution.Geometry((1, 28, 28), size=5, stride=2, padding=2)
    layer = convolution.layer(weight, bias, geometry)  # [16, 1, 5, 5] and [16]: 784 units to 16·14·14

A kernel as large as the image, without padding, is a fully connected layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from array_api_compat import device

from nmnc_ref.arrays import Array, Basis, Float, at_most, expect, expect_length, namespace
from nmnc_ref.checked import check_fields, checked
from nmnc_ref.numerics import move_axis, of_rank
from nmnc_ref.scalars import Count, Index


@dataclass(frozen=True)
class Geometry:
    """What sets the shapes of a convolution, in pixels.

    `image`: (C, H, W) of the activity below; `size`, `stride`: of the square kernel; `padding`: zeros on each side of
    the (pooled) image; `pool`, `pool_stride`: window and step of the averages that are taken first.
    """

    image: tuple[Count, Count, Count]
    size: Count
    stride: Count = 1
    padding: Index = 0
    pool: Count = 1
    pool_stride: Count = 1

    def __post_init__(self) -> None:
        check_fields(self)
        at_most("pool", self.pool, min(self.image[1:]), "the shorter side of image")
        at_most("size", self.size, min(self.padded), "the shorter side of the padded image")

    @property
    def pooled(self) -> tuple[int, int]:
        """Height and width after pooling."""
        _, height, width = self.image
        return _places(height, self.pool, self.pool_stride), _places(width, self.pool, self.pool_stride)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width after pooling and padding."""
        height, width = self.pooled
        return height + 2 * self.padding, width + 2 * self.padding

    @property
    def places(self) -> tuple[int, int]:
        """Height and width of the layer's own map."""
        height, width = self.padded
        return _places(height, self.size, self.stride), _places(width, self.size, self.stride)


class Convolution(NamedTuple):
    """A convolutional layer: weight W, bias b, and its geometry, which `layer` puts in its place.

    `static` is a dictionary whose one key is the geometry: JAX and its like take the keys of a dictionary for
    structure, which is known while they trace, and all else in a layer for data.
    """

    weight: Float[Array, "o c k k"]
    bias: Float[Array, "o"]
    static: dict[Geometry, None]

    @property
    def geometry(self) -> Geometry:
        """What sets its shapes."""
        found = list(self.static) if isinstance(self.static, dict) else []
        if len(found) != 1 or not isinstance(found[0], Geometry):
            raise TypeError(f"static: expected {{geometry: None}}, as `layer` makes it, got {self.static!r}")
        return found[0]

    @property
    def inputs(self) -> int:
        """The number C·H·W of units below."""
        return math.prod(self.geometry.image)

    @property
    def outputs(self) -> int:
        """The number o·H'·W' of units."""
        return self.weight.shape[0] * self.positions

    @property
    def positions(self) -> int:
        """The number H'·W' of places that share each weight."""
        return math.prod(self.geometry.places)

    @checked
    def preactivation(self, activity: Float[Array, "*batch m"]) -> Float[Array, "*batch n"]:
        """s_p = W · patch_p(x) + b at each place p, of the activity x below."""
        self._expect_fit(activity=(activity, self.inputs))
        s = self._kernel() @ self._patches(activity)
        s = s + of_rank(self.bias[:, None], s.ndim)
        return namespace(s).reshape(s, (*activity.shape[:-1], -1))

    @checked
    def pull_back(self, delta: Float[Array, "*batch n"]) -> Float[Array, "*batch m"]:
        """Σ_p patch_pᵀ(Wᵀ δ_p): the gradient at the activity below, of a gradient δ at s."""
        self._expect_fit(delta=(delta, self.outputs))
        xp, lead, shape = namespace(delta), delta.shape[:-1], self.geometry
        places = xp.reshape(delta, (*lead, self.weight.shape[0], -1))
        patches = xp.reshape(self._kernel().T @ places, (*lead, shape.image[0], shape.size**2, *shape.places))
        image = _overlaid(patches, shape.size, shape.stride, *shape.padded)
        (height, width), edge = shape.pooled, shape.padding
        image = image[..., None, edge : edge + height, edge : edge + width] / shape.pool**2
        image = xp.repeat(image, shape.pool**2, axis=-3)
        return xp.reshape(_overlaid(image, shape.pool, shape.pool_stride, *shape.image[1:]), (*lead, -1))

    @checked
    def gradient(self, delta: Float[Array, "B n"], activity: Float[Array, "B m"]) -> Convolution:
        """(Σ_ip δ_ip patch_p(x_i)ᵀ, Σ_ip δ_ip): the gradient of the parameters, of δ at s and the activity x below."""
        self._expect_fit(delta=(delta, self.outputs), activity=(activity, self.inputs))
        xp = namespace(delta)
        delta = xp.reshape(delta, (delta.shape[0], self.weight.shape[0], -1))  # [B, o, places]
        each = delta @ self._patches(activity).mT
        weight = xp.reshape(xp.sum(each, axis=0), self.weight.shape)
        return self._replace(weight=weight, bias=xp.sum(delta, axis=(0, 2)))

    def _expect_fit(self, **arguments: tuple[Array, int]) -> None:
        shape = self.geometry
        wanted = (shape.image[0], shape.size, shape.size)
        got = tuple(self.weight.shape[1:])
        expect(got == wanted, f"weight: expected kernels of shape {wanted} as in the geometry, got {got}")
        for name, (array, units) in arguments.items():
            expect_length(name, array, -1, units, "the geometry")

    def _kernel(self) -> Array:
        return namespace(self.weight).reshape(self.weight, (self.weight.shape[0], -1))

    def _patches(self, activity: Array) -> Array:
        """Return the patches of pixels that the kernel meets, [..., C·size², places]."""
        xp = namespace(activity)
        lead, shape = activity.shape[:-1], self.geometry
        image = xp.reshape(activity, (*lead, *shape.image))
        image = xp.mean(_windows(image, shape.pool, shape.pool_stride), axis=-3)
        for axis in (-2, -1):
            image = _padded(image, axis, shape.padding, shape.padding)
        patches = _windows(image, shape.size, shape.stride)
        return xp.reshape(patches, (*lead, shape.image[0] * shape.size**2, -1))


@checked
def layer(weight: Float[Array, "o c k k"], bias: Float[Array, "o"], geometry: Geometry) -> Convolution:
    """The layer of weight W and bias b that has a geometry.

    Args:
        weight: W, for each channel of the map a kernel on all channels below.
        bias: b, for each channel of the map.
        geometry: what sets the shapes.
    """
    made = Convolution(weight, bias, {geometry: None})
    made._expect_fit()
    return made


@checked
def channel_vectors(activity: Float[Array, "*batch m"], channels: Count) -> Float[Array, "*batch places C"]:
    """The vectors of channels at every place of every image [choice].

    Their manifold, of as many samples as there are places, serves where a layer has many places and few images; it
    treats all places alike. `shared_basis` brings it to the whole map.

    Args:
        activity: x, flattened images of C·H·W units.
        channels: C.
    """
    units = activity.shape[-1]
    expect(units % channels == 0, f"activity: expected a multiple of {channels} channels, got {units} units")
    return namespace(activity).reshape(activity, (*activity.shape[:-1], channels, -1)).mT


@checked
def shared_basis(basis: Basis[Array, "C d"], positions: Count) -> Basis[Array, "units dimensions"]:
    """U ⊗ I: the basis of the whole map that applies a basis of channel vectors at every place [choice].

    It has d·H·W dimensions. The basis of the whole map (`manifold.fit` on flattened activity) has few, and is the
    manifold of the theory; the shared one is the cheaper to estimate and to store.

    Args:
        basis: U, of channel vectors.
        positions: H·W.
    """
    xp, (channels, d) = namespace(basis), basis.shape
    places = xp.eye(positions, dtype=basis.dtype, device=device(basis))
    return xp.reshape(basis[:, None, :, None] * places[None, :, None, :], (channels * positions, d * positions))


def _places(length: int, size: int, stride: int) -> int:
    return (length - size) // stride + 1


def _windows(image: Array, size: int, stride: int) -> Array:
    """Return the pixels under each offset of a window at all its places: [..., H, W] to [..., size², H', W']."""
    xp = namespace(image)
    height, width = (_places(side, size, stride) for side in image.shape[-2:])
    rows, columns = stride * (height - 1) + 1, stride * (width - 1) + 1
    offsets = [(row, column) for row in range(size) for column in range(size)]
    return xp.stack([image[..., i : i + rows : stride, j : j + columns : stride] for i, j in offsets], axis=-3)


def _overlaid(windows: Array, size: int, stride: int, height: int, width: int) -> Array:
    """Return the images of which each pixel is the sum of what falls on it: the transpose of `_windows`."""
    xp = namespace(windows)
    rows, columns = windows.shape[-2:]
    windows = xp.reshape(windows, (*windows.shape[:-3], size, size, rows, columns))
    lines = _overlaid_line(move_axis(windows, -3, -2), stride, width)  # [..., size, H', W]
    return _overlaid_line(move_axis(lines, -1, -3), stride, height).mT


def _overlaid_line(windows: Array, stride: int, length: int) -> Array:
    """Return sums along one axis: [..., size, P] to [..., length], where offset j of place p falls on stride·p + j."""
    spread = _dilated(windows, -1, stride)
    rest = length - spread.shape[-1]
    line = _padded(spread[..., 0, :], -1, 0, rest)
    for j in range(1, windows.shape[-2]):
        line = line + _padded(spread[..., j, :], -1, j, rest - j)
    return line


def _padded(array: Array, axis: int, before: int, after: int) -> Array:
    xp = namespace(array)
    shape = list(array.shape)
    zeros = []
    for length in (before, after):
        shape[axis] = length
        zeros.append(xp.zeros(tuple(shape), dtype=array.dtype, device=device(array)))
    return xp.concat([zeros[0], array, zeros[1]], axis=axis)


def _dilated(array: Array, axis: int, stride: int) -> Array:
    """Put stride − 1 zeros between neighbours along an axis."""
    xp = namespace(array)
    lines = move_axis(array, axis, -1)
    gaps = xp.zeros((*lines.shape, stride - 1), dtype=array.dtype, device=device(array))
    lines = xp.concat([lines[..., None], gaps], axis=-1)
    lines = xp.reshape(lines, (*lines.shape[:-2], -1))
    return move_axis(lines[..., : lines.shape[-1] - stride + 1], -1, axis)
