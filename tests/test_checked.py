"""When arguments are checked: what is static at every call, values once, at the outermost call of each thread."""

from __future__ import annotations

import functools
import inspect
import math
import pydoc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import to_library

from nmnc_ref import arrays, estimator, noise_correlation, perturbation, random, training
from nmnc_ref.arrays import Array, Float
from nmnc_ref.checked import checked
from nmnc_ref.nn import activation, feedforward, initialisation, loss
from nmnc_ref.nn.activation import Activation
from nmnc_ref.route import Direct
from nmnc_ref.scalars import Positive

NAN = np.array([[1.0, math.nan]])
GOOD = np.array([[1.0, 2.0]])


@pytest.fixture
def scanned(monkeypatch):
    """Return the list of the arrays whose values are looked at."""
    seen = []
    original = arrays._expect_finite

    def expect_finite(xp, path, array):
        seen.append(array)
        original(xp, path, array)

    monkeypatch.setattr(arrays, "_expect_finite", expect_finite)
    return seen


@checked
def inner(x: Float[Array, "B n"]) -> Float[Array, "B n"]:
    return 2 * x


@checked
def outer(x: Float[Array, "B n"], change: object = None) -> Float[Array, "B n"]:
    return inner(x if change is None else change(x))


def layers(xp=np, dtype="float64"):
    return initialisation.dense_network(random.key(0, xp), (4, 6, 3), getattr(xp, dtype))


def expect_nan_refused():
    with pytest.raises(ValueError, match="x: expected finite values, got NaN"):
        outer(NAN)


def test_values_are_looked_at_once(scanned):
    outer(GOOD)
    assert len(scanned) == 1
    estimator.correlation(GOOD, GOOD, 0.1)  # where an array comes twice
    assert len(scanned) == 2


def test_what_is_made_inside_is_checked_for_what_is_static_alone():
    assert math.isnan(outer(GOOD, lambda x: x * math.nan)[0, 0])
    with pytest.raises(ValueError, match=r"x: expected shape \[B, n\], got shape \[2\]"):
        outer(GOOD, lambda x: x[0])
    with pytest.raises(TypeError, match="x: expected float32 or float64, got int64"):
        outer(GOOD, lambda x: x.astype(int))


def test_a_step_looks_at_each_array_that_enters_it_and_at_no_other(scanned):
    net, route = layers(), Direct(activation.relu)
    x = random.normal(random.key(1, np), (20, 4), np.float64)
    target, settings = x[:, :3] * 1.0, training.Settings("nmnc", dimension=2, draws=3, samples=5)
    state = training.init(random.key(2, np), net, x, route=route, settings=settings)
    scanned.clear()
    training.step(state, x, target, route=route, loss=loss.squared_error, settings=settings)
    entering = [array for layer in (*state.network, *state.velocity) for array in layer]
    entering += [*state.feedback, *state.bases, x, target]
    assert {id(array) for array in scanned} == {id(array) for array in entering}
    assert len(scanned) == len(entering)


def test_after_an_error_the_next_call_is_the_outermost_again():
    def fail(x):
        raise RuntimeError("in the middle")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="in the middle"):
            outer(GOOD, fail)
        expect_nan_refused()
        with pytest.raises(TypeError, match="x: expected an array, got list"):
            outer([[1.0]])
        expect_nan_refused()


@pytest.mark.parametrize("started", ["before the call", "by the call"])
def test_each_thread_has_an_outermost_call_of_its_own(started):
    with ThreadPoolExecutor(1) as pool:
        if started == "before the call":
            pool.submit(int).result()

        def elsewhere(x):
            pool.submit(expect_nan_refused).result(10)  # while the call of this thread is under way
            return x

        assert np.array_equal(outer(GOOD, elsewhere), 2 * GOOD)


def test_a_tail_that_is_kept_is_checked_when_it_is_called(xp):
    tail = feedforward.tail(layers(xp), 1, activation.relu)
    bad = to_library(np.full((2, 6), math.nan), xp, "float64")
    with pytest.raises(ValueError, match="activity: expected finite values, got NaN"):
        tail(bad)
    with pytest.raises(ValueError, match=r"activity: expected shape .* got shape \[2, 5\]"):
        tail(to_library(np.ones((2, 5)), xp, "float64"))


TAILS = {"NaN": lambda y: y * math.nan, "a list": lambda y: [1.0], "rows lost": lambda y: y[:1, ...]}


@pytest.mark.parametrize("wrong", TAILS)
def test_what_a_callable_returns_is_checked_also_deep_inside(wrong, xp):
    x = to_library(np.ones((2, 4)), xp, "float64")
    estimate = functools.partial(noise_correlation.estimate_jacobian, random.key(0, xp), sigma=0.1, draws=3)
    with pytest.raises((TypeError, ValueError), match=r"tail\(\): expected .* got"):
        estimate(TAILS[wrong], x)
    with pytest.raises((TypeError, ValueError), match=r"law\(\): expected .* got"):
        estimate(lambda y: y, x, law=lambda *given: TAILS[wrong](random.normal(*given)))


def test_an_activation_of_the_users_own_is_checked_where_it_comes_back(xp):
    own = Activation("nothing", lambda s: s * math.nan, lambda s: s)
    x = to_library(np.ones((2, 4)), xp, "float64")
    with pytest.raises(ValueError, match=r"activation.value\(\): expected finite values, got NaN"):
        feedforward.forward(layers(xp), x, own)


def test_routes_by_the_same_activation_are_equal_so_that_a_step_is_compiled_once():
    own = Activation("square", lambda s: s * s, lambda s: 2 * s)
    assert Direct(own) == Direct(own)
    assert hash(Direct(own)) == hash(Direct(own))
    assert Direct(own) != Direct(activation.relu)


def test_vmap_and_jit_inside_an_eager_call():
    jax = pytest.importorskip("jax")
    xp = jax.numpy
    x = to_library(GOOD, xp, "float64")
    many = jax.vmap(lambda row: inner(row[None, :]))(x)
    assert many.shape == (1, 1, 2)
    got = outer(x, lambda y: jax.jit(inner)(y))  # traced while the eager call is under way
    assert np.array_equal(np.asarray(got), 4 * GOOD)
    with pytest.raises(ValueError, match="x: expected finite values, got NaN"):
        inner(to_library(NAN, xp, "float64"))  # which is outermost, though it was traced inside
    assert np.isnan(np.asarray(jax.jit(inner)(to_library(NAN, xp, "float64")))[0, 1])  # values are unknown


def test_tracing_makes_no_operations_that_only_check():
    jax = pytest.importorskip("jax")
    x = to_library(GOOD, jax.numpy, "float64")
    assert [str(equation.primitive) for equation in jax.make_jaxpr(outer)(x).eqns] == ["mul"]


def test_numbers_become_floats_and_do_not_promote():
    @checked
    def scaled(x: Float[Array, "n"], factor: Positive) -> Float[Array, "n"]:
        assert type(factor) is float
        return factor * x

    assert scaled(np.ones(2, dtype=np.float32), np.float64(0.5)).dtype == np.float32


def test_help_shows_shapes_and_ranges_and_an_argument_a_line():
    shown = pydoc.plain(pydoc.render_doc(perturbation.on_manifold))
    in_one_line = " ".join(shown.split()).replace(" )", ")")  # from Python 3.13 on an argument has a line
    assert 'basis: Basis[Array, "n d"], sigma: Positive) -> Float[Array, "*draws n"]' in in_one_line
    shown = pydoc.plain(pydoc.render_doc(noise_correlation.estimate_jacobian))
    for name in inspect.signature(noise_correlation.estimate_jacobian).parameters:
        assert f"\n        {name}: " in shown


def test_what_checked_functions_return_is_trusted(scanned):
    own = feedforward.tail(layers(), 1, activation.relu)
    y, noise = np.ones((2, 6)), np.ones((3, 2, 6))
    for tail, scans in ((own, 2), (functools.partial(own), 2), (lambda y: own(y), 4)):
        scanned.clear()
        estimator.one_sided_response(tail, y, noise)
        assert len(scanned) == scans


def test_a_form_that_has_passed_says_nothing_of_values_or_of_other_forms():
    basis = np.eye(4)[:, :2]
    for _ in range(2):
        assert perturbation.on_manifold(np.ones((3, 2)), basis, 0.5).shape == (3, 4)
        for coefficients, other, sigma, message in (
            (np.full((3, 2), math.nan), basis, 0.5, "coefficients: expected finite values, got NaN"),
            (np.ones((3, 2)), 2 * basis, 0.5, "basis: expected orthonormal columns"),
            (np.ones((3, 2)), basis, -0.5, "sigma: expected a positive number, got -0.5"),
            (np.ones((3, 3)), basis, 0.5, r"basis: expected shape \[n, d\] with d = 3 \(as in coefficients\)"),
        ):
            with pytest.raises(ValueError, match=message):
                perturbation.on_manifold(coefficients, other, sigma)
        with pytest.raises(TypeError, match="basis: expected float64 like coefficients, got float32"):
            perturbation.on_manifold(np.ones((3, 2)), basis.astype(np.float32), 0.5)
        with pytest.raises(TypeError, match="basis: expected an array, got NoneType"):
            perturbation.on_manifold(np.ones((3, 2)), None, 0.5)


def test_an_array_in_two_places_is_not_taken_for_two():
    for _ in range(2):
        estimator.correlation(GOOD, GOOD, 0.1)
        for response, noise in ((GOOD, NAN), (NAN, GOOD)):
            with pytest.raises(ValueError, match="expected finite values, got NaN"):
                estimator.correlation(response, noise, 0.1)


def test_forms_are_forgotten_when_they_are_many(monkeypatch):
    monkeypatch.setattr("nmnc_ref.checked._FORMS", 3)
    for length in (*range(1, 9), *range(1, 9)):
        assert inner(np.ones((2, length))).shape == (2, length)
        with pytest.raises(ValueError, match="expected shape"):
            inner(np.ones(length))


@pytest.mark.parametrize("wrong", [np.array(2.5), np.array([2, 3]), np.float64(2)])
def test_an_array_that_is_no_integer_is_refused_by_name(wrong):
    with pytest.raises(TypeError, match="dimension: expected an integer, got"):
        perturbation.matched_sigma(1.0, wrong, 4)
