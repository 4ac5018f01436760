"""The command `python -m paper_checks`: check the theory, claim by claim."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from rich.console import Console
    from rich.progress import Progress

    from nmnc_ref.oracle import json_file
    from paper_checks import catalogue, report
    from paper_checks.claim import FAMILIES, run
    from paper_checks.lab import BACKENDS, DTYPES, Lab
except ModuleNotFoundError as error:
    print(
        f"paper_checks: {error.name} is not installed; install it with: pip install 'nmnc_ref[checks]'", file=sys.stderr
    )
    sys.exit(2)

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
WIDTH = 132
"""Columns of the tables where output is not a terminal."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paper_checks",
        description="Check the theory of noise correlation against code, claim by claim.",
        epilog="Exit status: 0 all held; 1 a claim failed, a twin was missed or nothing was checked; 2 wrong usage.",
    )
    parser.add_argument("--backend", choices=BACKENDS, default="numpy", help="array library (default: numpy)")
    parser.add_argument("--dtype", choices=DTYPES, default="float64", help="precision (default: float64)")
    parser.add_argument(
        "--only", nargs="+", metavar="ID", default=[], help="check these claims only, e.g. --only E3 F1"
    )
    parser.add_argument("--family", choices=FAMILIES, help="check the claims of one family only")
    parser.add_argument("--seed", help="seed of all random numbers (default: the environment's NMNC_SEED, or 0)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers to FILE")
    parser.add_argument("--list", action="store_true", help="list the claims without checking them")
    return parser


def _seed(text: str | None) -> int:
    text = os.environ.get("NMNC_SEED", "0") if text is None else text
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise ValueError(f"seed: expected an integer from 0 to 2^64 - 1, got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=WIDTH)
    try:
        claims = catalogue.claims(options.only, options.family)
        if options.list:
            console.print(report.listing(claims))
            return 0
        lab = Lab(options.backend, options.dtype, _seed(options.seed))
        if options.json:
            json_file.expect_writable(options.json)
    except (ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"--json: cannot write {options.json}: {error.strerror}")
    outcomes = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(claims))
        try:
            for claim in claims:
                progress.update(task, description=f"checking {claim.id}")
                outcomes.append(run(claim, lab))
                progress.advance(task)
        except KeyboardInterrupt:
            progress.console.print(f"interrupted after {len(outcomes)} of {len(claims)} claims", highlight=False)
            return INTERRUPTED
    report.show(outcomes, console)
    if options.json:
        try:
            json_file.write(options.json, report.document(outcomes, lab))
        except OSError as error:
            parser.error(f"--json: cannot write {options.json}: {error.strerror}")
    return report.exit_status(outcomes)


if __name__ == "__main__":
    sys.exit(main())
