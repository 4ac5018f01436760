"""Calling an estimator that may raise, hang, write to its inputs, or return anything at all."""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from nmnc_ref.oracle.audit.expectation import Part
from nmnc_ref.oracle.audit.problem import Problem

PATIENCE = 20.0
"""Seconds that a call may last past the budget before it is said to hang: compiling, or a busy machine, takes time."""
SLOWNESS = 10
"""The same, in units of the longest call that returned."""

GRACE = 1.0
"""Seconds that a call has to end after the audit. One that a process leaves running may crash it at its own end."""


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
    """Calls an estimator in a thread of its own, until a deadline.

    A call that hangs is left behind with its thread, `abandoned`, which ends with the process. (Code that never
    releases Python's global lock cannot be left behind.)
    """

    def __init__(self, estimate: Callable[[Problem, int], Any], budget: float) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + budget
        self.calls = 0
        self._longest = 0.0
        self._closed = False
        self._estimate = estimate
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._answers: queue.SimpleQueue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def abandoned(self) -> bool:
        """Tell whether a call is still running after `close`."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Let the thread end; a call under way is waited for as long as a call may be expected to last."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join(GRACE + 2 * self._longest)

    def estimates(self, problem: Problem, parts: tuple[Part, ...], seeds: Sequence[int]) -> Iterator[list[np.ndarray]]:
        """Yield an estimate for each seed, flattened to a float64 array [m] for each part.

        Raises:
            Fault: the estimator raised or hung, or what it returned is not what was declared.
            OutOfTime: the budget is spent.
        """
        self._jobs.put((problem, parts, seeds))
        for _ in seeds:
            began = time.monotonic()
            try:
                answer = self._answers.get(timeout=max(self.deadline - began, 0))
            except queue.Empty:
                self._expect_return(began)
                raise OutOfTime from None
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def _work(self) -> None:
        """Answer one seed after another without waiting for the audit, which takes two changes of thread a call."""
        while (job := self._jobs.get()) is not None:
            problem, parts, seeds = job
            for seed in seeds:
                answer = self._call(problem, parts, seed)
                self._answers.put(answer)
                if isinstance(answer, Exception):
                    break

    def _call(self, problem: Problem, parts: tuple[Part, ...], seed: int) -> list[np.ndarray] | Exception:
        began = time.monotonic()
        if self._closed or began >= self.deadline:
            return OutOfTime()
        try:
            return _arrays(self._estimate(problem, seed), parts)
        except Fault as fault:
            return fault
        except BaseException as error:
            if isinstance(error, ValueError) and "read-only" in str(error):
                return Fault("mutates its inputs", f"it raised {type(error).__name__}: {error}")
            return Fault("raises", f"{type(error).__name__}: {error}".rstrip(": "))
        finally:
            self.calls += 1
            self._longest = max(self._longest, time.monotonic() - began)

    def _expect_return(self, began: float) -> None:
        """Wait for a call that is under way at the end of the budget, to tell a slow estimator from one that hangs."""
        patience = max(PATIENCE, SLOWNESS * self._longest)
        try:
            self._answers.get(timeout=max(began + patience - time.monotonic(), 0))
        except queue.Empty:
            lasted = time.monotonic() - began
            raise Fault("hangs", f"a call had not returned after {lasted:.1f} s, past the budget") from None


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
