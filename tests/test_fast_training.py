"""The fast training step against `training.step`: the same state after the same draws, to rounding."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from conftest import UNCOMPILED, library
from hypothesis import given
from hypothesis import strategies as st
from test_fast_factored import assert_linear

from nmnc_ref import random, training
from nmnc_ref.__main__ import main
from nmnc_ref.fast import direct, through_time
from nmnc_ref.fast import training as fast_training
from nmnc_ref.nn import convolution, feedforward, initialisation, recurrent
from nmnc_ref.nn.activation import tanh
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.layer import parameters
from nmnc_ref.nn.loss import softmax_cross_entropy, squared_error
from nmnc_ref.route import Direct, Layerwise, ThroughTime

STEPS = 3


def leaves(state):
    parts = (state.network, state.velocity)
    return [getattr(layer, name) for part in parts for layer in part for name in parameters(layer)]


def assert_alike(got, want, terms):
    """Compare states after a few steps: σ divides the rounding of responses, and each step carries on that of all."""
    for one, other in zip(got.feedback, want.feedback, strict=True):
        assert_linear(one, other, terms * STEPS**2, max(4.0 / 0.1, float(np.abs(np.asarray(other)).max())))
    for one, other in zip(leaves(got), leaves(want), strict=True):
        assert_linear(one, other, terms * STEPS**2, max(4.0, float(np.abs(np.asarray(other)).max())))
    assert (got.key is None) == (want.key is None)
    if got.key is not None:
        assert np.array_equal(np.asarray(got.key), np.asarray(want.key))


def problem(xp, dtype, widths, batch, seed, chosen, route=Direct):
    key = random.key(seed, xp)
    network = initialisation.dense_network(random.fold_in(key, 1), widths, dtype)
    x = random.uniform(random.fold_in(key, 2), (batch, widths[0]), dtype)
    target = random.uniform(random.fold_in(key, 3), (batch, widths[-1]), dtype)
    given = {"route": route(tanh), "settings": training.Settings(**chosen, sigma=0.1, feedback_rate=0.3)}
    return training.init(random.fold_in(key, 4), network, x, **given), x, target, given


@pytest.mark.parametrize("backend", UNCOMPILED)
@given(
    widths=st.tuples(st.integers(2, 6), st.integers(3, 9), st.integers(3, 9), st.integers(2, 4)),
    batch=st.integers(4, 7),
    seed=st.integers(0, 2**32),
    name=st.sampled_from(["float32", "float64"]),
    rule=st.sampled_from(training.RULES),
    route=st.sampled_from([Direct, Layerwise]),
    samples=st.integers(1, 4),
    draws=st.integers(1, 3),
    antithetic=st.booleans(),
    dimension=st.integers(1, 2),
)
def test_steps_of_any_shape(backend, widths, batch, seed, name, route, **chosen):
    xp = library(backend)
    state, x, target, given = problem(xp, getattr(xp, name), widths, batch, seed, chosen, route)
    fast = slow = state
    for _ in range(STEPS):
        slow, want = training.step(slow, x, target, loss=squared_error, **given)
        fast, got = fast_training.step(fast, x, target, loss=squared_error, **given)
        assert_linear(got.loss, want.loss, sum(widths) * batch * STEPS**2)
    assert_alike(fast, slow, sum(widths) * batch)


@pytest.mark.parametrize("backend", UNCOMPILED)
@given(
    sizes=st.tuples(st.integers(2, 4), st.integers(3, 7), st.integers(2, 3)),
    steps=st.integers(1, 5),
    batch=st.integers(4, 6),
    seed=st.integers(0, 2**32),
    name=st.sampled_from(["float32", "float64"]),
    leak=st.sampled_from([1.0, 0.3]),
    every=st.booleans(),
    rule=st.sampled_from(training.RULES),
    samples=st.integers(1, 4),
    draws=st.integers(1, 3),
    antithetic=st.booleans(),
)
def test_recurrent_networks(backend, sizes, steps, batch, seed, name, leak, every, **chosen):
    xp = library(backend)
    (m, n, o), dtype, key = sizes, getattr(xp, name), random.key(seed, xp)
    network = initialisation.recurrent_network(random.fold_in(key, 1), m, n, o, dtype)
    x = random.normal(random.fold_in(key, 2), (batch, steps, m), dtype)
    target = random.normal(random.fold_in(key, 3), (batch, steps * o if every else o), dtype)
    settings = training.Settings(**chosen, dimension=2, sigma=0.1, feedback_rate=0.3)
    given = {"route": ThroughTime(tanh, leak=leak, every=every), "settings": settings}
    fast = slow = training.init(random.fold_in(key, 4), network, x, **given)
    for _ in range(STEPS):
        slow, want = training.step(slow, x, target, loss=squared_error, **given)
        fast, got = fast_training.step(fast, x, target, loss=squared_error, **given)
        assert_linear(got.loss, want.loss, sum(sizes) * batch * steps * STEPS**2)
    assert_alike(fast, slow, sum(sizes) * batch * steps)
    assert (chosen["rule"] != "backpropagation") == any(np.asarray(each).any() for each in fast.feedback)


@pytest.mark.parametrize("backend", UNCOMPILED)
@pytest.mark.parametrize("rule", training.RULES)
@pytest.mark.parametrize("route", [Direct, Layerwise])
def test_manifolds(backend, dtype_name, rule, route):
    xp = library(backend)
    chosen = {"rule": rule, "dimension": 2, "centring": "centred"}
    state, x, _, given = problem(xp, getattr(xp, dtype_name), (5, 8, 6, 3), 7, 1, chosen, route)
    want, got = (
        fit(state._replace(bases=()), x, **given) for fit in (training.fit_manifolds, fast_training.fit_manifolds)
    )
    assert len(got.bases) == len(want.bases) == (2 if rule in training.PERTURBING else 0)
    for one, other in zip(got.bases, want.bases, strict=True):
        assert_linear(one, other, 1000)


def test_a_convolutional_network(dtype_name):
    dtype, key = getattr(np, dtype_name), random.key(3, np)
    geometry = convolution.Geometry((1, 6, 5), size=3, stride=2, padding=1)
    kernel = random.normal(key, (3, 1, 3, 3), dtype)
    read_out = initialisation.dense_network(random.fold_in(key, 1), (27, 8, 3), dtype)
    network = (convolution.layer(kernel, kernel[:, 0, 0, 0], geometry), *read_out)
    x, target = random.uniform(key, (6, 30), dtype), random.uniform(key, (6, 3), dtype)
    settings = training.Settings("nmnc", dimension=4, samples=5, sigma=0.1, feedback_rate=0.3)
    given = {"route": Direct(tanh), "settings": settings}
    fast = slow = training.init(key, network, x, **given)
    for _ in range(STEPS):
        slow, _ = training.step(slow, x, target, loss=squared_error, **given)
        fast, _ = fast_training.step(fast, x, target, loss=squared_error, **given)
    assert_alike(fast, slow, 30 * 27)


@pytest.mark.parametrize("rule", ["vnc", "nmnc"])
def test_one_function_under_jax_with_donated_state_scan_and_seeds(rule):
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    chosen = {"rule": rule, "dimension": 2, "samples": 3, "antithetic": False}
    state, x, target, given = problem(np, np.float64, (4, 6, 5, 3), 5, 1, chosen)
    want = state
    for _ in range(STEPS):
        want, _ = training.step(want, x, target, loss=softmax_cross_entropy, **given)

    state, x, target = jax.tree.map(jnp.asarray, (state, x, target))
    step = functools.partial(fast_training.step, loss=softmax_cross_entropy, **given)
    scanned, info = jax.jit(lambda s: jax.lax.scan(lambda s, _: step(s, x, target), s, length=STEPS))(state)
    assert info.loss.shape == (STEPS,)
    assert_alike(scanned, want, 18 * 5)

    others = [state._replace(key=random.key(seed, jnp)) for seed in range(2)]
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *others)
    together, _ = jax.jit(jax.vmap(step, in_axes=(0, None, None)))(stacked, x, target)
    jitted = jax.jit(step, donate_argnums=0)
    for index, other in enumerate(others):
        own = jax.tree.map(jnp.copy, other)
        alone, _ = jitted(own, x, target)
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves((own.network, own.velocity, own.feedback)))
        assert_alike(jax.tree.map(lambda each: each[index], together), alone, 18 * 5)  # noqa: B023


@pytest.mark.parametrize("every", [False, True])
def test_a_recurrent_network_under_jit(every):
    jax = pytest.importorskip("jax")
    key = random.key(2, np)
    network = initialisation.recurrent_network(key, 3, 7, 2, np.float64)
    x = random.normal(key, (5, 4, 3), np.float64)
    target = random.normal(key, (5, 8 if every else 2), np.float64)
    settings = training.Settings("nmnc", dimension=3, samples=4, draws=2, sigma=0.1, feedback_rate=0.3)
    given = {"route": ThroughTime(tanh, leak=0.4, every=every), "settings": settings}
    state = training.init(key, network, x, **given)
    want, _ = training.step(state, x, target, loss=squared_error, **given)
    step = jax.jit(functools.partial(fast_training.step, loss=squared_error, **given), donate_argnums=0)
    got, _ = step(*jax.tree.map(jax.numpy.asarray, (state, x, target)))
    assert_alike(got, want, 12 * 5 * 4)


def test_training_takes_it_as_its_step():
    state, x, target, given = problem(
        np, np.float64, (4, 6, 5, 3), 5, 1, {"rule": "nmnc", "dimension": 2, "fit_every": 2}
    )
    ends = [
        training.train(
            state, [(x, target)] * STEPS, x, advance=functools.partial(step, loss=squared_error, **given), **given
        )
        for step in (fast_training.step, training.step)
    ]
    assert_alike(*ends, 18 * 5)


def test_what_it_cannot_do_is_refused():
    state, x, target, given = problem(
        np, np.float64, (4, 6, 5, 3), 5, 1, {"rule": "nmnc", "dimension": 2, "samples": 6}
    )
    with pytest.raises(ValueError, match="expected at least 6 samples to perturb, got 5"):
        fast_training.step(state, x, target, loss=squared_error, **given)
    passed = feedforward.forward(state.network, x, tanh)
    settings = training.Settings("nmnc", dimension=2, samples=3)
    for changed, kind, message in (
        ({"key": None}, ValueError, "state.key: expected a random key, got None"),
        ({"bases": state.bases[:1]}, TypeError, "state: expected a basis for each of 2 hidden activities"),
        ({"feedback": state.feedback[:1]}, ValueError, "state.feedback: expected 2 as in the hidden activities, got 1"),
    ):
        with pytest.raises(kind, match=message):
            direct.learned(state._replace(**changed), passed, Direct(tanh), settings)
        with pytest.raises(kind, match=message):
            training.learn_feedback(state._replace(**changed), x, route=Direct(tanh), settings=settings)
    with pytest.raises(ValueError, match=r"settings.rule: expected vnc or nmnc, which perturb, got backpropagation"):
        direct.learned(state, passed, Direct(tanh), training.Settings("backpropagation"))
    given["settings"] = training.Settings("nmnc", dimension=None, explained=0.9)
    with pytest.raises(ValueError, match=r"settings: expected a dimension, got an explained share of 0\.9"):
        fast_training.fit_manifolds(state, x, **given)


def test_steps_that_are_not_those_of_the_pass_are_refused():
    draw = lambda i, *shape: random.normal(random.key(i, np), shape, np.float64)  # noqa: E731
    network = (recurrent.Cell(draw(1, 6, 6), draw(2, 6, 3), draw(3, 6)), Dense(draw(4, 2, 6), draw(5, 2)))
    x, route = draw(6, 4, 5, 3), ThroughTime(tanh)
    hidden = recurrent.forward(network, x, tanh).hidden
    noises = tuple(draw(7 + t, 2, 4, 6) for t in range(5))
    for parts, message in (
        ((hidden[:2], noises[:2]), "hidden: expected 5 as in the steps of x, got 2"),
        ((hidden, noises[:4]), "noises: expected 5 as in the steps of x, got 4"),
    ):
        with pytest.raises(ValueError, match=message):
            through_time.responses(network, x, *parts, route)


def test_golden_trajectories(dtype_name, monkeypatch, capsys):
    """The golden vectors of training, with this step in the place of the readable one."""
    taken = []

    def counted(*args, route, **kwargs):
        taken.append(type(route))
        return fast_training.step(*args, route=route, **kwargs)

    monkeypatch.setattr(training, "step", counted)
    reference = "nmnc_ref.oracle.vectors.adapter:on_numpy"
    arguments = ["vectors", "check", "--impl", reference, "--dtype", dtype_name]
    assert main(arguments) == 0, capsys.readouterr().out
    assert len(taken) > 10
    assert {Direct, Layerwise, ThroughTime} <= set(taken)
