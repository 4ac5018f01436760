"""The convolutional layer against loops over its definition, and against PyTorch where installed."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from conftest import to_library

from nmnc_ref import feedback
from nmnc_ref.nn import activation, convolution, feedforward, loss
from nmnc_ref.nn.convolution import Geometry
from nmnc_ref.nn.dense import Dense

GEOMETRIES = [
    Geometry((2, 7, 9), size=3, stride=2, padding=1),
    Geometry((3, 8, 10), size=3, padding=1, pool=2, pool_stride=2),
    Geometry((2, 11, 12), size=3, stride=2, pool=3, pool_stride=2),  # windows that overlap, pixels left over
    Geometry((1, 5, 6), size=5, padding=2),
    Geometry((2, 9, 8), size=2, stride=3, padding=1, pool=2),
]
ids = [str(dataclasses.astuple(geometry)) for geometry in GEOMETRIES]
rng = np.random.default_rng(1)


def weights(geometry, channels=4):
    return rng.normal(size=(channels, geometry.image[0], geometry.size, geometry.size)), rng.normal(size=channels)


def by_loops(geometry, weight, bias, x):
    """Return the preactivation of one image, pixel by pixel."""
    channels, height, width = geometry.image
    image, window = x.reshape(channels, height, width), range(geometry.pool)
    pooled = np.zeros((channels, *geometry.pooled))
    for c, i, j in np.ndindex(pooled.shape):
        at = geometry.pool_stride * i, geometry.pool_stride * j
        pooled[c, i, j] = np.mean([image[c, at[0] + k, at[1] + l] for k, l in itertools.product(window, window)])
    padded = np.zeros((channels, *geometry.padded))
    edge = geometry.padding
    padded[:, edge : edge + pooled.shape[1], edge : edge + pooled.shape[2]] = pooled
    s = np.zeros((len(bias), *geometry.places))
    for o, i, j in np.ndindex(s.shape):
        patch = padded[:, geometry.stride * i :, geometry.stride * j :][:, : geometry.size, : geometry.size]
        s[o, i, j] = np.sum(weight[o] * patch) + bias[o]
    return s.ravel()


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=ids)
def test_preactivation_against_loops(geometry, xp, dtype_name):
    weight, bias = weights(geometry)
    x = rng.normal(size=(3, np.prod(geometry.image)))
    layer = convolution.layer(*(to_library(each, xp, dtype_name) for each in (weight, bias)), geometry)
    got = np.asarray(layer.preactivation(to_library(x, xp, dtype_name)))
    want = np.stack([by_loops(geometry, weight, bias, row) for row in x])
    assert got.dtype == dtype_name
    assert got.shape == want.shape == (3, 4 * layer.positions)
    assert np.max(np.abs(got - want)) <= 32 * np.finfo(dtype_name).eps * weight[0].size * np.max(np.abs(want))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=ids)
def test_pull_back_and_gradient_are_transposes(geometry, xp):
    """⟨δ, s(x) − b⟩ = ⟨pull_back(δ), x⟩ = ⟨gradient(δ, x), W⟩ fixes both, as it holds for every δ, x and W."""
    layer = convolution.layer(*(to_library(each, xp, "float64") for each in weights(geometry)), geometry)
    x = rng.normal(size=(3, layer.inputs))
    delta = rng.normal(size=(3, 4 * layer.positions))
    x, delta = to_library(x, xp, "float64"), to_library(delta, xp, "float64")
    linear = layer._replace(bias=0 * layer.bias).preactivation(x)
    assert type(layer._replace(bias=layer.bias)) is type(layer)
    want = float(xp.sum(delta * linear))
    assert float(xp.sum(layer.pull_back(delta) * x)) == pytest.approx(want, rel=1e-12)
    gradient = layer.gradient(delta, x)
    assert float(xp.sum(gradient.weight * layer.weight)) == pytest.approx(want, rel=1e-12)
    assert np.allclose(np.asarray(gradient.bias), np.asarray(delta).reshape(3, 4, -1).sum(axis=(0, 2)))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=ids)
def test_against_pytorch(geometry):
    torch = pytest.importorskip("torch")
    weight, bias = weights(geometry)
    x = rng.normal(size=(3, np.prod(geometry.image)))
    w, b, t = (torch.tensor(each, requires_grad=True) for each in (weight, bias, x))
    pooled = torch.nn.functional.avg_pool2d(t.reshape(3, *geometry.image), geometry.pool, geometry.pool_stride)
    s = torch.nn.functional.conv2d(pooled, w, b, stride=geometry.stride, padding=geometry.padding).reshape(3, -1)
    delta = rng.normal(size=s.shape)
    (s * torch.tensor(delta)).sum().backward()
    layer = convolution.layer(weight, bias, geometry)
    assert np.allclose(layer.preactivation(x), s.detach())
    assert np.allclose(layer.pull_back(delta), t.grad)
    gradient = layer.gradient(delta, x)
    assert np.allclose(gradient.weight, w.grad)
    assert np.allclose(gradient.bias, b.grad)


def test_a_kernel_as_large_as_the_image_is_a_dense_layer():
    weight, bias = rng.normal(size=(4, 2, 5, 5)), rng.normal(size=4)
    layer = convolution.layer(weight, bias, Geometry((2, 5, 5), size=5))
    dense, x, delta = Dense(weight.reshape(4, -1), bias), rng.normal(size=(3, 50)), rng.normal(size=(3, 4))
    assert np.allclose(layer.preactivation(x), dense.preactivation(x))
    assert np.allclose(layer.pull_back(delta), dense.pull_back(delta))
    assert np.allclose(layer.gradient(delta, x).weight.reshape(4, -1), dense.gradient(delta, x).weight)


def test_networks_of_convolutions_have_exact_gradients():
    first, second = Geometry((1, 8, 8), 3, padding=1), Geometry((3, 8, 8), 3, stride=2, pool=2, pool_stride=1)
    layers = (
        convolution.layer(*weights(first, 3), first),
        convolution.layer(*weights(second, 2), second),
        Dense(rng.normal(size=(5, 18)), rng.normal(size=5)),
    )
    x, target = rng.normal(size=(4, 64)), rng.normal(size=(4, 5))
    truth = feedforward.backpropagation(layers, x, target, activation.tanh, loss.squared_error)
    for l in (1, 2):
        tail, at = feedforward.tail(layers, l, activation.tanh), truth.forward.activity[l]
        J, step = feedforward.jacobian(layers, x, l, activation.tanh), 1e-6
        direction = rng.normal(size=at.shape)
        slope = (tail(at + step * direction) - tail(at - step * direction)) / (2 * step)
        assert np.allclose(slope, (J @ direction[..., None])[..., 0], rtol=1e-7, atol=1e-7)
        assert np.allclose(truth.activity_gradient[l], (truth.error[:, None, :] @ J)[:, 0, :])
    for l, layer in enumerate(layers):
        direction, step = rng.normal(size=layer.weight.shape), 1e-6
        values = []
        for sign in (1, -1):
            moved = (*layers[:l], layer._replace(weight=layer.weight + sign * step * direction), *layers[l + 1 :])
            output = feedforward.forward(moved, x, activation.tanh).output
            values.append(loss.squared_error.value(output, target))
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(np.sum(truth.gradient[l].weight * direction), rel=1e-6, abs=1e-6)


def test_the_same_geometry_makes_the_same_structure():
    """What JAX compiles for one layer serves another of the same geometry, and for one of another geometry does not."""
    jax = pytest.importorskip("jax")

    def structure(geometry):
        return jax.tree.structure(convolution.layer(*weights(geometry), geometry))

    geometry = Geometry((1, 5, 6), 3)
    assert structure(geometry) == structure(Geometry((1, 5, 6), size=3, stride=1))
    assert structure(geometry) != structure(dataclasses.replace(geometry, stride=2))


@pytest.mark.parametrize("static", [None, {}, {"geometry": None}, dict.fromkeys(GEOMETRIES[:2])])
def test_layers_without_a_geometry_are_refused(static):
    with pytest.raises(TypeError, match=r"static: expected \{geometry: None\}, as `layer` makes it, got"):
        convolution.Convolution(*weights(GEOMETRIES[0]), static).preactivation(rng.normal(size=126))


def test_kernels_of_another_shape_are_refused():
    geometry = Geometry((2, 5, 6), 3)
    fitting = convolution.layer(*weights(geometry), geometry)
    wanted = r"weight: expected kernels of shape \(2, 3, 3\) as in the geometry, got \(1, 3, 3\)"
    with pytest.raises(ValueError, match=wanted):
        convolution.layer(rng.normal(size=(4, 1, 3, 3)), rng.normal(size=4), geometry)
    with pytest.raises(ValueError, match=wanted):
        fitting._replace(weight=rng.normal(size=(4, 1, 3, 3))).preactivation(rng.normal(size=60))


def test_shared_basis_applies_a_basis_at_every_place(xp):
    vectors = rng.normal(size=(20, 3))
    basis = to_library(np.linalg.qr(vectors.T)[0][:, :2], xp, "float64")
    activity = to_library(rng.normal(size=(4, 3 * 6)), xp, "float64")
    whole = convolution.shared_basis(basis, 6)
    at_places = convolution.channel_vectors(activity, 3)  # [4, 6, 3]
    assert at_places.shape == (4, 6, 3)
    assert np.allclose(np.asarray(at_places)[1, 2], np.asarray(activity).reshape(4, 3, 6)[1, :, 2])
    projected = np.asarray(at_places @ basis @ basis.T)
    got = np.asarray(activity @ whole @ whole.T).reshape(4, 3, 6)
    assert np.allclose(got, np.moveaxis(projected, -1, 1))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=ids)
def test_mirror_estimate_is_the_kernel_times_the_mean_patch_covariance(geometry):
    """Noise with a finite law: ±√n e_i for each unit i, of covariance I, so that the mean over it is exact."""
    layer = convolution.layer(*weights(geometry), geometry)
    n, sigma = layer.inputs, 0.3
    factor = rng.normal(size=(n, n)) / n**0.5
    noise = sigma * np.sqrt(n) * np.concatenate([factor.T, -factor.T])  # 2n draws, of covariance σ² factor factorᵀ
    response = layer.preactivation(noise) - layer.bias.repeat(layer.positions)
    got = feedback.mirror_estimate(layer, response, noise, sigma)
    patches = np.stack([layer._patches(column) for column in factor.T])  # [n, C·size², places]
    covariance = np.mean(np.einsum("nap,nbp->pab", patches, patches), axis=0)
    want = (layer.weight.reshape(4, -1) @ covariance).reshape(layer.weight.shape)
    assert np.allclose(got.weight, want)
    assert not np.any(got.bias)
