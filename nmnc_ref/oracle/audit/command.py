"""The command `python -m nmnc_ref audit module:callable`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, RESPONSES, RETURNS, TARGETS, declare
from nmnc_ref.oracle.audit.process import audit_by_name
from nmnc_ref.oracle.command_line import FAILED, OK, UNDECIDED, UsageError
from nmnc_ref.theory.estimator import LAWS

EXIT = {"sound": OK, "defect": FAILED, "undecided": UNDECIDED}
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
    parser.set_defaults(run=_run)


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


def _run(options: argparse.Namespace) -> int:
    from nmnc_ref.oracle.audit import terminal

    words = (options.returns, options.target, options.noise, options.response, options.simultaneous)
    try:
        declaration = declare(*words)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.json:
        command_line.expect_writable(options.json)
    report = audit_by_name(options.estimator, declaration, options.budget, options.seed, tuple(options.activations))
    terminal.show(report, options.estimator)
    if options.json:
        command_line.write_json(options.json, report.document())
    return EXIT[report.verdict]
