"""Manifold noise without n-dimensional arithmetic: tails as functions of the coordinates c of a perturbation ξ = U c.

The layer above an activity is affine, so that its preactivation at x + U c is s + (W U) c: d columns in place of n, and
the s of the clean forward pass. What is read above is a tail like any other, on [..., d]: every estimator of the
library takes it, with isotropic noise c = σ z around 0, and estimates ∂y/∂c = J U:

    passed = feedforward.forward(network, x, activation)
    tail = factored.feedforward_tail(network, passed, 1, basis, activation)
    C = estimator.correlation(estimator.one_sided_response(tail, origin, sigma * z), sigma * z, sigma)  # mean(δy zᵀ)/σ

C [n_o, d] is Ĵ U, and Ĵ = C Uᵀ of the same draws to rounding, as Ĵ has its rows in the manifold. Running averages of C
are those of Ĵ in coordinates, as long as U stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from nmnc_ref.arrays import Array, Basis, Float, at_most, expect, expect_length, expect_number, namespace
from nmnc_ref.checked import checked
from nmnc_ref.nn import feedforward, recurrent
from nmnc_ref.nn.activation import Activation
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.layer import Layer
from nmnc_ref.numerics import of_rank
from nmnc_ref.scalars import Count, PositiveFraction


@checked
def composed(layer: Layer, basis: Basis[Array, "n d"] | None) -> Layer:
    """Dense(W U, 0): what a perturbation adds to the preactivation above, as a layer on its coordinates.

    Args:
        layer: the affine layer above the activity, of any kind.
        basis: U; None for perturbations in all directions, that is U = I.
    """
    linear = layer._replace(bias=0 * layer.bias)
    if basis is None:
        return linear
    expect_length("basis", basis, 0, layer.inputs, "layer")
    image = linear.preactivation(basis.T)
    return Dense(image.T, 0 * image[0, :])


@dataclass(frozen=True, eq=False)
class FeedforwardTail:
    """c ↦ f_l(x_l + U c): `lower` is `composed`, `preactivation` is s_{l+1}, `above` are the layers from l + 2 on."""

    lower: Layer
    preactivation: Float[Array, "*batch m"]
    above: tuple[Layer, ...]
    activation: Activation

    @checked
    def __call__(self, coordinates: Float[Array, "*draws d"]) -> Float[Array, "*draws o"]:
        """y at the coordinates c."""
        return self._read(self.lower.preactivation(coordinates))

    @checked
    def antithetic(self, coordinates: Float[Array, "*draws d"]) -> Float[Array, "*draws o"]:
        """½[y(c) − y(−c)]: `estimator.antithetic_response` around 0, with (W U) c taken once for both (E9)."""
        change = self.lower.preactivation(coordinates)
        return (self._read(change) - self._read(-change)) / 2

    def _read(self, change: Array) -> Array:
        batch, given = self.preactivation.shape[:-1], change.shape[:-1]
        same = given[len(given) - len(batch) :] == batch
        expect(same, f"coordinates: expected batch axes that end in {list(batch)} as in passed, got {list(given)}")
        s = of_rank(self.preactivation, change.ndim) + change
        return feedforward.Tail(self.above, self.activation)(self.activation.value(s)) if self.above else s


@checked
def feedforward_tail(
    network: feedforward.Network,
    passed: feedforward.Forward,
    layer: Count,
    basis: Basis[Array, "n d"] | None,
    activation: Activation,
) -> FeedforwardTail:
    """c ↦ y = f_l(x_l + U c).

    Args:
        network: its layers.
        passed: the clean forward pass.
        layer: l, from 1 to L − 1.
        basis: U, of layer l; None for all directions.
        activation: φ.
    """
    at_most("layer", layer, len(network) - 1, "the last hidden layer of network")
    expect_number("passed.hidden", passed.hidden, len(network) - 1, "the hidden layers of network")
    lower, above = composed(network[layer], basis), tuple(network[layer + 1 :])
    return FeedforwardTail(lower, passed.preactivation[layer], above, activation)


@dataclass(frozen=True, eq=False)
class RecurrentTail:
    """c ↦ y of h_t + U c: `lower` and `read` are W U and O U, and `above` the tail from h_{t+1}, None for t = T.

    `state`, `preactivation` and `output` are h_t, s_{t+1} (that is not used for t = T) and y_t of the clean pass.
    """

    basis: Basis[Array, "n d"]
    lower: Float[Array, "n d"]
    read: Layer
    state: Float[Array, "B n"]
    preactivation: Float[Array, "B n"]
    output: Float[Array, "B p"]
    above: recurrent.Tail | None
    activation: Activation
    leak: PositiveFraction
    every: bool

    @checked
    def __call__(self, coordinates: Float[Array, "*draws B d"]) -> Float[Array, "*draws B o"]:
        """y at the coordinates c."""
        rank = coordinates.ndim
        here = of_rank(self.output, rank) + self.read.preactivation(coordinates)
        if self.above is None:
            return here
        h = self.leak * self.activation.value(of_rank(self.preactivation, rank) + coordinates @ self.lower.T)
        if self.leak != 1:  # what leaks on of the state needs all n dimensions
            h = h + (1 - self.leak) * (of_rank(self.state, rank) + coordinates @ self.basis.T)
        return namespace(h).concat([here, self.above(h)], axis=-1) if self.every else self.above(h)


@checked
def recurrent_tail(
    network: recurrent.Network,
    x: Float[Array, "B T m"],
    passed: recurrent.Forward,
    step: Count,
    basis: Basis[Array, "n d"],
    activation: Activation,
    *,
    leak: PositiveFraction = 1.0,
    every: bool = False,
) -> RecurrentTail:
    """c ↦ y_T, or (y_t, …, y_T) side by side if `every`, of h_t + U c.

    Args:
        network: cell and read-out.
        x: inputs.
        passed: the clean forward pass.
        step: t, from 1 to T.
        basis: U.
        activation: φ.
        leak: a.
        every: read out at every step, not at the last alone.
    """
    (cell, read_out), last = network, x.shape[1]
    expect_number("passed.hidden", passed.hidden, last, "the steps of x")
    at_most("step", step, last, "the number of steps of x")
    state = passed.activity[step]
    above = None if step == last else recurrent.tail(network, x, step + 1, activation, leak=leak, every=every)
    s, y = passed.preactivation[min(step, last - 1)], read_out.preactivation(state)
    lower, read = cell.weight @ basis, composed(read_out, basis)
    return RecurrentTail(basis, lower, read, state, s, y, above, activation, leak, every)


@checked
def lifted(coefficients: Float[Array, "*batch o d"], basis: Basis[Array, "n d"]) -> Float[Array, "*batch o n"]:
    """C Uᵀ: an estimate Ĵ, or feedback B, from its coordinates.

    Args:
        coefficients: C.
        basis: U.
    """
    return coefficients @ basis.T


@checked
def rebased(
    coefficients: Float[Array, "o d"], basis: Basis[Array, "n d"], new: Basis[Array, "n D"]
) -> Float[Array, "o D"]:
    """C UᵀV: the coordinates in a new manifold V of what lies in it of B = C Uᵀ; the rest, B (I − VVᵀ), is lost.

    Args:
        coefficients: C.
        basis: U.
        new: V.
    """
    return coefficients @ (basis.T @ new)


@checked
def delta(
    signal: Float[Array, "B o"],
    coefficients: Float[Array, "o d"],
    basis: Basis[Array, "n d"],
    slope: Float[Array, "B n"],
) -> Float[Array, "B n"]:
    """δ = φ'(s) ⊙ (signal · C Uᵀ), by the order of products that takes fewer operations (F4).

    Args:
        signal: e.
        coefficients: C.
        basis: U.
        slope: φ'(s).
    """
    (batch, o), (n, d) = signal.shape, basis.shape
    few = batch * d * (o + n) <= o * n * (d + batch)
    return slope * ((signal @ coefficients) @ basis.T if few else signal @ (coefficients @ basis.T))
