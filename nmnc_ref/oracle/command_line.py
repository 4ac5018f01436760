"""What the commands share: exit statuses, errors of usage, loading what a user names, tables, progress, JSON."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import difflib
import importlib
import io
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmnc_ref.oracle import files

if TYPE_CHECKING:
    from rich.console import Console

OK, FAILED, USAGE, UNDECIDED, OTHER, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit statuses; the last is that after Ctrl-C, as shells have it."""
WIDTH = 132
"""Columns of the tables where output is not a terminal and the environment has no COLUMNS."""
SECONDS = 10.0
"""Between two lines of progress where these go to a file or a pipe."""


class UsageError(Exception):
    """What was asked for cannot be done; the message is one line."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Help that leaves the lines of the epilog, examples, as they are."""


def add_outputs(parser: Any, *, page: bool = True) -> None:
    """Add the options that all commands have: what is written where, and how much is said meanwhile."""
    shown = parser.add_argument_group("what is shown and written")
    shown.add_argument("--json", metavar="FILE", type=Path, help="write all numbers to FILE")
    if page:
        shown.add_argument(
            "--report", metavar="DIR", type=Path, help="write a page with everything into DIR: open DIR/index.html"
        )
    shown.add_argument("--quiet", action="store_true", help="show only what failed and the verdict, no progress")


def install(extra: str) -> str:
    """Return the command that installs an extra of this package, which is on no index."""
    return f"pip install -e '.[{extra}]' (in a clone of nmnc_ref)"


def nearest(word: str, names: Iterable[str]) -> str:
    """Return the names that are most like a word, whatever its case, as the end of a message; "" if none is."""
    known = {name.casefold(): name for name in names}
    found = difflib.get_close_matches(word.casefold(), known, n=3, cutoff=0.5)
    return f"; nearest: {', '.join(known[each] for each in found)}" if found else ""


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


def in_full(error: BaseException) -> str:
    """Return what was raised, and its message, even if that raises too."""
    try:
        message = str(error)
    except Exception as another:
        message = f"no message, as its __str__ raises {type(another).__name__}"
    return f"{type(error).__name__}: {message}".removesuffix(": ")


def in_one_line(error: BaseException) -> str:
    """Return what was raised, and its message cut to a line."""
    name, colon, message = in_full(error).partition(": ")
    line = " ".join(message.split())
    return f"{name}{colon}{line if len(line) <= 200 else f'{line[:197]}...'}".removesuffix(": ")


def printable(message: object) -> str:
    """Return a message in one line, whatever characters are in the names of files that it shows."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(message))


def console(*, stderr: bool = False) -> Console:
    """Return where results are printed, or progress, whatever characters it knows, and whether or not anyone reads."""
    from rich.console import Console

    class Patient(Console):
        def on_broken_pipe(self) -> None:
            """Go on in silence: results and exit status are those of the work."""
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

        def print(self, *objects: Any, **options: Any) -> None:
            """Print, or say why that cannot be: what else is written must not be lost."""
            try:
                super().print(*objects, **options)
            except OSError as error:
                self.on_broken_pipe()
                with contextlib.suppress(OSError):
                    print(f"cannot write to {name}: {error.strerror}", file=sys.stderr)

    name = "stderr" if stderr else "stdout"
    if getattr(sys, name) is None:  # it was closed
        setattr(sys, name, io.StringIO())
    if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    found = Patient(stderr=stderr)
    if found.is_terminal and found.width:
        return found
    return Patient(stderr=stderr, width=shutil.get_terminal_size((WIDTH, 0)).columns)


def style() -> dict[str, Any]:
    """Return how tables look: no frame, and columns near one another."""
    from rich.box import SIMPLE_HEAD

    return {"box": SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "collapse_padding": True}


@contextlib.contextmanager
def progress(what: str, total: float, done: float = 0, *, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """Show how much of some work is done, on standard error: as a bar on a terminal, else as a line now and then.

    Args:
        what: is done.
        total: parts that it has.
        done: parts that are done already.
        quiet: show nothing.

    Yields:
        What to call after each part, or after so many.
    """
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    shown = console(stderr=True)
    if shown.is_terminal and not quiet:
        columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
        aside = console().is_terminal  # what is printed meanwhile goes above the bar, unless it goes to a file
        with Progress(*columns, console=shown, transient=True, redirect_stdout=aside) as bar:
            task = bar.add_task(what, total=total)
            bar.advance(task, done)
            yield lambda parts=1: bar.advance(task, parts)
        return
    start = said = time.monotonic()
    already = done

    def advance(parts: float = 1) -> None:
        nonlocal done, said
        done += parts
        now = time.monotonic()
        if already < done < total and not quiet and now - said >= SECONDS:
            said = now
            left = (now - start) / (done - already) * (total - done)
            line = f"{what}: {int(done)} of {total:g}, {_span(now - start)} so far, about {_span(left)} left"
            shown.print(line, markup=False, soft_wrap=True)

    yield advance


def _span(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=round(seconds))


def expect_writable(file: Path, option: str = "--json") -> None:
    """Raise UsageError, before any work is done that could not be saved, if a file cannot be written."""
    try:
        files.expect_writable(file)
    except OSError as error:
        raise UsageError(f"{option}: cannot write {file}: {error.strerror}") from None


def finite(value: Any) -> Any:
    """Return a value for JSON, in which what is not finite is None."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(file: Path, document: Any) -> None:
    """Write a document whose numbers are finite, or raise UsageError."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        files.write(file, f"{text}\n".encode(errors="backslashreplace"))  # \ud800 is JSON for half a pair
    except OSError as error:
        raise UsageError(f"--json: cannot write {file}: {error.strerror}") from None
