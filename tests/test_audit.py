"""The audit: its predictions against closed forms, its verdicts on strangers' estimators, and its report.

How often it is right on many seeds is measured by `paper_checks.campaigns.audit_power`; here is a small sample.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from nmnc_ref import manifold, oracle, theory
from nmnc_ref.__main__ import main
from nmnc_ref.nn import feedforward
from nmnc_ref.oracle.audit import adapters, drawing, process, run, statistics
from nmnc_ref.oracle.audit.checks import Measurement, compare
from nmnc_ref.oracle.audit.coefficients import fourth_moment
from nmnc_ref.oracle.audit.diagnosis import explain
from nmnc_ref.oracle.audit.expectation import cross_covariance, expected_parts, sample_rows
from nmnc_ref.oracle.audit.probes import probes
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, LOSSES, Declaration, basis, forward, layers
from nmnc_ref.oracle.audit.reference import estimates
from nmnc_ref.oracle.audit.session import Session, fingerprint
from paper_checks.campaigns import audit_power
from paper_checks.campaigns.audit_power import HARMLESS, NAMESPACES, Task, on_library, perform, used_by_chance
from paper_checks.campaigns.slipped_estimators import SLIPS, UNKNOWN, stranger

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "AUDIT.md").read_text(encoding="utf-8")
GRADIENTS = ("activity-gradient", "weight-gradient")
LAWS = theory.estimator.LAWS
RIGHT = stranger("jacobian")


@pytest.fixture(scope="module", autouse=True)
def expectations():
    """Compute once what many audits of the same problems expect: a mean at large σ takes a second to integrate."""
    known = {}

    def remembered(probe, declaration, seed):
        key = (probe.name, fingerprint(probe.problem), declaration, seed)
        if key not in known:
            known[key] = expected_parts(probe, declaration, seed)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "expected_parts", remembered)
        yield


def linear_probes(declaration):
    return [probe for probe in probes(declaration, 0) if probe.linear]


# what is expected


@pytest.mark.parametrize("law", LAWS)
def test_the_fourth_moment_has_the_trace_of_e3(law):
    A = np.random.default_rng(0).normal(size=(3, 4))
    trace = np.einsum("oaoa->", fourth_moment(A, law))
    assert trace == pytest.approx(theory.estimator.spread(4, law) * np.sum(A**2))


def test_the_fourth_moment_of_signs_is_that_of_all_signs():
    A = np.random.default_rng(0).normal(size=(2, 3))
    z = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    estimates = np.einsum("oi,si,sa->soa", A, z, z).reshape(len(z), -1)
    np.testing.assert_allclose(fourth_moment(A, "rademacher").reshape(6, 6), np.cov(estimates.T, ddof=0), atol=1e-14)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("target", ["full", "projected"])
def test_the_variance_of_jacobians_is_e14(law, target):
    declaration = Declaration("jacobian", target, law)
    for probe in linear_probes(declaration):
        problem = probe.problem
        for part in expected_parts(probe, declaration, 0):
            U = basis(problem, part.site)
            jacobians = len(problem.x) * sample_rows(problem, declaration)[part.site]
            projector = manifold.projector(U)
            wanted = theory.estimator.batch_variance(jacobians, projector, problem.draws, U.shape[1], law)
            assert np.trace(part.covariance) == pytest.approx(wanted)
            mean = theory.estimator.batch_mean(jacobians, projector)
            np.testing.assert_allclose(part.mean.reshape(part.shape), mean, atol=1e-14)


def test_the_variance_of_weight_gradients_is_f7():
    declaration = Declaration("weight-gradient", "projected")
    for probe in linear_probes(declaration):
        problem, passed = probe.problem, forward(probe.problem)
        for part in expected_parts(probe, declaration, 0):
            if part.site is not None and part.name.startswith("dW"):
                wanted = theory.feedback.weight_gradient_variance(
                    ACTIVATIONS[problem.activation].slope(passed.preactivation[part.site]),
                    len(problem.x) * sample_rows(problem, declaration)[part.site][:, 0],
                    passed.activity[part.site],
                    problem.bases[part.site],
                    problem.draws,
                )
                assert np.trace(part.covariance) == pytest.approx(wanted)


def test_perturbing_all_layers_adds_the_crosstalk_of_e15():
    alone, together = (Declaration("jacobian", "projected", simultaneous=flag) for flag in (False, True))
    for probe in linear_probes(alone):
        problem = probe.problem
        rows = sample_rows(problem, alone)
        for part, other in zip(expected_parts(probe, alone, 0), expected_parts(probe, together, 0), strict=True):
            signal = sum(np.sum((rows[site] @ basis(problem, site)) ** 2) for site in rows if site != part.site)
            d = basis(problem, part.site).shape[1]
            added = theory.estimator.crosstalk(d, problem.sigma, problem.draws, problem.sigma, signal)
            assert np.trace(other.covariance) - np.trace(part.covariance) == pytest.approx(added, abs=1e-15)


@pytest.mark.parametrize("response", ["output", "loss"])
@pytest.mark.parametrize("returns", GRADIENTS)
def test_full_gradients_of_a_linear_response_are_those_of_backpropagation(returns, response):
    declaration = Declaration(returns, "full", response=response)
    for probe in linear_probes(declaration):
        problem = probe.problem
        passed = feedforward.backpropagation(
            layers(problem), problem.x, problem.target, ACTIVATIONS[problem.activation], LOSSES[problem.loss]
        )
        exact = [passed.activity_gradient[site + 1] for site in problem.sites]
        if returns == "weight-gradient":
            exact = [array for layer in passed.gradient for array in layer]
        for part, value in zip(expected_parts(probe, declaration, 0), exact, strict=True):
            np.testing.assert_allclose(part.mean.reshape(part.shape), value, atol=1e-13)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_mean_at_large_sigma_is_that_of_the_smoothed_slopes(activation):
    """E[J(x + ξ)] of the lower layer is W_2 diag E[φ'(s + σ|w| z)] W_1, one Gaussian integral for each unit."""
    declaration = Declaration("jacobian", "projected")
    (probe,) = (probe for probe in probes(declaration, 0, (activation,)) if not probe.linear)
    problem, passed = probe.problem, forward(probe.problem)
    lower, upper = problem.weights[1], problem.weights[2]
    U = basis(problem, 0)
    s, width = passed.preactivation[1], problem.sigma * np.linalg.norm(lower @ U, axis=1)
    if activation == "relu":
        slope = np.vectorize(lambda value: (1 + math.erf(value / math.sqrt(2))) / 2)(s / width)
    else:
        nodes, weights = np.polynomial.hermite_e.hermegauss(99)
        slope = np.tensordot(1 - np.tanh(s[..., None] + width[:, None] * nodes) ** 2, weights / weights.sum(), 1)
    exact = np.mean([upper @ np.diag(row) @ lower for row in slope], axis=0) @ U @ U.T
    part = expected_parts(probe, declaration, 0)[0]
    error = part.mean - exact.ravel()
    assert np.linalg.norm(error) < 6 * math.sqrt(np.trace(part.uncertainty))
    assert math.sqrt(np.trace(part.uncertainty)) < 0.01 * np.linalg.norm(exact)
    plain = np.linalg.norm(sample_rows(problem, declaration)[0].sum(axis=0) @ U @ U.T - exact)
    assert plain > 0.05 * np.linalg.norm(exact)  # without smoothing the mean would be visibly another


@pytest.mark.parametrize("noise", LAWS)
@pytest.mark.parametrize("simultaneous", [False, True])
def test_the_reference_stays_within_the_bounds(noise, simultaneous):
    declaration = Declaration("weight-gradient", "projected", noise, "loss", simultaneous)
    shares = [share for calls in (4, 256) for _, share in used_by_chance(declaration, 1, calls)]
    assert len(shares) > 300
    assert max(shares) < 1


def test_layers_perturbed_at_once_are_correlated_as_predicted():
    declaration = Declaration("jacobian", "projected", simultaneous=True)
    probe = linear_probes(declaration)[0]
    first, second = expected_parts(probe, declaration, 0)
    predicted = cross_covariance(probe.problem, declaration, first, second)
    one, two = estimates(probe.problem, declaration, np.random.default_rng(0), 20_000)
    errors, others = ((sample.reshape(len(sample), -1) - part.mean) for sample, part in ((one, first), (two, second)))
    scales = np.sqrt(np.outer(np.diag(first.covariance), np.diag(second.covariance)))
    assert np.max(abs(errors.T @ others / len(one) - predicted) / scales) < 8 / math.sqrt(len(one))
    assert np.max(abs(predicted) / scales) > 0.1


# bounds


def test_chance_stays_within_the_bound_of_a_weighted_chi_square():
    """At a level where violations would be seen: exp(−L) with L = 6 in place of 24."""
    rng, L, weights = np.random.default_rng(0), 6.0, np.array([1.0, 0.5, 0.1])
    sums = (rng.chisquare(1, size=(200_000, 3)) - 1) @ weights
    limit = 2 * np.linalg.norm(weights) * math.sqrt(L) + 2 * weights.max() * L
    assert np.mean(sums > limit) <= math.exp(-L)
    sd = math.sqrt(2) * np.linalg.norm(weights)
    assert limit <= sd * (math.sqrt(2 * L) + math.sqrt(2) * L)


def test_what_is_called_detectable_is_detected():
    rng, terms = np.random.default_rng(0), 10**9
    covariance = np.diag([1.0, 0.3, 0.1])
    error = np.array([statistics.smallest_norm(covariance, terms), 0, 0])
    samples = rng.normal(size=(20_000, 3)) * np.sqrt(np.diag(covariance)) + error
    assert np.mean(np.sum(samples**2, axis=1) > statistics.norm_bound(covariance, terms)) > 0.998


def test_all_comparisons_together_keep_the_promise():
    assert statistics.COMPARISONS * 2 * math.exp(-statistics.surprise()) <= statistics.FALSE_ALARM * (1 + 1e-9)
    declaration = Declaration("activity-gradient", "projected")
    measured = measure(declaration, stranger("activity-gradient"), 4)
    looks = 1 + math.log(1e5 / 4) / math.log(run.GROWTH)  # to 100,000 calls of a problem
    assert len(compare(measured, declaration)) * looks < statistics.COMPARISONS


def measure(declaration, estimate, calls):
    """Return measurements of a stranger's estimator."""
    found = []
    for probe in probes(declaration, 0):
        samples = [estimate(probe.problem, seed) for seed in range(calls)]
        parts = expected_parts(probe, declaration, 0)
        columns = (np.array([np.ravel(array) for array in column]) for column in zip(*samples, strict=True))
        found.append(Measurement(probe, parts, tuple(columns)))
    return found


# verdicts


class Counted(Session):
    """A session whose budget is of calls, not of seconds, so that a busy machine does not shorten it."""

    seconds = property(lambda self: float(self.calls))


@pytest.mark.parametrize("target", ["full", "projected"])
@pytest.mark.parametrize("name", adapters.ADAPTERS)
def test_this_library_is_not_blamed(name, target):
    own = adapters.ADAPTERS[name]
    report = run.conduct(Counted(own, 64), own.declaration._replace(target=target), 0, ("tanh",))
    assert report.verdict != "defect", report.headline
    assert {check.question for check in report.checks} >= {"scale", "direction", "variance"}


@pytest.mark.parametrize("backend", sorted(NAMESPACES.keys() - {"numpy"}))
@pytest.mark.parametrize("name", adapters.ADAPTERS)
def test_adapters_agree_between_libraries(name, backend):
    pytest.importorskip(backend)
    own = adapters.ADAPTERS[name]
    problem = probes(own.declaration._replace(target="projected"), 0, ("tanh",))[3].problem
    for one, other in zip(flat(own(problem, 7)), flat(on_library(own, backend)(problem, 7)), strict=True):
        np.testing.assert_allclose(np.asarray(other), one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("backend", sorted(NAMESPACES.keys() - {"numpy"}))
def test_answers_of_other_libraries_are_understood(backend):
    pytest.importorskip(backend)
    own = on_library(adapters.ADAPTERS["weight_gradient"], backend)
    report = run.conduct(Counted(own, 16), own.declaration._replace(target="projected"), 0, ("tanh",))
    assert report.verdict != "defect", report.headline
    assert report.checks


def flat(answer):
    return [array for entry in answer for array in (entry if isinstance(entry, tuple) else (entry,))]


def test_each_kind_of_problem_is_compiled_once():
    compiled = []
    own = adapters.ADAPTERS["nmnc"]._replace(compiled=lambda function: compiled.append(function) or function)
    first, second = (probes(own.declaration, seed, ("tanh",))[1].problem for seed in (0, 1))
    for problem in (first, second, first, first._replace(draws=8)):
        own(problem, 0)
    assert len(compiled) == 2


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_sound_means_that_errors_that_matter_would_have_been_seen_on_every_problem(activation):
    report = oracle.audit(RIGHT, "jacobian", target="projected", activations=(activation,))
    report.assert_ok()
    visible = report.visible_errors
    assert visible["scale"] <= 0.05
    assert visible["direction"] <= 3
    assert visible["variance"] <= 0.10
    assert report.headline.startswith("Sound: mean correct within")
    asked = probes(Declaration("jacobian", "projected"), 0, (activation,))
    random = {probe.name for probe in asked if not probe.name.endswith("silent")}
    assert random == {check.probe for check in report.checks if check.question == "scale"}


def test_a_mean_that_is_wrong_at_large_sigma_alone_is_a_defect():
    def linearised(problem, seed):
        """Shrink σ, as code does that differentiates where it should perturb."""
        return RIGHT(problem._replace(sigma=min(problem.sigma, 0.01)), seed)

    report = oracle.audit(linearised, "jacobian", activations=("tanh",))
    assert report.verdict == "defect"
    assert {check.probe for check in report.findings} == {"tanh, large σ"}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_are_named(slip):
    activation = next(name for name in ("tanh", "relu") if (slip, name) not in HARMLESS)
    report = perform(Task("slips", slip, "weight-gradient", "projected", (activation,), "numpy", 0, 60.0))
    assert report.verdict == "defect"
    assert report.explanations[0].name == slip


@pytest.mark.parametrize("slip", sorted(set(UNKNOWN) - {"10 % more variance"}))
def test_other_slips_are_found_and_left_unexplained(slip):
    returns = "weight-gradient"
    report = oracle.audit(stranger(returns, slip), returns, target="projected", activations=("relu",))
    assert (report.verdict, report.explanations) == ("defect", ()), report.headline
    assert report.headline == "Defect: unexplained."
    with pytest.raises(AssertionError, match="unexplained"):
        report.assert_ok()


def test_every_slip_has_a_line_in_the_guide():
    text = GUIDE.replace("in weights only; in biases only", "").lower()
    for name in SLIPS:
        assert name.split(",")[0].split(":")[0].lower() in text, name


def test_several_explanations_come_with_a_run_that_tells_them_apart():
    """Few calls of a Jacobian without bases cannot tell some laws of noise apart."""
    declaration = Declaration("jacobian", "projected")
    measured = measure(declaration, stranger("jacobian", "fixed-norm noise"), 16)
    variances = (check for check in compare(measured, declaration) if check.question == "variance")
    found, advice = explain(measured, declaration, min(variances, key=lambda check: check.measured), 0)
    assert {"fixed-norm noise", "rademacher noise"} <= {each.name for each in found}
    assert sum(each.score for each in found) == pytest.approx(1)
    assert "would tell" in advice


# estimators that misbehave


@pytest.mark.parametrize(
    ("kind", "message", "estimate"),
    [
        ("raises", "ZeroDivisionError", lambda problem, seed: seed / 0),
        ("raises", "SystemExit: 0.", lambda problem, seed: sys.exit(0)),
        ("mutates its inputs", "read-only", lambda problem, seed: problem.x.fill(1.0)),
        ("ignores its seed", "1 different estimates from 4 seeds", lambda problem, seed: RIGHT(problem, 0)),
        (
            "does not repeat",
            "differs between two calls with the seed",
            lambda problem, seed: RIGHT(problem, np.random.default_rng().integers(2**32)),
        ),
        ("returns NaN", "∂y/∂x at layer 1", lambda *asked: tuple(array * np.nan for array in RIGHT(*asked))),
        ("returns infinity", "∂y/∂x at layer 1", lambda *asked: tuple(array + np.inf for array in RIGHT(*asked))),
        (
            "returns a wrong shape",
            "expected [5, 5], got [5, 4]",
            lambda *asked: tuple(array[:, 1:] for array in RIGHT(*asked)),
        ),
        (
            "returns a wrong type",
            "got float16",
            lambda *asked: tuple(array.astype("float16") for array in RIGHT(*asked)),
        ),
        ("returns a wrong shape", "got NoneType", lambda problem, seed: None),
        ("returns a wrong shape", "got float", lambda problem, seed: 1.0),
        ("returns a wrong shape", "expected 2 entries, got 0", lambda problem, seed: ()),
        ("returns a wrong shape", "expected 2 entries, got 1", lambda problem, seed: ([[1.0]],)),
        ("returns a wrong shape", "expected 2 entries, got 3", lambda problem, seed: (np.ones((5, 5)),) * 3),
    ],
)
def test_misbehaviour_is_named(kind, message, estimate):
    report = oracle.audit(estimate, "jacobian", activations=("identity",))
    assert report.verdict == "defect"
    assert report.headline.startswith(f"Defect: the estimator {kind}: ")
    assert message in report.headline
    json.dumps(report.document(), allow_nan=False)


def test_to_interrupt_may_be_the_users():
    def interrupted(problem, seed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        oracle.audit(interrupted, "jacobian", activations=("identity",))


def test_writing_behind_numpys_back_is_noticed():
    torch = pytest.importorskip("torch")

    def estimate(problem, seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.from_numpy(problem.x).add_(1e-3)
        return RIGHT(problem, seed)

    report = oracle.audit(estimate, "jacobian", activations=("identity",))
    assert report.headline.startswith("Defect: the estimator mutates its inputs")


def slow(seconds):
    """Return a correct estimator that takes so long for a call."""

    def estimate(problem, seed):
        time.sleep(seconds)
        return RIGHT(problem, seed)

    return estimate


@pytest.mark.parametrize(
    ("seconds", "budget", "reason"),
    [
        (0.02, 1.5, "could hide one"),
        (0.5, 0.3, "there was time for too few calls to ask anything."),
        (0.0, 1e-9, "there was time for too few calls to ask anything."),
    ],
)
def test_too_small_a_budget_is_undecided(seconds, budget, reason):
    report = oracle.audit(slow(seconds), "jacobian", budget=budget, activations=("identity",))
    assert report.verdict == "undecided"
    assert reason in report.headline
    assert (report.calls == 0) == (budget < 0.01)
    with pytest.raises(AssertionError, match="Undecided"):
        report.assert_ok()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"estimate": 3}, TypeError),
        ({"returns": "gradient"}, ValueError),
        ({"target": "half"}, ValueError),
        ({"noise": "cauchy"}, ValueError),
        ({"response": "loss"}, ValueError),
        ({"simultaneous": 1}, TypeError),
        ({"budget": 0}, ValueError),
        ({"seed": -1}, ValueError),
        ({"activations": ("gelu",)}, ValueError),
        ({"activations": ()}, ValueError),
    ],
)
def test_wrong_arguments_are_refused(arguments, error):
    with pytest.raises(error):
        oracle.audit(**{"estimate": RIGHT, "returns": "jacobian", **arguments})


# the command


def command(*arguments):
    return main(["audit", *arguments])


def test_the_command_shows_a_defect_and_writes_json(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "double.py").write_text(
        "from nmnc_ref.oracle.audit.adapters import nmnc\n"
        "def estimate(problem, seed):\n"
        "    return tuple(2 * array for array in nmnc(problem, seed))\n"
    )
    options = ["--returns", "jacobian", "--target", "projected", "--json", "out.json", "--activations", "tanh"]
    assert command("double:estimate", *options) == 1
    out = capsys.readouterr().out
    assert out.startswith("Defect: pair counted twice, or antithetic pairs without ½.")
    assert out.index("What is wrong") < out.index("What was asked") < out.index("Fits all measurements")
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (document["schema"], document["verdict"], document["returns"]) == (1, "defect", "jacobian")
    fields = {"schema", "verdict", "returns", "target", "seed", "seconds", "checks", "explanations"}
    assert fields <= set(document)
    assert {"name", "status", "measured", "expected", "se", "smallest_detectable"} <= set(document["checks"][0])
    assert document["explanations"] == [{"name": "pair counted twice, or antithetic pairs without ½", "score": 1.0}]


def test_the_status_of_an_undecided_audit_is_3(capsys):
    assert (
        command(f"{adapters.__name__}:nmnc", "--returns", "jacobian", "--activations", "identity", "--budget", "1") == 3
    )
    assert "What is open" in capsys.readouterr().out


@pytest.fixture
def unruly(tmp_path, monkeypatch):
    """Return a function that audits, by the command, an estimator that does something at its third call."""
    monkeypatch.chdir(tmp_path)

    def audit(deed, *options):
        (tmp_path / "unruly.py").write_text(UNRULY.format(deed=deed))
        return command("unruly:estimate", "--returns", "jacobian", "--activations", "identity", *options)

    return audit


UNRULY = """
import ctypes, itertools, os, sys, time
from nmnc_ref.oracle.audit.adapters import nmnc
calls = itertools.count(1)
def estimate(problem, seed):
    if next(calls) == 3:
        {deed}
    return nmnc(problem, seed)
"""


@pytest.mark.parametrize("deed", ["time.sleep(1000)", "ctypes.PyDLL(None).sleep(1000)"])  # which keeps the global lock
def test_a_call_that_hangs_is_killed(deed, unruly, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(process, "PATIENCE", 1.0)
    assert unruly(deed, "--budget", "3", "--json", "out.json") == 1
    out = capsys.readouterr().out
    assert re.match(r"Defect: the estimator hangs: a call had not returned after \d+\.\d s, past the budget\.", out)
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (document["verdict"], document["calls"], document["explanations"]) == ("defect", 2, [])


@pytest.mark.parametrize(
    ("deed", "finding"),
    [
        ("os._exit(0)", "ends its process: exit code 0."),
        ("os._exit(7)", "ends its process: exit code 7."),
        ("os.kill(os.getpid(), 9)", "ends its process: exit code -9 (Killed)."),
        ("sys.exit(0)", "raises: SystemExit: 0."),
        ("raise KeyboardInterrupt", "raises: KeyboardInterrupt."),
    ],
)
def test_an_estimator_that_ends_is_a_defect(deed, finding, unruly, capsys):
    assert unruly(deed) == 1
    assert capsys.readouterr().out.startswith(f"Defect: the estimator {finding}")


def test_a_call_that_ends_after_the_budget_does_not_hang(unruly):
    assert unruly("time.sleep(3)", "--budget", "2") == 3


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(0)", "cannot import imported: SystemExit: 0"),
        ("raise KeyboardInterrupt", "cannot import imported:f: KeyboardInterrupt"),
        ("import os; os._exit(0)", "cannot import imported:f: it ends its process: exit code 0"),
        ("import time; time.sleep(1000)", "cannot import imported:f: it hangs: the import had not returned after"),
    ],
)
def test_modules_that_do_not_let_themselves_be_imported(code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imported.py").write_text(code)
    monkeypatch.setattr(process, "PATIENCE", 1.0)
    budget = "1" if "sleep" in code else "60"
    assert command("imported:f", "--returns", "jacobian", "--budget", budget) == 2
    assert message in capsys.readouterr().err


INTERRUPTIBLE = """
import signal, sys
from nmnc_ref.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's "&" turns off
sys.exit(main())
"""


def test_an_interrupt_ends_the_audit_and_its_process(tmp_path):
    (tmp_path / "unruly.py").write_text(UNRULY.format(deed="print(os.getpid(), flush=True), time.sleep(1000)"))
    words = [sys.executable, "-c", INTERRUPTIBLE, "audit", "unruly:estimate", "--returns", "jacobian"]
    words += ["--activations", "identity"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))}
    with subprocess.Popen(words, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as audit:
        child = int(audit.stdout.readline())
        audit.send_signal(signal.SIGINT)
        assert audit.communicate(timeout=60)[1] == "nmnc_ref: interrupted\n"
    assert audit.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["math:sin", "--budget", "0"], "invalid number of seconds"),
        (["math:sin", "--budget", "nan"], "invalid number of seconds"),
        (["math:sin", "--seed", "-1"], "invalid seed"),
        (["math:sin", "--noise", "cauchy"], "invalid choice"),
        (["no_such_module:f"], "cannot import no_such_module"),
        (["math:no_such_name"], "math has no no_such_name"),
        (["math:pi"], "math:pi is not callable"),
        (["math"], "expected module:callable"),
        (["math:sin", "--response", "loss"], "expected output for --returns jacobian"),
        (["math:sin", "--json", "/nowhere/at/all.json"], "cannot write"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    try:
        status = command(*arguments, "--returns", "jacobian")
    except SystemExit as stop:  # of the parser
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err


def test_without_rich_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert command("math:sin", "--returns", "jacobian") == 2
    assert "pip install 'nmnc_ref[oracle]'" in capsys.readouterr().err


def test_the_command_of_the_readme_runs(capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (words,) = re.findall(r"python -m nmnc_ref audit (.*)", readme)
    assert command(*words.split(), "--budget", "1", "--activations", "identity") in (0, 3), capsys.readouterr().out


def test_the_adapter_of_the_guide_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "my_adapter.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    options = ["--returns", "jacobian", "--target", "projected", "--budget", "1", "--activations", "identity"]
    assert command("my_adapter:estimate", *options) in (0, 3), capsys.readouterr().out


# the measurement of its power


def test_a_campaign_goes_on_where_it_stopped(tmp_path, capsys):
    options = ["slips", "--names", "sign", "--activations", "identity", "tanh", "--file", str(tmp_path / "lines.jsonl")]
    assert audit_power.main([*options, "--seeds", "1"]) == 0
    first = (tmp_path / "lines.jsonl").read_text(encoding="utf-8")
    assert audit_power.main([*options, "--seeds", "2", "--processes", "2"]) == 0
    after = (tmp_path / "lines.jsonl").read_text(encoding="utf-8")
    assert after.startswith(first)
    lines = [json.loads(line) for line in after.splitlines()]
    assert sorted((line["activations"], line["seed"]) for line in lines) == [
        ([activation], seed) for activation in ("identity", "tanh") for seed in (0, 1)
    ]
    assert all(line["verdict"] == "defect" and line["explanations"] == ["sign"] for line in lines)
    assert "right first" in capsys.readouterr().out


@pytest.mark.parametrize(("trial", "name", "status"), [("slips", "sign", 1), ("correct", "nmnc", 0)])
def test_a_campaign_with_a_wrong_verdict_fails(trial, name, status):
    options = [trial, "--names", name, "--activations", "identity", "--seeds", "1", "--budget", "0.001"]
    assert audit_power.main(options) == status  # undecided


@pytest.mark.parametrize(
    ("option", "message"),
    [(["--names", "typo"], "--names: expected some of nmnc"), (["--file", "/nowhere/at/all"], "cannot write")],
)
def test_wrong_usage_of_a_campaign(option, message, capsys):
    with pytest.raises(SystemExit):
        audit_power.main(["correct", *option])
    assert message in capsys.readouterr().err
