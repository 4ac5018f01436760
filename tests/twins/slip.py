"""What a wrong twin is made of."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref.oracle.vectors.operations import OPERATIONS

Twin = Callable[..., Any]
"""An answer to a stage from its inputs by name, wrong by one slip."""
RIGHT = SimpleNamespace(**{name: each.function for name, each in OPERATIONS.items()})
"""The right answers."""


class Slip(NamedTuple):
    """What makes the twin of the right answer."""

    of: Callable[[Twin], Twin]


def given(**replaced: Callable[[SimpleNamespace], Any]) -> Slip:
    """The right answer to other values of some inputs, each a function of all inputs."""

    def of(right: Twin) -> Twin:
        def twin(**inputs):
            own = SimpleNamespace(**inputs)
            return right(**{**inputs, **{name: replace(own) for name, replace in replaced.items()}})

        return twin

    return Slip(of)


def then(change: Callable[[np.ndarray, SimpleNamespace], Any]) -> Slip:
    """What becomes of the right answer, with the inputs at hand."""
    return Slip(lambda right: lambda **inputs: change(np.asarray(right(**inputs)), SimpleNamespace(**inputs)))


def column_major(array: np.ndarray) -> np.ndarray:
    """The same numbers read with the first axis fastest."""
    return np.ravel(array).reshape(np.shape(array), order="F")
