"""What the commands share: exit statuses, errors of usage, loading what a user names, tables, results as JSON."""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

OK, FAILED, USAGE, UNDECIDED, OTHER, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit statuses; the last is that after Ctrl-C, as shells have it."""
WIDTH = 132
"""Columns of the tables where output is not a terminal."""


class UsageError(Exception):
    """What was asked for cannot be done; the message is one line."""


def load(target: str, kind: str) -> Any:
    """Import what `module:object` names; the current folder counts, as for `python -m`.

    Args:
        target: what the user wrote.
        kind: "object" or "callable", for the message about another form.

    Raises:
        UsageError: another form, a module that raises anything but KeyboardInterrupt when it is imported, or an object
            that it does not have.
    """
    module, _, attribute = target.partition(":")
    if not (module and attribute):
        raise UsageError(f"expected module:{kind}, got {target!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            if not hasattr(found, part):
                raise UsageError(f"{module} has no {attribute}")
            found = getattr(found, part)
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UsageError(f"cannot import {module}: {in_one_line(error)}") from None
    return found


def in_one_line(error: BaseException) -> str:
    """Return what was raised, and its message cut to a line."""
    line = " ".join(str(error).split())
    return f"{type(error).__name__}: {line if len(line) <= 200 else f'{line[:197]}...'}".removesuffix(": ")


def console() -> Console:
    """Return where tables are printed, whatever characters it knows, and whether or not anyone reads to the end."""
    from rich.console import Console

    class Patient(Console):
        def on_broken_pipe(self) -> None:
            """Go on in silence: results and exit status are those of the work."""
            self.quiet = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    if sys.stdout is None:  # it was closed
        sys.stdout = io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    terminal = Patient()
    return terminal if terminal.is_terminal else Patient(width=WIDTH)


def expect_writable(file: Path, option: str = "--json") -> None:
    """Raise UsageError, before any work is done that could not be saved, if a file cannot be written."""
    try:
        new = not file.exists()
        file.open("a").close()
        if new:
            file.unlink()
    except OSError as error:
        raise UsageError(f"{option}: cannot write {file}: {error.strerror}") from None


def write_json(file: Path, document: Any) -> None:
    """Write a document whose numbers are finite, or raise UsageError."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--json: cannot write {file}: {error.strerror}") from None
