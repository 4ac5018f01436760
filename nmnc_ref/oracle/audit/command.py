"""The command `python -m nmnc_ref audit module:callable`."""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nmnc_ref.oracle import json_file
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, RESPONSES, RETURNS, TARGETS, declare
from nmnc_ref.oracle.audit.run import audit
from nmnc_ref.theory.estimator import LAWS

EXIT = {"sound": 0, "defect": 1, "undecided": 3}
USAGE, INTERRUPTED = 2, 130
EPILOG = "Exit status: 0 sound; 1 defect found; 2 wrong usage; 3 undecided within the budget. AUDIT.md is the guide."


def register(subparsers: Any) -> None:
    """Add the subcommand `audit` to the parser of `python -m nmnc_ref`."""
    parser = subparsers.add_parser(
        "audit",
        help="audit an estimator of Jacobians or gradients that draws its own noise",
        description="Say what mean and variance an estimator has, whether they are the theory's, and if not, why.",
        epilog=EPILOG,
    )
    parser.add_argument("estimator", metavar="module:callable", help="(problem, seed) -> tuple of arrays")
    parser.add_argument("--returns", choices=RETURNS, required=True, help="what it returns")
    parser.add_argument("--target", choices=TARGETS, default="full", help="with bases: projected (default: full)")
    parser.add_argument("--noise", choices=LAWS, default="gaussian", help="law of its noise (default: gaussian)")
    parser.add_argument(
        "--response", choices=RESPONSES, default="output", help="what it correlates with the noise (default: output)"
    )
    parser.add_argument("--simultaneous", action="store_true", help="it perturbs all sites at once")
    parser.add_argument(
        "--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS), help="those it knows (default: all)"
    )
    parser.add_argument(
        "--budget", metavar="SECONDS", type=_budget, default=60.0, help="time to decide in (default: 60)"
    )
    parser.add_argument("--seed", metavar="N", type=_seed, default=0, help="seed of problems and calls (default: 0)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers to FILE")
    parser.set_defaults(run=lambda options: _run(parser, options))


def _budget(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise ValueError
    return value


_budget.__name__ = "number of seconds"


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


_seed.__name__ = "seed"


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from nmnc_ref.oracle.audit import terminal

    estimate = _load(parser, options.estimator)
    declaration = {name: getattr(options, name) for name in ("returns", "target", "noise", "response", "simultaneous")}
    try:
        declare(**declaration)
        if options.json:
            json_file.expect_writable(options.json)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"--json: cannot write {options.json}: {error.strerror}")
    try:
        report = audit(
            estimate, **declaration, budget=options.budget, seed=options.seed, activations=tuple(options.activations)
        )
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    terminal.show(report, options.estimator)
    if options.json:
        try:
            json_file.write(options.json, report.document())
        except OSError as error:
            parser.error(f"--json: cannot write {options.json}: {error.strerror}")
    status = EXIT[report.verdict]
    if report.abandoned:  # the interpreter's own end would wait for, or crash in, the code that hangs
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _load(parser: argparse.ArgumentParser, name: str) -> Callable:
    """Import the estimator; the current folder counts, as for `python -m`."""
    module_name, _, attribute = name.partition(":")
    if not (module_name and attribute):
        parser.error(f"expected module:callable, got {name!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        parser.error(f"cannot import {module_name}: {type(error).__name__}: {error}")
    for part in attribute.split("."):
        if not hasattr(found, part):
            parser.error(f"{module_name} has no {attribute}")
        found = getattr(found, part)
    if not callable(found):
        parser.error(f"{name} is not callable")
    return found
