"""What the documents say: code that runs and prints what stands there, links that lead somewhere, true counts."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import nmnc_ref
from paper_checks import catalogue

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOURS = sorted((ROOT / "docs/tours").glob("*.md"))
REFERENCE = ROOT / "docs/reference"  # whose links mkdocs checks
DOCUMENTS = [path for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]) if path.parent != REFERENCE]
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = {"train.md": ("jax", "matplotlib"), "pytorch.md": ("torch",)}
ROW = re.compile(r"^([A-Z]\d+) +(.{,30}).*(pass) +[\d.]+% +(\d+) +(\d+/\d+)$", re.MULTILINE)
"""Of a table of claims: id, beginning of the statement, status and numbers, but for the share, which rounding sets."""
INSTALLATION = re.compile(r"^pip install [^&\n]*(&& )?", re.MULTILINE)
COMMAND = "import sys; from paper_checks.command import main; sys.exit(main())"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def assert_printed(printed: str, expected: str) -> None:
    """Hold an output to what a document says, where … is anything, and decimals are right but for rounding."""
    shown, said = ("\n".join(line.rstrip() for line in text.strip().splitlines()) for text in (printed, expected))
    texts = re.split(r"…|\d+\.\d+", said)
    places = [".*" if place == "…" else r"(\d+\.\d+)" for place in re.findall(r"…|\d+\.\d+", said)]
    pattern = re.escape(texts[0]) + "".join(
        place + re.escape(text) for place, text in zip(places, texts[1:], strict=True)
    )
    found = re.fullmatch(pattern, shown, re.DOTALL)
    assert found, shown
    got, want = ([float(each) for each in numbers] for numbers in (found.groups(), re.findall(r"\d+\.\d+", said)))
    assert got == pytest.approx(want, rel=0.05, abs=0.02), shown


class Reader:
    """Someone who does what a document says, block by block, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.session, self.printed = folder, {"__name__": "session"}, ""
        bin = folder / "bin"
        bin.mkdir()
        (bin / "nmnc-ref").write_text(f"#!{sys.executable}\n{COMMAND}\n")
        (bin / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        for file in bin.iterdir():
            file.chmod(0o755)
        path = os.pathsep.join([str(bin), os.environ["PATH"]])
        places = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        self.environment = os.environ | {"PATH": path, "PYTHONPATH": places, "COLUMNS": "80", "NO_COLOR": "1"}

    def read(self, kind: str, file: str, text: str) -> None:
        if kind == "python" and file:
            (self.folder / file).write_text(text, encoding="utf-8")
        elif kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.chdir(self.folder):
                exec(compile(text, "document", "exec"), self.session)
            self.printed = out.getvalue()
        elif kind == "sh":
            commands = INSTALLATION.sub("", text).strip()
            self.printed = self.run(commands) if commands else ""
        elif kind == "text":
            assert_printed(self.printed, text)

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout


@pytest.mark.parametrize("document", TOURS, ids=name)
def test_tours_run_and_print_what_they_say(document, tmp_path):
    for package in NEEDS.get(document.name, ()):
        pytest.importorskip(package)
    reader = Reader(tmp_path)
    for block in BLOCK.findall(document.read_text(encoding="utf-8")):
        reader.read(*block)


def test_the_readme_runs_but_for_the_whole_theory(tmp_path):
    reader = Reader(tmp_path)
    blocks = BLOCK.findall(README)
    assert [kind for kind, _, _ in blocks] == ["sh", "text", "sh", "text", "python", "text"]
    for kind, file, text in blocks[2:]:
        reader.read(kind, file, text)


def test_the_readme_shows_the_verdict_of_the_theory(tmp_path):
    shown = BLOCK.findall(README)[1][2]
    claims = catalogue.claims(tier="theory")
    twins = sum(len(claim.twins) for claim in claims)
    assert f"| {len(claims)} claims, {twins} twins |" in (ROOT / "TRUST.md").read_text(encoding="utf-8")
    passed = f"{len(claims)} of {len(claims)} claims passed, 0 failed, 0 skipped, 0 need data; {twins} of {twins}"
    assert passed in shown.replace("\n", " ")
    rows = ROW.findall(shown)
    assert len(rows) >= 3
    assert ROW.findall(Reader(tmp_path).run(f"nmnc-ref verify --only {' '.join(id for id, *_ in rows)}")) == rows


def test_the_readme_is_short():
    assert README.count("\n") <= 120


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)", BLOCK.sub("", document.read_text(encoding="utf-8"))):
        file, _, place = target.partition("#")
        found = document.parent / file if file else document
        assert found.exists(), target
        if place:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert place in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_install_from_the_clone(document):
    assert "'nmnc_ref[" not in document.read_text(encoding="utf-8")


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = nmnc_ref.__version__
    assert project["version"] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version} · " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    extras = set(project["optional-dependencies"])
    table = re.findall(r"^\| (`.*?) \| ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert extras <= {each for row in table for each in re.findall(r"`(\w+)`", row)}


def test_the_reference_is_built_without_a_warning(tmp_path):
    for package in ("mkdocs", "mkdocs_api_autonav", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason="the extra docs is not installed: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr[-2000:]
    for source in (ROOT / "nmnc_ref").rglob("*.py"):
        if not source.name.startswith("__"):
            assert (tmp_path / "api" / source.relative_to(ROOT).with_suffix(".html")).exists(), source
    page = (tmp_path / "api/nmnc_ref/estimator.html").read_text(encoding="utf-8")
    assert "K *batch n" in page
    assert "Ĵ = (1/K) Σ_k δy_k ξ_kᵀ / σ²" in page
    assert not re.search(r'(src|<link[^>]* href)="https?://', page)  # what a page needs is beside it
