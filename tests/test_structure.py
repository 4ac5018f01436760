"""The shape of the repository: who imports whom, what is documented, what is packaged."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
import typing
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from nmnc_ref import theory
from paper_checks import catalogue
from paper_checks.claim import FAMILIES

ROOT = Path(__file__).parents[1]
FLOORS = (
    {"arrays"},
    {"scalars"},
    {"checked"},
    {"numerics"},
    {"random", "theory", "perturbation", "estimator", "dimension", "moments", "hebbian"},
    {"alignment", "similarity", "manifold", "noise_correlation", "nn"},
    {"feedback", "credit"},
    {"route"},
    {"training"},
    {"fast"},
)
"""The rooms of nmnc_ref from below: annotations and their checks, mathematics, networks, learning, fast versions."""
MAP = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
THEORY = (ROOT / "THEORY.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "nmnc_ref").rglob("*.py"))
ORACLE = [path for path in SOURCES if {"oracle", "bench"} & {*path.parts} or path.name == "__main__.py"]
"""The oracle, the benchmark and their command, which stand on top of the library."""
MODULES = [path for path in SOURCES if path.name != "__main__.py"]
LIBRARY = [path for path in SOURCES if path not in ORACLE]
EXTRA = {"command_line": {"rich"}, "report": {"rich"}, "terminal": {"rich"}, "form": {"jsonschema"}}
EXTRA |= {"rendering": {"jinja2", "latex2mathml", "markupsafe"}}
EXTRA |= {name: {"jax"} for name in ("convolved", "scanned", "streamed")}
"""Modules that show something, read files from strangers, or are of JAX alone, and what they may use for it."""


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(path: Path) -> str:
    """Return the name of a module of the library."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def defined(path: Path) -> list:
    """Return what a module of the library defines, and the contents of its classes."""
    name = dotted(path)
    own = [each for each in vars(importlib.import_module(name)).values() if getattr(each, "__module__", "") == name]
    return [*own, *(each for owner in own if inspect.isclass(owner) for each in vars(owner).values())]


def modules(path: Path) -> set[str]:
    """Return the modules of the library that a file imports, by dotted name."""
    names = {name for name in imported(path) if name.startswith("nmnc_ref.")}
    known = set(map(dotted, SOURCES))
    return {name if name in known else name.rpartition(".")[0] for name in names} - {"nmnc_ref"}


def floor(module: str) -> int:
    """Return the floor of a module of the library."""
    room = module.split(".")[1]
    return next(index for index, rooms in enumerate(FLOORS) if room in rooms)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    if path != ROOT / "nmnc_ref/__init__.py":
        own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for module in modules(path):
            assert floor(module) < floor(own) or module.split(".")[1] == own.split(".")[1], module


def test_no_import_goes_in_a_circle():
    graph = {".".join(path.relative_to(ROOT).with_suffix("").parts): modules(path) for path in SOURCES}
    assert list(TopologicalSorter(graph).static_order())  # or CycleError


@pytest.mark.parametrize("path", ORACLE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_oracle_does_not_need_the_checks(path):
    assert not any(name.startswith(("paper_checks", "tests")) for name in imported(path))


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_in_the_library_knows_the_oracle_or_the_checks(path):
    if path != ROOT / "nmnc_ref/__init__.py":
        assert not any(name.startswith(("nmnc_ref.oracle", "paper_checks")) for name in imported(path))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_needs_numpy_and_array_api_compat_alone(path):
    roots = {name.split(".")[0] for name in imported(path)}
    extra = {"jax"} if "bench" in path.parts else EXTRA.get(path.stem, set())
    assert roots <= set(sys.stdlib_module_names) | {"numpy", "array_api_compat", "nmnc_ref"} | extra


@pytest.mark.parametrize("package", ["nmnc_ref", "nmnc_ref.oracle"])
def test_importing_the_library_imports_no_backend(package):
    others = {"jax", "torch", "scipy", "sklearn", "rich", "jsonschema"}
    code = f"import sys, {package}; print(sorted({others} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300).stdout
        == "[]\n"
    )


def sections() -> dict[str, str]:
    """Return the sections of THEORY.md by claim id."""
    parts = re.split(r"^### ([A-Z]\d+(?:-\w+)?) · ", THEORY, flags=re.MULTILINE)
    ids = parts[1::2]
    assert len(ids) == len(set(ids)), "a claim has two sections"
    return dict(zip(ids, parts[2::2], strict=True))


def test_every_claim_has_a_section_and_every_section_a_claim():
    assert list(sections()) == [claim.id for claim in catalogue.claims()]


@pytest.mark.parametrize("claim", catalogue.claims(), ids=lambda claim: claim.id)
def test_sections_name_the_source_and_link_the_code(claim):
    text = sections()[claim.id]
    assert claim.source in re.findall(r"\[([a-z, ]+)\]", text)
    links = re.findall(r"\[`([\w.]+)`\]\(([\w/.]+)\)", text)
    assert f"{claim.measure.__module__}.{claim.measure.__name__}" in [name for name, _ in links]
    for name, target in links:
        source = (ROOT / target).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(def|class) {name.split('.')[-1]}\b", source, re.MULTILINE), (name, target)


def test_every_prediction_is_linked():
    linked = set(re.findall(r"\[`theory\.(\w+\.\w+)`\]", THEORY))
    for family in theory.__all__:
        module = ast.parse((ROOT / f"nmnc_ref/theory/{family}.py").read_text(encoding="utf-8"))
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert f"{family}.{node.name}" in linked


def test_every_argument_can_be_given_by_name():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                assert not node.args.posonlyargs, f"{path}: {node.name}"


@pytest.mark.parametrize("path", sorted((ROOT / "nmnc_ref" / "fast").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_every_fast_function_is_checked(path):
    functions = filter(inspect.isfunction, defined(path))
    public = [each for each in functions if each.__name__[0] != "_" or each.__name__ == "__call__"]
    assert public
    assert all(getattr(each, "is_checked", False) for each in public)


def test_an_option_has_one_default_wherever_it_is_one():
    """But momentum, of which a single step knows nothing, and chunks, whose size only memory is about."""
    defaults: dict[str, set] = {}
    for path in set(LIBRARY) & set(MODULES):
        functions = [each for each in defined(path) if inspect.isfunction(each) or hasattr(each, "__post_init__")]
        for function in functions:
            for each in inspect.signature(function).parameters.values():
                if isinstance(each.default, int | float | str):
                    defaults.setdefault(each.name, set()).add(each.default)
    assert {name for name, values in defaults.items() if len(values) > 1} == {"momentum", "chunk"}
    assert len(defaults) > 20


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_annotations_are_types(path):
    """Which nothing evaluates when a module is imported, but documentation and editors do; names are mypy's matter."""
    module = pytest.importorskip(dotted(path))
    for each in (module, *(getattr(each, "fget", each) for each in defined(path))):
        if inspect.ismodule(each) or inspect.isclass(each) or inspect.isfunction(each):
            with contextlib.suppress(NameError):  # of what is imported for types alone
                typing.get_type_hints(inspect.unwrap(each))


def test_the_map_has_every_module():
    for path in (*SOURCES, *(ROOT / "paper_checks").rglob("*.py")):
        if path.stem not in ("__init__", "__main__"):
            assert f"`{path.stem}`" in MAP or f"`{path.name}`" in MAP, path.name
    assert all(family in MAP for family in FAMILIES)


def test_what_commands_write_is_written_in_one_place():
    for path in (*SOURCES, *(ROOT / "paper_checks").rglob("*.py")):
        if path.name != "files.py" and "campaigns" not in path.parts:  # campaigns write scratch copies
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\.write_(text|bytes)\(|open\([^)]*[\"'][wx]", text), f"{path}: use oracle.files"


def test_both_packages_are_packaged_and_typed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == ["nmnc_ref*", "paper_checks*"]
    data = {
        "nmnc_ref": ["oracle/vectors/data/*.json", "oracle/*/*.html", "oracle/page/page.*"],
        "paper_checks": ["learning/*.json", "page.html"],
    }
    for package, patterns in data.items():
        assert project["tool"]["setuptools"]["package-data"][package] == ["py.typed", *patterns]
        assert all(any((ROOT / package).glob(pattern)) for pattern in ("py.typed", *patterns))
