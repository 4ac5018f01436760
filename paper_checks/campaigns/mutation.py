"""How many broken variants of the library are noticed: `python -m paper_checks.campaigns.mutation --by tests`.

Each variant changes one operator, comparison, number, keyword or decorator of one module (cosmic-ray's operators), in
a copy of the repository, and the commands of `--by` are run there until one fails:

    tests    the tests of the module and those of all functions, the golden vectors, and the claims
    claims   `python -m paper_checks` alone, family by family

The variants come in an order that is drawn with `--seed`, so that the first `--sample` of them are a random sample.
Results are appended to `--file`, and what is there already is not run again. To be run from the repository's root.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from joblib import Parallel, delayed
from rich.progress import track
from rich.table import Table
from scipy.stats import binomtest

from nmnc_ref.oracle import command_line

PYTEST = "-m pytest -x -q -n0 -p no:cacheprovider"
ON_NUMPY = f"{PYTEST} -k 'not jax and not strict and not torch'"
"""What notices most, in a fraction of the time; what survives meets the tests of its module on every library."""
OF_ALL = "metamorphic range properties checked"
"""Test files that call every function."""
OF_OTHERS = {
    "command": "command_line",
    "checked": "arrays scalars",
    "range": "numerics",
    "estimator": "noise_correlation perturbation",
    "manifold": "alignment",
    "feedforward": "activation dense initialisation layer loss",
    "training": "credit feedback route sgd",
    "fast_training": "fast_direct fast_through_time",
}
"""Test files that concern modules of other names."""
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


def own(module: str) -> str:
    """Return the name of the test file of a module."""
    return next((file for file, modules in OF_OTHERS.items() if module in modules.split()), module)


def commands(by: str, path: Path) -> list[str]:
    """Return what Python is asked to run to notice that a module is broken, fastest first."""
    families = sorted(FAMILIES, key=path.stem.__ne__)
    claims = [f"-m paper_checks --tier theory --family {family}" for family in families]
    if by == "claims":
        return claims
    if "oracle" in path.parts:
        part, *inside = path.relative_to("nmnc_ref/oracle").with_suffix("").parts
        patterns = (f"{own(part)}*", *inside)
        files = sorted({file for each in patterns for file in Path("tests").glob(f"test_{each}.py")})
        return [f"{ON_NUMPY} {file}" for file in files]
    name = own(f"fast_{path.stem}" if "fast" in path.parts else path.stem)
    files = [Path(f"tests/test_{each}.py") for each in dict.fromkeys(f"{name} {OF_ALL}".split())]
    tests = [f"{ON_NUMPY} {file}" for file in files if file.exists()]
    vectors = "-m nmnc_ref vectors check --impl nmnc_ref.oracle.vectors.adapter:on_numpy"
    everywhere = [f"{PYTEST} {file}" for file in files[:1] if file.exists()]
    rest = [vectors, *tests], claims
    known = reversed(rest) if "theory" in path.parts else rest  # of which claims know most
    return [*itertools.chain(*known), *everywhere, f"{ON_NUMPY} tests/test_bad_input.py"]


def noticed(root: Path, mutant: Mutant, by: str) -> dict:
    """Return what noticed a broken variant, or None, with the change."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(
            root, copy, ignore=shutil.ignore_patterns(".*", "*cache*", "runs", "build", "dist", "*.egg-info")
        )
        before = (copy / mutant.path).read_text(encoding="utf-8")
        source = mutate_code(before, plugins.get_operator(mutant.operator)(), mutant.occurrence)
        (copy / mutant.path).write_text(source, encoding="utf-8")
        change = "\n".join(
            line
            for line in difflib.unified_diff(before.splitlines(), source.splitlines(), n=0)
            if line[:3] not in ("---", "+++", "@@ ")
        )
        found = failing(commands(by, Path(mutant.path)), copy)
    return {**mutant._asdict(), "by": by, "change": change, "noticed": found}


def failing(commands: Iterable[str], folder: Path) -> str | None:
    """Return the first of some commands that fails in a copy of the repository."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return next((each for each in commands if not _passes(each, folder, environment)), None)


def _passes(command: str, folder: Path, environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run(
            [sys.executable, *shlex.split(command)], cwd=folder, env=environment, capture_output=True, timeout=SECONDS
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
    broken = failing(
        dict.fromkeys(each for path, *_ in chosen for each in commands(options.by, Path(path))), Path.cwd()
    )
    if broken:  # everything would seem to be noticed
        parser.error(f"expected commands that pass without a change, got a failure of: python {broken}")
    lines = (
        [json.loads(line) for line in options.file.read_text(encoding="utf-8").splitlines()]
        if options.file.exists()
        else []
    )
    done = {(line["path"], line["operator"], line["occurrence"], line["by"]) for line in lines}
    tasks = [delayed(noticed)(Path.cwd(), mutant, options.by) for mutant in chosen if (*mutant, options.by) not in done]
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
