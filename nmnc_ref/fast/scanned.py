"""Recurrent networks as one loop, under JAX: what is compiled does not grow with the number of steps T.

The readable functions of `nn.recurrent` unroll T steps, so that the time to compile a forward pass grows as T, and that
of the responses of all T states, each with a tail of its own, as T². Here a step is traced once, and so is a tail, as a
function of the step that it begins at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nmnc_ref.arrays import Array, Float
from nmnc_ref.checked import checked
from nmnc_ref.nn import recurrent
from nmnc_ref.nn.activation import Activation
from nmnc_ref.numerics import of_rank
from nmnc_ref.scalars import PositiveFraction


class Forward(NamedTuple):
    """A forward pass, as of `nn.recurrent`, with the steps along the first axis: h_0 … h_T, s_1 … s_T, and y_T."""

    activity: Float[Array, "after B n"]
    preactivation: Float[Array, "T B n"]
    output: Float[Array, "B o"]


@checked
def forward(
    network: recurrent.Network, x: Float[Array, "B T m"], activation: Activation, *, leak: PositiveFraction = 1.0
) -> Forward:
    """h_t = (1 − a) h_{t−1} + a φ(h_{t−1} Wᵀ + x_t Vᵀ + b), and y_T.

    Args:
        network: cell and read-out.
        x: inputs.
        activation: φ.
        leak: a.
    """
    cell, read_out = network
    drive = jnp.moveaxis(cell.drive(x), 1, 0)  # [T, B, n]

    def step(h: Array, here: Array) -> tuple[Array, tuple[Array, Array]]:
        s = h @ cell.weight.T + here
        h = (1 - leak) * h + leak * activation.value(s)
        return h, (h, s)

    start = 0 * drive[0, ...]
    last, (states, preactivations) = jax.lax.scan(step, start, drive)
    return Forward(jnp.concatenate([start[None], states]), preactivations, read_out.preactivation(last))


@checked
def responses(
    network: recurrent.Network,
    x: Float[Array, "B T m"],
    passed: Forward,
    noise: Float[Array, "T K B n"],
    activation: Activation,
    *,
    leak: PositiveFraction = 1.0,
    antithetic: bool = True,
) -> Float[Array, "T K B o"]:
    """δy_T of perturbations of each state h_1 … h_T on its own: the responses of all tails, one after another.

    Args:
        network: cell and read-out.
        x: inputs.
        passed: the clean forward pass.
        noise: ξ_1, …, ξ_T.
        activation: φ.
        leak: a.
        antithetic: pairs of perturbations, or one-sided.
    """
    cell, read_out = network
    drive = jnp.moveaxis(cell.drive(x), 1, 0)  # [T, B, n]

    def tail(step: Any, h: Array) -> Array:
        def advance(t: Any, h: Array) -> Array:
            return (1 - leak) * h + leak * activation.value(h @ cell.weight.T + of_rank(drive[t], h.ndim))

        return read_out.preactivation(jax.lax.fori_loop(step, drive.shape[0], advance, h))

    def response(at: tuple[Any, Array, Array]) -> Array:
        step, h, xi = at
        h = h[None, ...]
        return (
            (tail(step, h + xi) - tail(step, h - xi)) / 2
            if antithetic
            else tail(step, h + xi) - passed.output[None, ...]
        )

    steps = jnp.arange(1, drive.shape[0] + 1)
    return jax.lax.map(response, (steps, passed.activity[1:], noise))
