"""What a layer is to a network, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from nmnc_ref.arrays import Array, is_static


class Layer(Protocol):
    """An affine map from the activity of one layer to the preactivation of the next; a NamedTuple of arrays."""

    @property
    def weight(self) -> Array:
        """The weights, for each unit (or channel) of the layer a row."""

    @property
    def bias(self) -> Array:
        """What is added to each unit (or channel)."""

    @property
    def inputs(self) -> int:
        """The number of units below."""

    @property
    def outputs(self) -> int:
        """The number of units."""

    @property
    def positions(self) -> int:
        """The number of places that share each weight: 1 for a dense layer."""

    def preactivation(self, activity: Array) -> Array:
        """s of the activity below, with any axes before the last."""

    def pull_back(self, delta: Array) -> Array:
        """The gradient at the activity below, of a gradient at s."""

    def gradient(self, delta: Array, activity: Array) -> Any:
        """The gradient of the parameters, in a layer, summed over the batch."""

    @property
    def _replace(self) -> Any:
        """What makes another layer with some parameters changed."""


def parameters(layer: Any) -> list[str]:
    """Return the names of the fields of a layer that are arrays."""
    return [name for name, value in zip(layer._fields, layer, strict=True) if not is_static(value)]


def each_parameter(change: Callable[..., Array], layer: Any, *others: Any) -> Any:
    """Return a layer with `change` made to each parameter, a function of it and of those of other layers alike."""
    layers = (layer, *others)
    return layer._replace(**{name: change(*(getattr(each, name) for each in layers)) for name in parameters(layer)})
