"""Estimates from any number of perturbations in bounded memory, on one device or many, under JAX.

Draw k of sample i at hidden layer l has a key of its own, `fold_in(fold_in(fold_in(key, l − 1), k), i)`: what it is
depends neither on how many draws are in memory at a time nor on which device makes it. Draws and samples are shared out
over a mesh with the axes "draws" and "batch", on one host or, after `jax.distributed.initialize`, on several. Devices
exchange nothing but their sums, once for each estimate: n_o·d numbers for each layer.

    mesh = streamed.mesh(draws=4, batch=2)
    estimate = jax.jit(functools.partial(streamed.estimates, mesh=mesh, activation=relu, sigma=0.01, draws=10**6))
    everywhere = NamedSharding(mesh, PartitionSpec())  # arrays that are on one device alone are refused by JAX
    C = estimate(*jax.device_put((key, network, x, bases), everywhere))
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, Mesh, PartitionSpec

from nmnc_ref import moments, random
from nmnc_ref.arrays import Array, Basis, Float, Key, at_most, expect, expect_number
from nmnc_ref.checked import checked
from nmnc_ref.fast import factored
from nmnc_ref.nn import feedforward
from nmnc_ref.nn.activation import Activation
from nmnc_ref.scalars import Count, Positive

AXES = ("draws", "batch")


@checked
def mesh(*, draws: Count = 1, batch: Count = 1) -> Mesh:
    """A mesh of the first draws × batch devices, of all hosts.

    Args:
        draws: devices that share the draws of each sample.
        batch: devices that share the samples.
    """
    at_most("draws, batch", draws * batch, jax.device_count(), "the number of devices")
    return Mesh(np.asarray(jax.devices()[: draws * batch]).reshape(draws, batch), AXES)


@checked
def estimates(
    key: Key,
    network: feedforward.Network,
    x: Float[Array, "B m"],
    bases: tuple[Basis[Array, "?n ?d"], ...],
    *,
    activation: Activation,
    sigma: Positive,
    draws: Count,
    chunk: Count = 64,
    antithetic: bool = True,
    mesh: Mesh,
) -> tuple[Float[Array, "o ?d"], ...]:
    """C_l = mean_ki(δy_ki z_kiᵀ)/σ for each hidden layer l, from K draws for each of B samples (E14).

    Args:
        key: random key.
        network: its layers.
        x: inputs; their number is a multiple of the devices along "batch".
        bases: U_l.
        activation: φ.
        sigma: σ, in units of activity.
        draws: K.
        chunk: draws of every sample in memory at a time, on each device.
        antithetic: pairs of perturbations, or one-sided.
        mesh: devices with the axes "draws" and "batch".
    """
    shares = _shares(mesh, *AXES)
    expect_number("bases", bases, len(network) - 1, "the hidden layers of network")
    expect(x.shape[0] % shares["batch"] == 0, f"x: expected a multiple of {shares['batch']} samples, got {x.shape[0]}")
    own = -(-draws // shares["draws"])

    def of_device(key: Array, network: tuple, x: Array, bases: tuple) -> tuple:
        passed = feedforward.forward(network, x, activation)
        first, samples = jax.lax.axis_index("draws") * own, jnp.arange(x.shape[0], dtype=key.dtype)
        samples = samples + jax.lax.axis_index("batch").astype(key.dtype) * x.shape[0]
        tails = [factored.feedforward_tail(network, passed, l, U, activation) for l, U in enumerate(bases, start=1)]

        def add(totals: tuple, start: Array) -> tuple[tuple, None]:
            place = start + jnp.arange(chunk)
            counted = (place < own) & (first + place < draws)
            found = []
            for site, (tail, total) in enumerate(zip(tails, totals, strict=True)):
                each = random.fold_in(random.fold_in(key, site), (first + place).astype(key.dtype))
                z = random.normal(random.fold_in(each[:, None, :], samples), total.shape[1:], x.dtype)
                z = jnp.where(counted[:, None, None], z, 0)  # [chunk, B, d]
                response = tail.antithetic(sigma * z) if antithetic else tail(sigma * z) - passed.output[None, ...]
                found.append(total + jnp.tensordot(response, z, axes=((0, 1), (0, 1))))
            return tuple(found), None

        zeros = tuple(0 * passed.output[0, :, None] * U[:1, :] for U in bases)
        sums, _ = jax.lax.scan(add, zeros, jnp.arange(0, own, chunk))
        return jax.lax.psum(sums, AXES)

    everywhere, shared = PartitionSpec(), PartitionSpec("batch")
    summed = jax.shard_map(
        of_device,
        mesh=mesh,
        in_specs=(everywhere, everywhere, shared, everywhere),
        out_specs=everywhere,
        check_vma=False,  # the sums vary over the mesh only inside
    )(key, network, x, bases)
    return tuple(total / (draws * x.shape[0] * sigma) for total in summed)


@checked
def moments_of(activity: Float[Array, "B n"], *, mesh: Mesh) -> moments.Moments:
    """w, m and S of activity whose samples are shared out over the axis "batch" of a mesh, merged from each device's.

    Args:
        activity: x; the number of samples is a multiple of the devices along "batch".
        mesh: devices with an axis "batch".
    """
    number = _shares(mesh, "batch")["batch"]
    expect(
        activity.shape[0] % number == 0, f"activity: expected a multiple of {number} samples, got {activity.shape[0]}"
    )

    def of_device(activity: Array) -> moments.Moments:
        every = jax.tree.map(lambda part: jax.lax.all_gather(part, "batch"), moments.of(activity))
        return functools.reduce(moments.merge, [jax.tree.map(lambda part: part[i], every) for i in range(number)])  # noqa: B023

    return jax.shard_map(
        of_device, mesh=mesh, in_specs=PartitionSpec("batch"), out_specs=PartitionSpec(), check_vma=False
    )(activity)


def _shares(mesh: Mesh, *axes: str) -> Mapping[str, int]:
    """Return the number of devices along each axis of a mesh that has the axes wanted."""
    if not isinstance(mesh, (Mesh, AbstractMesh)):
        raise TypeError(f"mesh: expected a mesh of jax.sharding, got {type(mesh).__name__}")
    expect(set(axes) <= set(mesh.shape), f"mesh: expected the axes {axes}, got {tuple(mesh.shape)}")
    return mesh.shape
