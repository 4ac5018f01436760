"""Convolutional layers, on images flattened to [..., C·H·W]; `pool` averages come before the kernel."""

from __future__ import annotations

from array_api_compat import array_namespace

from nmnc_ref import feedback
from nmnc_ref.arrays import Array
from nmnc_ref.nn import convolution
from nmnc_ref.oracle.vectors.operation import operation

GEOMETRY = ("height", "width", "stride", "padding", "pool")


def unbiased(weight: Array, height: int, width: int, stride: int, padding: int, pool: int) -> convolution.Convolution:
    """Return the layer of a kernel, with zero bias; windows of `pool` lie side by side."""
    image = (weight.shape[1], height, width)
    shape = convolution.Geometry(image, weight.shape[2], stride, padding, pool, pool)
    return convolution.layer(weight, array_namespace(weight).zeros_like(weight[:, 0, 0, 0]), shape)


ELEMENTARY = (
    operation("convolution_preactivation", "F4", "s_p = W · patch_p(pooled x) + b at each place p", "linear")(
        ("activity", "weight", "bias"),
        GEOMETRY,
        lambda activity, weight, bias, **geometry: (
            unbiased(weight, **geometry)._replace(bias=bias).preactivation(activity)
        ),
    ),
    operation(
        "convolution_activity_gradient", "F4", "Σ_p patch_pᵀ(Wᵀ δ_p), shared out over the windows of the pool", "linear"
    )(("delta", "weight"), GEOMETRY, lambda delta, weight, **geometry: unbiased(weight, **geometry).pull_back(delta)),
    operation("convolution_weight_gradient", "F4", "∂W = Σ_i Σ_p δ_ip patch_p(x_i)ᵀ", "linear")(
        ("delta", "activity", "weight"),
        GEOMETRY,
        lambda delta, activity, weight, **geometry: unbiased(weight, **geometry).gradient(delta, activity).weight,
    ),
    operation("convolution_bias_gradient", "F4", "∂b = Σ_i Σ_p δ_ip", "linear")(
        ("delta", "activity", "weight"),
        GEOMETRY,
        lambda delta, activity, weight, **geometry: unbiased(weight, **geometry).gradient(delta, activity).bias,
    ),
    operation("convolution_mirror", "F3", "mean over rows and places of δs_p patch_p(ξ)ᵀ / σ²", "linear")(
        ("response", "noise", "weight"),
        ("sigma", *GEOMETRY),
        lambda response, noise, weight, sigma, **geometry: (
            feedback.mirror_estimate(unbiased(weight, **geometry), response, noise, sigma).weight
        ),
    ),
)
