"""Recurrent networks against their definition, finite differences and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import to_library

from nmnc_ref import credit, feedback
from nmnc_ref.nn import activation, loss, recurrent
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.recurrent import Cell

UNITS, INPUTS, OUTPUTS, BATCH, STEPS = 5, 3, 2, 4, 6
kinds = pytest.mark.parametrize(("leak", "every"), [(1.0, False), (1.0, True), (0.3, False), (0.3, True)])
rng = np.random.default_rng(2)
CELL = Cell(rng.normal(size=(UNITS, UNITS)) / 2, rng.normal(size=(UNITS, INPUTS)), rng.normal(size=UNITS))
READ_OUT = Dense(rng.normal(size=(OUTPUTS, UNITS)), rng.normal(size=OUTPUTS))
NETWORK = (CELL, READ_OUT)
X = rng.normal(size=(BATCH, STEPS, INPUTS))


def outputs_by_loop(network, x, leak, every):
    (W, V, b), (O, c) = network
    found = []
    for sequence in x:
        h, y = np.zeros(len(b)), []
        for step in sequence:
            h = (1 - leak) * h + leak * np.tanh(W @ h + V @ step + b)
            y.append(O @ h + c)
        found.append(np.concatenate(y) if every else y[-1])
    return np.stack(found)


@kinds
def test_forward_against_a_loop(leak, every, xp, dtype_name):
    network = tuple(type(part)(*(to_library(each, xp, dtype_name) for each in part)) for part in NETWORK)
    passed = recurrent.forward(network, to_library(X, xp, dtype_name), activation.tanh, leak=leak, every=every)
    want = outputs_by_loop(NETWORK, X, leak, every)
    got = np.asarray(passed.output)
    assert got.dtype == dtype_name
    assert np.max(np.abs(got - want)) <= 1000 * np.finfo(dtype_name).eps
    assert len(passed.activity) == STEPS + 1
    assert len(passed.preactivation) == STEPS


@kinds
def test_the_tail_from_each_step_gives_the_output(leak, every):
    passed = recurrent.forward(NETWORK, X, activation.tanh, leak=leak, every=every)
    for step in range(1, STEPS + 1):
        tail = recurrent.tail(NETWORK, X, step, activation.tanh, leak=leak, every=every)
        got = tail(passed.activity[step])
        assert np.allclose(got, passed.output[:, OUTPUTS * (step - 1) :] if every else passed.output)
        several = rng.normal(size=(7, BATCH, UNITS))
        assert np.allclose(tail(several)[3], tail(several[3]))


@kinds
def test_jacobians_against_finite_differences(leak, every):
    passed = recurrent.forward(NETWORK, X, activation.tanh, leak=leak, every=every)
    by_lag = recurrent.jacobians(NETWORK, X, activation.tanh, leak=leak, every=every)
    assert len(by_lag) == STEPS
    for step in range(1, STEPS + 1):
        tail = recurrent.tail(NETWORK, X, step, activation.tanh, leak=leak, every=every)
        J = recurrent.jacobian(NETWORK, X, step, activation.tanh, leak=leak, every=every)
        assert np.array_equal(by_lag[STEPS - step], J)
        small = 1e-6 * np.eye(UNITS)[:, None, :]
        h = passed.activity[step]
        slope = (tail(h + small) - tail(h - small)) / 2e-6  # [n, B, o]
        assert np.allclose(np.moveaxis(slope, 0, -1), J, rtol=1e-6, atol=1e-8)


def test_linear_networks_have_powers_of_one_matrix_as_jacobians():
    leak, W = 0.4, CELL.weight
    whole = (1 - leak) * np.eye(UNITS) + leak * W
    for step in range(1, STEPS + 1):
        J = recurrent.jacobian(NETWORK, X, step, activation.identity, leak=leak)
        want = READ_OUT.weight @ np.linalg.matrix_power(whole, STEPS - step)
        assert np.allclose(J, want[None])


@kinds
def test_backpropagation_against_finite_differences(leak, every):
    target = rng.normal(size=(BATCH, OUTPUTS * (STEPS if every else 1)))
    truth = recurrent.backpropagation(NETWORK, X, target, activation.tanh, loss.squared_error, leak=leak, every=every)
    for part, fields in enumerate(NETWORK):
        for index, parameter in enumerate(fields):
            direction, values = rng.normal(size=parameter.shape), []
            for sign in (1, -1):
                moved = [list(each) for each in NETWORK]
                moved[part][index] = parameter + sign * 1e-6 * direction
                output = outputs_by_loop(moved, X, leak, every)
                values.append(np.sum((output - target) ** 2) / (2 * BATCH))
            slope = (values[0] - values[1]) / 2e-6
            assert slope == pytest.approx(np.sum(truth.gradient[part][index] * direction), rel=1e-6, abs=1e-7)


@kinds
def test_the_activity_gradient_is_the_error_through_the_jacobian(leak, every):
    target = rng.normal(size=(BATCH, OUTPUTS * (STEPS if every else 1)))
    truth = recurrent.backpropagation(NETWORK, X, target, activation.tanh, loss.squared_error, leak=leak, every=every)
    for step in range(1, STEPS + 1):
        J = recurrent.jacobian(NETWORK, X, step, activation.tanh, leak=leak, every=every)
        error = truth.error[:, OUTPUTS * (step - 1) :] if every else truth.error
        assert np.allclose(truth.activity_gradient[step - 1], (error[:, None, :] @ J)[:, 0, :])


@pytest.mark.parametrize("every", [False, True])
def test_one_feedback_for_each_lag_is_exact_in_a_linear_network(every):
    """There the Jacobian depends on the lag alone, so that feedback through it is backpropagation through time."""
    x = X[:1, :, :]
    target = rng.normal(size=(1, OUTPUTS * (STEPS if every else 1)))
    truth = recurrent.backpropagation(
        NETWORK, x, target, activation.identity, loss.squared_error, leak=0.4, every=every
    )
    jacobians = tuple(
        recurrent.jacobian(NETWORK, x, step, activation.identity, leak=0.4, every=every)[0]
        for step in range(1, STEPS + 1)
    )
    feedbacks = feedback.by_lag(jacobians, every=every)
    gradients = credit.activity_gradients_by_lag(truth.error, feedbacks, every=every)
    for got, want in zip(gradients, truth.activity_gradient, strict=True):
        assert np.allclose(got, want)
    deltas = tuple(
        recurrent.delta(g, s, activation.identity, leak=0.4)
        for g, s in zip(gradients, truth.forward.preactivation, strict=True)
    )
    found = recurrent.weight_gradients(NETWORK, x, truth.forward.activity, deltas, truth.error, every=every)
    for part, want in zip(found, truth.gradient, strict=True):
        for one, other in zip(part, want, strict=True):
            assert np.allclose(one, other)


def test_wrong_shapes_of_estimates_are_refused():
    with pytest.raises(ValueError, match=r"estimates\[0\]: expected length 4 of axis 0 as in the outputs"):
        feedback.by_lag((np.ones((3, 5)), np.ones((2, 5))), every=True)
    with pytest.raises(TypeError, match=r"network\[0\]: expected Cell, got Dense"):
        recurrent.forward((READ_OUT, READ_OUT), X, activation.tanh)
