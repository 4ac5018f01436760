"""The factored path against the readable functions, within the linear class of tolerance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import UNCOMPILED, library
from hypothesis import given
from hypothesis import strategies as st

from nmnc_ref import credit, estimator, feedback, perturbation, random
from nmnc_ref.fast import factored
from nmnc_ref.nn import convolution, feedforward, initialisation, recurrent
from nmnc_ref.nn.activation import relu, tanh
from nmnc_ref.nn.recurrent import Cell
from nmnc_ref.noise_correlation import estimate_jacobian
from nmnc_ref.oracle.vectors.tolerance import CLASSES

SIGMA = 0.5


def in_pairs(tail, activity, noise):
    """The response of a factored tail in its own way, of any other in the estimator's."""
    if isinstance(tail, factored.FeedforwardTail):
        return tail.antithetic(noise)
    return estimator.antithetic_response(tail, activity, noise)


RESPONSES = (estimator.one_sided_response, estimator.antithetic_response, in_pairs)


def assert_linear(got, want, terms, scale=None):
    """Compare norm-wise within the linear class; `scale` is the size of what was subtracted, if larger."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    largest = max(np.abs(want).max(), 0 if scale is None else scale)
    assert np.abs(got - want).max() <= CLASSES["linear"].factor * np.finfo(got.dtype).eps * math.sqrt(terms) * largest


def basis_of(key, n, d, dtype, xp):
    """Return a random basis; by NumPy, as its sign is free."""
    q, _ = np.linalg.qr(np.asarray(random.normal(random.fold_in(random.key(key, np), 9), (n, d), np.float64)))
    return xp.asarray(q.tolist(), dtype=dtype)


def names(backend, dtype_name):
    xp = library(backend)
    return xp, getattr(xp, dtype_name)


shapes = st.fixed_dictionaries(
    {
        "widths": st.lists(st.integers(1, 9), min_size=3, max_size=5),
        "batch": st.integers(1, 5),
        "draws": st.integers(1, 6),
        "seed": st.integers(0, 2**32),
        "dtype_name": st.sampled_from(["float32", "float64"]),
        "activation": st.sampled_from([relu, tanh]),
        "respond": st.sampled_from(RESPONSES),
    }
)


@pytest.mark.parametrize("backend", UNCOMPILED)
@given(drawn=shapes, data=st.data())
def test_dense_networks_of_any_shape(backend, drawn, data):
    xp, dtype = names(backend, drawn["dtype_name"])
    widths, batch, draws, activation = drawn["widths"], drawn["batch"], drawn["draws"], drawn["activation"]
    layer = data.draw(st.integers(1, len(widths) - 2))
    n, d = widths[layer], data.draw(st.integers(1, widths[layer]))
    key = random.key(drawn["seed"], xp)
    network = initialisation.dense_network(random.fold_in(key, 1), tuple(widths), dtype)
    x = random.normal(random.fold_in(key, 2), (batch, widths[0]), dtype)
    z = random.normal(random.fold_in(key, 3), (draws, batch, d), dtype)
    basis = basis_of(drawn["seed"], n, d, dtype, xp)
    passed = feedforward.forward(network, x, activation)
    noise = perturbation.on_manifold(z, basis, SIGMA)
    want = drawn["respond"](feedforward.tail(network, layer, activation), passed.activity[layer], noise)
    tail = factored.feedforward_tail(network, passed, layer, basis, activation)
    got = drawn["respond"](tail, 0 * z[0, ...], SIGMA * z)
    terms = sum(widths) + batch * draws
    size = float(xp.max(xp.abs(passed.output))) + float(xp.max(xp.abs(want)))
    assert_linear(got, want, terms, size)
    C = estimator.correlation(got, SIGMA * z, SIGMA)
    B = estimator.correlation(want, noise, SIGMA)
    reach = size * float(xp.max(xp.abs(z))) * math.sqrt(d) / SIGMA
    assert_linear(factored.lifted(C, basis), B, terms, reach)


@pytest.mark.parametrize("backend", UNCOMPILED)
@pytest.mark.parametrize("respond", RESPONSES)
def test_a_convolutional_network(backend, dtype_name, respond):
    xp, dtype = names(backend, dtype_name)
    first = convolution.Geometry((2, 6, 5), size=3, stride=1, padding=1)
    second = convolution.Geometry((3, 6, 5), size=3, stride=2, pool=2)
    key = random.key(3, xp)
    weights = [random.normal(random.fold_in(key, i), s, dtype) for i, s in enumerate(((3, 2, 3, 3), (4, 3, 3, 3)))]
    network = (
        convolution.layer(weights[0], random.normal(random.fold_in(key, 5), (3,), dtype), first),
        convolution.layer(weights[1], random.normal(random.fold_in(key, 6), (4,), dtype), second),
        *initialisation.dense_network(random.fold_in(key, 7), (4 * math.prod(second.places), 3), dtype),
    )
    x = random.normal(random.fold_in(key, 8), (3, 60), dtype)
    passed = feedforward.forward(network, x, tanh)
    for layer in (1, 2):
        n, d = network[layer].inputs, 3
        basis, z = basis_of(layer, n, d, dtype, xp), random.normal(key, (5, 3, d), dtype)
        tail = factored.feedforward_tail(network, passed, layer, basis, tanh)
        noise = perturbation.on_manifold(z, basis, SIGMA)
        want = respond(feedforward.tail(network, layer, tanh), passed.activity[layer], noise)
        assert_linear(respond(tail, 0 * z[0, ...], SIGMA * z), want, 3 * 90, float(xp.max(xp.abs(passed.output))))


@pytest.mark.parametrize("backend", UNCOMPILED)
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("leak", [1.0, 0.3])
def test_a_recurrent_network(backend, dtype_name, every, leak):
    xp, dtype = names(backend, dtype_name)
    key = random.key(4, xp)
    draw = lambda i, *shape: random.normal(random.fold_in(key, i), shape, dtype)  # noqa: E731
    network = (Cell(draw(1, 6, 6), draw(2, 6, 3), draw(3, 6)), *initialisation.dense_network(key, (6, 2), dtype))
    x, z, basis = draw(5, 4, 5, 3), draw(6, 7, 4, 2), basis_of(1, 6, 2, dtype, xp)
    kind = {"leak": leak, "every": every}
    passed = recurrent.forward(network, x, tanh, **kind)
    noise = perturbation.on_manifold(z, basis, SIGMA)
    for step in range(1, 6):
        tail = factored.recurrent_tail(network, x, passed, step, basis, tanh, **kind)
        for respond in RESPONSES:
            want = respond(recurrent.tail(network, x, step, tanh, **kind), passed.activity[step], noise)
            got = respond(tail, 0 * z[0, ...], SIGMA * z)
            # rounding is amplified from step to step by the recurrent weights, of norm 6 at most
            growth = float(np.linalg.norm(np.asarray(network[0].weight), 2)) ** (5 - step)
            assert_linear(got, want, 6 * 5, max(growth, 1) * float(xp.max(xp.abs(passed.output))))


def test_coordinates_and_passes_of_another_size_are_refused():
    network = initialisation.dense_network(random.key(6, np), (5, 8, 7, 3), np.float64)
    x, basis = np.ones((4, 5)), basis_of(2, 8, 3, np.float64, np)
    passed = feedforward.forward(network, x, tanh)
    tail = factored.feedforward_tail(network, passed, 1, basis, tanh)
    for shape in ((3,), (2, 3), (6, 1, 3), (6, 5, 3)):
        with pytest.raises(ValueError, match=r"coordinates: expected batch axes that end in \[4\] as in passed, got"):
            tail(np.ones(shape))
    with pytest.raises(ValueError, match=r"layer: expected .* at most the last hidden layer of network = 2, got 3"):
        factored.feedforward_tail(network, passed, 3, None, tanh)
    with pytest.raises(ValueError, match=r"passed\.hidden: expected 2 as in the hidden layers of network, got 1"):
        factored.feedforward_tail(network, feedforward.forward(network[:2], x, tanh), 1, basis, tanh)
    cells = (
        Cell(np.eye(6), np.ones((6, 3)), np.zeros(6)),
        *initialisation.dense_network(random.key(1, np), (6, 2), np.float64),
    )
    ran = recurrent.forward(cells, np.ones((4, 5, 3)), tanh)
    with pytest.raises(ValueError, match=r"passed\.hidden: expected 4 as in the steps of x, got 5"):
        factored.recurrent_tail(cells, np.ones((4, 4, 3)), ran, 2, basis_of(1, 6, 2, np.float64, np), tanh)


@pytest.mark.parametrize("backend", UNCOMPILED)
def test_the_method_in_one_call_takes_the_same_draws(backend, dtype_name):
    """`estimate_jacobian` with the factored tail and no basis draws what it draws with the basis."""
    xp, dtype = names(backend, dtype_name)
    key = random.key(6, xp)
    network = initialisation.dense_network(key, (5, 8, 7, 3), dtype)
    x, basis = random.normal(random.fold_in(key, 1), (4, 5), dtype), basis_of(2, 8, 3, dtype, xp)
    passed = feedforward.forward(network, x, tanh)
    given = {"sigma": SIGMA, "draws": 10, "chunk": 4}
    want = estimate_jacobian(key, feedforward.tail(network, 1, tanh), passed.activity[1], basis=basis, **given)
    tail = factored.feedforward_tail(network, passed, 1, basis, tanh)
    C = estimate_jacobian(key, tail, 0 * passed.activity[1][:, :3], **given)
    assert_linear(factored.lifted(C, basis), want, 8 * 10, 4 * float(xp.max(xp.abs(passed.output))) / SIGMA)


@pytest.mark.parametrize("backend", UNCOMPILED)
@pytest.mark.parametrize(("batch", "o", "n", "d"), [(5, 3, 8, 2), (2, 9, 8, 2), (1, 1, 1, 1), (50, 3, 8, 7)])
def test_feedback_in_coordinates(backend, dtype_name, batch, o, n, d):
    xp, dtype = names(backend, dtype_name)
    key, basis = random.key(7, xp), basis_of(3, n, d, dtype, xp)
    draw = lambda i, *shape: random.normal(random.fold_in(key, i), shape, dtype)  # noqa: E731
    C, new, error, slope = draw(1, o, d), draw(2, o, d), draw(3, batch, o), draw(4, batch, n)
    B = factored.lifted(C, basis)
    average = feedback.running_average(C, new, 0.1)
    whole = feedback.running_average(B, factored.lifted(new, basis), 0.1)
    assert_linear(factored.lifted(average, basis), whole, d, 4.0)
    want = credit.delta(error, B, slope)
    assert_linear(factored.delta(error, C, basis, slope), want, o * d, 4 * float(xp.max(xp.abs(want))))
    other = basis_of(8, n, min(n, d + 1), dtype, xp)
    projected = B @ other @ other.T
    assert_linear(factored.lifted(factored.rebased(C, basis, other), other), projected, n, float(xp.max(xp.abs(B))))


@pytest.mark.parametrize("respond", RESPONSES)
def test_jax_against_numpy(dtype_name, respond):
    jax = pytest.importorskip("jax")
    dtype, key = getattr(np, dtype_name), random.key(9, np)
    draw = lambda i, *shape: random.normal(random.fold_in(key, i), shape, dtype)  # noqa: E731
    dense = initialisation.dense_network(key, (5, 8, 7, 3), dtype)
    read_out = initialisation.dense_network(key, (6, 2), dtype)
    network = (Cell(draw(1, 6, 6) / 3, draw(2, 6, 3), draw(3, 6)), *read_out)
    bases = basis_of(2, 8, 3, dtype, np), basis_of(3, 6, 3, dtype, np)

    def measured(dense, network, bases, x, sequence, z):
        passed = feedforward.forward(dense, x, tanh)
        responses = [respond(factored.feedforward_tail(dense, passed, 1, bases[0], tanh), 0 * z[0], SIGMA * z)]
        through = recurrent.forward(network, sequence, tanh, leak=0.5, every=True)
        for step in (1, 3):
            tail = factored.recurrent_tail(network, sequence, through, step, bases[1], tanh, leak=0.5, every=True)
            responses.append(respond(tail, 0 * z[0], SIGMA * z))
        return responses

    arguments = dense, network, bases, draw(5, 4, 5), draw(6, 4, 3, 3), draw(7, 2, 4, 3)
    got = jax.jit(measured)(*jax.tree.map(jax.numpy.asarray, arguments))
    for one, other in zip(got, measured(*arguments), strict=True):
        assert_linear(one, other, 8 * 7 * 4, 4.0)


def test_a_composed_layer_without_its_bias_is_seen():
    """Forgetting the bias is beyond the tolerance."""
    key = random.key(1, np)
    network = initialisation.dense_network(key, (4, 6, 3), np.float64)
    network = tuple(layer._replace(bias=layer.bias + 1) for layer in network)
    basis = basis_of(5, 6, 2, np.float64, np)
    with_bias = network[1].preactivation(basis.T)
    with pytest.raises(AssertionError):
        assert_linear(with_bias, factored.composed(network[1], basis).weight.T, 6)
