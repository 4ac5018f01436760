"""The installed command `nmnc-ref`: `verify`, which is `python -m paper_checks`, and those of `python -m nmnc_ref`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import nmnc_ref.__main__ as oracle
from nmnc_ref.oracle.command_line import INTERRUPTED

PROG = "nmnc-ref"


def register(subparsers: Any) -> None:
    """Add `verify` to the list of commands; its options are its own."""
    subparsers.add_parser("verify", help="check the theory against code, claim by claim", add_help=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["verify"]:
        try:
            from paper_checks.__main__ import main as verify  # it needs more than the others do

            return verify(words[1:], f"{PROG} verify")
        except KeyboardInterrupt:  # before the first claim
            print(f"{PROG} verify: interrupted", file=sys.stderr)
            return INTERRUPTED
    return oracle.main(words, PROG, (sys.modules[__name__], *oracle.COMMANDS))
