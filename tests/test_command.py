"""The command `python -m paper_checks`: what it accepts, shows, writes and returns, and that it can turn red."""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from nmnc_ref import oracle
from nmnc_ref.oracle import command_line
from nmnc_ref.oracle.audit.adapters import ADAPTERS
from nmnc_ref.oracle.audit.process import Progress
from paper_checks import account, catalogue, command, report
from paper_checks import claim as claims
from paper_checks.__main__ import main
from paper_checks.claim import REGISTER, Claim, Outcome, run
from paper_checks.comparison import at_least, exact, exceeds, monte_carlo, order, reported, sampled
from paper_checks.lab import Lab
from tests.shell import in_a_shell

ROOT = Path(__file__).parents[1]
LAB = Lab()
FAST = ["--only", "E16"]


def claim_of(measure, twins, **options) -> Claim:
    return Claim("X1", "estimator", "1 = 1", "exact", "identity", measure, twins, options.get("float64_only", ""))


def one(lab, value=1.0):
    yield exact(lab, "one", 1.0, value)


@pytest.fixture
def sabotaged(monkeypatch):
    """Replace E16 by a claim of one's own."""

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
    assert list(document) == ["schema", "versions", "backend", "seed", "unfinished", "claims"]
    assert (document["backend"], document["seed"], document["unfinished"]) == ("numpy", 7, [])
    assert {"python", "nmnc_ref", "numpy"} <= set(document["versions"])
    passed, skipped, _ = document["claims"]
    assert [claim["id"] for claim in document["claims"]] == ["E1", "E8", "A1"]
    fields = ["id", "family", "statement", "source", "status", "predicted", "measured", "tolerance", "used", "twins"]
    fields += ["seconds", "training", "notes", "tier", "dtype"]
    for claim in document["claims"]:
        assert list(claim)[: len(fields)] == fields
        assert (claim["tier"], claim["dtype"]) == ("theory", "float32")
    assert passed["status"] == "pass"
    assert 0 <= passed["used"] <= 1
    assert all(twin["caught"] for twin in passed["twins"])
    assert passed["used"] == max(each["used"] for each in passed["comparisons"])
    assert (skipped["status"], skipped["predicted"], skipped["twins"]) == ("skipped", None, [])


def test_an_interrupted_run_shows_what_was_finished(sabotaged, capsys):
    def interrupted(lab, value=1.0):
        raise KeyboardInterrupt
        yield

    sabotaged(interrupted, {"two": {"value": 2.0}})
    assert main(["--only", "E1", "E16"]) == 130
    shown = capsys.readouterr()
    assert "interrupted after 1 of 2 claims" in shown.err
    assert "VNC is unbiased" in shown.out
    assert "1 of 1 claims passed" in shown.out
    assert "not reached: 1 of 2 claims" in shown.out


def test_ctrl_c_before_the_first_claim_is_no_traceback(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("paper_checks.__main__.main", interrupted)
    assert command.main(["verify"]) == 130
    assert capsys.readouterr().err == "nmnc-ref verify: interrupted\n"


def test_progress_goes_to_a_pipe_too_unless_the_run_is_quiet(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "SECONDS", 0.0)
    assert main(["--only", "E1", "E16"]) == 0
    shown = capsys.readouterr()
    assert re.fullmatch(r"checking: 1 of 2, 0:00:0\d so far, about 0:00:0\d left\n", shown.err)
    assert main(["--only", "E1", "E16", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert (shown.err, shown.out.count("\n")) == ("", 1)
    assert shown.out.startswith("2 of 2 claims passed")


def test_a_quiet_run_shows_what_failed(sabotaged, capsys):
    sabotaged(lambda lab, value=2.0: one(lab, value), {"three": {"value": 3.0}})
    assert main([*FAST, "--quiet"]) == 1
    assert "one: predicted 1, measured 2" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["e3", "d1"], ["E3,D1"], ["e3,", "D1"]])
def test_ids_are_understood_as_people_write_them(words):
    assert catalogue.named(words) == ["E3", "D1"]


def test_the_time_of_training_runs_is_told_and_each_counted_once():
    claim = REGISTER["E3"]
    shared, others = {"shared": {"seconds": 20.0}}, {"one": {"seconds": 3.0}, "other": {}}
    outcomes = [Outcome(claim, LAB, "pass", (), (), 0.25, (), runs) for runs in (shared, shared | others)]
    assert report.summary(outcomes).endswith("; 0.5 s after 23 s of training runs")
    assert report.summary([Outcome(claim, LAB, "pass", (), (), 0.25, (), {})]).endswith("caught; 0.2 s")


def test_tables_have_a_line_for_a_claim_and_fit_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    outcomes = [Outcome(claim, LAB, "needs-data", (), (), 0.0, (), {}) for claim in catalogue.claims()]
    command_line.console().print(report.results(outcomes))
    command_line.console().print(report.listing(catalogue.claims()))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= 80
    rows = [line for line in lines if "needs-data" in line]
    assert len(rows) == len(outcomes)
    for row, outcome in zip(rows, outcomes, strict=True):
        assert row.split()[0] == outcome.claim.id
        assert outcome.claim.statement[:25] in row


@pytest.mark.parametrize(
    ("columns", "width"),
    [("80", 80), ("0", command_line.WIDTH), ("-1", command_line.WIDTH), ("wide", command_line.WIDTH)],
)
def test_tables_have_a_width_whatever_the_environment_says(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert command_line.console().width == width


def test_a_claim_in_full(capsys):
    assert main(["--show", "e2"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    claim = REGISTER["E2"]
    file, line = claim.place.split(":")
    assert (ROOT / file).read_text(encoding="utf-8").splitlines()[int(line) - 1] == "@claim("
    twins = [f"{name}: caught" for name in claim.twins]
    told = [
        claim.place,
        claim.source,
        claim.rung,
        "law = rademacher, gaussian",
        "n = 12, 7",
        "d = 8, 3",
        "K = 1, 2",
        "Frobenius norms",
        *twins,
    ]
    for text in told:
        assert text in out, text
    assert all(each.name in out for each in run(claim, LAB).comparisons)


@dataclass(frozen=True)
class Tried:
    width: int
    seed: int
    decay: float = 0.1


def test_a_claim_about_training_in_full_says_what_was_trained_and_what_is_only_reported(capsys):
    def measure(lab, results, low=(1.0, 1.1, 1.2)):
        yield exceeds("one more", low, [each["value"] for each in results.values()])
        yield reported("a number", [1.0, 2.0])

    runs = {Tried(width, seed): {"value": width + seed / 10} for width in (64, 128) for seed in (0, 1)}
    claim = claim_of(measure, {"the same": {"low": (99.0, 100.0)}})._replace(experiments=lambda: list(runs))
    account.show([run(claim, LAB, runs)], command_line.console())
    out = " ".join(capsys.readouterr().out.split())
    assert "4 × Tried: width = 64, 128; seed = 0, 1; decay = 0.1" in out
    assert ">: predicted is the mean of the other group" in out
    assert "reported: to be seen beside its prediction; nothing is asserted" in out
    assert "4 seeds" in out


def test_a_claim_in_full_says_a_reason_once_and_gives_what_is_reported_no_share(capsys):
    def measure(lab, value=1.0):
        yield exact(lab, "first", 1.0, value)
        yield exact(lab, "second", 1.0, value)
        yield reported("third", [1.0, 2.0])
        yield exact(lab, "fourth", 1.0, value)

    account.show([run(claim_of(measure, {"two": {"value": 2.0}}), LAB)], command_line.console())
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: index for index, line in enumerate(lines) if line.split()[:1]}
    reason = "rounding: 32·eps·√1·scale"
    assert [index for index, line in enumerate(lines) if line.strip() == reason] == [
        rows["first"] + 1,
        rows["fourth"] + 1,
    ]
    assert rows["third"] == rows["second"] + 1
    shares = [lines[rows[name]].split()[-1] for name in ("first", "second", "third", "fourth")]
    assert shares == ["0.0%", "0.0%", "–", "0.0%"]


def test_a_claim_in_full_marks_what_failed(sabotaged, capsys):
    def measure(lab, value=2.0):
        """What is in [brackets] is text."""
        yield from one(lab, value)

    sabotaged(measure, {"two": {"value": 1.0}})
    assert main(["--show", "E16"]) == 1
    out = capsys.readouterr().out
    assert all(text in out for text in ("one: failed", "two: not caught", "0 of 1 claims passed", "in [brackets] is"))


def test_infinity_is_null_in_json(sabotaged, tmp_path, capsys):
    file = tmp_path / "run.json"
    sabotaged(lambda lab, value=float("inf"): one(lab, value), {"two": {"value": 2.0}})
    assert main([*FAST, "--json", str(file)]) == 1
    assert json.loads(file.read_text(encoding="utf-8"))["claims"][0]["measured"] is None


def test_the_list_names_every_claim(capsys):
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{claim.id} " in out for claim in catalogue.claims())


def test_families_and_ids_select(capsys):
    assert main(["--family", "dimension", "--only", "D1"]) == 0
    assert "1 of 1 claims" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "E99"], "no claim has the id E99; nearest: E9"),
        (["--show", "l2-cifer"], "no claim has the id l2-cifer; nearest: L2-CIFAR"),
        (["--only", ","], "no claim has the id"),
        (["--only", "E1", "--show", "E2"], "not allowed with argument"),
        (["--only", "E1", "--family", "dimension"], "E1: not in the family dimension"),
        (["--only", "E1", "F1", "--family", "estimator"], "F1: not in the family estimator"),
        (["--only", "L6-neurons", "--neural", "no such file"], "--neural: cannot read no such file: No such file"),
        (["--only", "L6-neurons", "--neural", __file__], "expected an .npz file with stimuli and responses or rdm"),
        (
            ["--only", "E1", "--neural", "no such file"],
            "none of the chosen claims needs these data; in --tier training",
        ),
        (["--only", "L2-CIFAR", "--cifar", "nowhere"], "--cifar: cannot read nowhere: nowhere: expected a folder"),
        (["--only", "L2-CIFAR", "--cifar", "tests"], "expected data_batch_1.bin … test_batch.bin"),
        (["--only", "L1", "--tier", "theory"], "L1: not in the tier theory"),
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
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "jax" else sys)
    with pytest.raises(SystemExit) as stop:
        main([*FAST, "--backend", "jax"])
    assert stop.value.code == 2
    assert "pip install jax" in capsys.readouterr().err


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
    command = [sys.executable, "-m", "paper_checks", "--backend", "jax", "--only", "E1", "--json", str(file)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
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
    run = in_a_shell(command, tmp_path)
    assert (run.returncode, run.stderr.strip()) == (0, "")  # a progress bar ends with a line
    assert [path.name for path in tmp_path.iterdir()] in (["out.json"], ["folder"], ["漢"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_output_that_is_lost_is_said_and_loses_no_file(tmp_path):
    run = in_a_shell(f"{sys.executable} -m paper_checks --only D1 --json out.json > /dev/full", tmp_path)
    assert (run.returncode, run.stderr) == (0, "cannot write to stdout: No space left on device\n")
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["claims"][0]["id"] == "D1"


def test_output_may_be_no_file(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main(["--list"]) == 0
    assert "E16" in sys.stdout.getvalue()


def none_returned(lab, value=1.0):
    """Return in place of yielding."""
    return exact(lab, "one", 1.0, value)


def something_else(lab, value=1.0):
    yield value


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (none_returned, "expected comparisons, each yielded, got Comparison returned"),
        (something_else, "expected comparisons, got float 1.0"),
        (raising, rf"RuntimeError: out of luck (tests/test_command.py:{raising.__code__.co_firstlineno + 2})"),
    ],
)
def test_a_claim_that_is_written_wrong_fails_and_says_where(measure, said, sabotaged, capsys):
    sabotaged(measure, {"two": {"value": 2.0}})
    assert main([*FAST, "E1"]) == 1
    out = capsys.readouterr().out
    assert said in " ".join(out.split())
    assert "1 of 2 claims passed" in out


def measured(lab, value=1.0):
    """Somehow."""
    yield exact(lab, "one", 1.0, value)


measured.__module__ = "paper_checks.estimator.mean"
RIGHT = {"id": "E99", "formula": "1 = 1", "source": "derived", "rung": "identity", "measure": measured}
RIGHT |= {"twins": {"two": {"value": 2.0}}}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": "E1"}, "id: expected a new one, this is that of paper_checks/estimator/mean.py:"),
        ({"id": "variance"}, "id: expected a letter and a number, such as E22 or L2-CIFAR, got 'variance'"),
        ({"formula": ""}, "formula: expected the statement in LaTeX"),
        ({"source": "derived, guess"}, "source: expected one of abstract, .*, got 'guess'"),
        ({"rung": "proof"}, "rung: expected one of identity, .*, got 'proof'"),
        ({"needs": ("imagenet",)}, "needs: expected one of cifar, neural, got 'imagenet'"),
        ({"twins": {}}, "twins: expected at least one"),
        ({"twins": {"two": {"valeu": 2.0}}}, "twins: 'two' replaces valeu; the parts of measured are value"),
        ({"twins": {"two": {}}}, "twins: 'two' replaces nothing; the parts of measured are value"),
        ({"measure": one}, "family, the module: expected one of estimator, .*; expected a docstring"),
        ({"measure": none_returned}, "expected a function that yields comparisons, got one that returns"),
    ],
)
def test_a_mistake_in_a_claim_is_named_with_its_line(wrong, said, monkeypatch):
    monkeypatch.setattr("paper_checks.claim.REGISTER", dict(REGISTER))
    fields = {**RIGHT, **wrong}
    measure = fields.pop("measure")
    with pytest.raises(
        ValueError, match=rf"claim {fields['id']}, {measure.__name__} at tests/test_command.py:\d+: .*{said}"
    ):
        claims.claim(fields.pop("id"), "1 = 1", **fields)(measure)


def test_a_right_claim_is_taken(monkeypatch):
    monkeypatch.setattr("paper_checks.claim.REGISTER", register := dict(REGISTER))
    fields = {**RIGHT}
    measure = fields.pop("measure")
    assert claims.claim(fields.pop("id"), "1 = 1", **fields)(measure) is measure
    assert run(register["E99"], LAB).status == "pass"


# the installed command


def test_the_installed_command_verifies(capsys):
    assert command.main(["verify", "--only", "e16"]) == 0
    assert "1 of 1 claims passed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], ["verify", "vectors", "audit", "bench", "examples:\n  nmnc-ref "]),
        (["verify"], ["usage: nmnc-ref verify", "examples:\n  nmnc-ref verify "]),
        (["vectors", "write"], ["usage: nmnc-ref vectors write", "example:\n  nmnc-ref "]),
        (["vectors", "check"], ["usage: nmnc-ref vectors check", "examples:\n  nmnc-ref "]),
        (["audit"], ["usage: nmnc-ref audit", "examples:\n  nmnc-ref "]),
        (["bench"], ["usage: nmnc-ref bench", "example:\n  nmnc-ref "]),
    ],
    ids=" ".join,
)
def test_every_command_has_help_with_examples(words, shown, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        command.main([*words, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(text in out for text in shown)
    assert all(len(line) <= 80 or "{" in line for line in out.splitlines())  # argparse breaks no list of choices


VECTORS = ["vectors", "check", "--impl", "nmnc_ref.oracle.vectors.adapter:on_numpy"]
AUDIT = ["audit", "nmnc_ref.oracle.audit.adapters:nmnc", "--returns", "jacobian", "--activations", "tanh"]


@pytest.mark.parametrize(
    ("words", "line", "verdict"),
    [
        (VECTORS, r"checking: \d+ of \d+, .* so far, about .* left", "440 passed, 0 failed"),
        (
            [*AUDIT, "--calls", "60"],
            r"audit, calls of the budget: \d+ of 60, .* so far, about .* left",
            "Undecided after",
        ),
    ],
    ids=["vectors", "audit"],
)
def test_all_commands_tell_of_their_progress_in_a_pipe_unless_they_are_quiet(words, line, verdict, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "SECONDS", 0.0)
    status = command.main(words)
    loud = capsys.readouterr()
    assert all(re.fullmatch(line, each) for each in loud.err.splitlines())
    assert loud.err
    assert command.main([*words, "--quiet"]) == status
    quiet = capsys.readouterr()
    assert not quiet.err
    assert len(quiet.out.splitlines()) < len(loud.out.splitlines()) - 5
    assert verdict in quiet.out


def test_an_audit_in_seconds_tells_how_many_of_them_are_spent(monkeypatch, capsys):
    report = oracle.audit(ADAPTERS["nmnc"], "jacobian", activations=("tanh",), calls=10)

    def audited(*arguments):
        for seconds in (0.0, 1.5, 4.25, 6.0):
            arguments[-1](Progress(int(10 * seconds), seconds, 0.1, 0.5, calling=False))
        return report

    monkeypatch.setattr(command_line, "SECONDS", 0.0)
    monkeypatch.setattr(sys.modules["nmnc_ref.oracle.audit.command"], "audit_by_name", audited)
    assert command.main([*AUDIT, "--budget", "5"]) == 3
    said = re.findall("audit, seconds of the budget: (.*?), .* left\n", capsys.readouterr().err)
    assert said == ["1 of 5", "4 of 5"]


@pytest.mark.skipif(os.name != "posix", reason="this system has no pseudo-terminals")
def test_a_bar_on_the_terminal_takes_nothing_from_what_goes_to_a_file(tmp_path):
    code = "from nmnc_ref.oracle.command_line import progress, console\n"
    code += "with progress('working', 2) as advance: console().print('a row'); advance(); print('another')"
    terminal, own = os.openpty()
    with (tmp_path / "out").open("wb") as out:
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
        subprocess.run([sys.executable, "-c", code], stdout=out, stderr=own, env=environment, check=True, timeout=100)
    os.close(own)
    assert (tmp_path / "out").read_text() == "a row\nanother\n"
    assert "working" in os.read(terminal, 10_000).decode()
    os.close(terminal)


@pytest.mark.parametrize("package", ["rich", "scipy", "sklearn"])
def test_without_the_extra_the_installed_command_says_what_to_install(package):
    code = f"import sys; sys.modules['{package}'] = None; from paper_checks.command import main; main(['verify'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert found.returncode == 2
    assert f"{package} not installed; install with: pip install -e '.[checks]' (in a clone" in found.stderr


def test_no_colour_where_it_is_not_wanted():
    environment = os.environ | {"FORCE_COLOR": "1", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "paper_checks", *FAST]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert found.returncode == 0
    assert not re.search(r"\x1b\[[0-9;]*3\dm", found.stdout)


def test_a_line_of_progress_comes_every_ten_seconds_and_says_what_is_left_at_this_rate(monkeypatch, capsys):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(command_line, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setenv("COLUMNS", "20")  # no line is broken
    said = []
    with command_line.progress("[bold]checking", 20, 4.0) as advance:
        for seconds, parts in ((12, 0), (3, 1), (4, 0), (1, 2), (9.5, 1), (0.5, 0), (30, 11), (30, 3)):
            clock.now += seconds
            advance(parts)
            said.append(capsys.readouterr().err)
    assert said == [
        "",  # nothing is done yet
        "[bold]checking: 5 of 20, 0:00:15 so far, about 0:03:45 left\n",
        "",
        "",
        "[bold]checking: 8 of 20, 0:00:30 so far, about 0:01:28 left\n",
        "",
        "[bold]checking: 19 of 20, 0:01:00 so far, about 0:00:04 left\n",
        "",  # all is done, and more
    ]
    with command_line.progress("checking", 3) as advance:
        for _ in range(3):
            clock.now += 10
            advance()
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["1", "2"]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_bar_on_the_terminal_counts_parts_and_is_gone_in_the_end(quiet, monkeypatch):
    shown = io.StringIO()

    def console(*, stderr=False):
        return Console(file=shown if stderr else io.StringIO(), force_terminal=stderr, width=100)

    monkeypatch.setattr(command_line, "console", console)
    monkeypatch.setattr(command_line, "SECONDS", 0.0)
    for parts, done in (((), "2/4"), ((2,), "3/4")):
        with command_line.progress("checking", 4, 1, quiet=quiet) as advance:
            advance(*parts)
        before, bar, after = shown.getvalue().rpartition(done)
        assert bool(bar) == ("\x1b[2K" in after) == (not quiet)
        assert "so far" not in before


def unread():
    """Return a stream that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w", encoding="utf-8")


def full():
    """Return a stream to where no room is left."""
    return open("/dev/full", "w", encoding="utf-8")


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")


@pytest.mark.parametrize(
    ("opened", "said"),
    [
        (unread, ""),
        pytest.param(full, "cannot write to {}: No space left on device\n", marks=FULL),
    ],
)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_cannot_be_printed_is_said_once_and_raises_nothing(name, opened, said, monkeypatch, capsys):
    with opened() as stream:
        monkeypatch.setattr(sys, name, stream)
        console = command_line.console(stderr=name == "stderr")
        console.print("one")
        console.print("two")
        assert os.path.samestat(os.fstat(stream.fileno()), os.stat(os.devnull))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", said.format(name) if name == "stdout" else "")


def test_a_stream_that_is_closed_or_knows_few_letters_is_printed_to(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    for stream in (None, narrow):
        monkeypatch.setattr(sys, "stdout", stream)
        command_line.console().print("漢")
    assert narrow.buffer.getvalue() == b"?\n"


def test_tables_have_no_frame_and_columns_near_one_another(capsys):
    table = Table("a", "b", "c", **command_line.style())
    table.add_row("one", "", "two")
    command_line.console().print(table)
    assert capsys.readouterr().out == "a    b  c  \n───────────\none     two\n"


def test_flags_are_given_by_name():
    for call in (
        lambda: command_line.console(True),
        lambda: command_line.progress("checking", 2, 0, True),
        lambda: command_line.add_outputs(argparse.ArgumentParser(), False),
    ):
        with pytest.raises(TypeError, match="positional argument"):
            call()


def test_the_nearest_three_names_are_suggested():
    assert command_line.nearest("e1", ("E1x", "E12", "E13", "E14", "Q9")).count(",") == 2
    assert command_line.nearest("mean", ("Mean", "MEDIAN", "scale")) == "; nearest: Mean, MEDIAN"
    assert command_line.nearest("mean", ("scale", "")) == ""


@pytest.mark.parametrize("length", [3, 200, 201, 5000])
def test_what_was_raised_is_told_in_a_line_of_at_most_200_letters(length):
    line = command_line.in_one_line(ValueError(f"a\n\t{'b' * (length - 2)}"))
    message = f"a {'b' * (length - 2)}"
    assert line == f"ValueError: {message if length <= 200 else message[:197] + '...'}"
    assert command_line.in_one_line(ValueError()) == "ValueError"
    assert command_line.in_one_line(KeyError(" \n")) == r"KeyError: ' \n'"


def test_what_has_no_message_is_told_too():
    class Speechless(Exception):
        def __str__(self):
            return None

    assert command_line.in_full(Speechless()) == "Speechless: no message, as its __str__ raises TypeError"


def test_names_are_printed_in_a_line_whatever_letters_are_in_them():
    assert command_line.printable("σ a'\n\x07\udcff") == r"σ a'\n\x07\udcff"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes a module to the current folder, where another folder of Python has one too."""
    (tmp_path / "first").mkdir()
    (tmp_path / "named_alike.py").write_text("")
    monkeypatch.chdir(tmp_path / "first")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "named_alike", raising=False)
    yield (tmp_path / "first" / "named_alike.py").write_text
    sys.modules.pop("named_alike", None)


def test_what_is_named_is_taken_from_the_current_folder_first(module, tmp_path):
    module("class A:\n    def f(self): ...\n")
    found = command_line.load("named_alike:A.f", "callable")
    assert found.__qualname__ == "A.f"
    assert sys.path.count(str(tmp_path / "first")) == 1
    command_line.load("named_alike:A", "callable")
    assert sys.path.count(str(tmp_path / "first")) == 1


@pytest.mark.parametrize(
    ("code", "target", "message"),
    [
        ("", "named_alike", "expected module:callable, got 'named_alike'"),
        ("", "named_alike:", "expected module:callable, got 'named_alike:'"),
        ("", ":f", "expected module:callable, got ':f'"),
        ("f = 1", "named_alike:f.g", "named_alike has no f.g"),
        ("raise SystemExit(3)", "named_alike:f", "cannot import named_alike: SystemExit: 3"),
        ("1 / 0", "named_alike:f", "cannot import named_alike: ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_loaded_is_an_error_of_usage(code, target, message, module):
    module(code)
    with pytest.raises(command_line.UsageError) as error:
        command_line.load(target, "callable")
    assert str(error.value) == message


def test_an_interrupt_while_a_module_is_imported_is_the_users(module):
    module("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        command_line.load("named_alike:f", "callable")


def test_json_has_numbers_that_are_finite_and_any_text(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        command_line.write_json(tmp_path / "nan.json", [math.nan])
    assert not (tmp_path / "nan.json").exists()
    command_line.write_json(tmp_path / "half.json", ["\ud800"])
    assert json.loads((tmp_path / "half.json").read_bytes()) == ["\ud800"]
    with pytest.raises(command_line.UsageError, match=r"^--json: cannot write .*: Is a directory$"):
        command_line.write_json(tmp_path, [])


def test_json_keeps_letters_as_they_are(tmp_path):
    command_line.write_json(tmp_path / "σ.json", {"σ²": "‖ĝ‖"})
    assert (tmp_path / "σ.json").read_text(encoding="utf-8") == '{\n  "σ²": "‖ĝ‖"\n}\n'


def test_what_is_not_finite_is_null_wherever_it_stands():
    document = {"a": [1.0, math.inf, {"b": (math.nan, 2)}], "c": "inf", "d": True}
    assert command_line.finite(document) == {"a": [1.0, None, {"b": [None, 2]}], "c": "inf", "d": True}
    outcome = run(REGISTER["E9"], Lab())
    experiment = REGISTER["D3"].wanted()[0]
    failed = outcome._replace(results={experiment: {"gradients": [math.inf]}})
    (found,) = json.loads(json.dumps(report.document([failed]), allow_nan=False))["claims"]
    assert found["experiments"][0]["result"] == {"gradients": [None]}


def test_a_grid_in_which_everything_diverged_is_said_to_be_one(monkeypatch, capsys):
    def nothing(*asked, **named):
        raise ValueError("grid of dense: expected a cell of nmnc away from divergence, got none")

    monkeypatch.setattr(claims.Claim, "wanted", nothing)
    assert main(["--only", "L7", "--quiet"]) == 1
    assert "grid of dense: expected a cell of nmnc away from divergence, got none" in capsys.readouterr().err
