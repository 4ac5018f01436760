"""Run by test_fast_streamed.py in a process with 8 devices: prints, as JSON, what differs between meshes, and costs."""

from __future__ import annotations

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from nmnc_ref import moments, random, training
from nmnc_ref.fast import streamed
from nmnc_ref.fast import training as fast_training
from nmnc_ref.nn import initialisation
from nmnc_ref.nn.activation import tanh
from nmnc_ref.nn.loss import squared_error
from nmnc_ref.route import Direct

WIDTHS, BATCH, DRAWS, SIGMA = (6, 9, 8, 3), 8, 21, 0.5
MESHES = ((1, 1), (1, 2), (4, 1), (2, 4))
"""Of 1, 2, 4 and 8 devices: draws, of which 4 share 21, and samples."""


def difference(one, other):
    """Return the largest difference of two trees of arrays, as a share of the largest value."""
    pairs = list(zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b))) / np.max(np.abs(np.asarray(b)))) for a, b in pairs)


def main():
    assert len(jax.devices()) == 8
    key, dtype = random.key(3, np), np.float64
    network = initialisation.dense_network(random.fold_in(key, 1), WIDTHS, dtype)
    x = random.normal(random.fold_in(key, 2), (BATCH, WIDTHS[0]), dtype)
    target = random.normal(random.fold_in(key, 4), (BATCH, WIDTHS[-1]), dtype)
    given = {"route": Direct(tanh), "settings": training.Settings("nmnc", dimension=3, samples=BATCH, sigma=SIGMA)}
    state, whole = training.init(key, network, x, **given), moments.of(x)
    key, network, x, target, state = jax.tree.map(jnp.asarray, (key, network, x, target, state))
    step = jax.jit(functools.partial(fast_training.step, loss=squared_error, **given))
    alone, stepped = None, step(state, x, target)[0]
    found = {"estimates": {}, "step": {}, "moments": {}}
    for mesh_shape in MESHES:
        mesh = streamed.mesh(draws=mesh_shape[0], batch=mesh_shape[1])
        given_mesh = {"activation": tanh, "sigma": SIGMA, "draws": DRAWS, "chunk": 4, "mesh": mesh}
        estimate = jax.jit(functools.partial(streamed.estimates, **given_mesh))
        shared, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (["batch"], []))
        C = estimate(*jax.device_put((key, network, x, state.bases), everywhere))
        name = "x".join(map(str, mesh_shape))
        alone = C if alone is None else alone
        found["estimates"][name] = difference(C, alone)
        if mesh_shape[1] == 1:  # the others share samples
            continue
        placed = jax.device_put(state, everywhere), jax.device_put(x, shared), jax.device_put(target, shared)
        found["step"][name] = difference(step(*placed)[0]._replace(key=None), stepped._replace(key=None))
        found["moments"][name] = difference(
            jax.jit(functools.partial(streamed.moments_of, mesh=mesh))(placed[1]), whole
        )
    print(json.dumps(found | {"alone": [np.asarray(each).tolist() for each in alone]}))


if __name__ == "__main__":
    main()
