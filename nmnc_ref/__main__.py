"""The command `python -m nmnc_ref`: the oracle for other implementations, and the benchmark."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence

import nmnc_ref
from nmnc_ref.bench import command as bench
from nmnc_ref.oracle.audit import command as audit
from nmnc_ref.oracle.command_line import INTERRUPTED, USAGE, UsageError
from nmnc_ref.oracle.vectors import command as vectors

COMMANDS = (vectors, audit, bench)
"""Modules that each register a command, whose options set `run`: a function of the options to an exit status."""
NEEDED = ("jsonschema", "rich")
"""What the commands need beyond what the library needs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m nmnc_ref", description="Check an implementation of the method.")
    parser.add_argument("--version", action="version", version=f"nmnc_ref {nmnc_ref.__version__}")
    subparsers = parser.add_subparsers(required=True)
    for command in COMMANDS:
        command.register(subparsers)
    options = parser.parse_args(arguments)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        needed = f"{' and '.join(missing)} not installed; install with: pip install 'nmnc_ref[oracle]'"
        print(f"nmnc_ref: {needed}", file=sys.stderr)
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
