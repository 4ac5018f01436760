"""Estimators against loops over their definition, on tails that are plain functions of arrays."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from nmnc_ref import estimator, perturbation, random, theory
from nmnc_ref.noise_correlation import estimate_jacobian

N, D, N_O = 7, 3, 2
JACOBIAN = np.linspace(-1, 1.3, N_O * N).reshape(N_O, N) ** 3 + 0.1
BASIS = np.linalg.qr(np.sin(np.arange(N * D)).reshape(N, D))[0]
ACTIVITY = np.cos(np.arange(N))


def linear_tail(x):
    return x @ JACOBIAN.T


def tanh_tail(x):
    return np.tanh(x @ JACOBIAN.T)


def noise(draws, batch=(), sigma=0.3, basis=BASIS):
    z = random.normal(random.key(draws, np), (draws, *batch, basis.shape[1]), np.float64)
    return sigma * z @ basis.T


@pytest.mark.parametrize("batch", [(), (4,), (4, 5)])
def test_estimators_against_a_loop(batch):
    xi = noise(6, batch)
    activity = np.broadcast_to(ACTIVITY, (*batch, N))
    one_sided = estimator.one_sided_response(tanh_tail, activity, xi)
    antithetic = estimator.antithetic_response(tanh_tail, activity, xi)
    for index in np.ndindex(*batch):
        for response, expected in (
            (one_sided, lambda e: tanh_tail(ACTIVITY + e) - tanh_tail(ACTIVITY)),
            (antithetic, lambda e: (tanh_tail(ACTIVITY + e) - tanh_tail(ACTIVITY - e)) / 2),
        ):
            draws = [xi[(k, *index)] for k in range(6)]
            raw = sum(np.outer(expected(e), e) for e in draws) / 6
            got = estimator.unnormalised_correlation(response, xi)[index]
            assert np.allclose(got, raw, rtol=1e-12, atol=1e-15)
            assert np.allclose(estimator.correlation(response, xi, 0.3)[index], raw / 0.3**2, rtol=1e-12, atol=1e-14)


def test_batch_correlation_is_the_mean_over_the_batch():
    xi = noise(6, (4, 5))
    response = estimator.one_sided_response(linear_tail, np.broadcast_to(ACTIVITY, (4, 5, N)), xi)
    each = estimator.correlation(response, xi, 0.3)
    assert np.allclose(estimator.batch_correlation(response, xi, 0.3), each.mean(axis=0), rtol=1e-13)


def test_least_squares_is_numpys():
    xi = noise(9)
    response = linear_tail(xi) + 0.1 * random.normal(random.key(3, np), (9, N_O), np.float64)
    want = np.linalg.lstsq(xi @ BASIS, response, rcond=None)[0].T @ BASIS.T
    assert np.allclose(estimator.least_squares(response, xi, BASIS), want, rtol=1e-12, atol=1e-14)
    together = np.stack([xi, 2 * xi], axis=1)
    got = estimator.least_squares(np.stack([response, response], axis=1), together, BASIS)
    assert np.allclose(got, np.stack([want, want / 2]), rtol=1e-12, atol=1e-14)


def test_every_estimator_works_on_plain_callables():
    """Nothing here knows of networks: a tail is a function of arrays."""
    projected = JACOBIAN @ BASIS @ BASIS.T
    frame = perturbation.orthonormal_frame(random.normal(random.key(1, np), (D, D), np.float64))
    xi = perturbation.on_manifold(frame, BASIS, 0.3)
    for respond in (estimator.one_sided_response, estimator.antithetic_response):
        response = respond(linear_tail, ACTIVITY, xi)
        assert np.allclose(estimator.correlation(response, xi, 0.3), projected, atol=1e-13)
        assert np.allclose(0.3**-2 * estimator.unnormalised_correlation(response, xi), projected, atol=1e-13)
        assert np.allclose(estimator.least_squares(response, xi, BASIS), projected, atol=1e-13)
        batch = estimator.batch_correlation(response[:, None, :], xi[:, None, :], 0.3)
        assert np.allclose(batch, projected, atol=1e-13)
        assert np.allclose(estimator.shrunk(batch, 0.5), projected / 2, atol=1e-13)
    signs = np.array(list(np.ndindex(*[2] * D))) * 2.0 - 1
    shaped = perturbation.covariance_shaped(signs, BASIS * [1.0, 2.0, 3.0])
    response = estimator.one_sided_response(linear_tail, ACTIVITY, shaped)
    covariance = BASIS * [1.0, 4.0, 9.0] @ BASIS.T
    assert np.allclose(estimator.unnormalised_correlation(response, shaped), JACOBIAN @ covariance, atol=1e-12)
    for basis, target, dimension in ((BASIS, projected, D), (None, JACOBIAN, N)):
        got = estimate_jacobian(random.key(2, np), linear_tail, ACTIVITY, sigma=0.1, draws=4000, basis=basis)
        error = math.sqrt((dimension + 1) / 4000) * np.linalg.norm(target)
        assert np.linalg.norm(got - target) < 4 * error


@pytest.mark.parametrize("chunk", [1, 3, 7, 10, 1000])
@pytest.mark.parametrize("law", [random.normal, random.rademacher])
def test_chunks_change_nothing_but_rounding(xp, chunk, law):
    jacobian = xp.asarray(JACOBIAN.tolist(), dtype=xp.float64)
    activity = xp.asarray(np.broadcast_to(ACTIVITY, (2, N)).tolist(), dtype=xp.float64)

    def estimate(chunk):
        key = random.key(4, xp)
        return estimate_jacobian(key, lambda x: x @ jacobian.T, activity, sigma=0.2, draws=10, law=law, chunk=chunk)

    assert np.allclose(np.asarray(estimate(chunk)), np.asarray(estimate(10)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("respond", [estimator.one_sided_response, estimator.antithetic_response])
@pytest.mark.parametrize("basis", [BASIS, None])
def test_the_method_in_one_call_is_its_composition(respond, basis):
    key, activity, width = random.key(5, np), np.broadcast_to(ACTIVITY, (2, N)), N if basis is None else D
    z = np.stack([random.normal(random.fold_in(key, k), (2, width), np.float64) for k in range(6)])
    xi = 0.2 * z if basis is None else 0.2 * z @ basis.T
    want = estimator.correlation(respond(tanh_tail, activity, xi), xi, 0.2)
    got = estimate_jacobian(key, tanh_tail, activity, sigma=0.2, draws=6, basis=basis, respond=respond, chunk=4)
    assert np.allclose(got, want, rtol=1e-12, atol=1e-13)


WAITING = """
import functools
import jax
from jax import numpy as jnp
from nmnc_ref import estimator
noise = jax.random.normal(jax.random.key(0), (14, 30_000, 3))
jacobian = jnp.arange(12.0).reshape(4, 3)
response = noise @ jacobian.T
solve = jax.jit(functools.partial(estimator.least_squares, basis=None))
for _ in range(20):
    got = solve(response, noise).block_until_ready()
print(float(jnp.max(jnp.abs(jnp.mean(got, axis=0) - jacobian))) < 1e-3)
"""


def test_least_squares_of_a_batch_ends_where_xla_has_two_threads():
    pytest.importorskip("jax")
    environment = os.environ | {"NPROC": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", WAITING], env=environment, capture_output=True, text=True, timeout=300)
    assert run.stdout == "True\n", run.stderr


def test_least_squares_refuses_noise_off_the_manifold():
    with pytest.raises(ValueError, match="noise: expected noise inside the span of basis, got"):
        estimator.least_squares(linear_tail(noise(9, basis=np.eye(N))), noise(9, basis=np.eye(N)), BASIS)


def test_memory_does_not_grow_with_the_draws():
    largest = 0

    def watched(x):
        nonlocal largest
        largest = max(largest, x.size)
        return linear_tail(x)

    estimate_jacobian(random.key(4, np), watched, ACTIVITY, sigma=0.2, draws=5000, chunk=50)
    assert largest == 50 * N


def test_laws_of_the_coefficients():
    z = random.normal(random.key(1, np), (1000, 4, D), np.float64)
    fixed = perturbation.fixed_norm(z)
    assert np.allclose(np.sum(fixed**2, axis=-1), D)
    frames = perturbation.orthonormal_frame(random.normal(random.key(1, np), (3, 1000, 5), np.float64))
    frames = np.moveaxis(frames, 0, 1)
    assert np.allclose(frames @ np.moveaxis(frames, -1, -2), 5 * np.eye(3), atol=1e-12)
    # E[q₁] = 0 fails if the sign of the factorisation is left as it comes
    assert np.abs(frames.mean(axis=0)).max() < 7 / math.sqrt(1000)


def test_matched_energy():
    assert perturbation.matched_sigma(0.6, 4, 9) == pytest.approx(0.4)


def test_the_error_of_least_squares_is_finite_from_two_draws_more_than_dimensions_on():
    assert theory.estimator.least_squares_error(0.5, 3, 7, 9, 0.25) == 84
    with pytest.raises(ValueError, match="draws: expected at least 9 for dimension = 7, got 8"):
        theory.estimator.least_squares_error(0.5, 3, 7, 8, 0.25)
