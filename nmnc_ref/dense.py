"""The fully connected layer."""

from __future__ import annotations

from typing import NamedTuple

from nmnc_ref.arrays import Array, expect


class Dense(NamedTuple):
    """A fully connected layer: `weight` W [n_l, n_{l−1}], `bias` b [n_l].

    Its methods raise TypeError for mixed libraries or dtypes, and ValueError for shapes that do not fit, empty
    arrays, NaN and infinity.
    """

    weight: Array
    bias: Array

    @property
    def inputs(self) -> int:
        """The number n_{l−1} of units below."""
        expect(weight=(self.weight, "n m"))
        return self.weight.shape[1]

    @property
    def positions(self) -> int:
        """The number of places that share each weight: 1."""
        return 1

    def preactivation(self, activity: Array) -> Array:
        """Return s = x Wᵀ + b, [..., n_l], of `activity` x [..., n_{l−1}]."""
        expect(weight=(self.weight, "n m"), bias=(self.bias, "n"), activity=(activity, "... m"))
        return activity @ self.weight.T + self.bias

    def pull_back(self, delta: Array) -> Array:
        """Return δ W, [..., n_{l−1}], of `delta` δ [..., n_l]."""
        expect(weight=(self.weight, "n m"), delta=(delta, "... n"))
        return delta @ self.weight

    def gradient(self, delta: Array, activity: Array) -> Dense:
        """Return Dense(δᵀ x, Σ_i δ_i) of `delta` δ [B, n_l] and `activity` x [B, n_{l−1}]."""
        xp = expect(weight=(self.weight, "n m"), delta=(delta, "B n"), activity=(activity, "B m"))
        return Dense(delta.T @ activity, xp.sum(delta, axis=0))
