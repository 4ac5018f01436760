"""Feedback, credit and stochastic gradient descent against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from nmnc_ref import credit, feedback, random
from nmnc_ref.nn import sgd
from nmnc_ref.nn.dense import Dense


def draw(seed, *shape):
    return random.normal(random.key(seed, np), shape, np.float64)


def test_deltas_against_loops():
    error, slopes = draw(1, 4, 3), (np.abs(draw(2, 4, 6)), np.abs(draw(3, 4, 5)))
    direct = credit.direct_deltas(error, (draw(4, 3, 6), draw(5, 3, 5)), slopes)
    assert np.allclose(direct[0], slopes[0] * np.stack([error[i] @ draw(4, 3, 6) for i in range(4)]))
    assert direct[2] is error
    mirrors = (Dense(draw(6, 5, 6), draw(8, 5)), Dense(draw(7, 3, 5), draw(9, 3)))
    layerwise = credit.layerwise_deltas(error, mirrors, slopes)
    upper = slopes[1] * (error @ mirrors[1].weight)
    assert np.allclose(layerwise[1], upper)
    assert np.allclose(layerwise[0], slopes[0] * (upper @ mirrors[0].weight))


def test_feedback_for_each_sample():
    error, each = draw(1, 4, 3), draw(2, 4, 3, 6)
    got = credit.activity_gradient(error, each)
    assert np.allclose(got, np.stack([error[i] @ each[i] for i in range(4)]))


def test_weight_gradients_against_outer_products():
    network = (Dense(draw(1, 6, 5), draw(2, 6)),)
    x, delta = draw(3, 4, 5), draw(4, 4, 6)
    (got,) = credit.weight_gradients(network, (x,), (delta,))
    assert np.allclose(got.weight, sum(np.outer(delta[i], x[i]) for i in range(4)))
    assert np.allclose(got.bias, delta.sum(axis=0))


def test_running_average_forgets_at_its_rate():
    start, estimate = draw(1, 3, 5), draw(2, 3, 5)
    learned = start
    for _ in range(4):
        learned = feedback.running_average(learned, estimate, 0.25)
    assert np.allclose(learned, estimate + 0.75**4 * (start - estimate))
    assert np.array_equal(feedback.running_average(start, estimate, 0), start)
    assert np.array_equal(feedback.running_average(start, estimate, 1), estimate)


def test_sgd_against_its_recursion():
    network, gradient = (Dense(draw(1, 3, 2), draw(2, 3)),), (Dense(draw(3, 3, 2), draw(4, 3)),)
    velocity = sgd.zero_velocity(network)
    w, v = network[0].weight, 0
    for _ in range(3):
        network, velocity = sgd.step(network, gradient, velocity, learning_rate=0.1, momentum=0.9, decay=0.01)
        v = 0.9 * v + gradient[0].weight + 0.01 * w
        w = w - 0.1 * v
    assert np.allclose(network[0].weight, w, rtol=1e-14)
    assert np.allclose(velocity[0].weight, v, rtol=1e-14)


def test_sgd_is_pytorchs():
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
    network, gradient = (Dense(draw(1, 3, 2), draw(2, 3)),), (Dense(draw(3, 3, 2), draw(4, 3)),)
    parameters = [torch.tensor(each) for each in network[0]]
    optimiser = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)
    velocity = sgd.zero_velocity(network)
    for _ in range(4):
        network, velocity = sgd.step(network, gradient, velocity, learning_rate=0.1, momentum=0.9, decay=0.01)
        for parameter, slope in zip(parameters, gradient[0], strict=True):
            parameter.grad = torch.tensor(slope)
        optimiser.step()
    for want, got in zip(parameters, network[0], strict=True):
        assert np.allclose(got, want.numpy(), rtol=1e-13)
