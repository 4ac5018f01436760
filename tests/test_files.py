"""What commands write is whole, or what was there before: also on a full disk, and where the process is killed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import stat
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from nmnc_ref.__main__ import main as nmnc_ref
from nmnc_ref.oracle import files
from paper_checks.__main__ import main as paper_checks
from paper_checks.lab import Lab
from paper_checks.learning import cells
from paper_checks.learning.notebook import Notebook

resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")
ROOM = 1000
"""Bytes that a file may have where the disk is full, less than any of those written here."""
LAB = Lab()


@contextlib.contextmanager
def full_disk(room=ROOM):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@dataclasses.dataclass(frozen=True)
class Long:
    """An experiment that finds much."""

    seed: int = 0

    def perform(self, lab):
        raise NotImplementedError


def _draw(folder: Path) -> int:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[figures]'")
    from paper_checks.figures.__main__ import main

    return main([str(folder.parent / "run.json"), str(folder)])


def _choose(folder: Path) -> None:
    found = {"validation": 0.5, "diverged": None}
    cells.write(folder / "grid.json", {Long(seed): found for seed in range(100)}, LAB, ["seed"])


def _keep(folder: Path) -> None:
    Notebook(folder, LAB)._write(Long(), {"numbers": list(range(1000))})


def test_a_grid_keeps_what_it_is_asked_to(tmp_path):
    found = {Long(seed): {"validation": seed / 2, "diverged": None, "course": [seed]} for seed in (0, 1)}
    file = tmp_path / "grid.json"
    cells.write(file, found, LAB, ["seed"])
    plain = [{"seed": seed, "validation": [seed / 2], "diverged": 0} for seed in (0, 1)]
    assert cells.read(file) == plain
    cells.write(file, found, LAB, ["seed"], ["course"])
    assert cells.read(file) == [cell | {"course": [cell["seed"]]} for cell in plain]


WRITERS = {
    "numbers": lambda folder: paper_checks(["--only", "D1", "--quiet", "--json", str(folder / "run.json")]),
    "page": lambda folder: paper_checks(["--only", "D1", "--quiet", "--report", str(folder)]),
    "figures": _draw,
    "grid": _choose,
    "notebook": _keep,
}


@pytest.mark.parametrize("name", WRITERS)
def test_an_earlier_file_outlives_a_full_disk(name, tmp_path, capsys):
    folder = tmp_path / "there"
    folder.mkdir()
    assert paper_checks(["--only", "A2", "--quiet", "--json", str(tmp_path / "run.json")]) == 0
    assert not WRITERS[name](folder)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert all(len(content) > ROOM for content in before.values())
    with full_disk(), pytest.raises((OSError, SystemExit)):
        WRITERS[name](folder)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    if name not in ("grid", "notebook"):
        assert "File too large" in capsys.readouterr().err


def test_a_pack_that_is_not_whole_has_no_manifest(tmp_path, capsys):
    folder = tmp_path / "pack"
    with full_disk(8000):
        assert nmnc_ref(["vectors", "write", str(folder)]) == 2
    written = [file.name for file in folder.iterdir()]
    assert written
    assert "manifest.json" not in written
    for name in written:
        json.loads((folder / name).read_bytes())


def test_an_earlier_file_outlives_a_killed_process(tmp_path):
    file = tmp_path / "run.json"
    file.write_text("earlier")
    code = (
        "import os, signal, pathlib; from nmnc_ref.oracle import files\n"
        "os.replace = lambda *places: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"files.write(pathlib.Path({str(file)!r}), 'later')"
    )
    with Popen([sys.executable, "-c", code], stderr=PIPE) as process:
        assert process.wait(100) == -9
    assert file.read_text() == "earlier"


def test_a_link_stays_a_link_and_permissions_are_those_of_any_file(tmp_path):
    (tmp_path / "real").mkdir()
    link, place, other = tmp_path / "run.json", tmp_path / "real" / "run.json", tmp_path / "other"
    link.symlink_to(place)
    files.expect_writable(link)
    files.write(link, "ξ")
    other.write_text("")
    assert link.is_symlink()
    assert place.read_bytes() == "ξ".encode()
    assert stat.S_IMODE(place.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["other", "real", "run.json", "run.json"]


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system has no folder of streams")
def test_a_pipe_is_written_to(tmp_path):
    reading, writing = os.pipe()
    files.expect_writable(Path(f"/dev/fd/{writing}"))
    files.write(Path(f"/dev/fd/{writing}"), "all")
    os.close(writing)
    with open(reading, encoding="utf-8") as stream:
        assert stream.read() == "all"


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path):
    for place in (tmp_path, tmp_path / "no" / "file", Path(__file__) / "file"):
        with pytest.raises((IsADirectoryError, NotADirectoryError, FileNotFoundError)):
            files.expect_writable(place)
    assert list(tmp_path.iterdir()) == []
