"""Convolutions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from twins.slip import RIGHT, Slip, Twin, column_major, given, then


def maps(flat, channels):
    return flat.reshape(len(flat), channels, -1)


def last_channels(flat, channels):
    """The same pixels with the channels last."""
    return maps(flat, channels).swapaxes(1, 2).reshape(flat.shape)


def pooled(i, of, flat):
    """Windows of the pool, each made a number."""
    h, w = i.height // i.pool, i.width // i.pool
    image = flat.reshape(len(flat), i.weight.shape[1], i.height, i.width)[:, :, : h * i.pool, : w * i.pool]
    return of(image.reshape(*image.shape[:2], h, i.pool, w, i.pool)).reshape(len(flat), -1), h, w


def with_pool(of: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """The layer above images that are pooled in another way."""

    def twin(**inputs):
        i = SimpleNamespace(**inputs)
        flat, h, w = pooled(i, of, i.activity)
        return RIGHT.convolution_preactivation(**{**inputs, "activity": flat, "height": h, "width": w, "pool": 1})

    return twin


def shifted(flat, i, by):
    image = flat.reshape(len(flat), -1, i.height, i.width)
    return np.roll(image, by, axis=(2, 3)).reshape(flat.shape)


def padded(flat, i):
    """Images with zeros around, which fill whole windows of the pool."""
    image = flat.reshape(len(flat), -1, i.height, i.width)
    edge = i.pool * i.padding
    return np.pad(image, ((0, 0), (0, 0), (edge, edge), (edge, edge))).reshape(len(flat), -1)


def cropped(flat, i):
    """The images that were padded."""
    edge = i.pool * i.padding
    image = flat.reshape(len(flat), -1, i.height + 2 * edge, i.width + 2 * edge)
    return image[:, :, edge : edge + i.height, edge : edge + i.width].reshape(len(flat), -1)


UNPADDED = {
    "height": lambda i: i.height + 2 * i.pool * i.padding,
    "width": lambda i: i.width + 2 * i.pool * i.padding,
    "padding": lambda i: 0,
}
OF_KERNELS = {
    "kernel flipped": given(weight=lambda i: i.weight[..., ::-1, ::-1]),
    "rows of the kernel for columns": given(weight=lambda i: i.weight.swapaxes(2, 3)),
    "channels in reverse": given(weight=lambda i: i.weight[:, ::-1]),
    "kernels in reverse": given(weight=lambda i: i.weight[::-1]),
}


def of_images(source: str) -> dict[str, Slip]:
    return {
        "channels last": given(**{source: lambda i: last_channels(getattr(i, source), i.weight.shape[1])}),
        "height for width": given(height=lambda i: i.width, width=lambda i: i.height),
        "padding on one side": given(**{source: lambda i: shifted(getattr(i, source), i, (1, 1))}),
        "padded before it is pooled": given(**UNPADDED, **{source: lambda i: padded(getattr(i, source), i)}),
    }


OF_GRADIENTS = {
    "kernel flipped": then(lambda g, i: g[..., ::-1, ::-1]),
    "rows of the kernel for columns": then(lambda g, i: g.swapaxes(2, 3)),
    "kernels for channels": then(lambda g, i: column_major(g)),
}


def of_deltas(source: str) -> dict[str, Slip]:
    return {
        "places before channels": given(**{source: lambda i: last_channels(getattr(i, source), i.weight.shape[0])}),
        "rows in reverse": given(**{source: lambda i: getattr(i, source)[:, ::-1]}),
    }


def places(i, source):
    return getattr(i, source).shape[1] // i.weight.shape[0]


TWINS = {
    "convolution_preactivation": OF_KERNELS
    | of_images("activity")
    | {
        "no bias": given(bias=lambda i: 0 * i.bias),
        "maximum for mean": with_pool(lambda windows: windows.max((3, 5))),
        "sum for mean": with_pool(lambda windows: windows.sum((3, 5))),
        "first pixel for mean": with_pool(lambda windows: windows[:, :, :, 0, :, 0]),
        "places before channels": then(lambda s, i: last_channels(s, i.weight.shape[0])),
        "mean over the patch": then(lambda s, i: s / i.weight[0].size),
    },
    "convolution_activity_gradient": OF_KERNELS
    | of_deltas("delta")
    | {
        "not shared out over the pool": then(lambda g, i: g * i.pool**2),
        "channels last": then(lambda g, i: last_channels(g, i.weight.shape[1])),
        "one pixel off": then(lambda g, i: shifted(g, i, (1, 1))),
        "padded before it is pooled": Slip(
            lambda right: lambda **inputs: cropped(given(**UNPADDED).of(right)(**inputs), SimpleNamespace(**inputs))
        ),
    },
    "convolution_weight_gradient": OF_GRADIENTS
    | of_images("activity")
    | of_deltas("delta")
    | {
        "mean over places": then(lambda g, i: g / places(i, "delta")),
        "1/B twice": then(lambda g, i: g / len(i.delta)),
    },
    "convolution_bias_gradient": {
        "places before channels": of_deltas("delta")["places before channels"],
        "mean over places": then(lambda g, i: g / places(i, "delta")),
        "1/B twice": then(lambda g, i: g / len(i.delta)),
        "first place": lambda delta, weight, **i: maps(delta, len(weight))[..., 0].sum(0),
    },
    "convolution_mirror": OF_GRADIENTS
    | of_images("noise")
    | of_deltas("response")
    | {
        "sum over places": then(lambda M, i: M * places(i, "response")),
        "sum over draws": then(lambda M, i: M * len(i.noise)),
        "sum over places and draws": then(lambda M, i: M * places(i, "response") * len(i.noise)),
        "no 1/σ²": then(lambda M, i: M * i.sigma**2),
        "1/σ": then(lambda M, i: M * i.sigma),
        "σ of the pooled noise": then(lambda M, i: M * i.pool**2),
    },
}
