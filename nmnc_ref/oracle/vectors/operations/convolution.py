"""Convolutional layers, on images flattened to [..., C·H·W]; `pool` averages come before the kernel."""
# ruff: noqa: D103

from __future__ import annotations

from collections.abc import Mapping

from nmnc_ref import feedback
from nmnc_ref.arrays import Array
from nmnc_ref.nn import convolution
from nmnc_ref.oracle.vectors.operation import GROUPS, operation


def layer_without_bias(weight: Array, geometry: Mapping[str, int]) -> convolution.Convolution:
    """Return the layer of a kernel, with zero bias; windows of `pool` lie side by side."""
    height, width, stride, padding, pool = (geometry[name] for name in GROUPS["geometry"])
    image = (weight.shape[1], height, width)
    shape = convolution.Geometry(image, weight.shape[2], stride, padding, pool, pool)
    return convolution.layer(weight, 0 * weight[:, 0, 0, 0], shape)


@operation("F4", "s_p = W · patch_p(pooled x) + b at each place p", "linear")
def convolution_preactivation(activity: Array, weight: Array, bias: Array, *, geometry: Mapping[str, int]) -> Array:
    layer = layer_without_bias(weight, geometry)
    return layer._replace(bias=bias).preactivation(activity)


@operation("F4", "Σ_p patch_pᵀ(Wᵀ δ_p), shared out over the windows of the pool", "linear")
def convolution_activity_gradient(delta: Array, weight: Array, *, geometry: Mapping[str, int]) -> Array:
    return layer_without_bias(weight, geometry).pull_back(delta)


@operation("F4", "∂W = Σ_i Σ_p δ_ip patch_p(x_i)ᵀ", "linear")
def convolution_weight_gradient(delta: Array, activity: Array, weight: Array, *, geometry: Mapping[str, int]) -> Array:
    return layer_without_bias(weight, geometry).gradient(delta, activity).weight


@operation("F4", "∂b = Σ_i Σ_p δ_ip", "linear")
def convolution_bias_gradient(delta: Array, activity: Array, weight: Array, *, geometry: Mapping[str, int]) -> Array:
    return layer_without_bias(weight, geometry).gradient(delta, activity).bias


@operation("F3", "mean over rows and places of δs_p patch_p(ξ)ᵀ / σ²", "linear")
def convolution_mirror(
    response: Array,
    noise: Array,
    weight: Array,
    *,
    sigma: float,
    geometry: Mapping[str, int],
) -> Array:
    layer = layer_without_bias(weight, geometry)
    return feedback.mirror_estimate(layer, response, noise, sigma).weight
