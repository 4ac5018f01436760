"""How often the audit is right, measured on many seeds: `python -m paper_checks.campaigns.audit_power TRIAL`.

The test suite runs a small sample of this; the whole takes hours, and can be run in pieces: results are appended to
`--file`, and what is there already is not run again. `--help` lists the options.

    correct      no false alarm on this library's own estimators, on NumPy or another library
    kinds        right estimators of every kind, declared as such: sound; declared as another: of another kind
    slips        every slip with a name and every scale without, with each activation: detected, and named first
    unknown      slips that the audit does not know: detected, and unexplained
    calibration  strangers' right estimates: how much of the bounds chance ever uses
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
from nmnc_ref.oracle.audit.check import Measurement
from nmnc_ref.oracle.audit.comparison import compare
from nmnc_ref.oracle.audit.expected import expected_parts
from nmnc_ref.oracle.audit.probes import probes
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, NOISES, RESPONSES, RETURNS, TARGETS, Declaration, declare
from nmnc_ref.oracle.audit.report import Report
from nmnc_ref.oracle.audit.statistics import MISSED
from nmnc_ref.oracle.command_line import INTERRUPTED, UsageError
from paper_checks.campaigns.slipped_estimators import KIND_OF, SCALES, SLIPS, UNKNOWN, stranger

NAMESPACES = {"numpy": "numpy", "jax": "jax.numpy", "torch": "array_api_compat.torch"}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "JAX_ENABLE_X64": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""Of the processes of a campaign: one core for each, and JAX compiles fast."""
KINDS: dict[str, dict[str, Any]] = {
    "forward gradient": {"returns": "activity-gradient", "response": "loss", "measures": "derivative"},
    "one loss of the batch": {"returns": "activity-gradient", "response": "batch-loss"},
    "no baseline": {"returns": "jacobian", "measures": "value"},
    "node perturbation without a baseline": {
        "returns": "weight-gradient",
        "perturbs": "preactivation",
        "response": "loss",
        "measures": "value",
    },
    "each sample's loss": {"returns": "weight-gradient", "response": "loss"},
    "noise of ±1": {"returns": "jacobian", "noise": "rademacher"},
    "noise of fixed norm": {"returns": "jacobian", "noise": "fixed-norm"},
    "uniform noise": {"returns": "jacobian", "noise": "uniform"},
    "noise on the sphere": {"returns": "jacobian", "noise": "sphere"},
    "all layers at once": {"returns": "jacobian", "simultaneous": True},
    "node perturbation": {"returns": "weight-gradient", "perturbs": "preactivation", "response": "loss"},
    "node perturbation of all layers, with the batch's loss": {
        "returns": "weight-gradient",
        "perturbs": "preactivation",
        "response": "batch-loss",
        "simultaneous": True,
        "output_layer": True,
    },
    "weight perturbation": {
        "returns": "weight-gradient",
        "perturbs": "weights",
        "response": "batch-loss",
        "simultaneous": True,
        "output_layer": True,
    },
    "weight perturbation without a baseline": {
        "returns": "weight-gradient",
        "perturbs": "weights",
        "response": "batch-loss",
        "measures": "value",
        "simultaneous": True,
        "output_layer": True,
    },
    "weight perturbation for each sample": {"returns": "weight-gradient", "perturbs": "weights", "response": "loss"},
}
"""Of the trial `kinds`; each is declared as what it is, and also as what its claim is by default."""
VERDICTS = ("sound", "other kind", "undecided", "defect")
UNDECLARED = ", not declared"
HARMLESS = {
    ("activation derivative left out", "identity"),
    ("activation derivative twice", "identity"),
    ("activation derivative at the activity, φ'(x) for φ'(s)", "identity"),
    ("activation derivative at the activity, φ'(x) for φ'(s)", "relu"),  # x > 0 where s > 0
    ("derivative threshold s ≥ 0 for s > 0", "identity"),
    ("derivative threshold s ≥ 0 for s > 0", "tanh"),
    ("noise before the activation", "identity"),
    *(("sites in another order than asked for", each) for each in ACTIVATIONS),  # of weight gradients: a wrong shape
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
    calls: int


def tasks(options: argparse.Namespace) -> list[Task]:
    """Return the audits that the options of the command ask for.

    Raises:
        ValueError: `--names` has one that the trial has not.
    """
    returns: dict[str, str]
    if options.trial == "correct":
        returns = {name: own.declaration.returns for name, own in adapters.ADAPTERS.items()}
        pairs = [(name, tuple(options.activations)) for name in returns]
    elif options.trial == "kinds":
        returns = {name + how: words["returns"] for name, words in KINDS.items() for how in ("", UNDECLARED)}
        pairs = [(name, tuple(options.activations)) for name in returns]
    else:
        names = (*SLIPS, *SCALES) if options.trial == "slips" else UNKNOWN
        returns = dict.fromkeys(names, options.returns)
        pairs = [(name, (each,)) for name in names for each in options.activations if (name, each) not in HARMLESS]
    if unknown := set(options.names or ()) - returns.keys():
        raise ValueError(f"--names: expected some of {', '.join(returns)}, got {', '.join(sorted(unknown))}")
    return [
        Task(options.trial, name, returns[name], options.target, activations, options.backend, seed, options.calls)
        for name, activations in pairs
        if name in (options.names or returns)
        for seed in range(options.first, options.first + options.seeds)
    ]


def perform(task: Task) -> Report:
    """Run one audit: of an adapter, or of a stranger of a kind or with a slip, antithetic or one-sided by turns."""
    estimate: Any
    declared: dict[str, Any] = {"returns": task.returns}
    if task.trial == "correct":
        own = adapters.ADAPTERS[task.name]
        estimate, declared = on_library(own, task.backend), own.declaration._asdict() | {"target": task.target}
    elif task.trial == "kinds":
        words = KINDS[task.name.removesuffix(UNDECLARED)]
        estimate = stranger(**words, antithetic=task.seed % 2 == 0)
        declared |= {} if task.name.endswith(UNDECLARED) else words
    else:
        declared |= {"target": task.target} | KIND_OF.get(task.name, {})
        estimate = stranger(**declared, slip=task.name, antithetic=task.seed % 2 == 0)
    return oracle.audit(estimate, **declared, seed=task.seed, calls=task.calls, activations=task.activations)


def on_library(own: adapters.Adapter, backend: str) -> adapters.Adapter:
    """Return an adapter on another array library, compiled where it can be."""
    compiled = importlib.import_module("jax").jit if backend == "jax" else adapters.eager
    return own._replace(xp=importlib.import_module(NAMESPACES[backend]), compiled=compiled)


def record(task: Task) -> dict[str, Any]:
    """Run one audit and return its line of the file: the task, and what came of it, with the calls `made`."""
    report = perform(task)
    names = [explanation.name for explanation in report.explanations]
    outcome = {"verdict": report.verdict, "explanations": names, "made": report.calls, "seconds": report.seconds}
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
    if line["trial"] == "kinds":
        return line["verdict"] == ("other kind" if line["name"].endswith(UNDECLARED) else "sound")
    return (line["verdict"] == "defect") != (line["trial"] == "correct")


def right_first(line: dict[str, Any]) -> bool:
    """Tell whether the right explanation comes first: the slip, its scale, or none for what is not known."""
    if line["trial"] == "unknown":
        return not line["explanations"]
    first = (line["explanations"] or [""])[0]
    return f": {SCALES[line['name']][0]}" in first if line["name"] in SCALES else first == line["name"]


def summary(lines: Collection[dict[str, Any]]) -> Table:
    """Return a row for each estimator, or for each pair of slip and activation."""
    table = Table("estimator", "activations")
    for heading in ("seeds", *VERDICTS, "right first", "mean s", "longest s"):
        table.add_column(heading, justify="right")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["name"], " ".join(line["activations"])), []).append(line)
    for key, group in groups.items():
        verdicts = [sum(line["verdict"] == verdict for line in group) for verdict in VERDICTS]
        first = sum(line["verdict"] == "defect" and right_first(line) for line in group)
        seconds = [line["seconds"] for line in group]
        counts = (len(group), *verdicts, "–" if group[0]["trial"] in ("correct", "kinds") else first)
        table.add_row(*key, *map(str, counts), f"{np.mean(seconds):.1f}", f"{max(seconds):.1f}")
    return table


def used_by_chance(
    declaration: Declaration, seed: int, calls: int, activations: tuple[str, ...] = tuple(ACTIVATIONS)
) -> Iterator[tuple[str, float]]:
    """Yield for each statistical comparison on a correct estimator the share of its bound that the error takes."""
    measured = []
    estimate = stranger(**declaration._asdict())
    for probe in probes(declaration, seed, activations):
        if probe.linear:
            answers = [_flat(estimate(probe.problem, 2**16 * seed + call)) for call in range(calls)]
            columns = tuple(map(np.array, zip(*answers, strict=True)))
            measured.append(Measurement(probe, expected_parts(probe.problem, declaration), columns))
    for check in compare(measured, declaration):
        assert check.status == "passed", check
        if check.se and check.question not in ("direction", "null"):  # whose bounds are on squared norms
            allowed = check.smallest_detectable - MISSED * check.se
            yield check.question, abs(check.measured - check.expected) / allowed


def _flat(answer: tuple) -> list[np.ndarray]:
    return [np.ravel(array) for entry in answer for array in (entry if isinstance(entry, tuple) else (entry,))]


def calibration(declaration: Declaration, seeds: Collection[int]) -> Table:
    """Return the largest share of the bounds that chance used, by question and calls."""
    used: dict[tuple[str, int], list[float]] = {}
    for seed in seeds:
        for calls in (16, 64, 256):
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
    parser.add_argument("trial", choices=("correct", "kinds", "slips", "unknown", "calibration"))
    parser.add_argument("--names", nargs="+", metavar="NAME", help="some adapters or slips (default: all)")
    parser.add_argument("--returns", choices=RETURNS, default="weight-gradient", help="of slips and calibration")
    parser.add_argument("--target", choices=TARGETS, default="projected")
    parser.add_argument("--noise", choices=NOISES, default="gaussian", help="of calibration")
    parser.add_argument("--response", choices=RESPONSES, default="output", help="of calibration")
    parser.add_argument("--simultaneous", action="store_true", help="of calibration")
    parser.add_argument("--backend", choices=NAMESPACES, default="numpy", help="of correct")
    parser.add_argument("--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS))
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=50, help="how many")
    parser.add_argument("--calls", type=int, default=60_000, help="of each audit, at most")
    parser.add_argument("--processes", type=int, default=1, help="audits at a time")
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
