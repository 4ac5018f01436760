"""How often the audit is right, measured on many seeds: `python -m paper_checks.campaigns.audit_power TRIAL`.

The test suite runs a small sample of this; the whole takes hours, and can be run in pieces: results are appended to
`--file`, and what is there already is not run again. `--help` lists the options.

    correct      no false alarm on this library's own estimators, on NumPy or another library
    slips        every slip of the catalogue, with each activation: detected, and named first
    unknown      slips outside of the catalogue: detected, and unexplained
    calibration  the reference on very many draws, fast: how much of the bounds chance ever uses
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from rich.progress import track
from rich.table import Table

from nmnc_ref import oracle
from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.audit import adapters
from nmnc_ref.oracle.audit.checks import Measurement, compare
from nmnc_ref.oracle.audit.expectation import expected_parts
from nmnc_ref.oracle.audit.probes import probes
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, RESPONSES, RETURNS, TARGETS, Declaration, declare
from nmnc_ref.oracle.audit.reference import estimates
from nmnc_ref.oracle.audit.report import Report
from nmnc_ref.oracle.audit.slips import CATALOGUE
from nmnc_ref.oracle.audit.statistics import MISSED
from nmnc_ref.oracle.command_line import INTERRUPTED, UsageError
from nmnc_ref.theory.estimator import LAWS
from paper_checks.campaigns.slipped_estimators import UNKNOWN, stranger

NAMESPACES = {"numpy": "numpy", "jax": "jax.numpy", "torch": "array_api_compat.torch"}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "JAX_ENABLE_X64": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""Of the processes of a campaign: one core for each, and JAX compiles fast."""
DECLARED: dict[str, dict[str, Any]] = {
    "gaussian noise": {"noise": "rademacher"},
    "layers perturbed one after another, not at once": {"simultaneous": True},
}
"""What has to be declared for a slip to be one, where that is not the default."""
HARMLESS = {
    ("activation derivative left out", "identity"),
    ("activation derivative at the activity, φ'(x) for φ'(s)", "identity"),
    ("activation derivative at the activity, φ'(x) for φ'(s)", "relu"),  # x > 0 where s > 0
    ("derivative threshold s ≥ 0 for s > 0", "identity"),
    ("derivative threshold s ≥ 0 for s > 0", "tanh"),
    ("noise before the activation", "identity"),
}
"""Slips that change nothing with an activation."""


class Task(NamedTuple):
    """One audit of a campaign; `name` is that of an adapter or of a slip, `activations` are those asked for."""

    trial: str
    name: str
    returns: str
    target: str
    activations: tuple[str, ...]
    backend: str
    seed: int
    budget: float


def tasks(options: argparse.Namespace) -> list[Task]:
    """Return the audits that the options of the command ask for.

    Raises:
        ValueError: `--names` has one that the trial has not.
    """
    returns: dict[str, str]
    if options.trial == "correct":
        returns = {name: own.declaration.returns for name, own in adapters.ADAPTERS.items()}
        pairs = [(name, tuple(options.activations)) for name in returns]
    else:
        names = applicable(options.returns, options.target) if options.trial == "slips" else UNKNOWN
        returns = dict.fromkeys(names, options.returns)
        pairs = [(name, (each,)) for name in names for each in options.activations if (name, each) not in HARMLESS]
    if unknown := set(options.names or ()) - returns.keys():
        raise ValueError(f"--names: expected some of {', '.join(returns)}, got {', '.join(sorted(unknown))}")
    return [
        Task(options.trial, name, returns[name], options.target, activations, options.backend, seed, options.budget)
        for name, activations in pairs
        if name in (options.names or returns)
        for seed in range(options.first, options.first + options.seeds)
    ]


def perform(task: Task) -> Report:
    """Run one audit: of an adapter, or of a stranger with a slip, antithetic or one-sided by turns."""
    estimate: Any
    if task.trial == "correct":
        own = adapters.ADAPTERS[task.name]
        estimate, declared = on_library(own, task.backend), own.declaration._asdict()
    else:
        estimate = stranger(task.returns, task.name, antithetic=task.seed % 2 == 0)
        declared = {"returns": task.returns, **DECLARED.get(task.name, {})}
    declared["target"] = task.target
    return oracle.audit(estimate, **declared, seed=task.seed, budget=task.budget, activations=task.activations)


def on_library(own: adapters.Adapter, backend: str) -> adapters.Adapter:
    """Return an adapter on another array library, compiled where it can be."""
    compiled = importlib.import_module("jax").jit if backend == "jax" else adapters.eager
    return own._replace(xp=importlib.import_module(NAMESPACES[backend]), compiled=compiled)


def applicable(returns: str, target: str) -> list[str]:
    """Return the slips of the catalogue that an estimator of this kind can have."""
    return [
        slip.name for slip in CATALOGUE if slip.applies(Declaration(returns, target, **DECLARED.get(slip.name, {})))
    ]


def record(task: Task) -> dict[str, Any]:
    """Run one audit and return its line of the file: the task, and what came of it."""
    report = perform(task)
    names = [explanation.name for explanation in report.explanations]
    outcome = {"verdict": report.verdict, "explanations": names, "calls": report.calls, "seconds": report.seconds}
    return task._asdict() | outcome


def read(file: Path | None) -> dict[Task, dict[str, Any]]:
    """Return the lines of a file of results by task; none if there is no file yet."""
    lines = file.read_text(encoding="utf-8").splitlines() if file and file.exists() else []
    return {task_of(line): line for line in map(json.loads, lines)}


def task_of(line: dict[str, Any]) -> Task:
    """Return the task whose line it is."""
    fields = {name: line[name] for name in Task._fields}
    return Task(**{**fields, "activations": tuple(fields["activations"])})


def campaign(wanted: Collection[Task], file: Path | None, processes: int) -> list[dict[str, Any]]:
    """Run what of the audits is not in the file yet, append it there as it comes, and return the lines of all."""
    done = read(file)
    missing = [task for task in wanted if task not in done]
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # before the processes import anything
    lines = Parallel(processes, return_as="generator_unordered")(map(delayed(record), missing))
    for line in track(lines, total=len(missing), description="audits"):
        done[task_of(line)] = line
        if file:
            with file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    return [done[task] for task in wanted]


def right_verdict(line: dict[str, Any]) -> bool:
    """Tell whether a correct estimator was not blamed, or a slip was detected."""
    return (line["verdict"] == "defect") != (line["trial"] == "correct")


def right_first(line: dict[str, Any]) -> bool:
    """Tell whether the right explanation comes first: the slip, or none for what is not in the catalogue."""
    return line["explanations"][:1] == ([line["name"]] if line["trial"] == "slips" else [])


def summary(lines: Collection[dict[str, Any]]) -> Table:
    """Return a row for each estimator, or for each pair of slip and activation."""
    table = Table("estimator", "activations")
    for heading in ("seeds", "sound", "undecided", "defect", "right first", "mean s", "longest s"):
        table.add_column(heading, justify="right")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["name"], " ".join(line["activations"])), []).append(line)
    for key, group in groups.items():
        verdicts = [sum(line["verdict"] == verdict for line in group) for verdict in ("sound", "undecided", "defect")]
        first = sum(line["verdict"] == "defect" and right_first(line) for line in group)
        seconds = [line["seconds"] for line in group]
        counts = (len(group), *verdicts, "–" if group[0]["trial"] == "correct" else first)
        table.add_row(*key, *map(str, counts), f"{np.mean(seconds):.1f}", f"{max(seconds):.1f}")
    return table


def used_by_chance(declaration: Declaration, seed: int, calls: int) -> Iterator[tuple[str, float]]:
    """Yield for each statistical comparison on a correct estimator the share of its bound that the error takes."""
    measured = []
    for index, probe in enumerate(probes(declaration, seed)):
        parts = expected_parts(probe, declaration, seed)
        arrays = estimates(probe.problem, declaration, np.random.default_rng([seed, index]), calls)
        measured.append(Measurement(probe, parts, tuple(array.reshape(calls, -1) for array in arrays)))
    for check in compare(measured, declaration):
        assert check.status == "passed", check
        if check.se and check.question != "direction":  # whose bound is on a squared norm
            allowed = check.smallest_detectable - MISSED * check.se
            yield check.question, abs(check.measured - check.expected) / allowed


def calibration(declaration: Declaration, seeds: Collection[int]) -> Table:
    """Return the largest share of the bounds that chance used, by question and calls."""
    used: dict[tuple[str, int], list[float]] = {}
    for seed in seeds:
        for calls in (4, 32, 256):
            for question, share in used_by_chance(declaration, seed, calls):
                used.setdefault((question, calls), []).append(share)
    table = Table("question", "calls", "comparisons", "at most used of the bound")
    for (question, calls), shares in used.items():
        table.add_row(question, str(calls), str(len(shares)), f"{max(shares):.2f}")
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run a trial, print its table, and return 1 if a verdict was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m paper_checks.campaigns.audit_power", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("trial", choices=("correct", "slips", "unknown", "calibration"))
    parser.add_argument("--names", nargs="+", metavar="NAME", help="some adapters or slips (default: all)")
    parser.add_argument("--returns", choices=RETURNS, default="weight-gradient", help="of slips and calibration")
    parser.add_argument("--target", choices=TARGETS, default="projected")
    parser.add_argument("--noise", choices=LAWS, default="gaussian", help="of calibration")
    parser.add_argument("--response", choices=RESPONSES, default="output", help="of calibration")
    parser.add_argument("--simultaneous", action="store_true", help="of calibration")
    parser.add_argument("--backend", choices=NAMESPACES, default="numpy", help="of correct")
    parser.add_argument("--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS))
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=50, help="how many")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of each audit")
    parser.add_argument("--processes", type=int, default=1, help="audits at a time; more than cores distort budgets")
    parser.add_argument("--file", type=Path, help="append results to these JSON lines, and skip those already there")
    options = parser.parse_args(arguments)
    if options.trial == "calibration":
        declaration = declare(options.returns, options.target, options.noise, options.response, options.simultaneous)
        command_line.console().print(calibration(declaration, range(options.first, options.first + options.seeds)))
        return 0
    try:
        wanted = tasks(options)
        if options.file:
            command_line.expect_writable(options.file, "--file")
    except (UsageError, ValueError) as error:
        parser.error(str(error))
    try:
        lines = campaign(wanted, options.file, options.processes)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here if it has a --file", file=sys.stderr)
        return INTERRUPTED
    command_line.console().print(summary(lines))
    return 0 if all(map(right_verdict, lines)) else 1


if __name__ == "__main__":
    sys.exit(main())
