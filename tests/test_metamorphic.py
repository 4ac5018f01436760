"""What must follow when the input changes in a known way: rotations, permutations, parts, and units that are dead."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmnc_ref import (
    alignment,
    credit,
    dimension,
    estimator,
    manifold,
    moments,
    perturbation,
    random,
    similarity,
    training,
)
from nmnc_ref.nn import activation, feedforward, loss
from nmnc_ref.nn.dense import Dense
from nmnc_ref.route import Direct, Layerwise

SEEDS = st.integers(0, 2**32 - 1)
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


def rotation(rng, n):
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


@given(SEEDS)
def test_rotated_units(seed):
    rng = np.random.default_rng(seed)
    x, q, jacobian = rng.normal(size=(30, 7)) + 0.3, rotation(rng, 7), rng.normal(size=(4, 7))
    response, noise = rng.normal(size=(9, 4)), rng.normal(size=(9, 7))
    for centring in manifold.CENTRINGS:
        plain, rotated = (manifold.fit(each, dimension=3, centring=centring) for each in (x, x @ q))
        close(rotated.spectrum, plain.spectrum)
        close(manifold.projector(rotated.basis), q.T @ manifold.projector(plain.basis) @ q)
        close(alignment.alignment(jacobian @ q, rotated.basis), alignment.alignment(jacobian, plain.basis))
        close(alignment.principal_angles(rotated.basis, q.T @ plain.basis), 0, atol=1e-7)
    close(estimator.correlation(response, noise @ q, 0.3), estimator.correlation(response, noise, 0.3) @ q)
    close(estimator.least_squares(response, noise @ q), estimator.least_squares(response, noise) @ q)
    close(dimension.two_nearest_neighbours(x @ q), dimension.two_nearest_neighbours(x))
    close(similarity.linear_cka(x @ q, x[:, :2]), similarity.linear_cka(x, x[:, :2]))


@given(SEEDS)
def test_permuted_samples(seed):
    rng = np.random.default_rng(seed)
    x, other, order = rng.normal(size=(20, 6)), rng.normal(size=(20, 4)), rng.permutation(20)
    close(manifold.fit(x[order], dimension=3).basis, manifold.fit(x, dimension=3).basis)
    close(moments.of(x[order]).scatter, moments.of(x).scatter)
    close(dimension.two_nearest_neighbours(x[order]), dimension.two_nearest_neighbours(x))
    close(similarity.dissimilarity(x[order]), similarity.dissimilarity(x)[order][:, order])
    for measure in (similarity.linear_cka, similarity.rsa):
        close(measure(x[order], other[order]), measure(x, other))
    close(estimator.correlation(other[order], x[order], 2.0), estimator.correlation(other, x, 2.0))
    close(
        loss.softmax_cross_entropy.value(other[order], x[order, :4]), loss.softmax_cross_entropy.value(other, x[:, :4])
    )


@given(SEEDS, st.integers(1, 19))
def test_parts_of_a_whole(seed, cut):
    rng = np.random.default_rng(seed)
    x, delta = rng.normal(size=(20, 6)), rng.normal(size=(20, 3))
    for one, whole in zip(moments.merge(moments.of(x[:cut]), moments.of(x[cut:])), moments.of(x), strict=True):
        close(one, whole)
    layers = (Dense(rng.normal(size=(3, 6)), rng.normal(size=3)),)
    parts = [credit.weight_gradients(layers, (x[part],), (delta[part],))[0] for part in (slice(cut), slice(cut, None))]
    for one, other, whole in zip(*parts, credit.weight_gradients(layers, (x,), (delta,))[0], strict=True):
        close(one + other, whole)
    shares = cut / 20, 1 - cut / 20
    estimates = [estimator.correlation(delta[part], x[part], 0.7) for part in (slice(cut), slice(cut, None))]
    close(shares[0] * estimates[0] + shares[1] * estimates[1], estimator.correlation(delta, x, 0.7))
    close(estimator.batch_correlation(delta[:, None, :], x[:, None, :], 0.7), estimator.correlation(delta, x, 0.7))


@given(SEEDS, st.integers(1, 5))
def test_dead_units(seed, dead):
    rng = np.random.default_rng(seed)
    x, other = rng.normal(size=(20, 6)), rng.normal(size=(20, 4))
    padded = np.concatenate([x, np.zeros((20, dead))], axis=1)
    plain, found = manifold.fit(x, dimension=3), manifold.fit(padded, dimension=3)
    close(found.basis, np.concatenate([plain.basis, np.zeros((dead, 3))]))
    close(dimension.participation_ratio(found.spectrum), dimension.participation_ratio(plain.spectrum))
    close(dimension.two_nearest_neighbours(padded), dimension.two_nearest_neighbours(x))
    close(similarity.linear_cka(padded, other), similarity.linear_cka(x, other))
    noise = perturbation.on_manifold(rng.normal(size=(5, 3)), found.basis, 0.2)
    assert not np.any(noise[:, 6:])
    weights = np.concatenate([rng.normal(size=(4, 6)), np.zeros((4, dead))], axis=1)
    close(Dense(weights, np.zeros(4)).preactivation(padded), Dense(weights[:, :6], np.zeros(4)).preactivation(x))


def network(rng, widths):
    return tuple(
        Dense(rng.normal(size=(above, below)) / np.sqrt(below), 0.1 * rng.normal(size=above))
        for below, above in itertools.pairwise(widths)
    )


def shuffled(layers, orders):
    """Return the same network with the units of each hidden layer in another order."""
    orders = [slice(None), *orders, slice(None)]
    return tuple(
        Dense(layer.weight[orders[l + 1], :][:, orders[l]], layer.bias[orders[l + 1]]) for l, layer in enumerate(layers)
    )


@pytest.mark.parametrize("route", [Direct(activation.tanh), Layerwise(activation.tanh)], ids=["direct", "layerwise"])
@given(seed=SEEDS)
def test_training_does_not_know_the_order_of_hidden_units(route, seed):
    """Noise on the manifold has coordinates of its own, so that a step commutes with permutations of the units."""
    rng = np.random.default_rng(seed)
    layers, x, target = network(rng, (4, 7, 6, 3)), rng.normal(size=(10, 4)), rng.normal(size=(10, 3))
    orders = [rng.permutation(7), rng.permutation(6)]
    given = {"route": route, "settings": training.Settings("nmnc", dimension=3, momentum=0.5)}
    ends = []
    for each, order in ((layers, [slice(None)] * 2), (shuffled(layers, orders), orders)):
        state = training.init(random.key(seed, np), each, x, **given)
        first = training.init(random.key(seed, np), layers, x, **given)
        for basis, own, rows in zip(first.bases, state.bases, order, strict=True):
            close(manifold.projector(own), manifold.projector(basis[rows, :]))
        above = [slice(None)] * 2 if isinstance(route, Direct) else [order[1], slice(None)]
        # the random feedback to begin with, and the signs of components that tie, know the order
        feedback = tuple(b[rows, :][:, columns] for b, rows, columns in zip(first.feedback, above, order, strict=True))
        bases = tuple(basis[rows, :] for basis, rows in zip(first.bases, order, strict=True))
        state = state._replace(feedback=feedback, bases=bases)
        for _ in range(3):
            state, _ = training.step(state, x, target, loss=loss.squared_error, **given)
        ends.append(state.network)
    for one, other in zip(shuffled(ends[0], orders), ends[1], strict=True):
        close(one.weight, other.weight)
        close(one.bias, other.bias)
    close(
        feedforward.forward(ends[0], x, activation.tanh).output,
        feedforward.forward(ends[1], x, activation.tanh).output,
    )
