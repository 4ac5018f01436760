"""Drafting a case: asymmetric numbers that every precision holds exactly, and stages computed as they are added."""

from __future__ import annotations

import zlib
from typing import Any, Self

import numpy as np

from nmnc_ref import random
from nmnc_ref.arrays import Array
from nmnc_ref.oracle.vectors.operations import OPERATIONS
from nmnc_ref.oracle.vectors.pack import Case, Stage
from nmnc_ref.oracle.vectors.tolerance import Tolerance


def numbers(label: str, *shape: int, scale: float = 1.0) -> Array:
    """Return numbers between −2 and 2 times `scale`, none zero: odd multiples of 2⁻⁷, from the bits of the label's key.

    Eight bits each, so that float32 holds them exactly and no library's rounding has a say.
    """
    words = random.bits(random.key(zlib.crc32(label.encode()), np), shape).astype(np.int64)
    return ((words >> 24) - 127.5) / 64 * scale


def near_dependent(label: str, *shape: int) -> Array:
    """Return numbers of this shape, the first axis of which is that of draws: all after the first are nearly it."""
    array = numbers(label, *shape) / 2.0**10
    array[0] *= 2.0**10
    array[1:] += array[0]
    return array


def orthonormal(label: str, n: int, d: int) -> Array:
    """Return an orthonormal basis [n, d] of short binary fractions: the first columns of a product of reflections.

    Each reflects along four signs, I − ½vvᵀ with v of ±1 in four places. So n is 1 or at least 4.
    """
    signs = np.sign(numbers(label, 8, 4))
    matrix = np.eye(n)
    for step in range(min(n, 8) if n > 1 else 0):
        v = np.zeros(n)
        v[(np.array([0, 1, 2, 3]) + 3 * step) % n] = signs[step]
        matrix = matrix - np.outer(matrix @ v, v) / 2
    return matrix[:, :d]


def dense(label: str, *widths: int, scale: float = 0.5) -> dict[str, Array]:
    """Return weight_1, bias_1, weight_2, … of a dense network of the widths n_0, n_1, …"""
    arrays = {}
    for l in range(1, len(widths)):
        arrays[f"weight_{l}"] = numbers(f"{label} weight {l}", widths[l], widths[l - 1], scale=scale)
        arrays[f"bias_{l}"] = numbers(f"{label} bias {l}", widths[l], scale=scale / 2)
    return arrays


def _stored(array: np.ndarray, precision: str) -> np.ndarray:
    """Return an array in the dtype that it is stored in: no integers of 64 bits, floats of the case's precision."""
    if np.issubdtype(array.dtype, np.floating):
        return array.astype("float64" if precision == "any" else precision)
    return array if array.dtype == np.uint32 else array.astype(np.int32)


class Draft:
    """A case in the making. `why` says which slip it catches."""

    def __init__(self, name: str, why: str, precision: str = "any", **inputs: Array) -> None:
        self.name, self.why, self.precision = name, why, precision
        self.inputs = {key: _stored(np.asarray(value), precision) for key, value in inputs.items()}
        self.values = dict(self.inputs)
        self.stages: list[Stage] = []

    def stage(self, name: str, **arguments: Any) -> Self:
        """Add a stage. Its operation is its name without the numbers at its end.

        Args:
            name: of the operation, with numbers of layer and step where it comes several times.
            **arguments: the operation's parameters; and for array arguments the source, where it is not called like
                the argument.
        """
        operation = OPERATIONS[name.rstrip("_0123456789")]
        parameters = {key: arguments.pop(key) for key in operation.parameters}
        sources: dict[str, str] = {}
        for argument in operation.arrays:
            if argument == "network":
                layered = [key for key in self.inputs if key.startswith(("weight_", "bias_"))]
                sources |= {key: key for key in layered}
            elif (source := arguments.pop(argument, argument)) in self.values:
                sources[argument] = source
        if arguments:
            raise TypeError(f"{self.name}, {name}: no such arguments: {', '.join(arguments)}")
        inputs = {argument: self.values[source] for argument, source in sources.items()} | parameters
        value = _stored(np.asarray(operation.function(**inputs)), self.precision)
        condition = operation.condition(inputs, value) if operation.condition else 1.0
        terms = max((self.values[source].size for source in sources.values()), default=1)
        tolerance = Tolerance(operation.kind, terms, float(f"{condition:.3g}"))
        self.values[name] = value
        self.stages.append(Stage(name, operation.name, operation.claim, sources, parameters, tolerance, value))
        return self

    def case(self, family: str) -> Case:
        """Return the finished case."""
        return Case(self.name, family, self.why, self.precision, self.inputs, tuple(self.stages))
