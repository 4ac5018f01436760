"""Whether the checks by chance are as sure as they say: `python -m paper_checks.campaigns.calibration --file z.jsonl`.

Every claim with Monte Carlo comparisons is measured at many seeds, where it can at a reduced size: fewer draws have a
wider tolerance, so that the share of it that is used has the same law. A deviation in standard errors must then be
standard normal, or narrower where the standard error is a bound, and no comparison may fail. Results are appended to
`--file`, a line for each seed, and seeds that are there already are not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from unittest import mock

import numpy as np
from rich.progress import track
from rich.table import Table
from scipy import stats
from threadpoolctl import threadpool_limits

from nmnc_ref.oracle import command_line
from paper_checks import catalogue
from paper_checks.comparison import Z_SCORE
from paper_checks.lab import Lab

IDS = ("E4", "E5", "E6", "E10", "E13", "E14", "F1", "F2", "D2", "A3")
REDUCED = {
    "paper_checks.feedback.learned.CHAINS": 4_000,
    "paper_checks.dimension.BATCHES": 1,
}
FALSE_ALARM = 1e-3
"""Of all tests of the law together."""


def deviations(seed: int, only: list[str]) -> dict[str, float]:
    """Return measured − predicted of every Monte Carlo comparison, in standard errors."""
    lab, found = Lab(seed=seed), {}
    for claim in catalogue.claims(only=only):
        for each in claim.measure(lab):
            if each.false_alarm is not None:
                found[f"{claim.id}: {each.name}"] = Z_SCORE * math.copysign(each.used, each.measured - each.predicted)
    return found


def too_wide(z: np.ndarray) -> float:
    """Return the p-value of |z| being larger than those of a standard normal law (Kolmogorov and Smirnov)."""
    return float(stats.kstest(np.abs(z), stats.halfnorm.cdf, alternative="less").pvalue)


def summary(columns: dict[str, list[float]]) -> tuple[Table, bool]:
    """Return the law of each comparison's deviations, and whether it is as it should be."""
    table = Table("comparison", "seeds", "mean", "deviation", "skewness", "largest", "p, not normal", "p, too wide")
    sound = True
    for name, values in (*columns.items(), ("all", itertools.chain(*columns.values()))):
        z = np.array([*values])
        wide = too_wide(z)
        numbers = z.mean(), z.std(ddof=1), stats.skew(z), np.abs(z).max(), stats.kstest(z, "norm").pvalue, wide
        table.add_row(name, str(len(z)), *(f"{number:.3g}" for number in numbers))
        sound &= bool(np.abs(z).max() <= Z_SCORE and (name == "all" or wide > FALSE_ALARM / len(columns)))
    return table, sound


def main(arguments: list[str] | None = None) -> int:
    """Measure the claims at the seeds that are not in the file yet, and print the laws of all deviations there."""
    parser = argparse.ArgumentParser(
        prog="python -m paper_checks.campaigns.calibration", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("--seeds", type=int, default=1_000, help="how many, from 0 (default: 1000)")
    parser.add_argument("--only", nargs="+", choices=IDS, default=list(IDS), metavar="ID", help=f"of {', '.join(IDS)}")
    parser.add_argument("--file", type=Path, required=True, help="append results to these JSON lines")
    options = parser.parse_args(arguments)
    command_line.expect_writable(options.file, "--file")
    lines = [json.loads(line) for line in options.file.read_text().splitlines()] if options.file.exists() else []
    done = {(line["seed"], each) for line in lines for each in line["only"]}
    with contextlib.ExitStack() as stack, options.file.open("a", encoding="utf-8") as file:
        stack.enter_context(threadpool_limits(1))
        for name, size in REDUCED.items():
            stack.enter_context(mock.patch(name, size))
        for seed in track(range(options.seeds), "seeds", console=command_line.console()):
            if only := [each for each in options.only if (seed, each) not in done]:
                lines.append({"seed": seed, "only": only, "z": deviations(seed, only)})
                file.write(json.dumps(lines[-1], ensure_ascii=False) + "\n")
                file.flush()
    columns = defaultdict(list)
    for line in lines:
        for name, z in line["z"].items():
            columns[name].append(z)
    table, sound = summary(columns)
    command_line.console().print(table)
    return int(not sound)


if __name__ == "__main__":
    sys.exit(main())
