"""Streamed and sharded estimates against the readable ones: for any chunk, and for 1, 2, 4 and 8 devices."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax")

import fast_devices
import jax
import jax.numpy as jnp
from test_fast_factored import assert_linear

from nmnc_ref import estimator, perturbation, random, training
from nmnc_ref.fast import factored, streamed
from nmnc_ref.nn import feedforward, initialisation
from nmnc_ref.nn.activation import tanh
from nmnc_ref.route import Direct

WIDTHS, BATCH, DRAWS, SIGMA = fast_devices.WIDTHS, fast_devices.BATCH, fast_devices.DRAWS, fast_devices.SIGMA


def problem(dtype=np.float64):
    key = random.key(3, np)
    network = initialisation.dense_network(random.fold_in(key, 1), WIDTHS, dtype)
    x = random.normal(random.fold_in(key, 2), (BATCH, WIDTHS[0]), dtype)
    given = {"route": Direct(tanh), "settings": training.Settings("nmnc", dimension=3)}
    return key, network, x, training.init(key, network, x, **given).bases


def by_the_readable_functions(antithetic=True, dtype=np.float64):
    key, network, x, bases = problem(dtype)
    found = []
    respond = estimator.antithetic_response if antithetic else estimator.one_sided_response
    for site, basis in enumerate(bases):
        keys = random.fold_in(random.fold_in(key, site), np.arange(DRAWS, dtype=np.uint32))
        keys = random.fold_in(keys[:, None, :], np.arange(BATCH, dtype=np.uint32))
        noise = perturbation.on_manifold(random.normal(keys, basis.shape[1:], dtype), basis, SIGMA)
        activity = feedforward.forward(network, x, tanh).hidden[site]
        response = respond(feedforward.tail(network, site + 1, tanh), activity, noise)
        found.append(estimator.batch_correlation(response, noise, SIGMA))
    return found


@pytest.mark.parametrize(
    ("chunk", "antithetic", "dtype_name"),
    [(1, True, "float64"), (4, False, "float64"), (21, True, "float32"), (50, False, "float64")],
)
def test_any_chunk_gives_the_readable_estimate(chunk, antithetic, dtype_name):
    dtype = getattr(np, dtype_name)
    key, network, x, bases = jax.tree.map(jnp.asarray, problem(dtype))
    given = {"activation": tanh, "sigma": SIGMA, "draws": DRAWS, "chunk": chunk, "antithetic": antithetic}
    given["mesh"] = streamed.mesh()
    C = jax.jit(functools.partial(streamed.estimates, **given))(key, network, x, bases)
    for coordinates, basis, want in zip(C, bases, by_the_readable_functions(antithetic, dtype), strict=True):
        assert_linear(factored.lifted(coordinates, basis), want, DRAWS * BATCH, 4.0 / SIGMA)


@pytest.fixture(scope="module")
def meshes():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    script = Path(fast_devices.__file__)
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join([str(script.parents[1]), *sys.path])}
    said = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=600)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout.splitlines()[-1])


@pytest.mark.xdist_group("meshes")
@pytest.mark.parametrize("what", ["estimates", "step", "moments"])
def test_any_number_of_devices_gives_the_same(meshes, what):
    assert len(meshes[what]) == (2 if what != "estimates" else len(fast_devices.MESHES))
    for name, difference in meshes[what].items():
        assert difference <= 4 * np.finfo(np.float64).eps * (DRAWS * BATCH) ** 0.5 * 4.0 / SIGMA, name


@pytest.mark.xdist_group("meshes")
def test_many_devices_give_the_readable_estimate(meshes):
    _, _, _, bases = problem()
    for coordinates, basis, want in zip(meshes["alone"], bases, by_the_readable_functions(), strict=True):
        assert_linear(np.array(coordinates) @ basis.T, want, DRAWS * BATCH, 4.0 / SIGMA)


def test_samples_that_cannot_be_shared_out_are_refused():
    mesh = jax.sharding.AbstractMesh((1, 3), streamed.AXES)
    key, network, x, bases = jax.tree.map(jnp.asarray, problem())
    with pytest.raises(ValueError, match="expected a multiple of 3 samples, got 8"):
        streamed.estimates(key, network, x, bases, activation=tanh, sigma=0.1, draws=2, mesh=mesh)


def test_other_meshes_are_refused():
    key, network, x, bases = jax.tree.map(jnp.asarray, problem())
    for mesh, kind, message in (
        (None, TypeError, "mesh: expected a mesh of jax.sharding, got NoneType"),
        (jax.sharding.AbstractMesh((1,), ("draws",)), ValueError, r"mesh: expected the axes .* got \('draws',\)"),
    ):
        with pytest.raises(kind, match=message):
            streamed.estimates(key, network, x, bases, activation=tanh, sigma=0.1, draws=2, mesh=mesh)
        with pytest.raises(kind, match=message):
            streamed.moments_of(x, mesh=mesh)
