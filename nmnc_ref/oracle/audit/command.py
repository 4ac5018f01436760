"""The command `python -m nmnc_ref audit module:callable`."""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.audit.expected import expected_parts
from nmnc_ref.oracle.audit.probes import probes
from nmnc_ref.oracle.audit.problem import (
    ACTIVATIONS,
    MEASURES,
    NOISES,
    PERTURBED,
    RESPONSES,
    RETURNS,
    TARGETS,
    Declaration,
    declare,
)
from nmnc_ref.oracle.audit.process import Progress, audit_by_name
from nmnc_ref.oracle.audit.run import JUDGED, SECONDS, limits
from nmnc_ref.oracle.audit.session import Fault, answers
from nmnc_ref.oracle.command_line import FAILED, OK, OTHER, UNDECIDED, Help, UsageError, nearest
from nmnc_ref.oracle.page import rendering

EXIT = {"sound": OK, "defect": FAILED, "undecided": UNDECIDED, "other kind": OTHER}
EPILOG = """\
examples:
  nmnc-ref audit my_adapter:estimate --returns jacobian --target projected
  nmnc-ref audit my_adapter:estimate --returns weight-gradient --response loss \\
      --calls 20000 --json audit.json
  nmnc-ref audit nmnc_ref.oracle.audit.adapters:nmnc --returns jacobian \\
      --target projected                                       (a right one)

exit status: 0 sound; 1 defect found; 2 wrong usage; 3 undecided within the
budget; 4 right mean, but the variance of another kind than declared. AUDIT.md
is the guide."""


def register(subparsers: Any) -> None:
    """Add the subcommand `audit` to the parser of `python -m nmnc_ref`."""
    parser = subparsers.add_parser(
        "audit",
        help="audit an estimator of Jacobians or gradients that draws its own noise",
        description="Compare an estimator's mean and variance with the theory, and explain defects.",
        epilog=EPILOG,
        formatter_class=Help,
    )
    parser.add_argument("estimator", metavar="module:callable", help="(problem, seed) -> tuple of arrays")
    parser.add_argument("--returns", choices=RETURNS, required=True, help="what it returns")
    parser.add_argument("--target", choices=TARGETS, default="full", help="with bases: projected (default: full)")
    words = (
        ("noise", NOISES, "law of its noise"),
        ("response", RESPONSES, "what it correlates with the noise"),
        ("perturbs", PERTURBED, "what it adds noise to"),
        ("measures", MEASURES, "the response to the noise: a difference, a value without baseline, a derivative"),
        ("judge", JUDGED, "the mean alone, or variance and correlations too"),
    )
    defaults = {"judge": "kind", **Declaration._field_defaults}
    for name, choices, meaning in words:
        default = defaults[name]
        parser.add_argument(f"--{name}", choices=choices, default=default, help=f"{meaning} (default: {default})")
    parser.add_argument("--simultaneous", action="store_true", help="it perturbs all sites at once")
    parser.add_argument("--output-layer", action="store_true", help="it estimates the output layer's gradient too")
    parser.add_argument(
        "--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS), help="those it knows (default: all)"
    )
    parser.add_argument(
        "--budget",
        metavar="SECONDS",
        type=_budget,
        help=f"time to decide in (default: {SECONDS:g} if there is no --calls)",
    )
    parser.add_argument("--calls", metavar="N", type=_count, help="calls to decide in, whatever the machine's load")
    parser.add_argument("--seed", metavar="N", type=_seed, default=0, help="seed of problems and calls (default: 0)")
    parser.add_argument(
        "--problem", metavar="NAME", help="call it once, on this problem, in this process, where a debugger can follow"
    )
    command_line.add_outputs(parser)
    parser.set_defaults(run=_run)


def _budget(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise ValueError
    return value


_budget.__name__ = "number of seconds"


def _count(text: str) -> int:
    value = _seed(text)
    if not value:
        raise ValueError
    return value


_count.__name__ = "number of calls"


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


_seed.__name__ = "seed"


def _run(options: argparse.Namespace) -> int:
    from nmnc_ref.oracle.audit import page, terminal

    try:
        declaration = declare(*(getattr(options, word) for word in Declaration._fields))
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.problem and (options.json or options.report):
        raise UsageError("--problem: expected neither --json nor --report with it, as one call has no verdict")
    if options.problem:
        return _call_once(options, declaration)
    if options.json:
        command_line.expect_writable(options.json)
    if options.report:
        rendering.expect_folder(options.report)
    budget, activations = limits(options.budget, options.calls), tuple(options.activations)
    what, whole = ("calls", budget.calls) if math.isfinite(budget.calls) else ("seconds", budget.seconds)
    with command_line.progress(f"audit, {what} of the budget", whole, quiet=options.quiet) as advance:
        spent = 0.0

        def follow(progress: Progress) -> None:
            nonlocal spent
            now = getattr(progress, what)
            advance(now - spent)
            spent = now

        report = audit_by_name(options.estimator, declaration, budget, options.seed, activations, options.judge, follow)
    terminal.show(report, options.estimator, quiet=options.quiet)
    if options.json:
        command_line.write_json(options.json, report.document())
    if options.report:
        page.write(options.report, report, options.estimator)
    return EXIT[report.verdict]


def _call_once(options: argparse.Namespace, declaration: Declaration) -> int:
    """Show what is returned for one problem beside the mean that was claimed; what is raised is raised."""
    named = {probe.name: probe.problem for probe in probes(declaration, options.seed, tuple(options.activations))}
    if options.problem not in named:
        near = nearest(options.problem, named)
        raise UsageError(f"--problem: expected one of {'; '.join(named)}, got {options.problem}{near}")
    problem = named[options.problem]
    parts = expected_parts(problem, declaration)
    returned = command_line.load(options.estimator, "callable")(problem, options.seed)
    try:
        arrays = answers(returned, parts)
    except Fault as fault:
        raise UsageError(f"the estimator {fault.kind}: {fault}") from None
    for part, array in zip(parts, arrays, strict=True):
        for what, values in (("returned", array), ("mean of a right estimate at small σ", part.mean)):
            print(f"{part.name}, {what}:\n{np.array2string(values.reshape(part.shape), precision=4)}")
    return OK
