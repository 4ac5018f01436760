"""The command `python -m paper_checks`: what it accepts, shows, writes and returns, and that it can turn red."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from paper_checks import catalogue, report
from paper_checks.__main__ import main
from paper_checks.claim import REGISTER, Claim, run
from paper_checks.comparison import at_least, exact, monte_carlo, order, sampled
from paper_checks.lab import Lab

LAB = Lab()
FAST = ["--only", "E16"]


def claim_of(measure, twins, **options) -> Claim:
    return Claim("X1", "estimator", "1 = 1", "exact", "identity", measure, twins, options.get("float64_only", ""))


def one(lab, value=1.0):
    yield exact(lab, "one", 1.0, value)


@pytest.fixture
def sabotaged(monkeypatch):
    """Put a claim of one's own in the place of E16."""

    def put(measure, twins):
        monkeypatch.setitem(REGISTER, "E16", claim_of(measure, twins)._replace(id="E16"))

    return put


def raising(lab, value=1.0):
    yield exact(lab, "one", 1.0, value)
    raise RuntimeError("out of luck")


@pytest.mark.parametrize(
    ("measure", "twins", "status", "shown"),
    [
        (one, {"two": {"value": 2.0}}, 0, ["1 of 1 claims passed"]),
        (one, {"two": {"value": 2.0}, "the same": {"value": 1.0}}, 1, ["wrong twin not caught: the same", "1/2"]),
        (lambda lab, value=2.0: one(lab, value), {"three": {"value": 3.0}}, 1, ["one: predicted 1, measured 2"]),
        (raising, {"two": {"value": 2.0}}, 1, ["RuntimeError: out of luck"]),
    ],
    ids=["caught twin", "missed twin", "failed comparison", "raised"],
)
def test_what_fails_turns_the_run_red_and_is_said(measure, twins, status, shown, sabotaged, capsys):
    sabotaged(measure, twins)
    assert main(FAST) == status
    out = capsys.readouterr().out
    assert all(text in out for text in shown)


@pytest.mark.parametrize("measured", [float("nan"), float("inf")])
def test_nan_and_infinity_never_hold(measured):
    assert run(claim_of(lambda lab, value=measured: one(lab, value), {"two": {"value": 2.0}}), LAB).status == "fail"
    assert not at_least("bound", 1.0, float("nan")).held
    assert not monte_carlo("mean", 1.0, measured, 0.001).held
    assert not order("slope", 2.0, measured).held


def test_a_twin_that_raises_is_not_caught():
    outcome = run(claim_of(one, {"no number": {"value": "a word"}}), LAB)
    assert outcome.status == "fail"
    assert not outcome.twins[0].caught


def test_a_claim_without_comparisons_fails():
    assert run(claim_of(lambda lab: iter(()), {"none": {}}), LAB).status == "fail"


def test_too_few_draws_fail_even_if_they_agree():
    def weak(lab, measured=1.0):
        yield monte_carlo("mean", 1.0, measured, 0.01)  # 9 % could go unseen

    outcome = run(claim_of(weak, {"far": {"measured": 2.0}}), LAB)
    assert outcome.status == "fail"
    assert "could go unseen" in outcome.notes[0]


def test_squared_errors_need_a_thousand_repetitions():
    with pytest.raises(ValueError, match="at least 1000"):
        sampled("error", 1.0, LAB.numpy([1.0] * 999))


def test_nothing_checked_is_a_failure(sabotaged, capsys, monkeypatch):
    monkeypatch.setitem(REGISTER, "E16", claim_of(one, {"two": {"value": 2.0}}, float64_only="tiny")._replace(id="E16"))
    assert main([*FAST, "--dtype", "float32"]) == 1
    assert "needs float64: tiny" in capsys.readouterr().out


def test_skipped_claims_do_not_change_the_status(capsys):
    assert main(["--only", "E8", "E16", "--dtype", "float32"]) == 0
    assert "1 skipped" in capsys.readouterr().out


def test_the_json_document(tmp_path, capsys):
    file = tmp_path / "run.json"
    assert main(["--only", "E1", "E8", "A1", "--seed", "7", "--dtype", "float32", "--json", str(file)]) == 0
    document = json.loads(file.read_text(encoding="utf-8"))
    assert list(document) == ["schema", "versions", "backend", "seed", "claims"]
    assert (document["backend"], document["seed"]) == ("numpy", 7)
    assert {"python", "nmnc_ref", "numpy"} <= set(document["versions"])
    passed, skipped, _ = document["claims"]
    assert [claim["id"] for claim in document["claims"]] == ["E1", "E8", "A1"]
    fields = ["id", "family", "statement", "source", "status", "predicted", "measured", "tolerance", "used", "twins"]
    fields += ["seconds", "notes", "tier", "dtype"]
    for claim in document["claims"]:
        assert list(claim)[: len(fields)] == fields
        assert (claim["tier"], claim["dtype"]) == ("theory", "float32")
    assert passed["status"] == "pass"
    assert 0 <= passed["used"] <= 1
    assert all(twin["caught"] for twin in passed["twins"])
    assert passed["used"] == max(each["used"] for each in passed["comparisons"])
    assert (skipped["status"], skipped["predicted"], skipped["twins"]) == ("skipped", None, [])


def test_an_interrupted_run_says_so(sabotaged, capsys):
    def interrupted(lab, value=1.0):
        raise KeyboardInterrupt
        yield

    sabotaged(interrupted, {"two": {"value": 2.0}})
    assert main(["--only", "E1", "E16"]) == 130
    assert "interrupted after 1 of 2 claims" in capsys.readouterr().err


def test_infinity_is_null_in_json(sabotaged, tmp_path, capsys):
    file = tmp_path / "run.json"
    sabotaged(lambda lab, value=float("inf"): one(lab, value), {"two": {"value": 2.0}})
    assert main([*FAST, "--json", str(file)]) == 1
    assert json.loads(file.read_text(encoding="utf-8"))["claims"][0]["measured"] is None


def test_the_list_names_every_claim(capsys):
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(f" {claim.id} " in out for claim in catalogue.claims())


def test_families_and_ids_select(capsys):
    assert main(["--family", "dimension", "--only", "D1"]) == 0
    assert "1 of 1 claims" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "E99"], "no claim has the id E99"),
        (["--only", "E1", "--family", "dimension"], "none of E1 is in the family dimension"),
        (["--only", "L6-neurons", "--neural", "no such file"], "--neural: cannot read no such file: No such file"),
        (["--only", "L6-neurons", "--neural", __file__], "expected an .npz file with stimuli and responses or rdm"),
        (
            ["--only", "E1", "--neural", "no such file"],
            "none of the chosen claims needs these data; in --tier training",
        ),
        (["--only", "L2-CIFAR", "--cifar", "nowhere"], "--cifar: cannot read nowhere: nowhere: expected a folder"),
        (["--only", "L2-CIFAR", "--cifar", "tests"], "expected data_batch_1.bin … test_batch.bin"),
        (["--only", "L1", "--tier", "theory"], "none of L1 is in the tier theory"),
        (["--tier", "training", "--family", "dimension"], "no claim is in the family dimension and in the tier"),
        (["--processes", "0"], "expected at least 1, got 0"),
        (["--backend", "cupy"], "invalid choice"),
        (["--dtype", "float16"], "invalid choice"),
        (["--seed", "-1"], "seed: expected an integer"),
        (["--seed", "1.5"], "seed: expected an integer"),
        (["--seed", str(2**64)], "seed: expected an integer"),
        (["--json", "/nowhere/at/all.json"], "cannot write"),
        (["--json", "/"], "cannot write"),
        (["--unknown"], "unrecognized"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_missing_backend_is_a_usage_error_that_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        main([*FAST, "--backend", "jax"])
    assert stop.value.code == 2
    assert "pip install 'nmnc_ref[jax]'" in capsys.readouterr().err


def test_the_environment_sets_the_seed(monkeypatch, tmp_path, capsys):
    file = tmp_path / "run.json"
    monkeypatch.setenv("NMNC_SEED", "42")
    assert main([*FAST, "--json", str(file)]) == 0
    assert json.loads(file.read_text(encoding="utf-8"))["seed"] == 42
    monkeypatch.setenv("NMNC_SEED", "many")
    with pytest.raises(SystemExit) as stop:
        main(FAST)
    assert stop.value.code == 2


def test_the_command_enables_64_bits_in_jax_by_itself(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}
    file = tmp_path / "run.json"
    command = [sys.executable, "-m", "paper_checks", "--backend", "jax", "--only", "A1", "--json", str(file)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(file.read_text(encoding="utf-8"))["claims"][0]["tolerance"] < 1e-11


def test_the_same_seed_gives_the_same_numbers():
    claim = REGISTER["E10"]
    first, second = (run(claim, Lab(seed=3)) for _ in range(2))
    assert [each.measured for each in first.comparisons] == [each.measured for each in second.comparisons]
    assert first.comparisons != run(claim, Lab(seed=4)).comparisons


def test_a_bound_that_holds_with_room_says_so():
    assert report.results([run(claim_of(lambda lab, m=2.0: iter([at_least("b", 1.0, m)]), {"low": {"m": 0.5}}), LAB)])


@pytest.mark.parametrize(
    "command",
    [
        f"{sys.executable} -m paper_checks --only D1 --json out.json | true",
        f"{sys.executable} -m nmnc_ref vectors write folder | true",
        f"{sys.executable} -m paper_checks --only D1 --json out.json >&- | true",
        f"PYTHONIOENCODING=ascii {sys.executable} -m nmnc_ref vectors write 漢 | true",
    ],
    ids=["a closed pipe", "a closed pipe, files", "no stream", "a narrow encoding"],
)
def test_what_becomes_of_the_output_does_not_change_the_work(command, tmp_path):
    run = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (run.returncode, run.stderr.strip()) == (0, "")  # a progress bar ends with a line
    assert [path.name for path in tmp_path.iterdir()] in (["out.json"], ["folder"], ["漢"])


def test_output_may_be_no_file(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main(["--list"]) == 0
    assert "E16" in sys.stdout.getvalue()
