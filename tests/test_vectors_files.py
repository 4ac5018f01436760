"""Files from strangers: whatever is wrong with them is said in one line, with a non-zero exit status."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import time
import warnings
import zipfile

import numpy as np
import pytest

from nmnc_ref.__main__ import main
from nmnc_ref.oracle.vectors import form, pack

pytestmark = pytest.mark.usefixtures("packs_read_once")

CASE = "perturbation_isotropic"
SCHEMA = json.loads((pack.SHIPPED / pack.CASE_SCHEMA).read_bytes())
REFERENCE = "nmnc_ref.oracle.vectors.adapter:on_numpy"


def fields() -> dict:
    return json.loads((pack.SHIPPED / f"{CASE}.json").read_bytes())


def altered(**changes) -> bytes:
    """Return a file of answers whose first value has other fields."""
    document = fields()
    document["stages"][0]["value"] |= changes
    return json.dumps(document).encode()


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def archive(name: str, content: bytes, compression: int = zipfile.ZIP_DEFLATED, times: int = 1) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file, warnings.catch_warnings(action="ignore"):
        for _ in range(times):
            file.writestr(name, content)
    return stream.getvalue()


def header(shape: str, descr: str = "<f8") -> bytes:
    """Return an npy file that claims a shape and holds nothing."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


class Trap:
    def __reduce__(self):
        return os.system, ("touch trapped",)


WHOLE = (pack.SHIPPED / f"{CASE}.json").read_bytes()
SHAPE = fields()["stages"][0]["value"]["shape"]
DATA = fields()["stages"][0]["value"]["data"]
BAD_JSON = {
    "truncated": (WHOLE[: len(WHOLE) // 2], "expected JSON"),
    "empty": (b"", "expected JSON"),
    "claim of 1 GB": (altered(shape=[1000, 1000, 125]), "expected at most 1048576 elements"),
    "claim beyond all": (altered(shape=[2**62, 2**62]), "expected at most 1048576 elements"),
    "claim beside nothing": (altered(shape=[0, 2**62, 2**62], data=[]), "expected at most 1048576 elements"),
    "negative shape": (altered(shape=[-1, 30]), "expected minimum 0, got int -1"),
    "a length that is no list": (altered(shape=7), "['shape']: expected type 'array', got int 7; a list of one is [7]"),
    "a number that is no list": (altered(data=1.5), "['data']: expected type 'array', got float 1.5; a list of one is"),
    "Inf": (
        WHOLE.replace(b'"data": [', b'"data": [-Inf, '),
        "got '-Inf'; NaN and infinity are NaN and Infinity here, or",
    ),
    "shape of words": (altered(shape="ab"), "expected type 'array', got str 'ab'"),
    "shape of booleans": (altered(shape=[True]), "expected type 'integer', got bool True\n"),
    "too few numbers": (altered(data=DATA[:-1]), "expected data of 30 numbers for shape [3, 2, 5], got 29"),
    "too many numbers": (altered(data=[*DATA, 1.0]), "expected data of 30 numbers for shape [3, 2, 5], got 31"),
    "too many axes": (altered(shape=[1] * 9, data=[1.0]), "expected maxItems 8, got list"),
    "data of words": (altered(data=["1"] * len(DATA)), "expected numbers of float64"),
    "data of lists": (altered(data=[[1]] * len(DATA)), "expected numbers of float64"),
    "data of booleans": (altered(data=[True] * len(DATA)), "expected numbers of float64"),
    "unknown dtype": (altered(dtype="object"), "expected enum ['float64', 'float32', 'uint32', 'int32']"),
    "Fortran order": (altered(order="F"), "['order']: expected const 'C'"),
    "another field": (
        altered(more=1),
        "expected additionalProperties False, got dict ['shape', 'dtype', 'order', 'data', 'more']",
    ),
    "a huge integer": (WHOLE.replace(b"[3, 2, 5]", b"[" + b"9" * 5000 + b"]"), "expected JSON"),
    "an integer beyond floats": (altered(data=[10**400] * len(DATA)), "out of its range"),
    "words with few digits": (
        altered(dtype="uint32", data=[float(f"{2416971234:.6g}")] * len(DATA)),
        "got 2416970000.0 at data[0]; an integer has no point or exponent: were digits lost in text?",
    ),
    "words beyond 32 bits": (altered(dtype="uint32", data=[2**32] * len(DATA)), "out of its range"),
    "deep nesting": (b"[" * 10**6, "nested at most"),
    "deep objects": (b'{"a":' * 10**5, "nested at most"),
    "not UTF-8": (b'{"name": "\xff"}', "expected UTF-8"),
    "a list": (b"[]", "expected type 'object', got list"),
    "no stages": (b"{}", "expected required ['stages']"),
    "a stage of words": (b'{"stages": ["a"]}', "['stages'][0]: expected type 'object', got str 'a'"),
    "a key twice": (b'{"stages": [], "stages": []}', "comes twice"),
    "too many stages": (json.dumps({"stages": [{}] * (form.MOST_MEMBERS + 1)}).encode(), "expected maxItems 4096"),
    "a stage twice": (json.dumps({"stages": fields()["stages"] * 2}).encode(), "there twice"),
    "an unknown stage": (WHOLE.replace(b'"name": "isotropic_noise"', b'"name": "isotropic"'), "no stage of the name"),
    "a path for a stage": (WHOLE.replace(b'"name": "isotropic_noise"', b'"name": "../../x"'), "expected pattern"),
    "a path for a case": (
        WHOLE.replace(b'"name": "perturbation_isotropic"', b'"name": "../x"'),
        "expected const 'perturbation_isotropic'",
    ),
    "another case": (WHOLE.replace(b'"name": "perturbation_isotropic"', b'"name": "other"'), "got str 'other'"),
    "a line's end": (
        WHOLE.replace(b'"name": "isotropic_noise"', rb'"name": "isotropic_noise\n"'),
        "no stage of the name",
    ),
    "a terminal's escape": (WHOLE.replace(b'"name": "isotropic_noise"', rb'"name": "\u001b[2J"'), r"\x1b"),
    "too large": (WHOLE + b" " * form.MOST_BYTES, "expected at most 8388608 bytes"),
}
VALUE = np.array(DATA).reshape(SHAPE)
BAD_NPZ = {
    "no zip": (b"PK not really", "expected an npz file"),
    "truncated": (npz(**{"stages.isotropic_noise": VALUE})[:-40], "expected an npz file"),
    "a pickle": (
        npz(**{"stages.isotropic_noise": np.array([Trap()], dtype=object)}),
        "expected an array of real numbers",
    ),
    "a bare pickle": (archive("stages.isotropic_noise.npy", pickle.dumps(Trap())), "expected an array in npy form"),
    "words": (npz(**{"stages.isotropic_noise": np.array(["a"])}), "expected an array of real numbers"),
    "complex numbers": (npz(**{"stages.isotropic_noise": VALUE * 1j}), "expected an array of real numbers"),
    "claim of 1 GB": (archive("stages.isotropic_noise.npy", header("(1000, 1000, 125)")), "expected at most"),
    "claim of more": (archive("stages.isotropic_noise.npy", header("(3, 2, 5)")), "expected 240 bytes"),
    "claim of less": (archive("stages.isotropic_noise.npy", header("(2,)") + bytes(17)), "expected 16 bytes"),
    "claim of nine axes": (archive("stages.isotropic_noise.npy", header("(1, 1, 1, 1, 1, 1, 1, 1, 1)")), "and 8 axes"),
    "many arrays": (npz(**dict.fromkeys(map("stages.x{}".format, range(4097)), np.zeros(0))), "at most 4096 arrays"),
    "an array twice": (
        archive("stages.isotropic_noise.npy", header("(0,)"), times=2),
        "expected a name like stages.output, once",
    ),
    "another compression": (
        archive("stages.isotropic_noise.npy", bytes(1000), zipfile.ZIP_BZIP2),
        "stored or deflated",
    ),
    "a bomb": (archive("stages.isotropic_noise.npy", bytes(10**8)), "expected at most"),
    "a header that computes": (archive("stages.isotropic_noise.npy", header("__import__('os')")), "in npy form"),
    "a header that is cut": (archive("stages.isotropic_noise.npy", header("(3, 2, 5)")[:40]), "in npy form"),
    "a header of brackets": (archive("stages.isotropic_noise.npy", header("(" * 50)), "in npy form"),
    "no header": (archive("stages.isotropic_noise.npy", b"\x93NUMPY\x02"), "in npy form"),
    "a path": (archive("../../stages.x.npy", header("(1,)")), "expected a name"),
    "a path in a name": (archive("stages.../x.npy", header("(1,)")), "expected a name"),
    "an unknown stage": (npz(**{"stages.other": VALUE}), "no stage of the name"),
}
FILES = [(f"{CASE}.json", *case) for case in BAD_JSON.values()] + [(f"{CASE}.npz", *case) for case in BAD_NPZ.values()]


def outcome(arguments: list[str], capsys) -> tuple[int, str]:
    """Run the command and return its exit status and what it wrote to stderr."""
    status = main(["vectors", *arguments])
    return status, capsys.readouterr().err


def refused(arguments: list[str], message: str, capsys) -> None:
    """Assert that a command exits with 2 and one line."""
    status, err = outcome(arguments, capsys)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert len(err) < 600


@pytest.mark.parametrize(
    ("name", "content", "message"), FILES, ids=[f"json {k}" for k in BAD_JSON] + [f"npz {k}" for k in BAD_NPZ]
)
def test_files_that_are_not_of_the_form(name, content, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / name).write_bytes(content)
    refused(["check", "--answers", str(answers)], message, capsys)
    assert not (tmp_path / "trapped").exists()


def test_all_malformed_files_are_named(tmp_path, capsys):
    (tmp_path / f"{CASE}.json").write_bytes(altered(shape=7))
    (tmp_path / "network_tanh.npz").write_bytes(b"PK not really")
    (tmp_path / "other.json").write_bytes(WHOLE)
    (tmp_path / "estimator_batch.json").write_bytes((pack.SHIPPED / "estimator_batch.json").read_bytes())
    status, err = outcome(["check", "--answers", str(tmp_path)], capsys)
    assert status == 2
    assert all(name in err for name in (CASE, "network_tanh", "other"))
    assert err.count("\n") == 3


def test_files_that_are_no_files(tmp_path, capsys):
    refused(["check", "--answers", str(tmp_path / "nowhere")], "expected a folder", capsys)
    file = tmp_path / f"{CASE}.json"
    file.symlink_to(pack.SHIPPED / f"{CASE}.json")
    refused(["check", "--answers", str(tmp_path)], "no link", capsys)
    file.unlink()
    os.mkfifo(file)
    refused(["check", "--answers", str(tmp_path)], "no link, folder or device", capsys)
    file.unlink()
    (tmp_path / "no_such_case.json").write_bytes(WHOLE)
    refused(["check", "--answers", str(tmp_path)], "of no case", capsys)
    (tmp_path / "no_such_case.json").unlink()
    file.write_bytes(WHOLE)
    (tmp_path / f"._{CASE}.json").write_bytes(b"what another system keeps beside a file")
    assert main(["vectors", "check", "--answers", str(tmp_path)]) in (0, 1)
    file.with_suffix(".npz").write_bytes(npz(**{"stages.isotropic_noise": VALUE}))
    refused(["check", "--answers", str(tmp_path)], "got both", capsys)


def test_an_empty_folder_checks_nothing(tmp_path, capsys):
    assert main(["vectors", "check", "--answers", str(tmp_path)]) == 1
    assert "nothing was checked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"data": [None, *DATA[1:]]}, "NaN at index [0, 0, 0]"),
        ({"data": [*DATA[:-1], float("nan")]}, "NaN at index [2, 1, 4]"),
        ({"data": [*DATA[:-1], float("inf")]}, "infinity at index [2, 1, 4]"),
        ({"data": [*DATA[:-1], 1e300]}, "first divergent stage"),
        ({"shape": [3, 10]}, "wrong shape: expected [3, 2, 5], got [3, 10]"),
        ({"shape": [], "data": [1.0]}, "wrong shape: expected [3, 2, 5], got []"),
        ({"shape": [0], "data": []}, "wrong shape"),
        ({"dtype": "float32"}, "wrong dtype: expected float64, got float32"),
        ({"dtype": "int32", "data": [1] * len(DATA)}, "wrong dtype"),
    ],
)
def test_answers_of_the_form_that_cannot_be_right(changes, problem, tmp_path, capsys):
    (tmp_path / f"{CASE}.json").write_bytes(altered(**changes))
    assert main(["vectors", "check", "--answers", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert problem in out
    assert f"{CASE} · isotropic_noise" in out


@pytest.mark.parametrize("form_of_files", ["json", "npz"])
def test_the_pack_that_is_written_out_is_valid_as_its_own_answers(form_of_files, tmp_path, capsys):
    folder = tmp_path / "new" / "pack"
    assert main(["vectors", "write", str(folder), "--format", form_of_files]) == 0
    result = tmp_path / "result.json"
    assert main(["vectors", "check", "--answers", str(folder), "--json", str(result)]) == 0
    counts = json.loads(result.read_bytes())["counts"]
    assert counts["failed"] == 0
    assert counts["passed"] > 300
    refused(["write", str(folder)], "new or empty", capsys)
    if form_of_files == "json":
        assert pack.read_pack(folder).cases[0].name == pack.read_pack().cases[0].name


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (f"{CASE}.json", lambda text: text + b" ", "was changed"),
        (pack.CASE_SCHEMA, lambda text: text + b" ", "was changed"),
        (pack.MANIFEST, lambda text: text.replace(b'"schema": 1', b'"schema": 2'), "expected const 1, got int 2"),
        (
            pack.MANIFEST,
            lambda text: text.replace(b"perturbation_isotropic.json", b"../../etc/passwd"),
            "expected pattern",
        ),
        (pack.MANIFEST, lambda text: text.replace(b"perturbation_isotropic.json", b"gone.json"), "cannot be read"),
        (pack.MANIFEST, lambda text: text[:100], "expected JSON"),
    ],
)
def test_a_pack_that_was_changed_is_refused(file, change, message, tmp_path):
    shutil.copytree(pack.SHIPPED, tmp_path / "pack")
    path = tmp_path / "pack" / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(form.FormError, match=message):
        pack.read_pack(tmp_path / "pack")


def test_a_sealed_pack_whose_case_is_not_of_the_schema_is_refused(tmp_path):
    shutil.copytree(pack.SHIPPED, tmp_path / "pack")
    changed = WHOLE.replace(b'"class": "linear"', b'"class": "loose"')
    (tmp_path / "pack" / f"{CASE}.json").write_bytes(changed)
    manifest = tmp_path / "pack" / pack.MANIFEST
    seals = [hashlib.sha256(content).hexdigest().encode() for content in (WHOLE, changed)]
    manifest.write_bytes(manifest.read_bytes().replace(*seals))
    with pytest.raises(form.FormError, match=r"\['class'\]: expected enum .*, got str 'loose'"):
        pack.read_pack(tmp_path / "pack")


@pytest.mark.parametrize("dtype", SCHEMA["$defs"]["array"]["properties"]["dtype"]["enum"])
def test_arrays_read_back_exactly(dtype):
    numbers = [1 / 3, 5e-324, 1.7e308, -0.0] if dtype == "float64" else [1 / 3, 1e-45, 3.4e38, -0.0]
    array = np.array(numbers if dtype.startswith("f") else [0, 1, 2**31 - 1, 7], dtype=dtype).reshape(2, 2)
    back = form.decode("array", json.loads(json.dumps(form.encode(array))))
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<u4", ">i4", "|u1"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (4, 1, 2)])
def test_arrays_of_npz_are_the_same_in_whatever_way_they_were_written(shape, dtype, version):
    array = np.arange(1, 1 + np.prod(shape, dtype=int)).astype(dtype).reshape(shape)
    for order in ("C", "F"):
        member = io.BytesIO()
        np.lib.format.write_array(member, np.asarray(array, order=order), version)
        (read,) = form.read_npz("file", archive("stages.x.npy", member.getvalue()), lambda name: True).values()
        assert np.array_equal(read, array)
        assert (read.shape, read.dtype) == (shape, array.dtype.newbyteorder("="))


def test_arrays_of_eight_axes_and_brackets_of_sixteen_are_read():
    eight = {"shape": [1] * 8, "dtype": "float64", "data": [0.5]}
    assert form.decode("array", eight).shape == (1,) * 8
    assert form.parse_json("file", b"[" * 16 + b"]" * 16, {})
    with pytest.raises(form.FormError, match="nested at most 16 deep"):
        form.parse_json("file", b"[" * 17 + b"]" * 17, {})


def test_the_files_that_are_shipped_are_what_is_written_of_them():
    read = pack.read_pack()
    contents = {case.name: pack.case_document(case) for case in read.cases}
    assert contents == {name: (pack.SHIPPED / f"{name}.json").read_bytes() for name in contents}
    manifest = json.loads((pack.SHIPPED / pack.MANIFEST).read_bytes())
    files = {name: (pack.SHIPPED / name).read_bytes() for name in manifest["files"]}
    sealed = pack.seal(read.version, manifest["generator"], manifest["operations"], files)
    assert sealed == (pack.SHIPPED / pack.MANIFEST).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "--impl", "nothing"], "expected module:object"),
        (["check", "--impl", "no_such_module:x"], "cannot import no_such_module: ModuleNotFoundError"),
        (["check", "--impl", "nmnc_ref:nothing"], "nmnc_ref has no nothing"),
        (["check", "--impl", REFERENCE, "--json", "/nowhere/at/all.json"], "cannot write"),
        (["write", "/proc/nowhere"], "cannot be written"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    refused(arguments, message, capsys)


@pytest.mark.parametrize("raised", ["SystemExit(0)", "SystemExit", "BaseException('one\\ntwo')", "RuntimeError"])
def test_a_module_that_raises_when_it_is_imported(raised, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "raising_module", raising=False)
    (tmp_path / "raising_module.py").write_text(f"raise {raised}\n")
    message = f"cannot import raising_module: {raised.split('(')[0]}"
    refused(["check", "--impl", "raising_module:port"], message, capsys)


@pytest.mark.parametrize("arguments", [["check"], ["check", "--impl", "a:b", "--answers", "c"], ["write"], []])
def test_unknown_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["vectors", *arguments])
    assert stop.value.code == 2


def test_a_missing_rich_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused(["check", "--impl", REFERENCE], "pip install -e '.[oracle]'", capsys)


class Raising:
    """An implementation in which everything goes wrong in its own way."""

    def correlation(self, inputs):
        raise RuntimeError("one\ntwo")

    def activity(self, inputs):
        return "a word"

    def slope(self, inputs):
        return None

    def loss_value(self, inputs):
        raise SystemExit

    def delta(self, inputs):
        return [[1.0], [2.0, 3.0]]

    def error(self, inputs):
        inputs["output"][:] = 0
        return np.zeros((2, 2), dtype=complex)


raising = Raising()


def test_an_implementation_that_raises_fails_and_is_no_traceback(capsys, tmp_path):
    file = tmp_path / "result.json"
    assert main(["vectors", "check", "--impl", f"{__name__}:raising", "--json", str(file)]) == 1
    notes = {each["operation"]: each["note"] for each in json.loads(file.read_bytes())["stages"]}
    assert notes["correlation"] == "raised RuntimeError: one two"
    assert notes["loss_value"] == "raised SystemExit"
    assert notes["jacobian"] == "not implemented"
    statuses = {each["operation"]: each["status"] for each in json.loads(file.read_bytes())["stages"]}
    assert (statuses["correlation"], statuses["jacobian"]) == ("failed", "unanswered")
    assert all(notes[name].startswith(("wrong dtype", "raised ")) for name in ("activity", "slope", "delta", "error"))


def test_small_files_are_refused_in_time():
    start = time.perf_counter()
    for content in (b'"' + rb"\"" * 400_000, b'"' + rb"\"" * 400_000 + b"\\", b"[" * 8 + b'"' * 400_001):
        with pytest.raises(form.FormError):
            form.parse_json("many quotes", content, {})
    keys = ", ".join(f'"{k}": 0' for k in [*range(100_000), 99_999])
    with pytest.raises(form.FormError, match="the key '99999' comes twice"):
        form.parse_json("many keys", f"{{{keys}}}".encode(), {})
    assert time.perf_counter() - start < 60, "their square would take hours"


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pack.Path, "iterdir", refuse)
    with pytest.raises(form.FormError, match="expected a folder of answers; it cannot be read: Permission denied"):
        pack.read_answers(tmp_path, ())


def test_what_a_file_has_is_shown_up_to_sixty_characters(tmp_path, capsys):
    for letters, shown in ((58, "a" * 58 + "'"), (59, "a" * 56 + "...")):
        (tmp_path / f"{CASE}.json").write_text(json.dumps({"stages": ["a" * letters]}))
        refused(["check", "--answers", str(tmp_path)], f"got str '{shown}\n", capsys)


def test_a_size_is_what_its_longer_axes_make_it():
    assert form._size("x", [1, form.MOST_NUMBERS]) == form.MOST_NUMBERS
    assert form._size("x", [0, form.MOST_NUMBERS]) == 0
    for shape in ([2, form.MOST_NUMBERS], [0, form.MOST_NUMBERS + 1]):
        with pytest.raises(form.FormError, match="expected at most"):
            form._size("x", shape)
