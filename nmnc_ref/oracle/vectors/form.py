"""The form of the files: arrays as JSON or npz, and reading both from untrusted files.

An array is `{"shape": [2, 3], "dtype": "float64", "order": "C", "data": [six numbers]}`. Decimals are the shortest that
read back exactly. Nothing here evaluates or unpickles what it reads, and all that is wrong with a file is raised as
`FormError`, in one line. What JSON has to look like is said by a JSON Schema.
"""

from __future__ import annotations

import io
import json
import math
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST_BYTES = 8 * 2**20
"""The largest file that is read, and the most that one may hold after decompression."""
MOST_NUMBERS = 2**20
"""The most elements of one array."""
MOST_AXES = 8
"""The most axes of one array."""
MOST_MEMBERS = 4096
"""The most arrays of one file."""
DEEPEST = 16
"""How deep the brackets of a JSON file may be nested."""
MOST_HEADER = 4096
"""The most bytes of a header of an npy array that are looked at."""

_MEMBER = re.compile(r"(?:(?:inputs|stages)\.)?[a-z][a-z0-9_]{0,63}")
_TEXT = re.compile(r"[^\s,:\[\]{}\"]+")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


class FormError(ValueError):
    """A file that is not of the form; the message is a line that names the file, or such a line for each file."""


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a regular file of at most `MOST_BYTES`, or raise FormError."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise FormError(f"{path}: expected a regular file, no link, folder or device")
        if status.st_size > MOST_BYTES:
            raise FormError(f"{path}: expected at most {MOST_BYTES} bytes, got {status.st_size}")
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise FormError(f"{path}: cannot be read: {error.strerror}") from None


def parse_json(name: str, content: bytes, schema: Mapping[str, Any]) -> Any:
    """Parse JSON that is of a JSON Schema from a file called `name`, or raise FormError.

    NaN and Infinity, which JSON does not have but some writers write, are let through for the runner to report.
    """
    depth = 0
    for token in _TOKEN.finditer(content):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > DEEPEST:
            raise FormError(f"{name}: expected brackets nested at most {DEEPEST} deep, got more")
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise FormError(f"{name}: expected UTF-8, got byte {error.object[error.start]:#x} at {error.start}") from None
    except json.JSONDecodeError as error:
        where, got = f"line {error.lineno}, column {error.colno}", _TEXT.match(error.doc, error.pos)
        more = f", got {_shown(got[0])}; NaN and infinity are NaN and Infinity here, or null" if got else ""
        raise FormError(f"{name}: expected JSON; {where}: {error.msg}{more}") from None
    except (ValueError, RecursionError) as error:
        raise FormError(f"{name}: expected JSON: {_shown(str(error))}") from None
    _expect(schema, name, value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key!r} comes twice")
    return result


def _expect(schema: Mapping[str, Any], name: str, value: Any) -> None:
    """Raise FormError about the first thing in `value` that is not of the schema."""
    from jsonschema import Draft202012Validator

    error = next(Draft202012Validator(schema).iter_errors(value), None)
    if error is not None:
        where = "".join(f"[{_shown(key)}]" for key in error.absolute_path)
        got = list(error.instance) if isinstance(error.instance, dict) else error.instance
        wanted, kind = f"{error.validator} {error.validator_value!r}", type(error.instance).__name__
        alone = error.validator_value == "array" and isinstance(got, (int, float))
        listed = f"; a list of one is [{_shown(got)}]" if alone else ""
        raise FormError(f"{name}{where}: expected {wanted}, got {kind} {_shown(got)}{listed}")


def decode(name: str, value: Mapping[str, Any]) -> np.ndarray:
    """Return the array that an object of the form stands for; a null among its data is NaN.

    Raises:
        FormError: data that are not numbers of the dtype, or not as many as the shape has elements.
    """
    shape = [int(length) for length in value["shape"]]  # 3.0 is an integer to JSON Schema
    dtype, data = value["dtype"], value["data"]
    if len(data) != _size(name, shape):
        raise FormError(f"{name}: expected data of {math.prod(shape)} numbers for shape {shape}, got {len(data)}")
    kinds = (int, float, type(None)) if dtype.startswith("float") else (int,)
    for index, number in enumerate(data):
        if type(number) not in kinds:
            rounded = (
                "; an integer has no point or exponent: were digits lost in text?" if type(number) is float else ""
            )
            raise FormError(f"{name}: expected numbers of {dtype}, got {_shown(number)} at data[{index}]{rounded}")
    try:
        with np.errstate(over="ignore"):
            return np.array(data, dtype=dtype).reshape(shape)
    except OverflowError:
        raise FormError(f"{name}: expected numbers of {dtype}, got one out of its range") from None


def _size(name: str, shape: Sequence[int]) -> int:
    """Return the number of elements of a shape, or raise FormError if that is too many, lengths of 0 aside."""
    if len(shape) > MOST_AXES or math.prod(max(length, 1) for length in shape) > MOST_NUMBERS:
        raise FormError(
            f"{name}: expected at most {MOST_NUMBERS} elements and {MOST_AXES} axes, got a claim of {_shown(shape)}"
        )
    return math.prod(shape)


def encode(array: np.ndarray) -> dict[str, Any]:
    """Return the object of JSON that stands for an array, of a dtype of the schema."""
    real = np.issubdtype(array.dtype, np.floating)  # str gives the shortest decimal of a float32, tolist of its float64
    data = [float(str(number)) for number in array.ravel()] if real else array.ravel().tolist()
    return {"shape": list(array.shape), "dtype": array.dtype.name, "order": "C", "data": data}


def document(fields: Mapping[str, Any], spread: tuple[str, ...] = ()) -> bytes:
    """Return an object as JSON in lines: a line for each field, and for each item of the fields named in `spread`."""

    def text(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    lines = []
    for key, value in fields.items():
        if key in spread and isinstance(value, dict):
            items = ",\n".join(f"    {text(name)}: {text(item)}" for name, item in value.items())
            lines.append(f"  {text(key)}: {{\n{items}\n  }}" if items else f"  {text(key)}: {{}}")
        elif key in spread:
            items = ",\n".join(f"    {text(item)}" for item in value)
            lines.append(f"  {text(key)}: [\n{items}\n  ]")
        else:
            lines.append(f"  {text(key)}: {text(value)}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def read_npz(name: str, content: bytes, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file whose names are `wanted`, or raise FormError. Nothing is unpickled."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > MOST_BYTES:
                raise FormError(f"{name}: expected at most {MOST_MEMBERS} arrays of {MOST_BYTES} bytes together")
            arrays: dict[str, np.ndarray] = {}
            for member in members:
                own = member.filename.removesuffix(".npy")
                if not _MEMBER.fullmatch(own) or own in arrays:
                    raise FormError(f"{name}: expected a name like stages.output, once, got {_shown(member.filename)}")
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise FormError(f"{name}: expected stored or deflated arrays, {_shown(member.filename)} is neither")
                if wanted(own):
                    with archive.open(member) as file:  # no more than was declared is unpacked
                        arrays[own] = _read_npy(f"{name}: {own}", file.read(MOST_BYTES))
            return arrays
    except FormError:
        raise
    except Exception as error:  # of many kinds: whatever zipfile and its decompressors meet in a broken archive
        raise FormError(f"{name}: expected an npz file: {_shown(str(error))}") from None


def _read_npy(name: str, content: bytes) -> np.ndarray:
    """Read one array, checking what its header claims before any memory is taken.

    The header is Python text, which `numpy.load` evaluates; here its three fields are matched and nothing else.
    """
    if not content.startswith(b"\x93NUMPY"):
        raise FormError(f"{name}: expected an array in npy form, got none")
    size = 2 if content[6:7] == b"\x01" else 4
    start = 8 + size + int.from_bytes(content[8 : 8 + size], "little")
    header = content[8 + size : min(start, MOST_HEADER)].decode("latin-1")
    descr, fortran, lengths = (
        re.search(pattern, header)
        for pattern in (
            r"'descr': *'([<>|=]?(?:f[248]|[iu][1248]))'",
            r"'fortran_order': *(True|False)",
            r"'shape': *\(([\d, ]*)\)",
        )
    )
    if not (descr and fortran and lengths):
        raise FormError(f"{name}: expected an array of real numbers in npy form, got the header {_shown(header)}")
    dtype = np.dtype(descr[1])
    shape = [int(length[:20]) for length in lengths[1].replace(",", " ").split()]
    data, needed = content[start:], _size(name, shape) * dtype.itemsize
    if len(data) != needed:
        raise FormError(f"{name}: expected {needed} bytes for shape {shape}, got {len(data)}")
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran[1] == "True" else "C")
    return np.ascontiguousarray(array.astype(dtype.newbyteorder("="))).reshape(shape)


def write_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as an npz file, the same for the same arrays."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()
