"""Calling an estimator that may raise, write to its inputs, or return anything at all."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nmnc_ref.oracle.audit.expectation import Part
from nmnc_ref.oracle.audit.problem import Problem


class Fault(Exception):
    """Something that an estimator must not do; `kind` names it, as what "the estimator …", the message tells the rest.

    `reversed_shape`: it is of the shape that a transposed array has.
    """

    def __init__(self, kind: str, message: str, reversed_shape: bool = False) -> None:
        super().__init__(message)
        self.kind, self.reversed_shape = kind, reversed_shape


class OutOfTime(Exception):
    """The budget is spent."""


class Session:
    """Calls an estimator until a deadline, which is looked at between calls."""

    def __init__(self, estimate: Callable[[Problem, int], Any], budget: float) -> None:
        self.budget, self._started = budget, time.monotonic()
        self.calls = 0
        self._estimate = estimate

    @property
    def seconds(self) -> float:
        """Those since the start."""
        return time.monotonic() - self._started

    def call(self, problem: Problem, parts: tuple[Part, ...], seed: int) -> list[np.ndarray]:
        """Return an estimate, flattened to a float64 array [m] for each part.

        Raises:
            Fault: the estimator raised, or what it returned is not what was declared.
            OutOfTime: the budget is spent.
            KeyboardInterrupt: it may be the user's.
        """
        if self.seconds >= self.budget:
            raise OutOfTime
        try:
            return _arrays(self._estimate(problem, seed), parts)
        except (Fault, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise raised(error) from error
        finally:
            self.calls += 1


def raised(error: BaseException) -> Fault:
    """Return the fault that it is to raise something."""
    if isinstance(error, ValueError) and "read-only" in str(error):
        return Fault("mutates its inputs", f"it raised {type(error).__name__}: {error}")
    return Fault("raises", f"{type(error).__name__}: {error}".removesuffix(": "))


def fingerprint(problem: Problem) -> tuple[bytes, ...]:
    """Return the contents of all arrays of a problem, to tell later whether they are still what they were."""
    arrays = (*problem.weights, *problem.biases, problem.x, problem.target, *(problem.bases or ()))
    return tuple(array.tobytes() for array in arrays)


def _arrays(answer: Any, parts: tuple[Part, ...]) -> list[np.ndarray]:
    pairs = parts[-1].name.startswith("db")
    arrays = []
    if not isinstance(answer, (tuple, list)):
        raise Fault("returns a wrong shape", f"expected a tuple of arrays, got {type(answer).__name__}")
    for index, entry in enumerate(answer):
        if pairs and not (isinstance(entry, (tuple, list)) and len(entry) == 2):
            raise Fault("returns a wrong shape", f"entry {index}: expected a pair (dW, db), got {_kind(entry)}")
        arrays += list(entry) if pairs else [entry]
    if len(arrays) != len(parts):
        wanted, got = (len(parts) // 2, len(answer)) if pairs else (len(parts), len(arrays))
        raise Fault("returns a wrong shape", f"expected {wanted} entries, got {got}")
    return [_array(array, part) for array, part in zip(arrays, parts, strict=True)]


def _kind(value: Any) -> str:
    return f"shape {list(value.shape)}" if hasattr(value, "shape") else type(value).__name__


@functools.cache
def _dtype_name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _array(value: Any, part: Part) -> np.ndarray:
    if not (hasattr(value, "dtype") and hasattr(value, "shape")):
        raise Fault("returns a wrong type", f"{part.name}: expected an array, got {type(value).__name__}")
    dtype = _dtype_name(value.dtype)
    if dtype not in ("float32", "float64"):
        raise Fault("returns a wrong type", f"{part.name}: expected float32 or float64, got {dtype}")
    if tuple(value.shape) != part.shape:
        message = f"{part.name}: expected {list(part.shape)}, got {list(value.shape)}"
        raise Fault("returns a wrong shape", message, reversed_shape=tuple(value.shape)[::-1] == part.shape)
    if hasattr(value, "detach"):  # PyTorch
        value = value.detach().cpu().numpy()
    array = np.array(value, dtype=np.float64).ravel()
    if not np.all(np.isfinite(array)):
        raise Fault(f"returns {'NaN' if np.any(np.isnan(array)) else 'infinity'}", part.name)
    return array
