"""Rows: the estimators against bare matrix products, the factored path against the dense one, small calls."""

from __future__ import annotations

import itertools

import numpy as np

from nmnc_ref import estimator, perturbation
from nmnc_ref.bench.row import Cost, Finding, row
from nmnc_ref.bench.timing import paired
from nmnc_ref.fast import factored
from nmnc_ref.nn import feedforward
from nmnc_ref.nn.activation import relu
from nmnc_ref.nn.dense import Dense

DRAWS, CHUNK = 4096, 256


def normal(*shape: int) -> np.ndarray:
    """Return standard normal numbers of float32."""
    return np.random.default_rng(len(shape)).standard_normal(shape, dtype=np.float32)


def tail_cost(draws: int, *widths: int) -> float:
    """Return the operations of a tail of layers of these widths on some draws."""
    return 2.0 * draws * sum(below * above for below, above in itertools.pairwise(widths))


@row(
    "estimator-numpy",
    work="response and correlation of K = 4096 one-sided draws on a tail 500-500-10 (ReLU), float32, noise given",
    baseline="the three matrix products of that size, bare: two of the tail, one of the correlation",
    goal=1.25,
)
def estimator_of_given_noise() -> Finding:
    """The readable estimator."""
    n, o = 500, 10
    network = (Dense(normal(n, n) / n**0.5, normal(n)), Dense(normal(o, n) / n**0.5, normal(o)))
    tail, activity, noise = feedforward.tail(network, 0, relu), normal(n), normal(DRAWS, n)
    below, above = network[0].weight.T, network[1].weight.T

    def bare() -> np.ndarray:
        return ((noise @ below) @ above).T @ noise

    cost = Cost(tail_cost(DRAWS, n, n, o) + 2.0 * DRAWS * n * o, 4.0 * DRAWS * (3 * n + 2 * o))
    return paired(
        lambda: estimator.correlation(estimator.one_sided_response(tail, activity, noise), noise, 0.1),
        bare,
        cost=cost,
        of_baseline=cost,
    )


@row(
    "factored",
    work="an estimate C [10, 32] from K = 4096 antithetic pairs of given z, n = 4096, d = 32, tail 4096-4096-10 "
    "(ReLU), float32, in chunks of 256, clean forward pass given",
    baseline="the readable estimate [10, 4096] from the same z, n-dimensional noise",
    goal=0.1,
)
def factored_against_dense() -> Finding:
    """The factored path against the readable one."""
    n, d, o, sigma = 4096, 32, 10, 0.01
    basis = np.linalg.qr(normal(n, d))[0]
    below = Dense(np.eye(n, dtype=np.float32), normal(n))
    network = (below, Dense(normal(n, n) / n**0.5, normal(n)), Dense(normal(o, n) / n**0.5, normal(o)))
    passed = feedforward.forward(network, normal(1, n)[0], relu)
    z, activity, above = normal(DRAWS, d), passed.activity[1], feedforward.tail(network, 1, relu)

    def dense(start: int, stop: int) -> np.ndarray:
        noise = perturbation.on_manifold(z[start:stop], basis, sigma)
        return estimator.correlation(estimator.antithetic_response(above, activity, noise), noise, sigma)

    def in_coordinates() -> np.ndarray:
        tail, c = factored.feedforward_tail(network, passed, 1, basis, relu), sigma * z

        def estimate(start: int, stop: int) -> np.ndarray:
            return estimator.correlation(tail.antithetic(c[start:stop]), c[start:stop], sigma)

        return estimator.in_chunks(estimate, DRAWS, CHUNK)

    read = 2 * DRAWS * n * o + DRAWS * d * o
    return paired(
        in_coordinates,
        lambda: estimator.in_chunks(dense, DRAWS, CHUNK),
        cost=Cost(2.0 * (n * n * d + 2 * DRAWS * d * n + read), 4.0 * (n * n + 4 * DRAWS * n)),
        of_baseline=Cost(2.0 * (DRAWS * d * n + 2 * DRAWS * n * n + read), 4.0 * (n * n + 10 * DRAWS * n)),
    )


@row(
    "overhead",
    work="one call of estimator.correlation, K = 8 draws, n = 32, n_o = 4, float64",
    baseline="the same arithmetic in bare NumPy",
    goal=3.0,
)
def overhead_of_checks() -> Finding:
    """What checking arguments costs where there is little to compute."""
    generator = np.random.default_rng(0)
    response, noise = generator.normal(size=(8, 4)), generator.normal(size=(8, 32))
    cost = Cost(2.0 * 8 * 4 * 32, 8.0 * (8 * 4 + 8 * 32 + 4 * 32))
    return paired(
        lambda: estimator.correlation(response, noise, 0.1),
        lambda: response.T @ noise / 8 / 0.1**2,
        cost=cost,
        of_baseline=cost,
    )
