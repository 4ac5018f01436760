"""The convolutional layer, on images flattened to [..., C·H·W], channels first.

The activity below may first be averaged over windows: in the usual order, convolution, non-linearity, pooling, the
pooling is the linear start of the next layer.

    geometry = convolution.Geometry((1, 28, 28), size=5, stride=2, padding=2)
    layer = convolution.layer(weight, bias, geometry)  # [16, 1, 5, 5] and [16]: 784 units to 16·14·14

A kernel as large as the image, without padding, is a fully connected layer.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from array_api_compat import device

from nmnc_ref.arrays import Array, Basis, Float, at_most, expect, expect_length, namespace
from nmnc_ref.checked import check_fields, checked
from nmnc_ref.numerics import of_rank
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
    def pools(self) -> bool:
        """Whether averages are taken first."""
        return self.pool > 1 or self.pool_stride > 1

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

    @property
    def pool_windows(self) -> Windows:
        """The windows of the averages on the activity below."""
        return _windows(self.image[1:], self.pool, self.pool_stride, 0)

    @property
    def kernel_windows(self) -> Windows:
        """The windows of the kernel on the pooled map."""
        return _windows(self.pooled, self.size, self.stride, self.padding)


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
        patches = xp.reshape(self._kernel().T @ places, (*lead, shape.image[0], shape.size**2, -1))
        image = _overlaid(patches, shape.kernel_windows)
        if shape.pools:
            windows = xp.repeat(image[..., None, :] / shape.pool**2, shape.pool**2, axis=-2)
            image = _overlaid(windows, shape.pool_windows)
        return xp.reshape(image, (*lead, -1))

    @checked
    def gradient(self, delta: Float[Array, "B n"], activity: Float[Array, "B m"]) -> Convolution:
        """(Σ_ip δ_ip patch_p(x_i)ᵀ, Σ_ip δ_ip): the gradient of the parameters, of δ at s and the activity x below."""
        self._expect_fit(delta=(delta, self.outputs), activity=(activity, self.inputs))
        xp = namespace(delta)
        delta = xp.reshape(delta, (delta.shape[0], self.weight.shape[0], -1))  # [B, o, places]
        weight = xp.tensordot(delta, self._patches(activity), axes=((0, 2), (0, 2)))
        weight = xp.reshape(weight, self.weight.shape)
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
        image = xp.reshape(activity, (*lead, shape.image[0], -1))
        if shape.pools:
            image = xp.mean(_taken(image, shape.pool_windows), axis=-2)
        patches = _taken(image, shape.kernel_windows)
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


class Windows(NamedTuple):
    """Which pixel of a map [H·W] lies under each offset of a window at each of its places, and the other way round.

    `pixel`: [size², places], H·W where that is padding; `meeting`: [times, H·W], where each pixel is in the flattened
    `pixel`, and size²·places where it is met fewer times than others.
    """

    pixel: np.ndarray
    meeting: np.ndarray


@functools.cache
def _windows(sides: tuple[int, int], size: int, stride: int, padding: int) -> Windows:
    height, width = sides
    outside = height * width
    pixels = np.pad(np.arange(outside).reshape(sides), padding, constant_values=outside)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (size, size))[::stride, ::stride, :, :]
    pixel = np.reshape(windows.transpose(2, 3, 0, 1), (size**2, -1), copy=True)
    times = np.bincount(pixel.ravel(), minlength=outside + 1)[:outside]
    meeting = np.full((times.max(), outside), pixel.size)
    order = np.argsort(pixel, axis=None, kind="stable")[: times.sum()]
    rank = np.arange(order.size) - np.repeat(np.cumsum(times) - times, times)
    meeting[rank, pixel.ravel()[order]] = order
    return Windows(pixel, meeting)


def _taken(image: Array, windows: Windows) -> Array:
    """Return the pixels under each offset of a window at all its places: [..., H·W] to [..., size², places]."""
    return _looked_up(image, windows.pixel)


def _overlaid(values: Array, windows: Windows) -> Array:
    """Return the images of which each pixel is the sum of what falls on it: the transpose of `_taken`."""
    xp = namespace(values)
    return xp.sum(_looked_up(xp.reshape(values, (*values.shape[:-2], -1)), windows.meeting), axis=-2)


def _looked_up(array: Array, index: np.ndarray) -> Array:
    """Return array[..., index], with 0 after its end: [..., m] to [..., *index.shape]."""
    xp, lead = namespace(array), array.shape[:-1]
    zero = xp.zeros((*lead, 1), dtype=array.dtype, device=device(array))
    found = xp.take(xp.concat([array, zero], axis=-1), xp.asarray(index.ravel(), device=device(array)), axis=-1)
    return xp.reshape(found, (*lead, *index.shape))
