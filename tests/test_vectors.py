"""The golden vectors: up to date, valid, passed by the reference on every library, and failed by every mutation."""

from __future__ import annotations

import functools
import json
import math
import re
import shutil
import sys
import types
from pathlib import Path

import array_api_compat.numpy
import numpy as np
import pytest
from jsonschema import Draft202012Validator

import nmnc_ref
from nmnc_ref import training
from nmnc_ref.__main__ import main
from nmnc_ref.oracle.command_line import console
from nmnc_ref.oracle.vectors import cases, generate, pack, page, report
from nmnc_ref.oracle.vectors.adapter import Reference, on_numpy
from nmnc_ref.oracle.vectors.check import MODES, check
from nmnc_ref.oracle.vectors.implementation import UnknownOperation, implemented, recorded
from nmnc_ref.oracle.vectors.operations import OPERATIONS
from nmnc_ref.oracle.vectors.tolerance import CLASSES, PRECISIONS, Tolerance

pytestmark = pytest.mark.usefixtures("packs_read_once")

REFERENCE = "nmnc_ref.oracle.vectors.adapter:on_numpy"
PACK = pack.read_pack()
STAGES = [(case, stage) for case in PACK.cases for stage in case.stages]


@pytest.fixture(scope="module")
def regenerated():
    return {case.name: case for case in cases.all_cases()}


def test_the_pack_is_up_to_date(regenerated):
    outdated = f"the pack is out of date; regenerate it with: {generate.COMMAND}"
    assert list(regenerated) == [case.name for case in PACK.cases], outdated
    assert PACK.version == generate.VERSION, outdated
    assert not [case.name for case in PACK.cases if not generate.alike(case, regenerated[case.name])], outdated


def test_the_manifest_lists_what_there_is():
    manifest = json.loads((pack.SHIPPED / pack.MANIFEST).read_bytes())
    assert sorted([*manifest["files"], pack.MANIFEST]) == sorted(path.name for path in pack.SHIPPED.iterdir())
    assert set(manifest["operations"]) == {stage.operation for _, stage in STAGES} == set(OPERATIONS)
    assert all(manifest["operations"][each.name]["equation"] == each.equation for each in OPERATIONS.values())
    assert {name: each["factor"] for name, each in manifest["tolerance_classes"].items()} == {
        name: each.factor for name, each in CLASSES.items()
    }


def test_the_guide_states_the_tolerances():
    guide = (Path(__file__).parents[1] / "PORTING.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\w+) \| (\d+) \| (.*) \|$", guide, re.MULTILINE)
    assert table == [(name, f"{each.factor:g}", each.why) for name, each in CLASSES.items()]
    assert all(f"`{name}`" in guide or f"--dtype {name}" in guide for name in PRECISIONS)
    assert all(f"**{family}**" in guide for family in cases.FAMILIES)


def test_the_guide_lists_the_strings_that_parameters_are():
    guide = (Path(__file__).parents[1] / "PORTING.md").read_text(encoding="utf-8")
    listed = re.search(r"- Strings are: ([^.]*)\.", " ".join(guide.split()))[1]
    strings = {name: set(values.split(", ")) for name, values in re.findall(r"`(\w+)` ([^;]*)", listed)}
    found: dict[str, set[str]] = {}
    for _, stage in STAGES:
        for name, value in stage.parameters.items():
            if isinstance(value, str):
                found.setdefault(name, set()).add(value)
    assert strings == found


def test_the_pack_is_small():
    assert sum(path.stat().st_size for path in pack.SHIPPED.iterdir()) < 1e6


def test_every_case_is_of_the_schema():
    schema = json.loads((pack.SHIPPED / pack.CASE_SCHEMA).read_bytes())
    Draft202012Validator.check_schema(schema)
    for case in PACK.cases:
        fields = json.loads((pack.SHIPPED / f"{case.name}.json").read_bytes())
        Draft202012Validator(schema).validate(fields)
        assert not Draft202012Validator(schema).is_valid({**fields, "inputs": {"../x": {}}})


def test_every_stage_comes_after_what_it_needs_and_is_one_of_its_name():
    for case in PACK.cases:
        known = set(case.inputs)
        for stage in case.stages:
            assert set(stage.inputs.values()) <= known, (case.name, stage.name)
            assert stage.name not in known
            known.add(stage.name)
        assert case.why.endswith(".")


def test_inputs_are_the_same_in_float32():
    for case in PACK.cases:
        for name, array in case.inputs.items():
            real = array.dtype.kind == "f"
            assert not real or np.array_equal(array.astype(np.float32), array), (case.name, name)


def transposed(value: np.ndarray) -> np.ndarray:
    return np.swapaxes(value, -1, -2) if value.ndim > 1 else value


def scaled(value: np.ndarray) -> np.ndarray:
    return value * 1.01 if value.dtype.kind == "f" else value ^ 1


def swapped(value: np.ndarray) -> np.ndarray:
    return np.concatenate([value[1:2], value[:1], value[2:]]) if value.ndim else value


def truncated(value: np.ndarray) -> np.ndarray:
    result = value.copy()
    if value.ndim:
        result[..., -1] = 0
    return result


def shifted(value: np.ndarray) -> np.ndarray:
    return value + np.max(np.abs(value)) + np.ones_like(value)


MUTATIONS = {"transposed": transposed, "1 %": scaled, "swapped": swapped, "truncated": truncated, "shifted": shifted}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_mutation_of_every_stage_is_named_and_never_explained_wrongly(mutation, mode):
    effective = 0
    for case, stage in STAGES:
        precision = "float64" if case.precision == "any" else case.precision
        changed = MUTATIONS[mutation](stage.value)
        values = {each.name: each.value for each in case.stages} | {stage.name: changed}
        results = check([case], recorded({case.name: values}), precision=precision, mode=mode)
        failed = [each.stage.name for each in results if each.status == "failed"]
        if not beyond(stage, changed, precision):
            assert failed == []
            continue
        effective += 1
        assert failed == [stage.name], (case.name, stage.name)
        (result,) = (each for each in results if each.status == "failed")
        assert set(result.hints) <= ({"transposed", "column-major"} if mutation == "transposed" else set()), result
    assert effective > 0.5 * len(STAGES), effective


def beyond(stage, changed, precision) -> bool:
    """Tell whether a mutation changed more than the widest tolerance of the stage."""
    if changed.shape != stage.value.shape:
        return True
    relative = 10 * stage.tolerance.relative(PRECISIONS[precision].eps)
    return bool(np.max(np.abs(changed.astype(float) - stage.value)) > relative * np.max(np.abs(stage.value)))


def test_every_stage_has_a_mutation_that_is_beyond_its_tolerance():
    for case, stage in STAGES:
        precision = "float64" if case.precision == "any" else case.precision
        mutated = [mutate(stage.value) for mutate in MUTATIONS.values()]
        assert any(beyond(stage, value, precision) for value in mutated), (case.name, stage.name)


def test_a_wrong_stage_is_blamed_alone_in_isolated_mode_and_first_in_chained_mode():
    broken = {name: getattr(on_numpy, name) for name in OPERATIONS}
    broken["activity_2"] = lambda inputs: on_numpy.activity(inputs) * 1.01
    case = [case for case in PACK.cases if case.name == "network_tanh"]
    names = {
        mode: [r.stage.name for r in check(case, implemented(broken), mode=mode) if r.status == "failed"]
        for mode in MODES
    }
    assert names["isolated"] == ["activity_2"]
    assert names["chained"][0] == "activity_2"
    assert "weight_gradient_3" in names["chained"]


def test_stages_that_no_tolerance_could_fail_are_skipped(capsys):
    results = check(PACK.cases, implemented(on_numpy), precision="bfloat16")
    assert all(r.tolerance <= 0.25 * np.max(np.abs(r.stage.value)) for r in results if r.status == "passed")
    assert any("is uninformative" in r.note for r in results)
    assert main(["vectors", "check", "--impl", REFERENCE, "--dtype", "bfloat16"]) == 0
    assert capsys.readouterr().out.count("\nskipped ") == 2, "a line for each reason"


def failed_of(port, names=(), mode="isolated", precision="float64"):
    """Return the stages of cases, all by default, that a port fails."""
    chosen = [case for case in PACK.cases if case.name in names or not names]
    results = check(chosen, implemented(port), mode=mode, precision=precision)
    return [each for each in results if each.status == "failed"]


def shown(results) -> dict[str, str]:
    """Return the rows about the first divergent stage."""
    return dict(report.details(report.first_of(results)))


def test_the_report_names_everything_about_the_first_divergence():
    broken = {"correlation": lambda inputs: on_numpy.correlation(inputs) * inputs["noise"].shape[0]}
    rows = shown(failed_of(broken))
    assert list(rows) == ["claim", "equation", "index from 0", "got", "want", "error", "tolerance", "why", "hint"]
    assert rows["claim"] == "E2"
    assert rows["hint"] == "sum for mean"
    assert "ulps" in rows["error"]


def test_integers_are_integers_and_words_of_32_bits():
    rows = shown(failed_of({"bits": lambda inputs: on_numpy.bits(inputs).astype(np.int64) + 1}))
    assert re.fullmatch(r"\d+ \(0x[0-9a-f]{8}\)", rows["got"])
    assert int(rows["got"].split()[0]) == int(rows["want"].split()[0]) + 1
    assert rows["error"] == "1"


BY_ONE = """\
family  cases  passed  failed  unanswered  skipped
──────────────────────────────────────────────────
random      3       2       2           2        3
credit      1       0       0           9        0
first divergent stage: random_words_zero · bits
claim         none
equation      bits_i = x0 ^ x1 of Threefry-2x32(key, counter (0, i))
index from 0  [0]
got           4070199208 (0xf29a4fa8)
want          4070199207 (0xf29a4fa7)
error         1
tolerance     0 (exact)
why           A key of zeros: wrong rotations or key schedule show without any input to blame.
1 more failed: random_words_ones · bits
unanswered 11: not implemented: all of credit; random: folded_key 2
skipped 3: exists in float32 only
--json FILE and --report DIR have every stage
2 passed, 2 failed, 11 unanswered, 3 skipped of 18 stages
"""
DIVERGENCE, UNANSWERED, SUMMARY = BY_ONE.splitlines()[4:14], BY_ONE.splitlines()[14:15], BY_ONE.splitlines()[17:]


@pytest.fixture(scope="module")
def by_one():
    """The results of words that are off by one, of keys that are right and of nothing else."""
    port = {"bits": lambda inputs: on_numpy.bits(inputs).astype(np.int64) + 1, "split_keys": on_numpy.split_keys}
    names = ("random_words_zero", "random_words_ones", "random_draws_float32", "credit_batch_of_one")
    return check([case for case in PACK.cases if case.name in names], implemented(port))


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        ({}, BY_ONE.splitlines()),
        ({"required": True}, BY_ONE.splitlines()),
        ({"quiet": True}, [*DIVERGENCE, *SUMMARY]),
        ({"quiet": True, "required": True}, [*DIVERGENCE, *UNANSWERED, *SUMMARY]),
    ],
)
def test_the_report_word_for_word(how, lines, by_one, capsys):
    report.show(by_one, console(), **how)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == lines


def test_the_document_word_for_word(by_one):
    document = report.document(by_one, "1.2.3", "float64", "isolated")
    assert set(document.pop("versions")) == {"python", "nmnc_ref", "numpy"}
    wrong, right, missing, *_ = document.pop("stages")
    assert document == {
        "schema": 2,
        "pack": "1.2.3",
        "precision": "float64",
        "mode": "isolated",
        "counts": {"passed": 2, "failed": 2, "unanswered": 11, "skipped": 3},
    }
    stage = {"case": "random_words_zero", "family": "random", "stage": "bits", "operation": "bits", "claim": ""}
    numbers = {"got": 4070199208, "want": 4070199207, "error": 1, "tolerance": 0, "ulps": None, "hints": ()}
    said = {"note": "", "missing": "", "follows": False, "part": "", "differ": (), "agree": ()}
    assert wrong == {**stage, "index": (0,), "status": "failed", **said, **numbers}
    assert (right["stage"], right["status"], right["error"]) == ("split_keys", "passed", 0)
    assert (missing["status"], missing["note"], missing["missing"]) == ("unanswered", "not implemented", "folded_key")


@pytest.mark.parametrize(
    ("statuses", "passed", "tone", "word"),
    [
        (["passed", "unanswered"], True, "good", "Passed"),
        (["passed", "unanswered"], False, "bad", "Incomplete"),
        (["passed", "failed"], False, "bad", "Failed"),
        (["unanswered", "skipped"], False, "bad", "Nothing was checked"),
    ],
)
def test_the_verdict_of_a_page_is_that_of_the_command(statuses, passed, tone, word, by_one):
    chosen = [next(each for each in by_one if each.status == status) for status in statuses]
    made = page.page(chosen, {"Mode": "isolated"}, passed)
    assert made.verdict == (tone, word, f"{report.summary(chosen)}.")
    assert [count.number for count in made.counts] == [int(status in statuses) for status in report.STATUSES]
    assert (made.contents.first is None) == ("failed" not in statuses)
    assert made.settings["Mode"] == "isolated"


def test_the_table_of_a_page_counts_and_leaves_out_what_is_least_where_there_is_little_room(by_one):
    made = page.page(by_one, {}, False)
    shown = [[cell.text for cell in row.cells] for row in made.rows]
    assert shown == [["random", "failed", "3", "2", "2", "2", "3"], ["credit", "unanswered", "1", "0", "0", "9", "0"]]
    assert [row.cells[1].tone for row in made.rows] == ["bad", "open"]
    assert [column.name for column in made.columns if not column.numeric] == ["family", "status"]
    assert [column.name for column in made.columns if column.minor] == ["cases", "unanswered", "skipped"]


def test_elementary_operations_come_before_what_they_are_in():
    broken = {name: lambda inputs, name=name: 2 * getattr(on_numpy, name)(inputs) for name in ("jacobian", "delta")}
    failed = failed_of(broken)
    assert report.first_of(failed).stage.operation == "delta"
    assert report.first_of([each for each in failed if each.stage.operation != "delta"]).stage.operation == "jacobian"


def test_what_follows_from_wrong_inputs_is_said_and_has_no_hint(capsys):
    broken = {name: getattr(on_numpy, name) for name in OPERATIONS}
    broken["antithetic_response"] = lambda inputs: 2 * on_numpy.antithetic_response(inputs)
    failed = failed_of(broken, ["estimator_manifold"], "chained")
    response, correlation = failed
    assert (response.hints, response.follows) == (("factor 2",), False)
    assert (correlation.hints, correlation.follows) == ((), True)
    assert report.first_of(failed) == response, "though a correlation is more elementary"
    report.show(failed, console())
    assert "1 more failed (1 of them right for their own inputs" in " ".join(capsys.readouterr().out.split())
    broken["correlation"] = lambda inputs: -on_numpy.correlation(inputs)
    assert [each.hints for each in failed_of(broken, ["estimator_manifold"], "chained")] == [("factor 2",), ("sign",)]


def test_what_else_failed_is_named_up_to_five(capsys):
    failed = failed_of({"correlation": lambda inputs: -on_numpy.correlation(inputs)})
    for others in (1, 5, 6):
        console().print(report.first_divergence(failed[: others + 1]))
        line = " ".join(capsys.readouterr().out.split()).partition(f"{others} more failed: ")[2]
        assert line.count(" · ") == min(others, 5)
        assert line.endswith(", …") == (others == 6)
    console().print(report.first_divergence(failed[:1]))
    assert "more failed" not in capsys.readouterr().out


def test_families_have_the_colour_of_their_worst_stage():
    results = check(PACK.cases, implemented({"correlation": lambda inputs: -on_numpy.correlation(inputs)}))
    styles = dict(zip(report.families(results).columns[0].cells, report.families(results).rows, strict=True))
    assert {styles[family].style for family in ("estimator", "random")} == {"red", "dim"}
    right = check(PACK.cases, implemented({"bits": on_numpy.bits}))
    assert [row.style for row in report.families(right).rows if row.style != "dim"] == [""]


def test_unanswered_operations_are_counted_from_two_on():
    answered = {name: getattr(on_numpy, name) for name in ("bits", "correlation", "delta")}
    (line,) = report.unanswered(check(PACK.cases, implemented(answered)))
    times = [int(number) for number in re.findall(r" (\d+)(?=[,;]|$)", line)]
    assert len(times) > 5
    assert min(times) == 2
    assert re.search(r"[,:] [a-z_]+(,|;|$)", line)


TRAJECTORIES = ["trajectory_nmnc_float64", "trajectory_layerwise_float64", "trajectory_convolutional_float64"]


@pytest.mark.parametrize("name", [*TRAJECTORIES, "trajectory_recurrent_float64"])
def test_the_parts_of_a_state_that_differ_are_named(name):
    (case,) = (case for case in PACK.cases if case.name == name)
    stage = case.stages[0]
    inputs = {argument: case.inputs[source] for argument, source in stage.inputs.items()} | stage.parameters
    parts = OPERATIONS[stage.operation].parts(inputs)
    assert sum(math.prod(shape) for shape in parts.values()) == stage.value.size
    changed = stage.value.copy()
    changed[-1] += 1
    (failed,) = (r for r in check([case], recorded({name: {stage.name: changed}})) if r.status == "failed")
    last = list(parts)[-1]
    feedback = [part for part in parts if part.startswith("feedback")]
    first = 0 if "recurrent" in name else 1  # lag or layer
    assert feedback == [f"feedback_{index}" for index in range(first, first + len(feedback))]
    assert failed.part == f"{last}{[length - 1 for length in parts[last]]}"
    assert (failed.differ, failed.agree) == ((last,), tuple(parts)[:-1])
    assert shown([failed])["index from 0"] == f"[{stage.value.size - 1}] of the whole: {failed.part}"
    assert shown([failed])["differ"] == last


def test_the_first_element_that_is_wrong_is_named_in_the_part_that_it_is_in():
    case = next(case for case in PACK.cases if case.name == "trajectory_recurrent_float64")
    stage = case.stages[0]
    changed = stage.value.copy()
    changed[stage.value.size - 10 :] += 1  # the last of three matrices of feedback [2, 5]
    changed[25 + 7] += 1  # in the second array, [5, 2]
    changed[25 + 9] += 2
    (failed,) = (r for r in check([case], recorded({case.name: {stage.name: changed}})) if r.failed)
    assert (failed.element, failed.part) == ((32,), "input_weight[3, 1]")
    assert failed.differ == ("input_weight", "feedback_2")
    changed[25] += 1
    (failed,) = (r for r in check([case], recorded({case.name: {stage.name: changed}})) if r.failed)
    assert (failed.element, failed.part) == ((25,), "input_weight[0, 0]")


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_errors_are_counted_in_units_of_the_last_place(precision):
    case = next(case for case in PACK.cases if case.name == "perturbation_manifold")
    want = case.stages[0].value.astype(precision)
    places = np.zeros(want.shape)
    places[1, 2, 3], places[4, 0, 6] = 4096, 8192

    def result(units):
        got = want + units * np.spacing(np.abs(want))
        (found,) = check([case], recorded({case.name: {"manifold_noise": got.astype(precision)}}), precision=precision)
        return found

    assert (result(places).status, result(places).element) == ("failed", (1, 2, 3))
    assert result(places).ulps == pytest.approx(4096, abs=1)
    assert (result(places / 8192).status, result(places / 8192).element) == ("passed", (4, 0, 6))


def test_what_should_be_zero_is_off_by_no_units_of_its_last_place():
    failed = failed_of({"slope": lambda inputs: 1 - on_numpy.slope(inputs)}, ["network_relu_at_zero"])
    zero = next(each for each in failed if each.want == 0)
    assert (zero.got, zero.error, zero.ulps) == (1, 1, None)


def test_an_interrupt_ends_the_check():
    def interrupted(inputs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failed_of({"correlation": interrupted})


@pytest.mark.parametrize(("precision", "other"), [("float32", "float64"), ("float64", "float32")])
def test_numbers_of_the_other_precision_are_refused(precision, other):
    right = {"correlation": lambda inputs: on_numpy.correlation(inputs).astype(other)}
    notes = {each.note for each in failed_of(right, precision=precision)}
    assert notes == {f"wrong dtype: expected {precision}, got {other}"}


@pytest.mark.parametrize(("precision", "mode"), [("float16", "isolated"), ("float64", "free")])
def test_a_precision_or_mode_that_there_is_not_is_refused(precision, mode):
    with pytest.raises(
        ValueError, match=r"expected one of .*(float64, float32|isolated, chained).*, got '(float16|free)'"
    ):
        check(PACK.cases, recorded({}), precision=precision, mode=mode)


def test_precisions_are_as_fine_as_their_formats():
    eps = {name: each.eps for name, each in PRECISIONS.items()}
    assert [eps["float64"], eps["float32"]] == [np.finfo(np.float64).eps, np.finfo(np.float32).eps]
    assert eps["tfloat32"] == np.finfo(np.float16).eps, "as many bits"
    assert eps["bfloat16"] == np.finfo(np.float32).eps * 2**16, "float32 without its last 16 bits"


def test_a_tolerance_is_what_the_guide_says():
    assert Tolerance("linear", 9, 2.0).relative(2.0**-10) == 4 * 3 * 2 / 1024
    assert Tolerance("inverse", 9, 2.0).relative(2.0**-10, carried=0.5) == 16 * 3 * 2 / 1024 + 1
    assert Tolerance("exact", 9, 2.0).relative(2.0**-10, carried=0.5) == 0


def text(value, form):
    """Return numbers as they are read back from text."""
    return np.array([float(format(each, form)) for each in value.ravel().tolist()]).reshape(value.shape)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", [".6g", ".9g", ".14g", ".6f"])
def test_digits_that_are_lost_in_text_are_a_hint(form, mode):
    written = {case.name: {stage.name: text(stage.value, form) for stage in case.stages} for case in PACK.cases}
    failed = [each for each in check(PACK.cases, recorded(written), mode=mode) if each.status == "failed"]
    explained = [each for each in failed if each.hints == ("digits lost in text",)]
    real = [each for each in failed if each.stage.value.dtype.kind == "f" and not each.follows]
    assert report.first_of(real).hints == ("digits lost in text",)
    assert len(explained) > 0.9 * len(real)


def column_major(array):
    return np.ravel(array).reshape(np.shape(array), order="F")


@pytest.mark.parametrize("written", [np.asarray, lambda array: array.ravel(order="F").reshape(array.shape)])
def test_arrays_that_are_read_as_column_major_are_a_hint(written):
    def misread(name):
        def answer(inputs):
            read = {key: column_major(each) if np.ndim(each) else each for key, each in inputs.items()}
            return written(getattr(on_numpy, name)(read))

        return {name: answer}

    for name in ("correlation", "preactivation", "weight_gradient", "covariance_noise"):
        assert {each.hints for each in failed_of(misread(name))} == {("column-major",)}


@pytest.mark.parametrize(
    ("name", "hints"), [("weight_gradient", ("transposed", "column-major")), ("correlation", ("transposed",))]
)
def test_a_product_that_is_transposed_and_has_the_right_shape_is_a_hint(name, hints):
    def transposed_data(inputs):
        right = getattr(on_numpy, name)(inputs)
        return np.swapaxes(right, -1, -2).reshape(right.shape)

    assert {each.hints for each in failed_of({name: transposed_data})} == {hints}


def test_what_has_no_answer_is_named_and_may_be_required(capsys, tmp_path):
    one = ["vectors", "check", "--impl", f"{__name__}:one_function"]
    assert main(one) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "not implemented: all of random, network, manifold, perturbation, feedback, " in out
    assert "; estimator: manifold_noise 10, antithetic_response 9, " in out
    assert "0 failed, " in out
    assert main([*one, "--require", "all"]) == 1
    assert main(["vectors", "check", "--impl", REFERENCE, "--require", "all"]) == 0
    shutil.copy(pack.SHIPPED / "estimator_manifold.json", tmp_path)
    content = json.loads((pack.SHIPPED / "estimator_one_draw.json").read_bytes())
    assert content["stages"].pop()["name"] == "correlation"
    (tmp_path / "estimator_one_draw.json").write_text(json.dumps(content))
    assert main(["vectors", "check", "--answers", str(tmp_path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "unanswered 1: no answer in the file: estimator_one_draw · correlation" in out
    assert "no file of answers: all of random, network, " in out, "families that have no answer at all"
    assert "; estimator: isotropic_noise 2, one_sided_response 3, correlation 7, " in out, "operations, of one that has"


def test_what_is_required_and_has_no_answer_is_named_even_where_all_is_quiet(capsys, tmp_path):
    shutil.copytree(pack.SHIPPED, tmp_path, dirs_exist_ok=True)
    (tmp_path / "credit_direct.json").unlink()
    quiet = ["vectors", "check", "--answers", str(tmp_path), "--quiet"]
    assert main(quiet) == 0
    assert "credit_direct" not in capsys.readouterr().out
    assert main([*quiet, "--require", "all"]) == 1
    assert re.match(r"unanswered \d+: no file of answers: credit_direct\n\d+ passed", capsys.readouterr().out)


one_function = {"correlation": lambda inputs: on_numpy.correlation(inputs)}


class Helped:
    """A port with functions of its own."""

    correlation = staticmethod(functools.partial(on_numpy.correlation))

    def _mainfold_noise(self, inputs):
        """Of no concern to others."""

    def correlations(self, inputs):
        """Not a misspelling: what it resembles is there."""


class Error(Exception):
    """Of a port, and not its operation `error`."""


def module(home: str) -> types.ModuleType:
    """Return a module of the name own with a misspelt function that is defined in the module of a name."""

    def mainfold_noise(inputs):
        """Never called."""

    made = types.ModuleType("own")
    made.mainfold_noise, mainfold_noise.__module__ = mainfold_noise, home
    return made


class Misspelt(Helped):
    def mainfold_noise(self, inputs):
        """Never called."""


def test_a_misspelt_operation_is_refused():
    for port, message in (
        ({"corelation": one_function["correlation"]}, "'corelation': .*; did you mean correlation"),
        ({"anything": one_function["correlation"]}, "'anything': expected the name of an operation or stage$"),
        (Misspelt(), r"'mainfold_noise': .*; did you mean manifold_noise\? \(a function that .* may begin with _\)$"),
        (module("own"), "'mainfold_noise': .*; did you mean manifold_noise"),
    ):
        with pytest.raises(UnknownOperation, match=message):
            implemented(port)
    imported = [module(home) for home in ("before", "your")]
    for port in (Helped(), on_numpy, sys.modules[__name__], {"activity_2": one_function["correlation"]}, *imported):
        implemented(port)


def test_the_command_refuses_a_misspelt_operation(capsys, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "one_function", {"corelation": None})
    assert main(["vectors", "check", "--impl", f"{__name__}:one_function"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_case_that_differs_by_rounding_alone_is_not_written_anew():
    case = next(case for case in PACK.cases if case.name == "network_tanh")

    def with_output(factor):
        first, *rest = case.stages
        return case._replace(stages=(first._replace(value=first.value * factor), *rest))

    assert generate.alike(case, with_output(1 + 2.0**-52))
    assert not generate.alike(case, with_output(1 + 1e-9))
    assert not generate.alike(case, case._replace(why="Another."))

    def with_condition(factor):
        tolerance = case.stages[0].tolerance
        first = case.stages[0]._replace(tolerance=tolerance._replace(condition=factor * tolerance.condition))
        return case._replace(stages=(first, *case.stages[1:]))

    assert generate.alike(case, with_condition(1.005))
    assert not generate.alike(case, with_condition(1.02))


def test_what_is_generated_is_what_is_shipped_and_takes_the_place_of_what_is_no_more(tmp_path):
    (tmp_path / "gone.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("not of the pack")
    generate.write(tmp_path)
    (tmp_path / "notes.txt").unlink()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in pack.SHIPPED.iterdir()}
    generators = [json.loads((folder / pack.MANIFEST).read_bytes())["generator"] for folder in (tmp_path, pack.SHIPPED)]
    for path in tmp_path.iterdir():
        written = path.read_bytes()
        if path.name == pack.MANIFEST:  # which says what it was written with, now and then
            written = written.replace(*(json.dumps(each).encode() for each in generators))
        assert written == (pack.SHIPPED / path.name).read_bytes(), path.name


@pytest.mark.parametrize(("arguments", "named"), [([], ["vectors", "audit"]), (["vectors"], ["write", "check"])])
def test_the_command_names_what_there_is(arguments, named, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert all(name in err.splitlines()[-1] for name in named)


def test_the_command_has_a_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"nmnc_ref {nmnc_ref.__version__}\n"


def test_a_port_may_use_its_memory_again():
    """Each answer of a shape in the same array."""
    memory = {}

    def ported(name):
        def answer(inputs):
            found = np.asarray(getattr(on_numpy, name)(inputs))
            kept = memory.setdefault((found.shape, found.dtype), np.empty_like(found))
            kept[...] = found
            return kept

        return answer

    assert not failed_of({name: ported(name) for name in OPERATIONS}, mode="chained")


def test_answers_of_any_finite_size_have_a_report():
    for huge in (1e308, -1.7e308):
        port = {name: lambda inputs, name=name: np.asarray(getattr(on_numpy, name)(inputs)) for name in OPERATIONS}
        port["correlation"] = lambda inputs, huge=huge: np.full_like(on_numpy.correlation(inputs), huge)
        results = check(PACK.cases, implemented(port))
        assert {each.stage.operation for each in results if each.status == "failed"} == {"correlation"}
        json.dumps(report.document(results, PACK.version, "float64", "isolated"), allow_nan=False)


def test_what_a_port_panics_with_fails_the_stage():
    class Panic(BaseException):
        """As other languages' runtimes raise."""

    def panic(inputs):
        raise Panic

    (failed,) = failed_of({**one_function, "activity_2": panic}, ["network_tanh"])
    assert "raised" in failed.note


def test_an_object_that_looks_names_up_in_a_table_of_its_own():
    class Table:
        def __getattr__(self, name):
            return {"correlation": on_numpy.correlation}[name]

        @property
        def broken(self):
            raise RuntimeError

    results = check(PACK.cases, implemented(Table()))
    assert {each.stage.operation for each in results if each.status == "passed"} == {"correlation"}
    assert not any(each.status == "failed" for each in results)


@pytest.mark.parametrize("mode", MODES)
def test_words_in_floating_point_have_lost_no_digits(mode):
    failed = failed_of({"bits": lambda inputs: np.asarray(on_numpy.bits(inputs), np.float64)}, mode=mode)
    assert failed
    assert all("wrong dtype" in each.note and not each.hints for each in failed)


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        (["--impl", REFERENCE], "isolated"),
        (["--impl", REFERENCE, "--mode", "chained"], "chained"),
        (["--answers", "."], "chained"),
        (["--answers", ".", "--mode", "isolated"], "isolated"),
    ],
)
def test_the_mode_is_that_of_files_or_that_which_was_asked_for(words, mode, monkeypatch, tmp_path):
    shutil.copy(pack.SHIPPED / "perturbation_isotropic.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    command, modes = sys.modules["nmnc_ref.oracle.vectors.command"], []
    monkeypatch.setattr(command, "check", lambda *given, mode, **named: modes.append(mode) or [])
    main(["vectors", "check", *words])
    assert modes == [mode]


@pytest.mark.parametrize(
    ("source", "words", "said"),
    [
        (["--impl", f"{__name__}:one_function"], f"{__name__}:one_function", ("isolated", "float32", "all", False)),
        (["--answers", "answers"], "answers in answers", ("chained", "float32", "any", True)),
    ],
)
def test_the_page_says_what_was_asked_for(source, words, said, monkeypatch, tmp_path, capsys):
    (tmp_path / "answers").mkdir()
    shutil.copy(pack.SHIPPED / "random_words_pi.json", tmp_path / "answers")
    monkeypatch.chdir(tmp_path)
    pages = []
    monkeypatch.setattr(page, "write", lambda folder, results, settings, passed: pages.append((settings, passed)))
    mode, precision, required, whether = said
    asked = ["--dtype", precision, "--require", required, "--report", "report", "--quiet"]
    assert main(["vectors", "check", *source, *asked]) == (0 if whether else 1)
    rows = {"Implementation": words, "Mode": mode, "Precision": precision, "Answers required": required}
    assert pages == [({**rows, "Pack": PACK.version}, whether)]


def test_options_are_given_by_name():
    with pytest.raises(TypeError):
        check(PACK.cases, recorded({}), "float64")
    with pytest.raises(TypeError):
        report.show([], console(), True)
    assert check(cases=[], answer=recorded({})) == []


def test_of_training_one_step_is_compiled_and_of_all_else_the_whole():
    def compiler(function, static_argnames):
        compiled.append((function, set(static_argnames)))
        return function

    compiling = Reference(array_api_compat.numpy, compiler)
    for case, stage in {stage.operation: (case, stage) for case, stage in reversed(STAGES)}.values():
        compiled = []
        values = case.inputs | {each.name: each.value for each in case.stages}
        arrays = {argument: values[source] for argument, source in stage.inputs.items()}
        getattr(compiling, stage.operation)(arrays | stage.parameters)
        if stage.operation.endswith("training_state"):
            assert compiled == [(training.step, {"route", "loss", "settings"})]
        else:
            whole = (OPERATIONS[stage.operation].function, set(stage.parameters))
            assert compiled == ([whole] if arrays else [])
