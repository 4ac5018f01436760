"""The fully connected layer."""

from __future__ import annotations

from typing import NamedTuple

from nmnc_ref.arrays import Array, Float, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import of_rank


class Dense(NamedTuple):
    """A fully connected layer: weight W and bias b."""

    weight: Float[Array, "n m"]
    bias: Float[Array, "n"]

    @property
    def inputs(self) -> int:
        """The number m of units below."""
        return self.weight.shape[1]

    @property
    def outputs(self) -> int:
        """The number n of units."""
        return self.weight.shape[0]

    @property
    def positions(self) -> int:
        """The number of places that share each weight: 1."""
        return 1

    @checked
    def preactivation(self, activity: Float[Array, "*batch m"]) -> Float[Array, "*batch n"]:
        """s = x Wᵀ + b."""
        return activity @ self.weight.T + of_rank(self.bias, activity.ndim)

    @checked
    def pull_back(self, delta: Float[Array, "*batch n"]) -> Float[Array, "*batch m"]:
        """δ W: the gradient at the activity below, of a gradient at s."""
        return delta @ self.weight

    @checked
    def gradient(self, delta: Float[Array, "B n"], activity: Float[Array, "B m"]) -> Dense:
        """Dense(δᵀ x, Σ_i δ_i): the gradient of the parameters, of δ at s and the activity x below."""
        return Dense(delta.T @ activity, namespace(delta).sum(delta, axis=0))
