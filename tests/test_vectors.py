"""The golden vectors: up to date, valid, passed by the reference on every library, and failed by every mutation."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from nmnc_ref.__main__ import main
from nmnc_ref.oracle.vectors import cases, generate, pack, report
from nmnc_ref.oracle.vectors.adapter import on_numpy
from nmnc_ref.oracle.vectors.check import MODES, check, implemented, recorded
from nmnc_ref.oracle.vectors.operations import OPERATIONS
from nmnc_ref.oracle.vectors.tolerance import CLASSES, PRECISIONS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
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


def test_the_command_of_the_readme_passes():
    (command,) = re.findall(r"python -m (nmnc_ref vectors check.*)", README)
    assert main(shlex.split(command)[1:]) == 0


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


@pytest.mark.parametrize(("case", "stage"), STAGES, ids=lambda each: each.name)
def test_every_stage_has_a_mutation_that_is_beyond_its_tolerance(case, stage):
    precision = "float64" if case.precision == "any" else case.precision
    assert any(beyond(stage, mutate(stage.value), precision) for mutate in MUTATIONS.values())


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


def test_stages_that_no_tolerance_could_fail_are_skipped():
    results = check(PACK.cases, implemented(on_numpy), precision="bfloat16")
    assert all(r.tolerance <= 0.25 * np.max(np.abs(r.stage.value)) for r in results if r.status == "passed")
    assert any("would say little" in r.note for r in results)


def test_the_report_names_everything_about_the_first_divergence():
    broken = {"correlation": lambda inputs: on_numpy.correlation(inputs) * inputs["noise"].shape[0]}
    first = next(r for r in check(PACK.cases, implemented(broken)) if r.status == "failed")
    rows = dict(report._details(first))
    assert list(rows) == ["claim", "equation", "index from 0", "got", "want", "error", "tolerance", "why", "hint"]
    assert rows["claim"] == "E2"
    assert rows["hint"] == "sum for mean"
    assert "ulps" in rows["error"]
