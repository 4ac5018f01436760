"""The benchmark: what its command shows, and that its clockwork is right. The ratios themselves are not tested."""

from __future__ import annotations

import itertools
import json
import re

import pytest

pytest.importorskip("jax")

from nmnc_ref.__main__ import main
from nmnc_ref.bench import command, plain, timing
from nmnc_ref.bench.row import Cost, Finding, Row
from nmnc_ref.bench.table import ROWS
from nmnc_ref.bench.training import BATCH, DIMENSION, WIDTHS
from nmnc_ref.oracle import command_line

FINDING = Finding(0.5, (0.4, 0.6), Cost(1e9, 2e6), Cost(4e9, 2e6), {"seconds": 0.1})


def test_rows_say_what_is_measured_against_what():
    assert len(ROWS) >= 8
    for name, row in ROWS.items():
        assert name == name.lower().replace(" ", "-")
        assert min(len(row.work), len(row.baseline)) > 10, name
        assert row.goal > 0
        assert row.measure.__doc__


def test_a_ratio_is_that_of_neighbouring_turns(monkeypatch):
    durations = {"subject": 3.0, "baseline": 2.0}

    class Slow:
        """A timer of a machine that gets slower with every turn."""

        turn = 1.0

        def __init__(self, name):
            self.name = name

        def timeit(self, number):
            Slow.turn *= 1.05
            return number * Slow.turn * durations[self.name]

    monkeypatch.setattr(timing, "Timer", Slow)
    found = timing.paired("subject", "baseline", cost=Cost(1, 1), of_baseline=Cost(1, 1), seconds=0, least=5)
    assert found.detail["turns"] == 5
    assert found.value == pytest.approx(1.5 / 1.05)
    assert found.quartiles == pytest.approx((1.5 / 1.05,) * 2)


def test_a_row_runs_in_a_process_of_its_own_and_its_numbers_are_written(tmp_path, capsys):
    file = tmp_path / "bench.json"
    assert main(["bench", "--only", "overhead", "--threads", "1", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    met, _, rest = shown.splitlines()[-1].partition(" of ")
    assert rest == "1 goals met"
    (record,) = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert record["met"] == (record["value"] <= record["goal"]) == bool(int(met))
    assert record["quartiles"][0] <= record["value"] <= record["quartiles"][1]
    assert record["baseline"] == ROWS["overhead"].baseline in shown.replace("\n", " ")
    assert record["cost"]["flops"] > 0


def test_missed_goals_are_no_failure_but_broken_rows_are(monkeypatch, capsys):
    def found(name, row, threads):
        own = {"name": name, "threads": threads, "work": row.work, "baseline": row.baseline, "goal": row.goal}
        if name == "overhead":
            return own | {"met": False, "error": "MemoryError"}
        costs = {"cost": FINDING.cost._asdict(), "baseline_cost": FINDING.baseline_cost._asdict()}
        return own | FINDING._asdict() | costs | {"met": name == "factored"}

    monkeypatch.setattr(command, "measured", found)
    assert main(["bench", "--only", "factored", "normals-numpy"]) == 0
    shown = capsys.readouterr().out
    assert "0.5 [0.4, 0.6]" in shown
    assert "flops 1e+09 against 4e+09, ratio 0.25" in shown
    assert shown.endswith("1 of 2 goals met\n")
    monkeypatch.setattr(command_line, "SECONDS", 0.0)
    assert main(["bench", "--only", "factored", "normals-numpy", "--threads", "1"]) == 0
    assert re.fullmatch(r"measuring: 1 of 2, .* left\n", capsys.readouterr().err)
    assert main(["bench", "--only", "factored", "normals-numpy", "--threads", "1", "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert not quiet.err
    assert quiet.out.startswith("normals-numpy, 1 thread: 0.5")
    assert main(["bench", "--only", "overhead"]) == 1
    assert "not measured: MemoryError" in capsys.readouterr().out
    assert main(["bench"]) == 1
    runs = sum(len(row.threads) for row in ROWS.values())
    assert f"1 of {runs} goals met" in capsys.readouterr().out


def test_an_interrupted_benchmark_shows_and_writes_what_was_measured(monkeypatch, tmp_path, capsys):
    def found(name, row, threads):
        if name == "normals-numpy":
            raise KeyboardInterrupt
        return {
            "name": name,
            "threads": threads,
            "work": "",
            "baseline": "",
            "goal": 1.0,
            "met": False,
            "error": "none",
        }

    monkeypatch.setattr(command, "measured", found)
    file = tmp_path / "bench.json"
    arguments = ["bench", "--only", "factored", "normals-numpy", "--threads", "1", "--json", str(file)]
    assert main(arguments) == 130
    assert capsys.readouterr().out.endswith("0 of 1 goals met, interrupted after 1 of 2\n")
    document = json.loads(file.read_text(encoding="utf-8"))
    assert [row["name"] for row in document["rows"]] == ["factored"]
    assert document["unfinished"] == [{"name": "normals-numpy", "threads": 1}]


def test_a_row_that_raises_says_so():
    record = command.measured("no such row", Row("", "", 1.0, (1,), 1, lambda: FINDING), 1)
    assert "KeyError" in record["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nonsense"], "--only: expected names among"),
        (["--threads", "0"], "--threads: expected an integer of at least 1, got 0"),
        (["--json", "/no/such/folder/file"], "--json: cannot write"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_costs_of_a_step_by_a_loop_over_its_products():
    sizes = list(itertools.pairwise(WIDTHS))
    forward = sum(BATCH * a * b for a, b in sizes)
    assert plain.step_cost(WIDTHS, BATCH).flops == 2 * (2 * forward + sum(BATCH * a * b for a, b in sizes[1:]))
    perturb = 500 * 500 * 50 + BATCH * (50 * 500 + 500 * 10 + 10 * 50) + 10 * 50 * 500  # x_1
    perturb += 500 * 10 * 50 + BATCH * (50 * 10 + 10 * 50) + 10 * 50 * 500  # x_2
    want = 2 * (2 * forward + 2 * BATCH * 10 * 500 + perturb)
    assert plain.perturbed_cost(WIDTHS, BATCH, BATCH, DIMENSION).flops == want
