"""Damaged files before everything that reads some: `python -m paper_checks.campaigns.fuzzing --minutes 60`.

A valid file is changed in a few random places, as bytes, as JSON, or as the arrays inside of an archive whose checksums
then fit again, and read. A reader may return something, which for kept results must be the very result, or refuse with
the errors that it documents. Anything else, and 30 seconds without an answer, is a finding: it is printed once for each
place that raised, and the file is kept in `--keep`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import pickle
import random
import re
import secrets
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.io

from nmnc_ref.oracle.vectors import form, pack
from paper_checks import __main__ as verify
from paper_checks.data import cifar, neural
from paper_checks.figures import __main__ as figures
from paper_checks.lab import Lab
from paper_checks.learning.notebook import Notebook

SECONDS = 30
"""For one file."""
IMAGES = 10
"""In a file of CIFAR-10."""
TOKEN = re.compile(rb'-?\d[\d.eE+-]*|"[^"]*"|true|false|null|[\[\]{},:]')
JSON = [*b'-1 0 1e999 NaN 18446744073709551616 null true "" "\xff" [] {} [['.split(), b""]
"""What takes the place of a token of JSON."""
BYTES = [
    b"\x00",
    b"\x7f",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\x93NUMPY",
    b"PK\x05\x06",
    b"c\x80\x04(",
]


class Reader(NamedTuple):
    """Something that reads files: the name and the content of a valid one, how it is read, and how it may refuse."""

    file: str
    content: bytes
    read: Callable[[Path], Any]
    refusals: tuple[type[BaseException], ...]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a notebook keeps."""

    seed: int = 3


RESULT = {"losses": [0.5, 0.25], "name": "é"}


def readers(folder: Path) -> dict[str, Reader]:
    """Return everything that reads files, each with a valid one."""
    rng, valid = np.random.default_rng(0), {}
    pixels, labels = rng.integers(0, 256, (IMAGES, cifar.PIXELS), dtype=np.uint8), [*range(10)]
    records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1).tobytes()
    for name, content in ("binary", records), ("python", pickle.dumps({b"data": pixels, b"labels": labels}, 2)):
        suffix = ".bin" if name == "binary" else ""
        own = _folder(folder, name, {each + suffix: content for each in (*cifar.TRAINING, cifar.TEST)})
        read = _of_folder(lambda where: cifar.cifar10(Lab(), where, IMAGES))
        valid[f"CIFAR-10, {name}"] = Reader(f"{own}/data_batch_1{suffix}", content, read, (ValueError,))
    stimuli, responses = rng.integers(0, 256, (12, 5, 4, 3), dtype=np.uint8), rng.normal(size=(12, 7))
    archive = _bytes(lambda file: np.savez(file, stimuli=stimuli, responses=responses))
    valid["recordings, npz"] = Reader("recording.npz", archive, neural.recording, (ValueError,))
    images = np.array([(each,) for each in stimuli], [("image", "O")])
    matrices = np.array([("monkey", np.linspace(0, 2, 66))], [("name", "O"), ("RDM", "O")])
    matlab = _bytes(lambda file: scipy.io.savemat(file, {neural.IMAGES: images, neural.MATRICES: matrices}))
    valid["recordings, mat"] = Reader("recording.mat", matlab, neural.recording, (ValueError,))
    case = next(each for each in pack.read_pack().cases if each.stages and each.inputs)
    cases, errors = (case,), (form.FormError,)
    answers = _of_folder(lambda where: pack.read_answers(where, cases))
    valid["answers, JSON"] = Reader(f"json/{case.name}.json", pack.case_document(case), answers, errors)
    valid["answers, npz"] = Reader(f"npz/{case.name}.npz", pack.case_npz(case), answers, errors)
    valid["pack"] = Reader(f"pack/{case.name}.json", pack.case_document(case), _sealed, errors)
    notebook = Notebook(folder / "notebook", Lab())
    notebook._write(Experiment(), RESULT)
    kept = notebook._file(Experiment())
    valid["results"] = Reader(f"notebook/{kept.name}", kept.read_bytes(), lambda path: _results(notebook), ())
    document = folder / "run.json"
    with contextlib.redirect_stdout(io.StringIO()):
        verify.main(["--only", "E5", "E17", "--json", str(document)])
    valid["figures"] = Reader("run.json", document.read_bytes(), _drawn, (SystemExit,))
    return valid


def _folder(root: Path, name: str, files: dict[str, bytes]) -> str:
    for file, content in files.items():
        _write(root / name / file, content)
    return name


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def _bytes(write: Callable[[io.BytesIO], Any]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _of_folder(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    return lambda path: read(path.parent)


def _sealed(path: Path) -> Any:
    """Read a pack of one file, whose digest is right."""
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    manifest = {"schema": pack.SCHEMA, "version": "0", "files": files}
    (path.parent / pack.MANIFEST).write_text(json.dumps(manifest))
    return pack.read_pack(path.parent)


def _results(notebook: Notebook) -> None:
    found = notebook.results([Experiment()])
    assert found in ({}, {Experiment(): RESULT}), found


def _drawn(path: Path) -> None:
    """Draw the figures, or exit with the status of a file that is refused."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        figures.main([str(path), str(path.parent / "drawn")])


def changed(content: bytes, chance: random.Random) -> bytes:
    """Return content with a few changes."""
    if content.startswith(b"PK") and chance.random() < 0.7:
        return _archive(content, chance)
    kinds = [_cut, _doubled, _overwritten] + [_token] * 6 * content.lstrip().startswith(b"{")
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        content = chance.choice(kinds)(content, chance)
    return content


def _archive(content: bytes, chance: random.Random) -> bytes:
    """Change a member of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice([*members])
    members[name] = chance.choice((_cut, _doubled, _overwritten, _header))(members[name], chance)
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        for each, inner in members.items():
            archive.writestr(each, inner)
    return file.getvalue()


def _span(content: bytes, chance: random.Random, most: int = 64) -> tuple[int, int]:
    start = chance.randrange(len(content) + 1)
    return start, min(len(content), start + chance.randrange(1, most))


def _cut(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:start] + content[len(content) if chance.random() < 0.3 else end :]


def _doubled(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:end] + content[start:]


def _overwritten(content: bytes, chance: random.Random) -> bytes:
    new, (start, _) = chance.choice([*BYTES, chance.randbytes(1)]), _span(content[:512] or content, chance)
    start = start if chance.random() < 0.5 else _span(content, chance)[0]
    return content[:start] + new + content[start + len(new) :]


def _header(content: bytes, chance: random.Random) -> bytes:
    """Change a character of the header of an array in npy form."""
    place = chance.randrange(min(len(content), 128))
    return content[:place] + chance.choice("'\"(){}[],:0919LOfiu#\\\n ").encode() + content[place + 1 :]


def _token(content: bytes, chance: random.Random) -> bytes:
    tokens = list(TOKEN.finditer(content))
    if not tokens:
        return content
    one, other = chance.choice(tokens), chance.choice(tokens)
    return content[: one.start()] + chance.choice([*JSON, other[0]]) + content[one.end() :]


def _too_long(number: int, frame: Any) -> None:
    raise TimeoutError(f"no answer after {SECONDS} s")


def main(arguments: list[str] | None = None) -> int:
    """Read damaged files for a time, print what is found, and how many were read and refused."""
    parser = argparse.ArgumentParser(
        prog="python -m paper_checks.campaigns.fuzzing", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="default: 60")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="default: a new one each time")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzzing"), help="folder of findings (runs/fuzzing)")
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    counts: Counter[tuple[str, str]] = Counter()
    found: set[tuple[str, str]] = set()
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory() as place:
        known = readers(Path(place))
        for reader in known.values():  # or all would be refused
            _write(Path(place) / reader.file, reader.content)
            reader.read(Path(place) / reader.file)
        end = time.monotonic() + 60 * options.minutes
        while time.monotonic() < end:
            for name, reader in known.items():
                path = Path(place) / reader.file
                _write(path, changed(reader.content, chance))
                signal.alarm(SECONDS)
                try:
                    reader.read(path)
                    counts[name, "read"] += 1
                except reader.refusals:
                    counts[name, "refused"] += 1
                except Exception as error:
                    counts[name, "FOUND"] += 1
                    last = traceback.extract_tb(error.__traceback__)[-1]
                    where = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
                    if (name, where) not in found:
                        found.add((name, where))
                        options.keep.mkdir(parents=True, exist_ok=True)
                        kept = options.keep / f"{len(found)}-{path.name}"
                        kept.write_bytes(path.read_bytes())
                        print(f"{name}: {where}: {error}; kept as {kept}", flush=True)
                finally:
                    signal.alarm(0)
    for name in known:
        print(f"{name}: " + ", ".join(f"{counts[name, what]} {what}" for what in ("read", "refused", "FOUND")))
    print(f"seed {options.seed}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
