"""The reference as an implementation for the runner, on any array library: an example for adapters of your own.

    python -m nmnc_ref vectors check --impl nmnc_ref.oracle.vectors.adapter:on_numpy

There is also `on_torch`, `on_strict`, `on_jax` and `on_jax_jit`. The runner hands over NumPy arrays, in the dtype of
the run, and plain numbers and strings; it takes any array that NumPy can read. An adapter brings the arrays into its
library, calls the function of the stage and brings back the answer.
"""

from __future__ import annotations

import functools
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
        compile: `jax.jit` or its like, which takes the names of what is not traced as `static_argnames`, and compiles
            the same function once however often it is given it.
        put: makes an array of the library of one of NumPy, of the same dtype, in place of `xp.asarray`. JAX compiles
            again for arrays that have no device, such as those of its `asarray`.
    """

    def __init__(
        self,
        xp: ModuleType,
        compile: Callable[..., Callable] | None = None,
        put: Callable[[Any], Array] | None = None,
    ) -> None:
        self.xp, self.compile, self.put = xp, compile, put or xp.asarray

    def __getattr__(self, name: str) -> Callable[[dict[str, Any]], np.ndarray | float]:
        if name not in OPERATIONS:
            raise AttributeError(name)
        return lambda inputs: self._answer(OPERATIONS[name], inputs)

    def _answer(self, operation: Operation, inputs: dict[str, Any]) -> np.ndarray | float:
        own = {name: self._array(each) if isinstance(each, np.ndarray) else each for name, each in inputs.items()}
        answer = self._function(operation)(**own)
        return answer if isinstance(answer, float) else np.asarray(answer)

    def _function(self, operation: Operation) -> Callable[..., Array]:
        if operation.loops:
            return functools.partial(operation.function, compile=self.compile)
        if self.compile and operation.arrays:
            return self.compile(operation.function, static_argnames=operation.parameters)
        return operation.function

    def _array(self, array: np.ndarray) -> Array:
        real = np.issubdtype(array.dtype, np.floating)
        return self.put(array if real else self.xp.asarray(array, dtype=word_dtype(self.xp)))


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
    put = functools.partial(jax.device_put, device=jax.devices()[0])
    return Reference(xp, jax.jit if name.endswith("_jit") else None, put)
