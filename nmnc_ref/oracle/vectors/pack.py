"""The pack of golden vectors: cases with their stages, the manifest that seals them, and answers to them.

A pack is a folder: one JSON file for each case, `case.schema.json` (a JSON Schema of these files) and `manifest.json`
(versions, operations, classes of tolerance, and the sha256 of every file). An answers folder holds files of the names
of the cases, as JSON or npz, of which only the names and values of stages are read; so a pack is valid as its own
answers.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref.oracle.vectors.form import (
    MOST_MEMBERS,
    FormError,
    decode,
    document,
    encode,
    parse_json,
    read_bytes,
    read_npz,
    write_npz,
)
from nmnc_ref.oracle.vectors.tolerance import CLASSES, Tolerance

SCHEMA = 1
"""Version of the form of the files."""
SHIPPED = Path(__file__).parent / "data"
MANIFEST = "manifest.json"
CASE_SCHEMA = "case.schema.json"


def _object(**fields: Any) -> dict[str, Any]:
    """Return the JSON Schema of an object that has these fields, among others."""
    return {"type": "object", "required": list(fields), "properties": fields}


_CASE = json.loads((SHIPPED / CASE_SCHEMA).read_bytes())
_DEFS = _CASE["$defs"]
del _DEFS["array"]["properties"]["data"]["items"]  # `decode` looks at the numbers, as their dtype says what they may be
_ANSWER = _object(name=_DEFS["name"], value=_DEFS["array"])
_ANSWERS = {"type": "array", "maxItems": MOST_MEMBERS, "items": _ANSWER}
_FILES = {"type": "object", "propertyNames": {"pattern": r"^[a-z][a-z0-9_]{0,63}(\.schema)?\.json\Z"}}
_MANIFEST = _object(schema={"const": SCHEMA}, version={"type": "string"}, files=_FILES)


class Stage(NamedTuple):
    """A value on the way: what was computed, from what, and how near an answer has to be.

    `inputs`: for each array argument of the operation the name of its source, an input of the case or an earlier
    stage; `parameters`: plain numbers and strings.
    """

    name: str
    operation: str
    claim: str
    inputs: dict[str, str]
    parameters: dict[str, Any]
    tolerance: Tolerance
    value: np.ndarray


class Case(NamedTuple):
    """Inputs and the stages computed from them, in order.

    `why`: the slip that it catches; `precision`: "any", or the one dtype that its stages exist in.
    """

    name: str
    family: str
    why: str
    precision: str
    inputs: dict[str, np.ndarray]
    stages: tuple[Stage, ...]


class Pack(NamedTuple):
    """All cases, each family after those that it builds on, and the pack's version."""

    version: str
    cases: tuple[Case, ...]


def case_document(case: Case) -> bytes:
    """Return the file of a case."""
    return document(_fields(case, encode), spread=("inputs", "stages"))


def _fields(case: Case, value: Any) -> dict[str, Any]:
    stages = [
        {
            "name": stage.name,
            "operation": stage.operation,
            "claim": stage.claim,
            "inputs": stage.inputs,
            "parameters": stage.parameters,
            "tolerance": {
                "class": stage.tolerance.kind,
                "terms": stage.tolerance.terms,
                "condition": stage.tolerance.condition,
            },
            "value": value(stage.value),
        }
        for stage in case.stages
    ]
    return {
        "schema": SCHEMA,
        "name": case.name,
        "family": case.family,
        "why": case.why,
        "precision": case.precision,
        "claims": sorted({stage.claim for stage in case.stages if stage.claim}),
        "inputs": {name: value(array) for name, array in case.inputs.items()},
        "stages": stages,
    }


def case_npz(case: Case) -> bytes:
    """Return a case as npz: arrays `inputs.NAME` and `stages.NAME`, and the rest as UTF-8 JSON in the bytes `case`."""
    text = document(_fields(case, lambda array: {"shape": list(array.shape), "dtype": array.dtype.name}))
    arrays = {f"inputs.{name}": array for name, array in case.inputs.items()}
    arrays |= {f"stages.{stage.name}": stage.value for stage in case.stages}
    return write_npz({"case": np.frombuffer(text, dtype=np.uint8), **arrays})


def read_pack(folder: Path = SHIPPED) -> Pack:
    """Read a pack of JSON files, verifying the hashes of its manifest.

    Raises:
        FormError: a file that is missing, altered or not of the form.
    """
    manifest = parse_json(str(folder / MANIFEST), read_bytes(folder / MANIFEST), _MANIFEST)
    cases = []
    for file, digest in manifest["files"].items():
        content = read_bytes(folder / file)
        if hashlib.sha256(content).hexdigest() != digest:
            raise FormError(f"{folder / file}: expected the sha256 of the manifest, got a file that was changed")
        if file != CASE_SCHEMA:
            cases.append(_case(str(folder / file), parse_json(str(folder / file), content, _CASE)))
    return Pack(manifest["version"], tuple(cases))


def _case(file: str, fields: dict[str, Any]) -> Case:
    inputs = {name: decode(f"{file}: {name!a}", value) for name, value in fields["inputs"].items()}
    stages = tuple(_stage(file, stage) for stage in fields["stages"])
    return Case(fields["name"], fields["family"], fields["why"], fields["precision"], inputs, stages)


def _stage(file: str, fields: dict[str, Any]) -> Stage:
    tolerance = Tolerance(*(fields["tolerance"][name] for name in ("class", "terms", "condition")))
    value = decode(f"{file}: {fields['name']!a}", fields["value"])
    return Stage(**{**fields, "tolerance": tolerance, "value": value})


def read_answers(folder: Path, cases: tuple[Case, ...]) -> dict[str, dict[str, np.ndarray]]:
    """Return, for each case that the folder has a file for, the answers to its stages.

    Hidden files are left alone, such as those that a system keeps beside others.

    Raises:
        FormError: no folder; files of a name that no case has, that are there both as JSON and npz or are not of the
            form; stages that a case does not have, or that are there twice: all of them, one a line.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise FormError(f"{folder}: expected a folder of answers; it cannot be read: {error.strerror}") from None
    known = {case.name: case for case in cases}
    found: dict[str, dict[str, np.ndarray]] = {}
    problems = []
    for path in paths:
        hidden = path.name.startswith(".")  # what other systems leave beside a file
        if hidden or path.suffix not in (".json", ".npz") or path.name in (MANIFEST, CASE_SCHEMA):
            continue
        try:
            if path.stem not in known:
                raise FormError(f"{folder}: the file {path.name!a} is of no case of the pack")
            if path.stem in found:
                raise FormError(f"{folder}: expected {path.stem} as JSON or as npz, got both")
            found[path.stem] = _case_answers(path, known[path.stem])
        except FormError as error:
            problems.append(str(error))
    if problems:
        raise FormError("\n".join(problems))
    return found


def _case_answers(path: Path, case: Case) -> dict[str, np.ndarray]:
    read = _npz_answers if path.suffix == ".npz" else _json_answers
    answers = read(str(path), read_bytes(path))
    unknown = set(answers) - {stage.name for stage in case.stages}
    if unknown:
        raise FormError(f"{path}: the case has no stage of the name {min(unknown)!a}")
    return answers


def _json_answers(file: str, content: bytes) -> dict[str, np.ndarray]:
    schema = _object(stages=_ANSWERS)
    schema["properties"]["name"] = {"const": Path(file).stem}
    answers: dict[str, np.ndarray] = {}
    for stage in parse_json(file, content, schema)["stages"]:
        if stage["name"] in answers:
            raise FormError(f"{file}: the stage {stage['name']!a} is there twice")
        answers[stage["name"]] = decode(f"{file}: {stage['name']!a}", stage["value"])
    return answers


def _npz_answers(file: str, content: bytes) -> dict[str, np.ndarray]:
    arrays = read_npz(file, content, lambda member: member.startswith("stages."))
    return {member.removeprefix("stages."): array for member, array in arrays.items()}


def seal(version: str, generator: dict[str, str], operations: dict[str, Any], files: dict[str, bytes]) -> bytes:
    """Return the manifest of files by name."""
    classes = {name: {"factor": each.factor, "why": each.why} for name, each in CLASSES.items()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    fields = {"schema": SCHEMA, "version": version, "generator": generator, "tolerance_classes": classes}
    spread = ("tolerance_classes", "operations", "files")
    return document({**fields, "operations": operations, "files": hashes}, spread)
