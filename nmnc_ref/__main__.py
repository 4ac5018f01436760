"""The command `python -m nmnc_ref`: the oracle for other implementations, and the benchmark."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

import nmnc_ref
from nmnc_ref.bench import command as bench
from nmnc_ref.oracle.audit import command as audit
from nmnc_ref.oracle.command_line import INTERRUPTED, USAGE, Help, UsageError, install
from nmnc_ref.oracle.vectors import command as vectors

COMMANDS: tuple[Any, ...] = (vectors, audit, bench)
"""Modules that each register a command, whose options set `run`: a function of the options to an exit status."""
NEEDED = ("jsonschema", "rich")
"""What the commands need beyond what the library needs."""
EPILOG = """\
examples:
  {prog} vectors check --impl my_package.my_port:port
  {prog} audit my_package.my_adapter:estimate --returns jacobian
  {prog} COMMAND --help"""


def main(
    arguments: Sequence[str] | None = None, prog: str = "python -m nmnc_ref", commands: Sequence[Any] = COMMANDS
) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Check an implementation of neural manifold noise correlation.",
        epilog=EPILOG.format(prog=prog),
        formatter_class=Help,
    )
    parser.add_argument("--version", action="version", version=f"nmnc_ref {nmnc_ref.__version__}")
    subparsers = parser.add_subparsers(required=True)
    for command in commands:
        command.register(subparsers)
    options = parser.parse_args(arguments)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"nmnc_ref: {' and '.join(missing)} not installed; install with: {install('oracle')}", file=sys.stderr)
        return USAGE
    try:
        return options.run(options)
    except UsageError as error:
        print(f"nmnc_ref: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("nmnc_ref: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
