"""The command `python -m paper_checks`: check the theory, and what is claimed about training, claim by claim."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.command_line import INTERRUPTED, USAGE, Help, UsageError
from nmnc_ref.oracle.page import rendering

try:
    from rich.console import Console

    from paper_checks import account, catalogue, page, report
    from paper_checks.claim import FAMILIES, TIERS, Claim, Outcome, Results, run
    from paper_checks.data.supplied import SOURCES, Supplied
    from paper_checks.lab import BACKENDS, DTYPES, Lab
    from paper_checks.learning import cifar_grid, grid
    from paper_checks.learning.notebook import Notebook
except ModuleNotFoundError as error:
    package = str(error.name).partition(".")[0]
    print(f"paper_checks: {package} not installed; install with: {command_line.install('checks')}", file=sys.stderr)
    sys.exit(USAGE)

NEEDED = ("joblib", "scipy", "sklearn", "threadpoolctl")
"""What claims import when they are run."""
PROFILES = ("quick", "full")
DTYPE = {"theory": "float64", "training": "float32"}
"""The precision of a tier, if none is asked for."""
EPILOG = """\
examples:
  {prog}                           check the theory
  {prog} --report report           and write a page, report/index.html
  {prog} --only E3,F1 --seed 7     two claims, other random numbers
  {prog} --show E4                 all there is to see of one claim
  {prog} --backend jax --dtype float32 --json run.json
  {prog} --tier training           train networks (many minutes)

exit status: 0 all held; 1 a claim failed, a twin was missed or nothing was
checked; 2 wrong usage; 130 after Ctrl-C."""


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise argparse.ArgumentTypeError(f"expected an integer from 0 to 2^64 - 1, got {text!r}")
    return int(text)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Check the theory of noise correlation against code, claim by claim.",
        epilog=EPILOG.format(prog=prog),
        formatter_class=Help,
    )
    which = parser.add_argument_group("what is checked")
    which.add_argument(
        "--tier",
        choices=(*TIERS, catalogue.ALL),
        help="the claims about the theory (default, in a minute), or about training (many minutes), or all",
    )
    which.add_argument("--family", choices=FAMILIES, help="the claims of one family only")
    ids = which.add_mutually_exclusive_group()
    ids.add_argument("--only", nargs="+", metavar="ID", default=[], help="these claims only, e.g. --only E3 F1")
    ids.add_argument(
        "--show", nargs="+", metavar="ID", default=[], help="these claims only, with everything that was compared"
    )
    ids.add_argument("--list", action="store_true", help="list the claims without checking them")
    how = parser.add_argument_group("how")
    how.add_argument("--backend", choices=BACKENDS, default="numpy", help="array library (default: numpy)")
    how.add_argument(
        "--dtype", choices=DTYPES, help="precision (default: float64 for the theory, float32 for training)"
    )
    how.add_argument(
        "--seed",
        metavar="N",
        type=_seed,
        default=os.environ.get("NMNC_SEED", "0"),
        help="seed of all random numbers (default: the environment's NMNC_SEED, or 0)",
    )
    command_line.add_outputs(parser)
    training = parser.add_argument_group("training")
    training.add_argument(
        "--runs",
        metavar="DIR",
        type=Path,
        default=Path("runs"),
        help="keep finished training runs in DIR, where they are found again (default: runs)",
    )
    training.add_argument(
        "--processes", metavar="N", type=int, default=os.cpu_count(), help="training runs at once (default: all cores)"
    )
    training.add_argument(
        "--profile",
        choices=PROFILES,
        default="quick",
        help="quick (default): learning rates kept with the sources; full: choose them anew from the whole grid",
    )
    training.add_argument(
        "--cifar", metavar="FOLDER", type=Path, help="train on CIFAR-10: its original files, binary or for Python"
    )
    training.add_argument(
        "--neural",
        metavar="FILE",
        type=Path,
        help="compare representations with neurons: .npz with stimuli and responses or rdm, or a published .mat",
    )
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
    named = options.only or options.show or options.family or options.list
    return options.tier or (catalogue.ALL if named else "theory")


def _experiments(
    claims: Sequence[Claim], lab: Lab, options: argparse.Namespace, supplied: Supplied
) -> tuple[Results, Mapping[Any, str]]:
    """Return the results of what the claims about training need, and why others are missing.

    Raises:
        RuntimeError: the grid of `--profile full` is not whole, or has nothing to choose.
    """
    notebook = Notebook(options.runs, lab)
    for cells_of, write in _grids(claims, supplied) if options.profile == "full" else ():
        cells, failures = _perform(notebook, cells_of, "grid", options)
        if failures:
            raise RuntimeError("; ".join(f"{each}: {reason}" for each, reason in failures.items()))
        write(cells, lab)
    try:
        wanted = dict.fromkeys(each for claim in claims for each in claim.wanted(supplied))
    except ValueError as error:
        raise RuntimeError(str(error)) from None
    return _perform(notebook, list(wanted), "training", options)


def _grids(claims: Sequence[Claim], supplied: Supplied) -> Iterator[tuple[Sequence[Any], Callable]]:
    """Yield the cells of each grid from which the claims choose, and what writes it."""
    if any(claim.tier == "training" and not claim.needs for claim in claims):
        yield grid.experiments(), grid.write
    if supplied.cifar is not None:
        yield cifar_grid.experiments(supplied.cifar), cifar_grid.write


def _perform(
    notebook: Notebook, wanted: Sequence[Any], what: str, options: argparse.Namespace
) -> tuple[Results, Mapping[Any, str]]:
    """Run what has not been run, and return all results and what experiments raised."""
    found = notebook.results(wanted)
    missing = [each for each in wanted if each not in found]
    with command_line.progress(what, len(wanted), len(found), quiet=options.quiet) as advance:
        failures = notebook.run(missing, options.processes, lambda experiment: advance())
    return notebook.results(wanted), failures


def _check(
    claims: Sequence[Claim],
    options: argparse.Namespace,
    labs: dict[str, Lab],
    supplied: Supplied,
    outcomes: list[Outcome],
) -> None:
    """Run the experiments, then the claims, and append what each gave to the outcomes.

    Raises:
        RuntimeError: as `_experiments`.
    """
    results: Results = {}
    failures: Mapping[Any, str] = {}
    if "training" in labs:
        results, failures = _experiments(claims, labs["training"], options, supplied)
    with command_line.progress("checking", len(claims), quiet=options.quiet) as advance:
        for claim in claims:
            outcomes.append(run(claim, labs[claim.tier], results, failures, supplied))
            advance()


def _tell(
    outcomes: Sequence[Outcome], unfinished: Sequence[Claim], options: argparse.Namespace, console: Console
) -> None:
    """Show what was found, and write it where that is asked for.

    Raises:
        UsageError: a file cannot be written.
    """
    show = account.show if options.show else report.show
    show(outcomes, console, quiet=options.quiet)
    if unfinished:
        console.print(f"not reached: {len(unfinished)} of {len(outcomes) + len(unfinished)} claims", style="bold")
    document = report.document(outcomes, unfinished)
    if options.json:
        command_line.write_json(options.json, document)
    if options.report:
        page.write(options.report, document)


def main(arguments: Sequence[str] | None = None, prog: str = "python -m paper_checks") -> int:
    """Run the command and return its exit status."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    console = command_line.console()

    def refuse(message: object) -> NoReturn:
        parser.exit(USAGE, f"{parser.prog}: {command_line.printable(message)}\n")

    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        refuse(f"{' and '.join(missing)} not installed; install with: {command_line.install('checks')}")
    if options.processes < 1:
        refuse(f"--processes: expected at least 1, got {options.processes}")
    try:
        claims = catalogue.claims(catalogue.named(options.only or options.show), options.family, _tier(options))
        if options.list:
            console.print(report.listing(claims))
            return 0
        tiers = dict.fromkeys(claim.tier for claim in claims)
        labs = {tier: Lab(options.backend, options.dtype or DTYPE[tier], options.seed) for tier in tiers}
        if options.json:
            command_line.expect_writable(options.json)
        if options.report:
            rendering.expect_folder(options.report)
            page.expect_formulas(claims)
        supplied = _supplied(options, claims)
    except (UsageError, ValueError, ModuleNotFoundError) as error:
        refuse(error)
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        _check(claims, options, labs, supplied, outcomes)
    except KeyboardInterrupt:
        interrupted = True
    except ModuleNotFoundError as error:
        refuse(error)
    except RuntimeError as error:
        print(f"{parser.prog}: the grid is not whole, nothing was chosen: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        refuse(f"--runs: cannot keep runs in {error.filename or options.runs}: {error.strerror}")
    try:
        if outcomes:
            _tell(outcomes, claims[len(outcomes) :], options, console)
    except UsageError as error:
        refuse(error)
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        kept = f"; finished training runs are kept in {options.runs}" if "training" in labs else ""
        print(f"interrupted after {len(outcomes)} of {len(claims)} claims{kept}", file=sys.stderr)
        return INTERRUPTED
    return report.exit_status(outcomes)


if __name__ == "__main__":
    sys.exit(main())
