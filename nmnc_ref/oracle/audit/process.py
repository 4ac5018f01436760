"""The audit in a process of its own, so that code that hangs or dies is a finding, not the end of the command."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.check import DEFECT, fault_check
from nmnc_ref.oracle.audit.expected import Part
from nmnc_ref.oracle.audit.problem import Declaration, Problem
from nmnc_ref.oracle.audit.report import Report
from nmnc_ref.oracle.audit.run import SECONDS, conduct
from nmnc_ref.oracle.audit.session import Budget, Session, raised
from nmnc_ref.oracle.command_line import UsageError, load

PATIENCE = 20.0
"""Seconds that a call may last past the budget before it is said to hang: compiling, or a busy machine, takes time."""
SLOWNESS = 10
"""The same, in units of the longest call that returned."""
GRACE = 1.0
"""Seconds that the process has to end by itself after its last message."""


class Progress(NamedTuple):
    """Calls that have returned, seconds of the budget spent, of the longest and of the first ones, which do not count,
    and whether another is under way.
    """

    calls: int
    seconds: float
    longest: float
    warm_up: float
    calling: bool


def audit_by_name(
    estimator: str,
    declaration: Declaration,
    budget: Budget,
    seed: int,
    activations: tuple[str, ...],
    judge: str,
    follow: Callable[[Progress], None],
) -> Report:
    """Audit the estimator that `module:callable` names, as `run.audit` does with valid arguments; tell how far it is.

    Raises:
        UsageError: the estimator cannot be imported, or it cannot be called.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(sender, estimator, declaration, budget, seed, activations, judge))
    with _no_script():
        child.start()
    sender.close()  # the child's end alone is left, so that the child's death is the end of the messages
    progress: Progress | None = None
    started = since = time.monotonic()  # of the import, and then of the audit; of what is waited for
    try:
        while receiver.poll(_patience(progress, started, since, budget)):
            message = _receive(receiver)
            if message is None:
                child.join(GRACE)
                kind, what = "ends its process", _exit(child.exitcode)
                break
            if isinstance(message, Exception):
                raise message
            if isinstance(message, Report):
                child.join(GRACE)
                return message
            since = time.monotonic()
            started = since if progress is None else started
            progress = message
            follow(progress)
        else:
            kind, waited_for = "hangs", "a call" if progress else "the import"
            what = f"{waited_for} had not returned after {time.monotonic() - since:.1f} s, past the budget"
    finally:
        child.kill()
        child.join()
    if progress is None:
        raise UsageError(f"cannot import {estimator}: it {kind}: {what}")
    spent = time.monotonic() - started, progress.warm_up, progress.calls
    return Report(DEFECT, declaration, judge, seed, budget, *spent, (fault_check(kind, what),))


@contextlib.contextmanager
def _no_script() -> Iterator[None]:
    """Hide the running script from processes that are spawned: they would run it again, with what it asks for."""
    script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _patience(progress: Progress | None, started: float, since: float, budget: Budget) -> float | None:
    """Return how many seconds to wait for the next message: None for any time, where the estimator is not running.

    A budget in calls alone gives each call the seconds that a whole audit has by default.
    """
    if progress and not progress.calling:
        return None
    longest, warm_up = (progress.longest, progress.warm_up) if progress else (0.0, 0.0)
    deadline = started + warm_up + budget.seconds if math.isfinite(budget.seconds) else since + SECONDS
    return max(deadline + max(PATIENCE, SLOWNESS * longest) - time.monotonic(), 0)


def _receive(receiver: Connection) -> Any:
    """Return a message, or None if there will be no more."""
    try:
        return receiver.recv()
    except (EOFError, OSError):
        return None


def _exit(code: int | None) -> str:
    return f"exit code {code}" + (f" ({signal.strsignal(-code)})" if code is not None and code < 0 else "")


def _work(
    sender: Connection,
    estimator: str,
    declaration: Declaration,
    budget: Budget,
    seed: int,
    activations: tuple[str, ...],
    judge: str,
) -> None:
    """Audit, and send progress and then the report, or what was raised instead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; an interrupt here is the estimator's own
    outcome: Report | Exception
    try:
        estimate = load(estimator, "callable")
        if not callable(estimate):
            raise UsageError(f"{estimator} is not callable")
        outcome = conduct(_Announced(estimate, budget, sender), declaration, seed, activations, judge)
    except Exception as error:
        error.add_note(traceback.format_exc())  # which does not travel
        outcome = error
    except KeyboardInterrupt as error:
        outcome = UsageError(f"cannot import {estimator}: {type(error).__name__}")
    sender.send(outcome)


class _Announced(Session):
    """A session that sends its progress before and after each call."""

    def __init__(self, estimate: Callable[[Problem, int], Any], budget: Budget, sender: Connection) -> None:
        super().__init__(estimate, budget)
        self._longest, self._sender = 0.0, sender
        self._announce(calling=False)

    def call(self, problem: Problem, parts: tuple[Part, ...], seed: int) -> list[np.ndarray]:
        """Return an estimate, as `Session.call`; an interrupt is a fault too."""
        self._announce(calling=True)
        began = time.monotonic()
        try:
            return super().call(problem, parts, seed)
        except KeyboardInterrupt as error:
            raise raised(error) from error
        finally:
            self._longest = max(self._longest, time.monotonic() - began)
            self._announce(calling=False)

    def _announce(self, calling: bool) -> None:
        spent = max(self.seconds - self.warm_up, 0.0)
        self._sender.send(Progress(self.calls, spent, self._longest, self.warm_up, calling))
