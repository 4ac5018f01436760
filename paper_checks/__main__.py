"""The command `python -m paper_checks`: check the theory, and what is claimed about training, claim by claim."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    from nmnc_ref.oracle import command_line
    from nmnc_ref.oracle.command_line import INTERRUPTED, UsageError
    from nmnc_ref.oracle.page import rendering
    from paper_checks import catalogue, page, report
    from paper_checks.claim import FAMILIES, TIERS, Claim, Outcome, Results, run
    from paper_checks.data.supplied import SOURCES, Supplied
    from paper_checks.lab import BACKENDS, DTYPES, Lab
    from paper_checks.learning import cifar_grid, grid
    from paper_checks.learning.notebook import Notebook
except ModuleNotFoundError as error:
    print(
        f"paper_checks: {error.name} is not installed; install it with: pip install 'nmnc_ref[checks]'", file=sys.stderr
    )
    sys.exit(2)

PROFILES = ("quick", "full")
DTYPE = {"theory": "float64", "training": "float32"}
"""The precision of a tier, if none is asked for."""


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise argparse.ArgumentTypeError(f"expected an integer from 0 to 2^64 - 1, got {text!r}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paper_checks",
        description="Check the theory of noise correlation against code, claim by claim.",
        epilog="Exit status: 0 all held; 1 a claim failed, a twin was missed or nothing was checked; 2 wrong usage.",
    )
    parser.add_argument("--backend", choices=BACKENDS, default="numpy", help="array library (default: numpy)")
    parser.add_argument(
        "--dtype", choices=DTYPES, help="precision (default: float64 for the theory, float32 for training)"
    )
    parser.add_argument(
        "--tier",
        choices=(*TIERS, catalogue.ALL),
        help="check the claims about the theory (default, in half a minute), or about training (many minutes), or all",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="ID", default=[], help="check these claims only, e.g. --only E3 F1"
    )
    parser.add_argument("--family", choices=FAMILIES, help="check the claims of one family only")
    parser.add_argument(
        "--seed",
        type=_seed,
        default=os.environ.get("NMNC_SEED", "0"),
        help="seed of all random numbers (default: the environment's NMNC_SEED, or 0)",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers to FILE")
    parser.add_argument(
        "--report", metavar="DIR", type=Path, help="write a page with everything into DIR: open DIR/index.html"
    )
    parser.add_argument(
        "--runs",
        metavar="DIR",
        type=Path,
        default=Path("runs"),
        help="keep finished training runs in DIR, where they are found again (default: runs)",
    )
    parser.add_argument(
        "--processes", metavar="N", type=int, default=os.cpu_count(), help="training runs at once (default: all cores)"
    )
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="quick",
        help="quick (default): learning rates kept with the sources; full: choose them anew from the whole grid",
    )
    parser.add_argument(
        "--cifar", metavar="FOLDER", type=Path, help="train on CIFAR-10: its original files, binary or for Python"
    )
    parser.add_argument(
        "--neural",
        metavar="FILE",
        type=Path,
        help="compare representations with neurons: .npz with stimuli and responses or rdm, or a published .mat",
    )
    parser.add_argument("--list", action="store_true", help="list the claims without checking them")
    return parser


def _supplied(options: argparse.Namespace, claims: Sequence[Claim]) -> Supplied:
    """Return the data that the user supplies.

    Raises:
        ValueError: they are not what they should be, or no claim needs them.
    """
    return Supplied(**{name: _data(name, getattr(options, name), claims) for name in SOURCES})


def _data(name: str, place: Path | None, claims: Sequence[Claim]) -> Any:
    if place is None:
        return None
    if not any(name in claim.needs for claim in claims):
        users = ", ".join(claim.id for claim in catalogue.claims() if name in claim.needs)
        raise ValueError(f"--{name}: none of the chosen claims needs these data; in --tier training these do: {users}")
    try:
        return SOURCES[name].read(place)
    except OSError as error:
        raise ValueError(f"--{name}: cannot read {place}: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"--{name}: {error}") from None


def _tier(options: argparse.Namespace) -> str:
    """Return the tier that is asked for: the theory, unless claims or a family are named or all are listed."""
    return options.tier or (catalogue.ALL if options.only or options.family or options.list else "theory")


def _experiments(
    claims: Sequence[Claim], lab: Lab, options: argparse.Namespace, supplied: Supplied, console: Console
) -> tuple[Results, Mapping[Any, str]]:
    """Return the results of what the claims about training need, and why others are missing.

    Raises:
        RuntimeError: the grid of `--profile full` is not whole.
    """
    notebook = Notebook(options.runs, lab)
    for cells_of, write in _grids(claims, supplied) if options.profile == "full" else ():
        cells, failures = _perform(notebook, cells_of, "grid", options, console)
        if failures:
            raise RuntimeError("; ".join(f"{each}: {reason}" for each, reason in failures.items()))
        write(cells, lab)
    wanted = dict.fromkeys(each for claim in claims for each in claim.wanted(supplied))
    return _perform(notebook, list(wanted), "training", options, console)


def _grids(claims: Sequence[Claim], supplied: Supplied) -> Iterator[tuple[Sequence[Any], Callable]]:
    """Yield the cells of each grid from which the claims choose, and what writes it."""
    if any(claim.tier == "training" and not claim.needs for claim in claims):
        yield grid.experiments(), grid.write
    if supplied.cifar is not None:
        yield cifar_grid.experiments(supplied.cifar), cifar_grid.write


def _perform(
    notebook: Notebook, wanted: Sequence[Any], what: str, options: argparse.Namespace, console: Console
) -> tuple[Results, Mapping[Any, str]]:
    """Run what has not been run, and return all results and what experiments raised."""
    found = notebook.results(wanted)
    missing = [each for each in wanted if each not in found]
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=len(wanted), completed=len(wanted) - len(missing))
        failures = notebook.run(missing, options.processes, lambda experiment: progress.advance(task))
    return notebook.results(wanted), failures


def _outcomes(
    claims: Sequence[Claim], options: argparse.Namespace, labs: dict[str, Lab], supplied: Supplied
) -> list[Outcome]:
    """Run the experiments, then the claims.

    Raises:
        KeyboardInterrupt: Ctrl-C, after a message.
        RuntimeError: as `_experiments`.
    """
    console = Console(stderr=True)
    outcomes: list[Outcome] = []
    try:
        results: Results = {}
        failures: Mapping[Any, str] = {}
        if "training" in labs:
            results, failures = _experiments(claims, labs["training"], options, supplied, console)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("", total=len(claims))
            for claim in claims:
                progress.update(task, description=f"checking {claim.id}")
                outcomes.append(run(claim, labs[claim.tier], results, failures, supplied))
                progress.advance(task)
    except KeyboardInterrupt:
        kept = f"; finished training runs are kept in {options.runs}" if "training" in labs else ""
        console.print(
            f"interrupted after {len(outcomes)} of {len(claims)} claims{kept}", highlight=False, soft_wrap=True
        )
        raise
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    console = command_line.console()
    if options.processes < 1:
        parser.error(f"--processes: expected at least 1, got {options.processes}")
    try:
        claims = catalogue.claims(options.only, options.family, _tier(options))
        if options.list:
            console.print(report.listing(claims))
            return 0
        tiers = dict.fromkeys(claim.tier for claim in claims)
        labs = {tier: Lab(options.backend, options.dtype or DTYPE[tier], options.seed) for tier in tiers}
        if options.json:
            command_line.expect_writable(options.json)
        if options.report:
            rendering.expect_folder(options.report)
        supplied = _supplied(options, claims)
    except (UsageError, ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))
    try:
        outcomes = _outcomes(claims, options, labs, supplied)
    except KeyboardInterrupt:
        return INTERRUPTED
    except ModuleNotFoundError as error:
        parser.error(str(error))
    except RuntimeError as error:
        print(f"{parser.prog}: the grid is not whole, nothing was chosen: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        parser.error(f"--runs: cannot keep runs in {error.filename or options.runs}: {error.strerror}")
    report.show(outcomes, console)
    document = report.document(outcomes)
    try:
        if options.json:
            command_line.write_json(options.json, document)
        if options.report:
            page.write(options.report, document)
    except UsageError as error:
        parser.error(str(error))
    return report.exit_status(outcomes)


if __name__ == "__main__":
    sys.exit(main())
