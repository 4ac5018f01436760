"""The reference as an implementation for the runner, on any array library: an example for adapters of your own.

    python -m nmnc_ref vectors check --impl nmnc_ref.oracle.vectors.adapter:on_numpy

There is also `on_torch`, `on_strict`, `on_jax` and `on_jax_jit`. The runner hands over NumPy arrays, in the dtype of
the run, and plain numbers and strings; it takes any array that NumPy can read. An adapter brings the arrays into its
library, calls the function of the stage and brings back the answer.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from nmnc_ref.arrays import Array
from nmnc_ref.oracle.vectors.operation import Operation
from nmnc_ref.oracle.vectors.operations import OPERATIONS
from nmnc_ref.random import word_dtype


class Reference:
    """The operations of `nmnc_ref` on one array library, as attributes.

    Args:
        xp: an Array API namespace.
        compile: a compiler of functions of one dictionary of arrays, such as `jax.jit`. Parameters are not traced.
    """

    def __init__(self, xp: ModuleType, compile: Callable[[Callable], Callable] | None = None) -> None:
        self.xp = xp
        self.compile = compile
        self._compiled: dict[tuple, Callable] = {}

    def __getattr__(self, name: str) -> Callable[[dict[str, Any]], np.ndarray | float]:
        if name not in OPERATIONS:
            raise AttributeError(name)
        return lambda inputs: self._answer(OPERATIONS[name], inputs)

    def _answer(self, operation: Operation, inputs: dict[str, Any]) -> np.ndarray | float:
        arrays = {name: self._array(value) for name, value in inputs.items() if isinstance(value, np.ndarray)}
        parameters = {name: value for name, value in inputs.items() if name not in arrays}
        answer = self._function(operation, parameters)(arrays)
        return answer if isinstance(answer, float) else np.asarray(answer)

    def _function(self, operation: Operation, parameters: dict[str, Any]) -> Callable[[dict[str, Array]], Array]:
        def function(arrays: dict[str, Array]) -> Array:
            return operation({**arrays, **parameters})

        if operation.loops:
            return lambda arrays: operation({**arrays, **parameters}, self.compile)
        if self.compile is None or not operation.arrays:
            return function
        key = (operation.name, *sorted(parameters.items()))
        return self._compiled.setdefault(key, self.compile(function))

    def _array(self, array: np.ndarray) -> Array:
        dtype = getattr(self.xp, array.dtype.name) if array.dtype.kind == "f" else word_dtype(self.xp)
        return self.xp.asarray(array, dtype=dtype) if array.ndim else self.xp.asarray(array.item(), dtype=dtype)


LIBRARIES = {
    "on_numpy": "array_api_compat.numpy",
    "on_torch": "array_api_compat.torch",
    "on_strict": "array_api_strict",
    "on_jax": "jax.numpy",
    "on_jax_jit": "jax.numpy",
}


def __getattr__(name: str) -> Reference:
    """Return the reference on the library that `name` says, imported now; JAX is set up for float64 and no TF32."""
    if name not in LIBRARIES:
        raise AttributeError(name)
    if "jax" not in name:
        return Reference(importlib.import_module(LIBRARIES[name]))
    os.environ.setdefault("JAX_ENABLE_X64", "1")  # read when JAX is imported
    xp, jax = importlib.import_module(LIBRARIES[name]), importlib.import_module("jax")
    jax.config.update("jax_default_matmul_precision", "highest")
    return Reference(xp, jax.jit if name == "on_jax_jit" else None)
