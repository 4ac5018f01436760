"""Recorded responses of neurons to images, or their dissimilarities, from a file that the user supplies.

An `.npz` file of NumPy: `stimuli`, [N, H, W] or [N, H, W, 3], from 0 to 1 or bytes; and in the same order either
`responses`, [N, neurons], such as mean rates, or `rdm`, dissimilarities, [N, N] or their upper triangle row by row,
[N (N − 1)/2], which may be negative, as cross-validated distances are. Or the `.mat` file that was published with
Kriegeskorte et al. 2008 (Neuron 60:1126), as it is.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref import similarity

STIMULI = 10
"""The least number that dissimilarities are compared over."""
KINDS = "expected an .npz file with stimuli and responses or rdm, or the .mat file of Kriegeskorte et al. 2008"
MATLAB = b"MATLAB"
ROUNDING = 1e-9
"""What is taken for it, relative to the largest value."""
IMAGES, MATRICES = "stimuli_92objs", "RDMs_mIT_hIT_fig1"
"""Fields of the `.mat` file."""
START = b"start of the fields"
"""What Python and its modules may print comes before."""
READ = f"""
import contextlib, io, pickle, sys
from scipy.io import loadmat
with contextlib.suppress(ImportError, ValueError):  # Windows has no limits, macOS takes none of this kind
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
fields = loadmat(io.BytesIO(sys.stdin.buffer.read()), struct_as_record=False, squeeze_me=True)
sys.stdout.buffer.write({START!r} + pickle.dumps(fields))
"""
"""Reads a `.mat` file, with 4 GiB of memory at most where the system sets limits."""
SECONDS = 20.0
"""For reading it, which takes one."""
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
"""Of which each takes memory of its own."""


class Recorded(NamedTuple):
    """`stimuli`: [N, H, W, 3] from 0 to 1; `dissimilarities`: upper triangles, [N (N − 1)/2], by name."""

    stimuli: np.ndarray
    dissimilarities: dict[str, np.ndarray]


@dataclass(frozen=True)
class Recording:
    """A file, and a digest of its content, wherever it is."""

    file: str = field(compare=False)
    digest: str

    def read(self) -> Recorded:
        """Return what is in the file.

        Raises:
            ValueError: the file cannot be read any more, or is not what it was.
        """
        try:
            content = Path(self.file).read_bytes()
        except OSError as error:
            raise ValueError(f"{self.file}: expected the file that was there before, got: {error.strerror}") from None
        if _digest(content) != self.digest:
            raise ValueError(f"{self.file}: expected the content that it had before, got another")
        return _recorded(self.file, content)


def recording(file: str | Path) -> Recording:
    """Return the recording in a file, after checking it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not what this module describes; the message says what was expected and what came.
    """
    if Path(file).exists() and not Path(file).is_file():
        raise ValueError(f"{file}: expected a file, got something else, such as a directory or a pipe")
    try:
        content = Path(file).read_bytes()
        _recorded(str(file), content)
    except MemoryError:
        raise ValueError(f"{file}: expected what fits in memory, got {Path(file).stat().st_size} bytes") from None
    return Recording(str(file), _digest(content))


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Return images [N, H, W, 3] brought to [N, size, size, 3]: each pixel is the mean over the area that it covers."""
    rows, columns = (_areas(length, size) for length in images.shape[1:3])
    return np.einsum("ih,nhwc,jw->nijc", rows, images, columns, optimize=True)


def upper_triangle(matrix: np.ndarray) -> np.ndarray:
    """Return the elements above the diagonal, row by row."""
    return matrix[np.triu_indices(matrix.shape[0], 1)]


def _areas(length: int, size: int) -> np.ndarray:
    """Return by new pixel the share of each old one, [size, length]."""
    edges, pixel = np.linspace(0, length, size + 1), np.arange(length)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.clip(covered, 0, None) * size / length


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _recorded(file: str, content: bytes) -> Recorded:
    try:
        if content.startswith(MATLAB):
            return _published(content)
        if zipfile.is_zipfile(io.BytesIO(content)):
            return _own(content)
        raise ValueError(f"{KINDS}, got another kind of file")
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _own(content: bytes) -> Recorded:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            wanted = [name for name in ("stimuli", "responses", "rdm") if name in archive.files]
            found = {name: np.asarray(archive[name]) for name in wanted}  # bytes, where a member is no array
            names = ", ".join(sorted(archive.files)) or "none"
    except Exception as error:  # a corrupt file may fail in any way
        raise ValueError(f"{KINDS}, got one that cannot be read: {type(error).__name__}: {error}") from None
    if "stimuli" not in found or len(found) != 2:
        raise ValueError(f"expected arrays stimuli and either responses or rdm, got {names}")
    stimuli = _stimuli(found["stimuli"])
    if "rdm" in found:
        return Recorded(stimuli, {"rdm": _dissimilarities("rdm", found["rdm"], stimuli.shape[0])})
    return Recorded(stimuli, {"responses": _of_responses(found["responses"], stimuli.shape[0])})


def _published(content: bytes) -> Recorded:
    found = _fields(content)
    try:
        images = [np.asarray(each.image) for each in np.atleast_1d(found[IMAGES])]
        matrices = [(each.name, np.asarray(each.RDM)) for each in np.atleast_1d(found[MATRICES])]
    except (KeyError, AttributeError):
        names = ", ".join(sorted(name for name in found if not name.startswith("__"))) or "none"
        wanted = f"fields {IMAGES}, with image, and {MATRICES}, with name and RDM"
        raise ValueError(f"expected {wanted}, got {names}") from None
    shapes = sorted({each.shape for each in images})
    if len(shapes) != 1:
        raise ValueError(f"expected images of one shape in {IMAGES}, got {', '.join(map(str, shapes)) or 'none'}")
    called = [name for name, _ in matrices]
    if not called or not all(isinstance(name, str) and name for name in called) or len(set(called)) < len(called):
        raise ValueError(f"expected one or more records of distinct names in {MATRICES}, got {called}")
    stimuli = _stimuli(np.stack(images))
    found = {name: _dissimilarities(name, each, len(images)) for name, each in matrices}
    for name, each in found.items():
        if each.min() < -ROUNDING or each.max() > 2 + ROUNDING:
            raise ValueError(f"expected {name} from 0 to 2, 1 − correlation, got {each.min()} to {each.max()}")
    return Recorded(stimuli, found)


def _fields(content: bytes) -> dict[str, Any]:
    """Return the fields of a `.mat` file, read in a process of its own, as one wrong byte can crash SciPy's reader."""
    import scipy  # noqa: F401  # without which no file is to blame

    command, environment = [sys.executable, "-P", "-c", READ], os.environ | THREADS
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{KINDS}, got a .mat file that cannot be read in {SECONDS:.0f} s") from None
    if done.returncode:
        why = (done.stderr.decode(errors="replace").strip() or "the reader crashes").splitlines()[-1]
        raise ValueError(f"{KINDS}, got a .mat file that cannot be read: {why}")
    fields: dict[str, Any] = pickle.loads(done.stdout.partition(START)[2])
    return fields


def _stimuli(images: np.ndarray) -> np.ndarray:
    values = _numbers("stimuli", images)
    if images.dtype == np.uint8:
        if values.max() <= 1:
            raise ValueError("expected stimuli as bytes from 0 to 255, or floats from 0 to 1, got bytes from 0 to 1")
        values = values / 255
    if values.ndim == 3:
        values = np.repeat(values[..., None], 3, axis=-1)
    if values.ndim != 4 or values.shape[-1] != 3:
        raise ValueError(f"expected stimuli [N, H, W] or [N, H, W, 3], got shape {list(images.shape)}")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"expected stimuli from 0 to 1, or uint8, got {images.dtype}, {values.min()} to {values.max()}"
        )
    if values.shape[0] < STIMULI:
        raise ValueError(f"expected at least {STIMULI} stimuli, got {values.shape[0]}")
    if not np.any(np.ptp(values, axis=0)):
        raise ValueError(f"expected stimuli that differ, got the same image {values.shape[0]} times")
    return values


def _dissimilarities(name: str, given: np.ndarray, stimuli: int) -> np.ndarray:
    values, pairs = _numbers(name, given), stimuli * (stimuli - 1) // 2
    if values.shape == (stimuli, stimuli):
        for what, off in (
            ("symmetric", abs(values - values.T)),
            ("with a diagonal of 0", np.diag(np.diagonal(values))),
        ):
            i, j = np.unravel_index(np.argmax(abs(off)), off.shape)
            if abs(off[i, j]) > ROUNDING * abs(values).max():
                raise ValueError(
                    f"expected {name} {what}, got {values[i, j]} at [{i}, {j}], {values[j, i]} at [{j}, {i}]"
                )
        values = upper_triangle(values)
    if values.shape != (pairs,):
        wanted = f"[{stimuli}, {stimuli}] or [{pairs}], pairs of {stimuli} stimuli"
        raise ValueError(f"expected {name} {wanted}, got shape {list(values.shape)}")
    if not np.ptp(values):
        raise ValueError(f"expected {name} that differ between pairs, got {values[0]} for all")
    return values


def _of_responses(given: np.ndarray, stimuli: int) -> np.ndarray:
    responses = _numbers("responses", given)
    if responses.ndim != 2 or responses.shape[0] != stimuli or responses.shape[1] < 2:
        raise ValueError(f"expected responses [{stimuli}, neurons], two or more, got shape {list(responses.shape)}")
    constant = np.flatnonzero(np.ptp(responses, axis=1) <= ROUNDING * abs(responses).max(axis=1))
    if constant.size:
        raise ValueError(f"expected responses that differ between neurons, got equal ones in row {constant[0]}")
    try:
        found = similarity.dissimilarity(responses / np.abs(responses).max())
    except ValueError as error:
        raise ValueError(f"expected responses that can be compared, got: {error}") from None
    if found.max() <= ROUNDING:
        raise ValueError("expected responses that differ in more than scale and offset, got such for all stimuli")
    return _dissimilarities("dissimilarities of responses", found, stimuli)


def _numbers(name: str, array: Any) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected {name} of real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # of what is longer than float64
        values = array.astype(np.float64)
    if not values.size or not np.all(np.isfinite(values)):
        raise ValueError(
            f"expected finite {name}, got {'none' if not values.size else 'NaN, infinity, or what is beyond float64'}"
        )
    return values
