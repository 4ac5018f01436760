"""Calling an estimator that may raise, write to its inputs, or return anything at all."""

from __future__ import annotations

import functools
import itertools
import math
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.expected import Part
from nmnc_ref.oracle.audit.problem import Problem
from nmnc_ref.oracle.command_line import in_full

ANOTHER_ORDER = "sites in another order than asked for"


class Fault(Exception):
    """Something that an estimator must not do; `kind` names it, as what "the estimator …", the message tells the rest.

    `explanation`: of what it is the sign.
    """

    def __init__(self, kind: str, message: str, explanation: str = "") -> None:
        super().__init__(message)
        self.kind, self.explanation = kind, explanation


class Spent(Exception):
    """The budget is spent."""


class Budget(NamedTuple):
    """What an audit may take: `seconds`, in which first calls do not count, and `calls`."""

    seconds: float = math.inf
    calls: float = math.inf


class Session:
    """Calls an estimator until a budget is spent, which is looked at between calls.

    The first call with each shape of problem, which may compile, is `warm_up` and takes nothing of the seconds.
    """

    def __init__(self, estimate: Callable[[Problem, int], Any], budget: Budget) -> None:
        self.budget, self._started = budget, time.monotonic()
        self.calls, self.warm_up = 0, 0.0
        self._estimate, self._warm = estimate, set[Any]()

    @property
    def seconds(self) -> float:
        """Those since the start."""
        return time.monotonic() - self._started

    def call(self, problem: Problem, parts: tuple[Part, ...], seed: int) -> list[np.ndarray]:
        """Return an estimate, flattened to a float64 array [m] for each part.

        Raises:
            Fault: the estimator raised, or what it returned is not what was declared.
            Spent: the budget is spent.
            KeyboardInterrupt: it may be the user's.
        """
        if self.seconds - self.warm_up >= self.budget.seconds or self.calls >= self.budget.calls:
            raise Spent
        began, compiled_for = time.monotonic(), form(problem)
        try:
            return answers(self._estimate(problem, seed), parts)
        except (Fault, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise raised(error) from error
        finally:
            self.calls += 1
            if compiled_for not in self._warm:
                self._warm.add(compiled_for)
                self.warm_up += time.monotonic() - began


def form(problem: Problem) -> tuple:
    """Return what a problem is compiled for: shapes, and what is no array."""
    return tuple(np.shape(each) if isinstance(each, np.ndarray) else each for each in _flat(problem))


def _flat(values: Any) -> list[Any]:
    return [leaf for each in values for leaf in (_flat(each) if isinstance(each, tuple) else [each])]


def raised(error: BaseException) -> Fault:
    """Return the fault that it is to raise something, with the traceback through the estimator's own code."""
    what = in_full(error)
    if isinstance(error, ValueError) and "read-only" in what:
        return Fault("mutates its inputs", f"it raised {what}")
    frames = traceback.format_tb(error.__traceback__)[1:]  # the first is the audit's
    return Fault("raises", "\n".join([what, *("".join(frames).splitlines())]))


def fingerprint(problem: Problem) -> tuple[bytes, ...]:
    """Return the contents of all arrays of a problem, to tell later whether they are still what they were."""
    arrays = (*problem.weights, *problem.biases, problem.x, problem.target, *(problem.bases or ()))
    return tuple(array.tobytes() for array in arrays)


def answers(answer: Any, parts: tuple[Part, ...]) -> list[np.ndarray]:
    """Return what was returned as a float64 array [m] for each part; raise Fault if it is not what is asked for."""
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
    _expect_shapes(list(map(_shape, arrays, parts)), parts)
    return list(map(_values, arrays, parts))


def _kind(value: Any) -> str:
    return f"shape {list(value.shape)}" if hasattr(value, "shape") else type(value).__name__


@functools.cache
def _dtype_name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _shape(value: Any, part: Part) -> tuple[int, ...]:
    """Return the shape of an array of floats, or raise Fault."""
    if not (hasattr(value, "dtype") and hasattr(value, "shape")):
        raise Fault("returns a wrong type", f"{part.name}: expected an array, got {type(value).__name__}")
    dtype = _dtype_name(value.dtype)
    if dtype not in ("float32", "float64"):
        raise Fault("returns a wrong type", f"{part.name}: expected float32 or float64, got {dtype}")
    return tuple(value.shape)


def _expect_shapes(shapes: list[tuple[int, ...]], parts: tuple[Part, ...]) -> None:
    wanted = [part.shape for part in parts]
    if shapes == wanted:
        return
    index = next(index for index, shape in enumerate(shapes) if shape != wanted[index])
    message = f"{parts[index].name}: expected {list(wanted[index])}, got {list(shapes[index])}"
    explanation = ""
    if [shape[::-1] for shape in shapes] == wanted:
        explanation = "transposed"
    elif any(list(order) == wanted for order in itertools.permutations(shapes)):
        explanation = ANOTHER_ORDER
    raise Fault("returns a wrong shape", message, explanation)


def _values(value: Any, part: Part) -> np.ndarray:
    if hasattr(value, "detach"):  # PyTorch
        value = value.detach().cpu().numpy()
    array = np.array(value, dtype=np.float64).ravel()
    if not np.all(np.isfinite(array)):
        raise Fault(f"returns {'NaN' if np.any(np.isnan(array)) else 'infinity'}", part.name)
    return array
