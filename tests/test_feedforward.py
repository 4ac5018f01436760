"""Networks against JAX's automatic differentiation, against differences, and against loops."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import to_library

from nmnc_ref import random
from nmnc_ref.nn import activation, feedforward, initialisation, loss
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.initialisation import dense_network, glorot, he, lecun
from nmnc_ref.nn.layer import each_parameter

ACTIVATIONS = [activation.identity, activation.relu, activation.tanh, activation.softplus]
LOSSES = [loss.squared_error, loss.softmax_cross_entropy]
WIDTHS = (5, 7, 6, 3)


def problem(xp, batch=4):
    layers = dense_network(random.key(1, np), WIDTHS, np.float64, lecun)
    biases = [random.normal(random.key(10 + l, np), layer.bias.shape, np.float64) for l, layer in enumerate(layers)]
    layers = [layer._replace(bias=bias) for layer, bias in zip(layers, biases, strict=True)]
    layers = tuple(each_parameter(lambda values: to_library(values, xp, "float64"), layer) for layer in layers)
    x = random.normal(random.key(2, np), (batch, WIDTHS[0]), np.float64)
    return layers, *(to_library(each, xp, "float64") for each in (x, np.eye(3)[[0, 2, 1, 1][:batch]]))


@pytest.mark.parametrize("function", ACTIVATIONS, ids=lambda each: each.name)
def test_slopes_are_derivatives(function):
    s = jnp.linspace(-3, 3, 100)
    assert np.allclose(function.slope(s), jax.vmap(jax.grad(function.value))(s), rtol=1e-14, atol=1e-15)


def test_activations_far_out(xp):
    s = xp.asarray([-1000.0, -40.0, 0.0, 40.0, 1000.0], dtype=xp.float64)
    assert np.allclose(np.asarray(activation.softplus.value(s)), [0, math.exp(-40), math.log(2), 40, 1000], rtol=1e-13)
    want = [0, math.exp(-40) / (1 + math.exp(-40)), 0.5, 1 / (1 + math.exp(-40)), 1]
    assert np.allclose(np.asarray(activation.softplus.slope(s)), want, rtol=1e-13, atol=0)
    assert float(activation.relu.slope(xp.asarray([0.0], dtype=xp.float64))[0]) == 0


@pytest.mark.parametrize("cost", LOSSES, ids=lambda each: each.name)
def test_errors_are_gradients_of_losses(cost):
    y = random.normal(random.key(1, jnp), (4, 3), jnp.float64)
    target = jax.nn.softmax(random.normal(random.key(2, jnp), (4, 3), jnp.float64))
    assert np.allclose(cost.error(y, target), jax.grad(cost.value)(y, target), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("cost", LOSSES, ids=lambda each: each.name)
def test_losses_of_samples_are_those_of_batches_of_one(cost, xp):
    outputs = random.normal(random.key(1, xp), (2, 4, 3), xp.float64)
    target = random.uniform(random.key(2, xp), (4, 3), xp.float64)
    each = cost.each(outputs, target)
    assert each.shape == (2, 4)
    for k in range(2):
        assert np.isclose(float(cost.value(outputs[k, ...], target)), np.mean(np.asarray(each)[k]))
        for i in range(4):
            alone = cost.value(outputs[k, i : i + 1, :], target[i : i + 1, :])
            assert np.isclose(float(each[k, i]), float(alone), rtol=1e-13)


def test_cross_entropy_of_large_outputs(xp):
    y = xp.asarray([[1000.0, 0.0], [0.0, -1000.0]], dtype=xp.float64)
    target = xp.asarray([[1.0, 0.0], [0.0, 1.0]], dtype=xp.float64)
    assert float(loss.softmax_cross_entropy.value(y, target)) == 500.0


@pytest.mark.parametrize("s", [-300.0, -40.0, -17.0, -1.0, -1e-9, 0.0, 0.3, 2.0, 17.0, 40.0, 300.0])
def test_tails_keep_their_relative_accuracy(s, lab):
    """The loss of the first of outputs (0, s) is log(1 + eˢ), the error ∓σ(s), σ(s) = 1/(1 + e⁻ˢ)."""
    if abs(s) > 40 and lab.eps > 1e-10:
        pytest.skip("out of the range of float32")
    given, accuracy = lab.array([s]), {"rtol": (8 + 2 * abs(s)) * lab.eps, "atol": 0}  # of e^s, s is rounded
    softplus, logistic = max(s, 0) + math.log1p(math.exp(-abs(s))), 1 / (1 + math.exp(-s))
    np.testing.assert_allclose(lab.numpy(activation.tanh.value(given)), math.tanh(s), **accuracy)
    np.testing.assert_allclose(lab.numpy(activation.tanh.slope(given)), 1 / math.cosh(s) ** 2, **accuracy)
    np.testing.assert_allclose(lab.numpy(activation.softplus.value(given)), softplus, **accuracy)
    np.testing.assert_allclose(lab.numpy(activation.softplus.slope(given)), logistic, **accuracy)
    outputs, first = lab.array([[0.0, s]]), lab.array([[1.0, 0.0]])
    np.testing.assert_allclose(lab.numpy(loss.softmax_cross_entropy.value(outputs, first)), softplus, **accuracy)
    error = lab.numpy(loss.softmax_cross_entropy.error(outputs, first))
    np.testing.assert_allclose(error, [[-logistic, logistic]], **accuracy)
    np.testing.assert_allclose(lab.numpy(loss.softmax_cross_entropy.error(outputs, 0 * first)), 0 * error)


def test_forward_is_the_recursion():
    layers, x, _ = problem(np)
    passed = feedforward.forward(layers, x, activation.tanh)
    x1 = np.tanh(x @ layers[0].weight.T + layers[0].bias)
    x2 = np.tanh(x1 @ layers[1].weight.T + layers[1].bias)
    y = x2 @ layers[2].weight.T + layers[2].bias
    for want, got in zip((x, x1, x2, y), passed.activity, strict=True):
        assert np.allclose(got, want, rtol=1e-14)
    assert passed.output is passed.activity[-1]
    assert np.array_equal(passed.preactivation[-1], passed.output)


@pytest.mark.parametrize("function", ACTIVATIONS, ids=lambda each: each.name)
def test_tails_compose_to_the_network(xp, function):
    layers, x, _ = problem(xp)
    passed = feedforward.forward(layers, x, function)
    for l, activity in enumerate(passed.activity):
        got = feedforward.tail(layers, l, function)(activity)
        assert np.allclose(np.asarray(got), np.asarray(passed.output), rtol=1e-14)


@pytest.mark.parametrize("function", ACTIVATIONS, ids=lambda each: each.name)
def test_jacobians_against_automatic_differentiation(function):
    layers, x, _ = problem(jnp)
    passed = feedforward.forward(layers, x, function)
    for l, activity in enumerate(passed.activity):
        want = jax.vmap(jax.jacrev(feedforward.tail(layers, l, function)))(activity)
        assert np.allclose(feedforward.jacobian(layers, x, l, function), want, rtol=1e-12, atol=1e-14)


def test_jacobian_of_one_input():
    layers, x, _ = problem(np)
    want = feedforward.jacobian(layers, x, 1, activation.tanh)
    assert np.allclose(feedforward.jacobian(layers, x[0], 1, activation.tanh), want[0], rtol=1e-14)


@pytest.mark.parametrize("function", ACTIVATIONS, ids=lambda each: each.name)
@pytest.mark.parametrize("cost", LOSSES, ids=lambda each: each.name)
def test_backpropagation_against_automatic_differentiation(function, cost):
    layers, x, target = problem(jnp)
    got = feedforward.backpropagation(layers, x, target, function, cost)

    def total(layers, x):
        return cost.value(feedforward.forward(layers, x, function).output, target)

    value, (layer_gradients, x_gradient) = jax.value_and_grad(total, argnums=(0, 1))(layers, x)
    assert np.allclose(got.loss, value, rtol=1e-13)
    assert np.allclose(got.activity_gradient[0], x_gradient, rtol=1e-11, atol=1e-14)
    for want, have in zip(layer_gradients, got.gradient, strict=True):
        assert np.allclose(have.weight, want.weight, rtol=1e-11, atol=1e-14)
        assert np.allclose(have.bias, want.bias, rtol=1e-11, atol=1e-14)


def test_backpropagation_against_differences():
    """The error of a central difference falls as h², so the slope over two scales tells rounding from a wrong
    formula.
    """
    layers, x, target = problem(np)
    got = feedforward.backpropagation(layers, x, target, activation.tanh, loss.softmax_cross_entropy)
    direction = random.normal(random.key(3, np), layers[0].weight.shape, np.float64)

    def value(h):
        moved = (Dense(layers[0].weight + h * direction, layers[0].bias), *layers[1:])
        output = feedforward.forward(moved, x, activation.tanh).output
        return float(loss.softmax_cross_entropy.value(output, target))

    exact = float(np.sum(got.gradient[0].weight * direction))
    errors = [abs((value(h) - value(-h)) / (2 * h) - exact) for h in (1e-2, 5e-3)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.05)


def test_injection_holds_all_jacobians_side_by_side():
    layers, x, _ = problem(jnp)
    injected = feedforward.injection(layers, x, activation.tanh)
    whole = jax.jacrev(injected)(jnp.zeros((4, 13)))
    for i in range(4):
        want = [feedforward.jacobian(layers, x, l, activation.tanh)[i] for l in (1, 2)]
        assert np.allclose(whole[i, :, i, :], jnp.concatenate(want, axis=1), rtol=1e-12, atol=1e-14)


def test_injection_at_zero_is_the_network(xp):
    layers, x, _ = problem(xp)
    got = feedforward.injection(layers, x, activation.relu)(xp.zeros((2, 4, 13), dtype=xp.float64))
    want = feedforward.forward(layers, x, activation.relu).output
    assert np.allclose(np.asarray(got[1, ...]), np.asarray(want), rtol=1e-14)


@pytest.mark.parametrize(("scheme", "variance"), [(he, 2 / 200), (glorot, 2 / 500), (lecun, 1 / 200)])
def test_initial_weights_have_the_variance_of_the_scheme(scheme, variance):
    (layer,) = dense_network(random.key(1, np), (200, 300), np.float64, scheme)
    assert np.var(layer.weight) == pytest.approx(variance, rel=7 * math.sqrt(2 / 60_000))
    assert not np.any(layer.bias)


def test_every_scheme_gets_the_fans_of_its_layer():
    asked = []

    def scheme(inputs, outputs):
        asked.append((inputs, outputs))
        return 1.0

    kernels = (initialisation.Kernel(4, 3), initialisation.Kernel(6, 2))
    initialisation.convolutional_network(random.key(0, np), (5, 7, 8), kernels, (9, 10), np.float64, scheme)
    assert asked == [(5 * 3**2, 4 * 3**2), (4 * 2**2, 6 * 2**2), (6 * 4 * 5, 9), (9, 10)]
    asked.clear()
    initialisation.recurrent_network(random.key(0, np), 2, 5, 3, np.float64, scheme)
    assert asked == [(5, 5), (2, 5), (5, 3)]


def test_networks_are_the_same_on_every_library(xp):
    want = dense_network(random.key(1, np), WIDTHS, np.float64)
    got = dense_network(random.key(1, xp), WIDTHS, xp.float64)
    for a, b in zip(want, got, strict=True):
        assert np.allclose(a.weight, np.asarray(b.weight), rtol=1e-13, atol=1e-15)


def test_layers_that_do_not_fit_each_other_are_named():
    network = (Dense(np.ones((4, 3)), np.ones(4)), Dense(np.ones((2, 5)), np.ones(2)))
    with pytest.raises(ValueError, match="network: expected layers that fit, got 5 inputs above 4 outputs"):
        feedforward.forward(network, np.ones((6, 3)), activation.tanh)


def test_layers_of_the_same_shape_have_weights_of_their_own():
    first, second = dense_network(random.key(0, np), (5, 5, 5), np.float64)
    cell, out = initialisation.recurrent_network(random.key(0, np), 5, 5, 5, np.float64)
    for one, other in ((first, second), (cell, out)):
        assert not np.any(one.weight == other.weight)
    assert not np.any(cell.weight == cell.input_weight)
