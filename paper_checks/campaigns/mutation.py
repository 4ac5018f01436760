"""How many broken variants of the library are noticed: `python -m paper_checks.campaigns.mutation --by tests`.

Each variant changes one operator, comparison, number, keyword or decorator of one module (cosmic-ray's operators), in
a copy of the repository, and the commands of `--by` are run there until one fails:

    tests    the tests that run the statement, fastest first, as many as take a minute and a half; then the claims and
             the tests of all signatures, or for the oracle, which runs in processes of its own too, those of signatures
             and all of its part
    claims   `python -m paper_checks` alone, family by family

The variants come in an order that is drawn with `--seed`, so that the first `--sample` of them are a random sample.
Results are appended to `--file`, and what is there already is not run again. To be run from the repository's root.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import itertools
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from coverage import CoverageData
from joblib import Parallel, delayed
from rich.progress import track
from rich.table import Table
from scipy.stats import binomtest

from nmnc_ref.oracle import command_line

PYTEST = "-m pytest -x -q -p no:cacheprovider"
ON_NUMPY = "not jax and not strict and not torch"
NOT_MEASURED = ("tests/test_documents.py", "tests/test_page_in_a_browser.py", "tests/test_bench.py")
"""Tests that run the library in other processes, or not at all."""
INSPECTING = "tests/test_bad_input.py tests/test_structure.py"
"""Tests that look at functions without running them."""
GROUP = re.compile(r"@[\w -]+$")
"""What pytest-xdist adds to the name of a test that is in a group."""
ENOUGH = 90.0
"""Seconds of tests that a variant meets."""
FAMILIES = ("estimator", "feedback", "dimension", "alignment")
SECONDS = 900
"""After which a command that hangs counts as one that failed."""
CRASHES = ("_BitOr", "_BitXor", "_BitAnd", "_FloorDiv", "_Mod", "Shift", "_Invert")
"""Operators that arithmetic is not replaced by, as no array of floats has them: anything would notice."""


class Mutant(NamedTuple):
    """A broken variant: the path of a module, an operator of cosmic-ray, and which of the places that it applies to."""

    path: str
    operator: str
    occurrence: int


def sources(only: list[str]) -> list[Path]:
    """Return the modules of the library that broken variants are made of: the mathematics and the oracle."""
    every = sorted(path for path in Path("nmnc_ref").rglob("*.py") if "bench" not in path.parts)
    found = [path for path in every if path.name not in ("__init__.py", "__main__.py")]
    return [path for path in found if not only or any(str(path).startswith(f"nmnc_ref/{name}") for name in only)]


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield the broken variants of a module."""
    nodes = list(ast_nodes(get_ast(path.read_text(encoding="utf-8"))))
    for name in plugins.operator_names():
        if "Variable" in name or name.endswith(CRASHES):
            continue
        operator = plugins.get_operator(name)()
        places = sum(len(list(operator.mutation_positions(node))) for node in nodes)
        yield from (Mutant(str(path), name, occurrence) for occurrence in range(places))


class Coverage:
    """Which tests run a statement, and how long each takes."""

    def __init__(self, file: Path, processes: int) -> None:
        """Read what was measured beside a file, or measure it where sources have changed since."""
        self.data, times = (file.resolve().with_suffix(suffix) for suffix in (".coverage", ".xml"))
        sources = [path for folder in ("nmnc_ref", "tests") for path in Path(folder).rglob("*.py")]
        known = [path.stat().st_mtime for path in (self.data, times) if path.exists()]
        if len(known) < 2 or min(known) < max(path.stat().st_mtime for path in sources):
            ignored = " ".join(f"--ignore={path}" for path in NOT_MEASURED)
            measured = "--cov=nmnc_ref --cov-context=test --cov-report="
            command = f"{PYTEST} -n{processes} {ignored} {measured} --junitxml={times}"
            with copied() as copy:
                if not passes(command, copy, None, COVERAGE_FILE=str(self.data)):
                    raise SystemExit(f"expected tests that pass without a change, got a failure of: python {command}")
        self.seconds = {
            GROUP.sub("", f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"): float(
                case.attrib["time"]
            )
            for case in ElementTree.parse(times).iter("testcase")
        }

    def tests(self, path: str, line: int) -> list[str]:
        """Return the tests that run a line, or else the least statement around it that any test runs, fastest first."""
        data = CoverageData(str(self.data))
        data.read()
        file = next((file for file in data.measured_files() if file.endswith(f"/{path}")), "")
        by_line = data.contexts_by_lineno(file)
        for lines in around(Path(path).read_text(encoding="utf-8"), line):
            contexts = {context for each in lines for context in by_line.get(each, ())}
            found = {GROUP.sub("", context.partition("|")[0]) for context in contexts}
            if known := sorted(found & self.seconds.keys(), key=self.seconds.__getitem__):
                return known
        return []


def around(source: str, line: int) -> Iterator[range]:
    """Yield the lines of the statements of a function around a line, the least first, and of the whole module, which is
    all for a line that runs when the module is imported.
    """
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    own = [node for node in functions if line in _lines(node, *node.decorator_list)]
    if own:
        body = max(own, key=lambda node: node.lineno).body
        inner = (node for statement in body for node in ast.walk(statement) if isinstance(node, ast.stmt))
        yield from sorted((lines for lines in map(_lines, inner) if line in lines), key=len)
        yield _lines(*body)
    yield range(1, len(source.splitlines()) + 1)


def _lines(*nodes: ast.stmt | ast.expr) -> range:
    """Return the lines from the first to the last of some nodes."""
    return range(min(node.lineno for node in nodes), max(node.end_lineno or node.lineno for node in nodes) + 1)


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """Yield the folder of a copy of the repository."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".*", "*cache*", "runs", "build", "dist", "*.egg-info")
        shutil.copytree(Path.cwd(), copy, ignore=ignored)
        yield copy


def commands(by: str, path: Path) -> list[str]:
    """Return what else Python is asked to run to notice that a module is broken, likeliest first."""
    if "oracle" in path.parts:
        part = path.relative_to("nmnc_ref/oracle").with_suffix("").parts[0]
        files = [Path("tests/test_structure.py"), *sorted(Path("tests").glob(f"test_{part}*.py"))]
        return [f"{PYTEST} -n0 -k '{ON_NUMPY}' {file}" for file in files]
    families = sorted(FAMILIES, key=path.stem.__ne__)
    claims = [f"-m paper_checks --tier theory --family {family}" for family in families]
    return claims if by == "claims" else [*claims, f"{PYTEST} -n0 -k '{ON_NUMPY}' {INSPECTING}"]


def noticed(mutant: Mutant, coverage: Coverage | None) -> dict:
    """Return what noticed a broken variant, or None, with the change; the claims alone without coverage."""
    before = Path(mutant.path).read_text(encoding="utf-8")
    source = mutate_code(before, plugins.get_operator(mutant.operator)(), mutant.occurrence)
    change = list(difflib.unified_diff(before.splitlines(), source.splitlines(), n=0))[2:]
    by = "tests" if coverage else "claims"
    with copied() as copy:
        (copy / mutant.path).write_text(source, encoding="utf-8")
        chosen = []
        if coverage:
            line = int(change[0].split()[1].strip("-").partition(",")[0])
            tests = coverage.tests(mutant.path, line)
            total = itertools.accumulate((coverage.seconds[test] for test in tests), initial=0.0)
            chosen = [test for test, before_it in zip(tests, total, strict=False) if before_it < ENOUGH]
            (copy / "chosen").write_text("\n".join(chosen), encoding="utf-8")
        every = [f"{PYTEST} -n0 @chosen"] * bool(chosen) + commands(by, Path(mutant.path))
        found = next((each for each in every if not passes(each, copy, SECONDS)), None)
    lines = "\n".join(each for each in change if not each.startswith("@@ "))
    return {**mutant._asdict(), "by": by, "change": lines, "noticed": found}


def passes(command: str, folder: Path, seconds: float | None, **environment: str) -> bool:
    """Tell whether a command of Python ends well in a copy of the repository, in time."""
    common = {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, *shlex.split(command)],
            cwd=folder,
            env={**os.environ, **common, **environment},
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode in (0, 5)  # 5: pytest has chosen no test


def summary(lines: list[dict]) -> Table:
    """Return how many variants of each module were noticed, with the 95 % interval of the share of all."""
    table = Table("module", "variants", "noticed", "share")
    rows = [
        (path, [line for line in lines if line["path"] == path]) for path in sorted({line["path"] for line in lines})
    ]
    for path, own in (*rows, ("all", lines)):
        count = sum(line["noticed"] is not None for line in own)
        interval = binomtest(count, len(own)).proportion_ci(method="wilson")
        table.add_row(
            path, str(len(own)), str(count), f"{count / len(own):.1%} ({interval.low:.0%} to {interval.high:.0%})"
        )
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run a sample of the broken variants, print how many were noticed, and what was not."""
    parser = argparse.ArgumentParser(
        prog="python -m paper_checks.campaigns.mutation", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("--by", choices=("tests", "claims"), default="tests")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="modules or folders of nmnc_ref, such as theory"
    )
    parser.add_argument("--sample", type=int, help="how many (default: all, which takes days)")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--file", type=Path, required=True, help="append results to these JSON lines")
    options = parser.parse_args(arguments)
    command_line.expect_writable(options.file, "--file")
    every = [each for path in sources(options.only) for each in mutants(path)]
    random.Random(options.seed).shuffle(every)
    chosen = every[: options.sample]
    lines = (
        [json.loads(line) for line in options.file.read_text(encoding="utf-8").splitlines()]
        if options.file.exists()
        else []
    )
    done = {(line["path"], line["operator"], line["occurrence"], line["by"]) for line in lines}
    with copied() as copy:  # tests are asked when their coverage is measured
        broken = next((each for each in commands("claims", Path()) if not passes(each, copy, SECONDS)), None)
    if broken:  # everything would seem to be noticed
        parser.error(f"expected claims that pass without a change, got a failure of: python {broken}")
    coverage = Coverage(options.file, options.processes) if options.by == "tests" else None
    tasks = [delayed(noticed)(mutant, coverage) for mutant in chosen if (*mutant, options.by) not in done]
    finished = Parallel(options.processes, return_as="generator_unordered")(tasks)
    with options.file.open("a", encoding="utf-8") as file:
        for line in track(
            finished, f"{len(tasks)} of {len(every)} variants", total=len(tasks), console=command_line.console()
        ):
            lines.append(line)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
    own = [line for line in lines if line["by"] == options.by]
    for line in own:
        if line["noticed"] is None:
            print(f"{line['path']} ({line['operator']}):\n{line['change']}")
    command_line.console().print(summary(own))
    return 0


if __name__ == "__main__":
    sys.exit(main())
