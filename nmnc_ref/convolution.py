"""The convolutional layer, on images flattened to [..., C·H·W], channels first.

The activity below may first be averaged over windows: in the usual order, convolution, non-linearity, pooling, the
pooling is the linear start of the next layer. What sets shapes is no data, so it belongs to the type of the layer:

    Layer = convolution.of(convolution.Geometry((1, 28, 28), size=5, stride=2, padding=2))
    layer = Layer(weight, bias)  # [16, 1, 5, 5] and [16]: 784 units to 16·14·14

A kernel as large as the image, without padding, is a fully connected layer.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from array_api_compat import array_namespace, device

from nmnc_ref.arrays import Array, count, expect, expect_orthonormal, expect_tuple


class Geometry(NamedTuple):
    """What sets the shapes of a convolution, in pixels.

    `image`: (C, H, W) of the activity below; `size`, `stride`: of the square kernel; `padding`: zeros on each side of
    the (pooled) image; `pool`, `pool_stride`: window and step of the averages that are taken first.
    """

    image: tuple[int, int, int]
    size: int
    stride: int = 1
    padding: int = 0
    pool: int = 1
    pool_stride: int = 1

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
    """A convolutional layer: `weight` W [C', C, size, size], `bias` b [C']. Its types are made by `of`.

    Its methods raise TypeError for mixed libraries or dtypes, and ValueError for shapes that do not fit, empty arrays,
    NaN and infinity.
    """

    weight: Array
    bias: Array

    @property
    def geometry(self) -> Geometry:
        """What sets its shapes; the types made by `of` have one."""
        raise TypeError("Convolution: expected a type made by convolution.of, which knows its geometry, got the base")

    @property
    def inputs(self) -> int:
        """The number C·H·W of units below."""
        return math.prod(self.geometry.image)

    @property
    def positions(self) -> int:
        """The number H'·W' of places that share each weight."""
        return math.prod(self.geometry.places)

    def preactivation(self, activity: Array) -> Array:
        """Return s [..., C'·H'·W'] of `activity` x [..., C·H·W]: at each place p, s_p = W · patch_p(x) + b."""
        xp = self._expect(activity=(activity, "... m"))
        s = self._kernel() @ self._patches(activity) + self.bias[:, None]
        return xp.reshape(s, (*activity.shape[:-1], -1))

    def pull_back(self, delta: Array) -> Array:
        """Return the gradient Σ_p patch_pᵀ(Wᵀ δ_p), [..., C·H·W], of `delta` δ [..., C'·H'·W'] at s."""
        xp = self._expect(delta=(delta, "... n"))
        lead, shape = delta.shape[:-1], self.geometry
        places = xp.reshape(delta, (*lead, self.weight.shape[0], -1))
        patches = xp.reshape(self._kernel().T @ places, (*lead, shape.image[0], shape.size**2, *shape.places))
        image = _overlaid(patches, shape.size, shape.stride, *shape.padded)
        (height, width), edge = shape.pooled, shape.padding
        image = image[..., None, edge : edge + height, edge : edge + width] / shape.pool**2
        image = xp.repeat(image, shape.pool**2, axis=-3)
        return xp.reshape(_overlaid(image, shape.pool, shape.pool_stride, *shape.image[1:]), (*lead, -1))

    def gradient(self, delta: Array, activity: Array) -> Convolution:
        """Return the layer (Σ_ip δ_ip patch_p(x_i)ᵀ, Σ_ip δ_ip) of `delta` [B, C'·H'·W'] and `activity` [B, C·H·W]."""
        xp = self._expect(delta=(delta, "B n"), activity=(activity, "B m"))
        outputs = self.weight.shape[0]
        delta = xp.reshape(delta, (delta.shape[0], outputs, -1))  # [B, C', places]
        each = delta @ self._patches(activity).mT
        weight = xp.reshape(xp.sum(each, axis=0), self.weight.shape)
        return type(self)(weight, xp.sum(delta, axis=(0, 2)))

    def _kernel(self) -> Array:
        xp = array_namespace(self.weight)
        return xp.reshape(self.weight, (self.weight.shape[0], -1))

    def _patches(self, activity: Array) -> Array:
        """Return the patches of pixels that the kernel meets, [..., C·size², places]."""
        xp = array_namespace(activity)
        lead, shape = activity.shape[:-1], self.geometry
        image = xp.reshape(activity, (*lead, *shape.image))
        image = xp.mean(_windows(image, shape.pool, shape.pool_stride), axis=-3)
        for axis in (-2, -1):
            image = _padded(image, axis, shape.padding, shape.padding)
        patches = _windows(image, shape.size, shape.stride)
        return xp.reshape(patches, (*lead, shape.image[0] * shape.size**2, -1))

    def _expect(self, **arguments: tuple[Array, str]):
        xp = expect(weight=(self.weight, "o c k k"), bias=(self.bias, "o"), **arguments)
        shape = self.geometry
        wanted = (shape.image[0], shape.size, shape.size)
        if tuple(self.weight.shape[1:]) != wanted:
            raise ValueError(
                f"weight: expected shape [o, {', '.join(map(str, wanted))}], got {list(self.weight.shape)}"
            )
        units = {"activity": self.inputs, "delta": self.weight.shape[0] * self.positions}
        for name, (array, _) in arguments.items():
            if array.shape[-1] != units[name]:
                raise ValueError(f"{name}: expected a last axis of {units[name]} units, got shape {list(array.shape)}")
        return xp


def of(geometry: Geometry) -> type[Convolution]:
    """Return the type of convolutional layers of a geometry, always the same for the same.

    Raises:
        TypeError: not a Geometry, or one with a number that is not an integer.
        ValueError: a length below 1, a negative padding, a window or kernel larger than its image.
    """
    if not isinstance(geometry, Geometry):
        raise TypeError(f"geometry: expected a Geometry, got {type(geometry).__name__}")
    expect_tuple("geometry.image", geometry.image, 3, of="integers C, H, W")
    channels, height, width = (count("geometry.image", side) for side in geometry.image)
    names = ("size", "stride", "pool", "pool_stride")
    lengths = {name: count(f"geometry.{name}", getattr(geometry, name)) for name in names}
    padding = count("geometry.padding", geometry.padding, 0)
    geometry = Geometry((channels, height, width), padding=padding, **lengths)
    for name, side in (("pool", min(geometry.image[1:])), ("size", min(geometry.padded))):
        count(f"geometry.{name}", getattr(geometry, name), 1, side)
    return _type(geometry)


@functools.cache
def _type(geometry: Geometry) -> type[Convolution]:
    return type("Convolution", (Convolution,), {"__slots__": (), "geometry": geometry, "__doc__": Convolution.__doc__})


def channel_vectors(activity: Array, channels: int) -> Array:
    """Return the vectors of channels at every place of every image: [..., C·H·W] to [..., H·W, C] [choice].

    Their manifold, of as many samples as there are places, serves where a layer has many places and few images; it
    treats all places alike. `shared_basis` brings it to the whole map.

    Args:
        activity: [..., C·H·W].
        channels: C.

    Raises:
        TypeError: not an array of float32 or float64; C is not an integer.
        ValueError: a last axis that C does not divide, an empty array, NaN or infinity.
    """
    xp = expect(activity=(activity, "... m"))
    if activity.shape[-1] % count("channels", channels):
        raise ValueError(f"activity: expected a multiple of {channels} channels, got shape {list(activity.shape)}")
    return xp.reshape(activity, (*activity.shape[:-1], channels, -1)).mT


def shared_basis(basis: Array, positions: int) -> Array:
    """Return the basis of the whole map that applies a basis of channel vectors at every place: U ⊗ I [choice].

    It has d·H·W dimensions. The basis of the whole map (`manifold.fit` on flattened activity) has few, and is the
    manifold of the theory; the shared one is the cheaper to estimate and to store.

    Args:
        basis: U [C, d].
        positions: H·W.

    Returns:
        [C·H·W, d·H·W], with orthonormal columns.

    Raises:
        TypeError: not an array of float32 or float64; H·W is not an integer.
        ValueError: not [C, d], columns not orthonormal, empty, NaN or infinity; H·W below 1.
    """
    xp = expect(basis=(basis, "C d"))
    expect_orthonormal("basis", basis)
    places = xp.eye(count("positions", positions), dtype=basis.dtype, device=device(basis))
    (channels, d), p = basis.shape, places.shape[0]
    return xp.reshape(basis[:, None, :, None] * places[None, :, None, :], (channels * p, d * p))


def _places(length: int, size: int, stride: int) -> int:
    return (length - size) // stride + 1


def _windows(image: Array, size: int, stride: int) -> Array:
    """Return the pixels under each offset of a window at all its places: [..., H, W] to [..., size², H', W']."""
    xp = array_namespace(image)
    height, width = (_places(side, size, stride) for side in image.shape[-2:])
    rows, columns = stride * (height - 1) + 1, stride * (width - 1) + 1
    offsets = [(row, column) for row in range(size) for column in range(size)]
    return xp.stack([image[..., i : i + rows : stride, j : j + columns : stride] for i, j in offsets], axis=-3)


def _overlaid(windows: Array, size: int, stride: int, height: int, width: int) -> Array:
    """Return the images of which each pixel is the sum of what falls on it: the transpose of `_windows`."""
    xp = array_namespace(windows)
    rows, columns = windows.shape[-2:]
    windows = xp.reshape(windows, (*windows.shape[:-3], size, size, rows, columns))
    lines = _overlaid_line(xp.moveaxis(windows, -3, -2), stride, width)  # [..., size, H', W]
    return _overlaid_line(xp.moveaxis(lines, -1, -3), stride, height).mT


def _overlaid_line(windows: Array, stride: int, length: int) -> Array:
    """Return sums along one axis: [..., size, P] to [..., length], where offset j of place p falls on stride·p + j."""
    spread = _dilated(windows, -1, stride)
    rest = length - spread.shape[-1]
    line = _padded(spread[..., 0, :], -1, 0, rest)
    for j in range(1, windows.shape[-2]):
        line = line + _padded(spread[..., j, :], -1, j, rest - j)
    return line


def _padded(array: Array, axis: int, before: int, after: int) -> Array:
    xp = array_namespace(array)
    shape = list(array.shape)
    zeros = []
    for length in (before, after):
        shape[axis] = length
        zeros.append(xp.zeros(tuple(shape), dtype=array.dtype, device=device(array)))
    return xp.concat([zeros[0], array, zeros[1]], axis=axis)


def _dilated(array: Array, axis: int, stride: int) -> Array:
    """Put stride − 1 zeros between neighbours along an axis."""
    xp = array_namespace(array)
    lines = xp.moveaxis(array, axis, -1)
    gaps = xp.zeros((*lines.shape, stride - 1), dtype=array.dtype, device=device(array))
    lines = xp.concat([lines[..., None], gaps], axis=-1)
    lines = xp.reshape(lines, (*lines.shape[:-2], -1))
    return xp.moveaxis(lines[..., : lines.shape[-1] - stride + 1], -1, axis)
