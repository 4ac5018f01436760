"""Recurrent networks as one loop against the unrolled ones."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp
from test_fast_factored import assert_linear

from nmnc_ref import estimator, random
from nmnc_ref.fast import scanned
from nmnc_ref.nn import initialisation, recurrent
from nmnc_ref.nn.activation import tanh
from nmnc_ref.nn.recurrent import Cell

T, B, N, M, K = 5, 3, 6, 2, 4


def problem(xp, dtype):
    key = random.key(8, xp)
    draw = lambda i, *shape: random.normal(random.fold_in(key, i), shape, dtype)  # noqa: E731
    cell = Cell(draw(1, N, N) / N**0.5, draw(2, N, M), draw(3, N))
    network = (cell, *initialisation.dense_network(key, (N, 2), dtype))
    return network, draw(4, B, T, M), 0.3 * draw(5, T, K, B, N)


@pytest.mark.parametrize(
    ("leak", "antithetic", "dtype_name"), [(1.0, True, "float64"), (0.3, False, "float64"), (0.3, True, "float32")]
)
def test_forward_pass_and_responses(leak, antithetic, dtype_name):
    network, x, noise = problem(np, getattr(np, dtype_name))
    want = recurrent.forward(network, x, tanh, leak=leak)
    respond = estimator.antithetic_response if antithetic else estimator.one_sided_response
    wanted = [
        respond(recurrent.tail(network, x, t, tanh, leak=leak), h, xi)
        for t, (h, xi) in enumerate(zip(want.hidden, noise, strict=True), start=1)
    ]

    @jax.jit
    def both(network, x, noise):
        passed = scanned.forward(network, x, tanh, leak=leak)
        return passed, scanned.responses(network, x, passed, noise, tanh, leak=leak, antithetic=antithetic)

    got, responses = both(*problem(jnp, getattr(jnp, dtype_name)))
    assert_linear(got.activity, np.stack(want.activity), N * T)
    assert_linear(got.preactivation, np.stack(want.preactivation), N * T)
    assert_linear(got.output, want.output, N * T)
    assert_linear(responses, np.stack(wanted), N * T, np.abs(want.output).max())


def test_what_is_compiled_does_not_grow_with_the_steps():
    def size(steps):
        network, x, noise = problem(jnp, jnp.float64)
        x, noise = (jnp.concatenate([each] * steps, axis=axis) for each, axis in ((x, 1), (noise, 0)))
        lowered = jax.jit(lambda: scanned.responses(network, x, scanned.forward(network, x, tanh), noise, tanh)).lower()
        return lowered.as_text().count("stablehlo.")

    assert size(4) == size(1)
