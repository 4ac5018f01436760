"""Figures of a run: they show its numbers over the theory's, and are readable in grey and by a machine."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[figures]'")

from test_training_claims import LAB as TRAINING_LAB
from test_training_claims import SUPPLIED, invented, recorded  # noqa: F401

from nmnc_ref import theory
from paper_checks import alignment, report
from paper_checks.claim import REGISTER, Outcome
from paper_checks.comparison import mean_interval
from paper_checks.data import digits
from paper_checks.estimator import draws
from paper_checks.figures import FIGURES, draw, drawn, paint, sheets
from paper_checks.figures.__main__ import main
from paper_checks.figures.looks import RULES
from paper_checks.figures.pictures import PICTURES, SIGMA, scene
from paper_checks.figures.points import over_seeds, points
from paper_checks.figures.sheet import HEADINGS, table
from paper_checks.lab import Lab
from paper_checks.learning.experiments.cifar import CifarLearner
from tests.shell import in_a_shell

DOCS = Path(__file__).parents[1] / "docs" / "figures"
LAB = Lab()
IDS = sorted({id for id, _ in FIGURES})
pytestmark = pytest.mark.xdist_group("figures")
_documents: dict[str, dict] = {}


@pytest.fixture(autouse=True)
def sooner(monkeypatch):
    """Do without the thousand initial networks of A3, which no figure shows, and with less of what claims need."""
    monkeypatch.setattr(alignment, "_energies_at_initialisation", lambda lab, initial: np.ones((1000, 3, 2)))
    monkeypatch.setattr(digits, "EPOCHS", 2)
    monkeypatch.setattr(draws, "DRAWS", (1, 10, 120))
    monkeypatch.setattr(draws, "ALTOGETHER", 2000)


def document(*ids):
    """Return the document of a run of claims without their twins; those about training have made-up results."""
    for id in set(ids) - set(_documents):
        claim, lab, given = REGISTER[id], LAB, ()
        if claim.tier == "training":
            lab, given = TRAINING_LAB, ({each: _followed(each, run) for each, run in invented(claim).items()},)
        outcome = Outcome(claim, lab, "pass", tuple(claim.measure(lab, *given)), (), 0.0, (), *(given or ({},)))
        _documents[id] = json.loads(json.dumps(report.document([outcome]), allow_nan=False))
    first = _documents[ids[0]]
    return first | {"claims": [_documents[id]["claims"][0] for id in ids]}


def _followed(experiment, run):
    """Add the course of a training to what is made up of its end."""
    if not isinstance(experiment, CifarLearner):
        return run
    course = [{"step": step, "accuracy": 0.1 + step / 4000 + 0.01 * experiment.seed} for step in (0, 480, 960)]
    return run | {"course": course}


def found(id, name):
    """Return a figure of a claim, as data."""
    return next(sheet for sheet in sheets(document(id)) if sheet.name == name)


def series_of(sheet, kind, panel=0):
    return {series.name: series for series in sheet.panels[panel].series if series.kind == kind}


DERIVED = ("winners", "decay", "alignment", "dimension_over_width", "cifar", "advantage")
"""Figures whose points are not numbers of the document themselves: places, ratios, and means over experiments."""


@pytest.mark.parametrize("id", IDS)
def test_figures_show_the_numbers_of_the_document(id):
    (claim,) = document(id)["claims"]
    values = {field: [each[field] for each in claim["comparisons"]] for field in ("measured", "tolerance")}
    for sheet in sheets(document(id)):
        assert id in sheet.title
        assert len(sheet.caption) > 100
        for panel in sheet.panels:
            for series in panel.series:
                assert series.name
                assert len(series.half) in (0, len(series.y))
                if series.kind in paint.POINTS:
                    assert len(series.x) == len(series.y) > 0
                    assert np.all(np.isfinite(series.y))
                    if sheet.name not in DERIVED:
                        assert set(series.y) <= set(values["measured"])
                        assert set(series.half) <= set(values["tolerance"])


@pytest.mark.parametrize("id", IDS)
def test_figures_are_told_apart_without_colour_and_label_their_axes(id):
    for sheet in sheets(document(id)):
        for panel in sheet.panels:
            looks = {series.name: series.look for series in panel.series}
            for one, other in combinations(looks.values(), 2):
                assert one.marker != other.marker or one.line != other.line
            lines = [series.look.line for series in panel.series if series.kind not in paint.POINTS]
            assert len(lines) == len(set(lines))
            marks = [series.look.marker for series in panel.series if series.kind in paint.POINTS]
            assert len(marks) == len(set(marks))
            assert panel.y
            assert panel.x or any(isinstance(x, str) for series in panel.series for x in series.x)


@pytest.mark.parametrize("id", IDS)
def test_the_data_come_back_from_csv(id):
    for sheet in sheets(document(id)):
        headings, *rows = csv.reader(io.StringIO(table(sheet)))
        assert tuple(headings) == HEADINGS
        want = [
            (panel.title, series.name, series.kind, index, series)
            for panel in sheet.panels
            for series in panel.series
            for index in range(max(len(series.x), len(series.y)))
        ]
        for row, (title, name, kind, index, series) in zip(rows, want, strict=True):
            assert row[:3] == [title, name, kind]
            for text, values in ((row[4], series.x), (row[6], series.y), (row[7], series.half)):
                value = values[index] if values else ""
                assert text == value or (text == "" and math.isnan(value)) or float(text) == value


@pytest.mark.parametrize("id", IDS)
def test_drawings_stand_alone(id):
    for each in drawn(document(id)):
        root = ElementTree.fromstring(each.svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("aria-label") == each.title
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        assert all(name.startswith(f"{each.name}-") for name in ids)
        asked = re.findall(r'href="([^"]*)"|url\(([^)]*)\)', each.svg)
        assert all((target or place).startswith(f"#{each.name}-") for target, place in asked)
        (style,) = (element.text for element in root.iter() if element.tag.endswith("}style"))
        assert style.startswith(f"#{each.name}-figure_1 *")
        assert f"{each.name}-figure_1" in ids
        assert len(each.svg) < 200_000


def test_drawings_are_the_same_again():
    (sheet,) = sheets(document("L8"))
    assert draw(sheet) == draw(sheet)
    assert paint.pdf(paint.figure(sheet)) == paint.pdf(paint.figure(sheet))


def test_lines_are_those_of_the_theory():
    sheet = found("E4", "error")
    line = series_of(sheet, "predicted")["NMNC"]
    place = points(document("E4")["claims"][0], quantity="relative error", rule="NMNC")[0]["coordinates"]
    want = [theory.estimator.relative_error(place["alpha"], k, place["d"]) for k in line.x]
    assert list(line.y) == want
    crossover = theory.estimator.error_crossover(place["alpha"], place["d"], place["n"])
    assert [series.x for series in sheet.panels[0].series if series.name.startswith("K*")] == [[crossover]]
    assert min(line.x) < crossover < max(line.x)  # that it is seen
    measured = series_of(sheet, "measured")
    assert [series.y for series in sheet.panels[0].series if series.name == "1 − α"] == [[1 - place["alpha"]]]
    inside, outside = (dict(zip(measured[rule].x, measured[rule].y, strict=True)) for rule in measured)
    assert all((inside[k] < outside[k]) is (k < crossover) for k in inside)
    for name, series in measured.items():
        line = series_of(sheet, "predicted")[name]
        predicted = np.exp(np.interp(np.log(series.x), np.log(line.x), np.log(line.y)))
        assert np.all(np.abs(series.y - predicted) <= np.array(series.half) + 0.02 * predicted)


def test_the_better_rule_is_on_its_side_of_the_boundary():
    for panel in found("E6", "winners").panels:
        wins = {series.name: series for series in panel.series}
        boundary = wins.pop("predicted boundary")
        for name, series in wins.items():
            above = [y > np.interp(x, boundary.x, boundary.y) for x, y in zip(series.x, series.y, strict=True)]
            assert set(above) == {name == "NMNC"}


def test_means_of_runs_are_those_of_their_results():
    claim = document("A3-trained")["claims"][0]
    runs = [each for each in claim["experiments"] if each["parameters"]["decay"] == 1e-3]
    series = series_of(found("A3-trained", "alignment"), "course", panel=1)["decay 0.001"]
    want = np.mean([each["result"]["course"] for each in runs], axis=0)[:, 1]
    assert np.allclose(series.y, want, rtol=1e-12)
    courses = series_of(found("L2-CIFAR", "cifar"), "course")
    runs = [(each["parameters"], each["result"]) for each in document("L2-CIFAR")["claims"][0]["experiments"]]
    direct = [run for given, run in runs if (given["rule"], given["delivery"]) == ("vnc", "direct")]
    want = np.mean([run["course"][1]["accuracy"] for run in direct])
    assert courses["VNC"].y[1] == pytest.approx(want)


def test_the_map_of_the_advantage_has_every_cell_on_its_side():
    *layers, distances = found("L2-CIFAR", "advantage").panels
    every = points(document("L2-CIFAR")["claims"][0], quantity="accuracy difference")
    assert len(layers) == 3
    for layer, panel in enumerate(layers, start=1):
        own = [each for each in every if each["coordinates"]["layer"] == layer]
        assert len(own) == 8  # two η at each of four budgets
        drawn = {series.name: series for series in panel.series if series.kind == "measured"}
        for rule, wins in (("NMNC", True), ("VNC", False)):
            places = [each["coordinates"] for each in own if (each["measured"] > 0) == wins]
            if series := drawn.pop(f"{rule} learns better", None):
                assert series.x == [at["K"] / at["n"] for at in places]
                assert series.y == [at["alpha"] for at in places]
            assert bool(series) == bool(places)
        assert drawn == {}
        assert distances.series[layer - 1].y == [each["measured"] for each in own]


def test_the_mean_of_one_seed_has_no_interval():
    series = over_seeds("accuracy", RULES["NMNC"], {1: [0.5], 2: [0.4, 0.6]})
    assert series.y == [0.5, pytest.approx(0.5)]
    assert math.isnan(series.half[0])
    assert series.half[1] == mean_interval([0.4, 0.6])[1] > 0


def test_decay_is_in_units_of_the_weights_before_training():
    for panel in found("A2", "decay").panels:
        line = next(series for series in panel.series if series.kind == "predicted")
        measured = [series for series in panel.series if series.kind == "measured"]
        assert len(measured) == 3
        for series in measured:
            assert np.allclose(series.y, [line.y[t] for t in series.x], rtol=1e-9)
        assert line.y[0] == 1
        assert (line.y[-1] < 0.9) is ("λ = 0.05" in panel.title)


def test_a_figure_whose_claim_was_not_measured_is_left_out():
    whole = document("E4", "A2")
    assert [each.name for each in sheets(whole)] == ["error", "decay"]
    lacking = whole | {"claims": [whole["claims"][0], whole["claims"][1] | {"comparisons": []}]}
    assert [each.name for each in sheets(lacking)] == ["error"]
    assert drawn(document("D1")) == []


def test_a_number_that_is_none_leaves_a_gap():
    whole = document("E4")
    claim = json.loads(json.dumps(whole["claims"][0]))
    points(claim, rule="NMNC", K=10)[0]["measured"] = None
    (sheet,) = sheets(whole | {"claims": [claim]})
    series = series_of(sheet, "measured")["NMNC"]
    assert [math.isnan(y) for y in series.y].count(True) == 1
    assert "nan" not in table(sheet)
    draw(sheet)


@pytest.mark.parametrize("id", IDS)
def test_a_claim_that_failed_altogether_is_drawn_too(id):
    whole = document(id)
    claim = json.loads(json.dumps(whole["claims"][0]))
    for each in claim["comparisons"]:
        each |= dict.fromkeys(("predicted", "measured", "tolerance", "used"))
    assert len(drawn(whole | {"claims": [claim]})) == len(list(sheets(whole)))


def test_nothing_on_one_side_leaves_the_other():
    whole = document("E6")
    claim = json.loads(json.dumps(whole["claims"][0]))
    for each in points(claim, quantity="advantage", K=16):
        each["measured"] = 0.5
    _, sheet = sheets(whole | {"claims": [claim]})
    assert [len(series.x) for series in sheet.panels[-1].series[:2]] == [0, 24]
    draw(sheet)


def test_the_command_writes_drawings_and_data(tmp_path, capsys):
    result, folder = tmp_path / "run.json", tmp_path / "new" / "figures"
    result.write_text(json.dumps(document("D1", "A2")))
    assert main([str(result), str(folder)]) == 0
    assert sorted(each.name for each in folder.iterdir()) == ["decay.csv", "decay.pdf", "decay.svg"]
    (sheet,) = sheets(document("A2"))
    assert (folder / "decay.csv").read_text(encoding="utf-8") == table(sheet)
    assert (folder / "decay.pdf").read_bytes().startswith(b"%PDF")
    assert sheet.caption in capsys.readouterr().out
    result.write_text(json.dumps(document("D1")))
    assert main([str(result), str(folder)]) == 0
    assert "nothing to draw" in capsys.readouterr().out


@pytest.mark.parametrize("fate", ["| true", ">&-", "> /dev/full"])
def test_the_command_draws_whatever_becomes_of_its_output(fate, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(document("A2")))
    command = f"PYTHONIOENCODING=ascii {sys.executable} -m paper_checks.figures run.json . {fate}"
    run = in_a_shell(command, tmp_path)
    assert (run.returncode, "Traceback" in run.stderr) == (0, False)
    assert (tmp_path / "decay.csv").exists()


EVERYWHERE = {"quantity": "relative error", "rule": "NMNC", "alpha": 0.5, "d": 2, "n": 4, "law": "gaussian"}


def result_of(id="E4", **entries):
    return json.dumps({"schema": report.SCHEMA, "claims": [{"id": id, "comparisons": [entries], "experiments": []}]})


@pytest.mark.parametrize(
    "text",
    [
        None,
        "no JSON",
        pytest.param("[" * 100_000, id="nested"),
        "[]",
        "{}",
        '{"schema": 1, "claims": []}',
        result_of(),
        result_of(coordinates=[]),
        result_of(coordinates=EVERYWHERE | {"K": 10**400}),
        result_of("L2", coordinates={}),
        result_of("L3", coordinates={}),
    ],
)
def test_the_command_says_what_is_no_result(text, tmp_path, capsys):
    result = tmp_path / "run.json"
    if text is not None:
        result.write_text(text)
    with pytest.raises(SystemExit) as stop:
        main([str(result), str(tmp_path)])
    assert not list(tmp_path.glob("*.svg"))
    assert stop.value.code == 2
    assert str(result) in capsys.readouterr().err


def test_the_command_says_where_it_cannot_write(tmp_path, capsys):
    result = tmp_path / "run.json"
    result.write_text(json.dumps(document("A2")))
    with pytest.raises(SystemExit) as stop:
        main([str(result), str(result)])
    assert stop.value.code == 2
    assert "cannot write" in capsys.readouterr().err


def test_the_list_of_the_figures_is_whole():
    rows = re.findall(r"^\| (`.*`) \| (.*?) \|", (DOCS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = [name.strip("`") for names, _ in rows for name in names.split(", ")]
    assert listed == [sheet.name for id in dict.fromkeys(id for id, _ in FIGURES) for sheet in sheets(document(id))]
    assert [id for _, ids in rows for id in ids.split(", ")] == [id for id, _ in FIGURES]


def _marks(svg):
    """Return the places of all markers of a drawing, in order."""
    uses = [each for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("}use")]
    return np.array([(float(each.get("x")), float(each.get("y"))) for each in uses if each.get("x")])


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.__name__)
def test_the_pictures_of_the_documents_are_up_to_date(picture):
    sheet = picture()
    again = "regenerate: python -m paper_checks.figures.pictures docs/figures"
    kept = list(csv.reader(io.StringIO((DOCS / f"{sheet.name}.csv").read_text(encoding="utf-8"))))
    for want, got in zip(csv.reader(io.StringIO(table(sheet))), kept, strict=True):
        for one, other in zip(want, got, strict=True):
            assert one == other or float(one) == pytest.approx(float(other), rel=1e-3, abs=2e-4), again
    file = DOCS / f"{sheet.name}.svg"
    assert file.stat().st_size < 100_000
    shown, drawing = _marks(file.read_text(encoding="utf-8")), _marks(draw(sheet).svg)
    assert shown.shape == drawing.shape, again
    assert np.allclose(shown, drawing, atol=10), again  # in points: another matplotlib may leave other margins


def test_both_kinds_of_noise_have_the_same_energy_and_one_leaves_the_manifold():
    shown = scene()
    energy = {rule: np.mean(np.sum(xi**2, axis=1)) for rule, xi in shown.noise.items()}
    assert energy["VNC"] == pytest.approx(energy["NMNC"], rel=0.25)  # a mean of 50 draws
    assert np.allclose(shown.noise["NMNC"][:, 2], 0, atol=1e-14)
    assert np.std(shown.noise["VNC"][:, 2]) == pytest.approx(SIGMA * (2 / 3) ** 0.5, rel=0.25)
    assert np.std(shown.activity[:, 2]) < 0.2 * np.std(shown.activity[:, 1])  # the activity is near the plane
