"""The command `python -m nmnc_ref bench`: measure all rows, each in a process of its own, and show them.

A process of its own gives a row the number of threads and of devices that it asks for, and a peak of memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
from typing import Any

from nmnc_ref.bench.row import Cost, Finding, Row
from nmnc_ref.oracle.command_line import (
    FAILED,
    INTERRUPTED,
    OK,
    Help,
    UsageError,
    add_outputs,
    console,
    expect_writable,
    install,
    nearest,
    progress,
    write_json,
)

THREADS = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What tells XLA and the libraries of linear algebra how many threads to take; read when they are loaded."""


def register(subparsers: Any) -> None:
    """Add the command to a parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "bench",
        help="measure what the method costs",
        description="Measure what the method costs, as ratios to baselines in the same process.",
        epilog="example:\n  nmnc-ref bench --only overhead factored --json speed.json",
        formatter_class=Help,
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="measure these rows only")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of every row; default: the row's own")
    add_outputs(parser, page=False)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, and show each row as soon as it is known. The exit status does not depend on which goals are met."""
    if importlib.util.find_spec("jax") is None:
        raise UsageError(f"jax not installed; install with: {install('bench')}")
    from nmnc_ref.bench.table import ROWS

    unknown = sorted(set(options.only) - set(ROWS))
    if unknown:
        near = nearest(unknown[0], ROWS)
        raise UsageError(f"--only: expected names among {', '.join(ROWS)}, got {', '.join(unknown)}{near}")
    if options.threads is not None and options.threads < 1:
        raise UsageError(f"--threads: expected an integer of at least 1, got {options.threads}")
    if options.json:
        expect_writable(options.json)
    shown, found = console(), []
    wanted = [
        (name, row, threads)
        for name, row in ROWS.items()
        if not options.only or name in options.only
        for threads in (row.threads if options.threads is None else (options.threads,))
    ]
    interrupted = False
    try:
        with progress("measuring", len(wanted), quiet=options.quiet) as advance:
            for each in wanted:
                record = measured(*each)
                found.append(record)
                if not (options.quiet and record["met"]):
                    shown.print(as_text(record), markup=False, highlight=False)
                advance()
    except KeyboardInterrupt:
        interrupted = True
    met = sum(record["met"] for record in found)
    stopped = f", interrupted after {len(found)} of {len(wanted)}" if interrupted else ""
    shown.print(f"{met} of {len(found)} goals met{stopped}", markup=False, highlight=False)
    if options.json and found:
        unfinished = [{"name": name, "threads": threads} for name, _, threads in wanted[len(found) :]]
        write_json(options.json, {"machine": machine(), "rows": found, "unfinished": unfinished})
    if interrupted:
        return INTERRUPTED
    return FAILED if any("error" in record for record in found) else OK


def measured(name: str, row: Row, threads: int) -> dict[str, Any]:
    """Return what one row found, or the last line of what it failed with."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={row.devices}"
    environment = os.environ | dict.fromkeys(THREADS, str(threads)) | {"XLA_FLAGS": flags.strip()}
    worker = [sys.executable, "-m", "nmnc_ref.bench.worker", name]
    said = subprocess.run(worker, env=environment, capture_output=True, text=True, check=False)
    known = {"name": name, "threads": threads, "work": row.work, "baseline": row.baseline, "goal": row.goal}
    if said.returncode:
        return known | {"met": False, "error": (said.stderr.strip().splitlines() or ["no message"])[-1]}
    finding = Finding(*json.loads(said.stdout.splitlines()[-1]))
    costs = {"cost": Cost(*finding.cost)._asdict(), "baseline_cost": Cost(*finding.baseline_cost)._asdict()}
    return known | finding._asdict() | costs | {"met": finding.value <= row.goal}


def as_text(record: dict[str, Any]) -> str:
    """Return a row in a few lines: name, result and goal first, then work, baseline and bounds."""
    title = f"{record['name']}, {record['threads']} thread{'s' * (record['threads'] > 1)}"
    lines = [f"  work: {record['work']}", f"  baseline: {record['baseline']}"]
    if "error" in record:
        return "\n".join([f"{title}: not measured: {record['error']}", *lines])
    low, high = record["quartiles"]
    verdict = "met" if record["met"] else "missed"
    bounds = (f"{kind} {bound(record, kind)}" for kind in Cost._fields)
    detail = ", ".join(f"{key} {number:.3g}" for key, number in record["detail"].items())
    result = f"{title}: {record['value']:.3g} [{low:.3g}, {high:.3g}], goal ≤ {record['goal']:g}: {verdict}"
    return "\n".join([result, *lines, f"  bound: {'; '.join(bounds)}", f"  measured: {detail}"])


def bound(record: dict[str, Any], kind: str) -> str:
    """Return what work and baseline take at least, and the ratio."""
    own, other = record["cost"][kind], record["baseline_cost"][kind]
    return f"{own:.3g} against {other:.3g}" + (f", ratio {own / other:.2f}" if other else "")


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    from importlib.metadata import version

    versions = {package: version(package) for package in ("numpy", "jax")}
    return {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()} | versions
