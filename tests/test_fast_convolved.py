"""The layer by JAX's convolution against the readable one."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp
from test_fast_factored import assert_linear

from nmnc_ref import random, training
from nmnc_ref.fast import convolved
from nmnc_ref.fast import training as fast_training
from nmnc_ref.nn import convolution, initialisation
from nmnc_ref.nn.activation import tanh
from nmnc_ref.nn.loss import squared_error
from nmnc_ref.route import Direct

GEOMETRIES = {
    "plain": convolution.Geometry((2, 5, 6), size=3),
    "strided and padded": convolution.Geometry((2, 7, 6), size=3, stride=2, padding=1),
    "pooled": convolution.Geometry((2, 7, 8), size=2, pool=3, pool_stride=2),
    "subsampled": convolution.Geometry((2, 7, 8), size=2, pool=1, pool_stride=2),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_layer_of_any_geometry(name, dtype_name):
    geometry, dtype, key = GEOMETRIES[name], getattr(np, dtype_name), random.key(2, np)
    draw = lambda i, *shape: random.normal(random.fold_in(key, i), shape, dtype)  # noqa: E731
    readable = convolution.layer(draw(1, 3, 2, geometry.size, geometry.size), draw(2, 3), geometry)
    x, delta = draw(3, 4, readable.inputs), draw(4, 4, readable.outputs)
    fast = convolved.layer(readable._replace(weight=jnp.asarray(readable.weight), bias=jnp.asarray(readable.bias)))
    assert (fast.inputs, fast.outputs, fast.positions) == (readable.inputs, readable.outputs, readable.positions)
    terms = math.prod(readable.weight.shape) * 4

    @jax.jit
    def every(layer, x, delta):
        return layer.preactivation(x[:, None, :]), layer.pull_back(delta), layer.gradient(delta, x)

    s, below, gradient = every(fast, jnp.asarray(x), jnp.asarray(delta))
    want = readable.gradient(delta, x)
    assert_linear(s, readable.preactivation(x[:, None, :]), terms)
    assert_linear(below, readable.pull_back(delta), terms)
    assert_linear(gradient.weight, want.weight, terms * readable.positions)
    assert_linear(gradient.bias, want.bias, terms * readable.positions)
    assert isinstance(gradient, convolved.Convolved)


def test_training_takes_it_as_a_layer():
    dtype, key = jnp.float64, random.key(3, jnp)
    geometry = convolution.Geometry((1, 6, 5), size=3, stride=2, padding=1)
    first = convolution.layer(random.normal(key, (3, 1, 3, 3), dtype), random.normal(key, (3,), dtype), geometry)
    rest = initialisation.dense_network(random.fold_in(key, 1), (27, 3), dtype)
    x, target = random.uniform(key, (6, 30), dtype), random.uniform(key, (6, 3), dtype)
    given = {"route": Direct(tanh), "settings": training.Settings("nmnc", dimension=4, samples=5, sigma=0.1)}
    step = jax.jit(functools.partial(fast_training.step, loss=squared_error, **given))
    ends = [
        step(training.init(key, (kind(first), *rest), x, **given), x, target)[0]
        for kind in (convolved.layer, lambda layer: layer)
    ]
    for one, other in zip(*(jax.tree.leaves((end.network, end.velocity)) for end in ends), strict=True):
        assert_linear(one, other, 30 * 27, 4.0)
