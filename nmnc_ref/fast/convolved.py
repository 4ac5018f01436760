"""The convolutional layer by JAX's own convolution: one operation to compile, not one for each pixel of a kernel.

It is one more kind of layer, so that every function of the library takes it where it takes `nn.convolution`'s.
"""

from __future__ import annotations

import jax

from nmnc_ref.arrays import Array, Float
from nmnc_ref.checked import checked
from nmnc_ref.nn.convolution import Convolution
from nmnc_ref.numerics import of_rank


class Convolved(Convolution):
    """`nn.convolution.Convolution`, with the same fields; `layer` makes it of one."""

    __slots__ = ()

    @checked
    def preactivation(self, activity: Float[Array, "*batch m"]) -> Float[Array, "*batch n"]:
        """s_p = W · patch_p(x) + b at each place p, of the activity x below."""
        self._expect_fit(activity=(activity, self.inputs))
        s = self._linear(self.weight, activity)
        s = s + of_rank(self.bias[:, None], s.ndim)
        return s.reshape(*activity.shape[:-1], -1)

    @checked
    def pull_back(self, delta: Float[Array, "*batch n"]) -> Float[Array, "*batch m"]:
        """Σ_p patch_pᵀ(Wᵀ δ_p): the gradient at the activity below, of a gradient δ at s."""
        self._expect_fit(delta=(delta, self.outputs))
        below = jax.ShapeDtypeStruct((*delta.shape[:-1], self.inputs), delta.dtype)
        (found,) = jax.linear_transpose(lambda activity: self._linear(self.weight, activity), below)(self._map(delta))
        return found

    @checked
    def gradient(self, delta: Float[Array, "B n"], activity: Float[Array, "B m"]) -> Convolved:
        """(Σ_ip δ_ip patch_p(x_i)ᵀ, Σ_ip δ_ip): the gradient of the parameters, of δ at s and the activity x below."""
        self._expect_fit(delta=(delta, self.outputs), activity=(activity, self.inputs))
        (weight,) = jax.linear_transpose(lambda weight: self._linear(weight, activity), self.weight)(self._map(delta))
        return self._replace(weight=weight, bias=self._map(delta).sum(axis=(0, 2)))

    def _map(self, delta: Array) -> Array:
        return delta.reshape(*delta.shape[:-1], self.weight.shape[0], -1)

    def _linear(self, weight: Array, activity: Array) -> Array:
        """Return W · patch_p(x), [..., o, places]."""
        shape = self.geometry
        image = activity.reshape(-1, *shape.image)
        if shape.pools:
            window, step = (1, 1, shape.pool, shape.pool), (1, 1, shape.pool_stride, shape.pool_stride)
            image = jax.lax.reduce_window(image, 0.0, jax.lax.add, window, step, "VALID") / shape.pool**2
        edge, strides = (shape.padding, shape.padding), (shape.stride, shape.stride)
        s = jax.lax.conv_general_dilated(image, weight, strides, (edge, edge))
        return s.reshape(*activity.shape[:-1], weight.shape[0], -1)


@checked
def layer(convolution: Convolution) -> Convolved:
    """The same layer, computed by JAX's convolution.

    Args:
        convolution: of `nn.convolution.layer`.
    """
    return Convolved(*convolution)
