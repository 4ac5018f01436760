"""CIFAR-10 from a folder: the original binary files, or the original files for Python (Krizhevsky 2009).

https://www.cs.toronto.edu/~kriz/cifar.html offers both, and describes them. Nothing is downloaded here.
"""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nmnc_ref.checked import checked
from nmnc_ref.scalars import Count
from paper_checks.data.dataset import VALIDATION, Dataset, permutation
from paper_checks.data.images import CLASSES, Pictures, samples
from paper_checks.lab import Lab

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
TRAINING = tuple(f"data_batch_{k}" for k in range(1, 6))
TEST = "test_batch"
IMAGES_PER_FILE = 10_000


@dataclass(frozen=True)
class Archive:
    """A folder of CIFAR-10, and a digest of its images and labels, the same for both formats and in any folder."""

    folder: str = field(compare=False)
    digest: str

    def read(self, lab: Lab, training: int | None = None) -> Dataset:
        """Return the images as `cifar10` does, read once in a process.

        Raises:
            ValueError: the folder cannot be read any more, or is not what it was.
        """
        return _read_once(self, lab.backend, lab.dtype_name, training)


def archive(folder: str | Path) -> Archive:
    """Return the CIFAR-10 of a folder, after checking it.

    Raises:
        OSError, ValueError: as `cifar10`; ValueError also for classes that are not of equal size.
    """
    parts = _pictures(Path(folder), IMAGES_PER_FILE)
    for what, part in zip(("training", "test"), parts, strict=True):
        counts = np.bincount(part.labels, minlength=CLASSES)
        if np.any(counts != counts.mean()):
            wanted = f"{counts.mean():.0f} {what} images of each class"
            raise ValueError(
                f"{folder}: expected {wanted}, got {counts.min()} to {counts.max()}; is a file there twice?"
            )
    return Archive(str(folder), _digest(*parts))


@functools.lru_cache(maxsize=1)
def _read_once(source: Archive, backend: str, dtype: str, training: int | None) -> Dataset:
    try:
        parts = _pictures(Path(source.folder), IMAGES_PER_FILE)
    except OSError as error:
        raise ValueError(f"{source.folder}: expected the files that were there before, got: {error}") from None
    if _digest(*parts) != source.digest:
        raise ValueError(f"{source.folder}: expected the content that it had before, got another")
    return _dealt(Lab(backend, dtype), *parts, training)


def _digest(*parts: Pictures) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.pixels.tobytes())
        found.update(part.labels.tobytes())
    return found.hexdigest()


@checked
def cifar10(
    lab: Lab, folder: str | Path, images_per_file: Count = IMAGES_PER_FILE, training: Count | None = None
) -> Dataset:
    """Return the images of a folder: a tenth of the training files for validation, the test file for testing.

    Args:
        lab: whose library and dtype the images are to have.
        folder: with data_batch_1.bin … data_batch_5.bin and test_batch.bin, or the same names without `.bin`.
        images_per_file: as in the original by default.
        training: how many images to train on, all that are not for validation if None.

    Raises:
        FileNotFoundError: no folder, or a file is missing.
        ValueError: a file is truncated, too long, of another format, or has labels other
            than 0 to 9.
    """
    return _dealt(lab, *_pictures(Path(folder), images_per_file), training)


def _pictures(folder: Path, images_per_file: int) -> tuple[Pictures, Pictures]:
    """Return the pictures of all training files, and those of the test file."""
    suffix, read = _format(folder)
    parts = [read(folder / (name + suffix), images_per_file) for name in (*TRAINING, TEST)]
    pixels, labels = (np.concatenate([part[field] for part in parts[:-1]]) for field in (0, 1))
    return Pictures(pixels, labels, SHAPE, 255), parts[-1]


def _dealt(lab: Lab, training: Pictures, test: Pictures, number: int | None) -> Dataset:
    order = permutation(training.labels.shape[0])
    held_out = int(VALIDATION * order.shape[0])
    kept = order[held_out:][:number]
    return Dataset(samples(lab, training, kept), samples(lab, training, order[:held_out]), samples(lab, test), SHAPE)


def _format(folder: Path) -> tuple[str, Callable[[Path, int], Pictures]]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder with the files of CIFAR-10, got none")
    formats: dict[str, Callable[[Path, int], Pictures]] = {".bin": read_binary, "": read_python}
    for suffix, read in formats.items():
        if any((folder / (name + suffix)).exists() for name in (*TRAINING, TEST)):
            return suffix, read
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
    raise FileNotFoundError(
        f"{folder}: expected {TRAINING[0]}.bin … {TEST}.bin or {TRAINING[0]} … {TEST}, got a folder with {found}"
    )


def read_binary(path: Path, images: int) -> Pictures:
    """Read a binary file: for each image its label, one byte, and the pixels, red, green and blue, row by row.

    Raises:
        FileNotFoundError, ValueError: as `cifar10`.
    """
    size = images * (1 + PIXELS)
    content = _content(path, size)
    if len(content) != size:
        raise ValueError(f"{path}: expected {size} bytes, {images} images of {1 + PIXELS}, got {len(content)}")
    records = np.frombuffer(content, dtype=np.uint8).reshape(images, 1 + PIXELS)
    return Pictures(records[:, 1:], _expect_labels(path, records[:, 0]), SHAPE, 255)


def read_python(path: Path, images: int) -> Pictures:
    """Read a file for Python: a pickled dictionary with `data`, uint8 [images, 3072], and `labels`, a list.

    A pickle can have any function called. Here it gets nothing but stand-ins for NumPy's array and dtype.

    Raises:
        FileNotFoundError, ValueError: as `cifar10`.
    """
    content = _content(path, images * 4 * PIXELS)
    try:
        batch = _Unpickler(content).load()
    except Exception as error:  # a corrupt pickle may fail in any way
        raise ValueError(
            f"{path}: expected a pickled dictionary of a NumPy array and lists, got {type(error).__name__}: {error}"
        ) from None
    if not isinstance(batch, dict):
        raise ValueError(f"{path}: expected a dictionary with data and labels, got {type(batch).__name__}")
    pixels, labels = batch.get(b"data"), batch.get(b"labels")
    if not isinstance(pixels, _Array) or not pixels.holds(images):
        got = pixels.described() if isinstance(pixels, _Array) else type(pixels).__name__
        wanted = f"uint8 'u1' {(images, PIXELS)}, {images * PIXELS} bytes"
        raise ValueError(f"{path}: expected data of {wanted}, got {got}")
    if not isinstance(labels, list):
        raise ValueError(f"{path}: expected labels in a list, got {type(labels).__name__}")
    kinds = ", ".join(sorted({type(label).__name__ for label in labels}))
    if len(labels) != images or kinds != "int":
        raise ValueError(f"{path}: expected {images} labels of int, got {len(labels)} of {kinds or 'nothing'}")
    values = np.frombuffer(pixels.content, dtype=np.uint8).reshape(images, PIXELS)
    return Pictures(values, _expect_labels(path, np.array(labels, dtype=object)), SHAPE, 255)


def _content(path: Path, most: int) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a file of CIFAR-10, got none")
    if not path.is_file():
        raise ValueError(f"{path}: expected a file of CIFAR-10, got something else, such as a folder or a pipe")
    if path.stat().st_size > most:
        raise ValueError(f"{path}: expected at most {most} bytes, got {path.stat().st_size}")
    return path.read_bytes()


def _expect_labels(path: Path, labels: np.ndarray) -> np.ndarray:
    wrong = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if wrong.size:
        raise ValueError(f"{path}: expected labels from 0 to 9, got {labels[wrong[0]]} for image {wrong[0]}")
    return labels.astype(np.int64)


class _Dtype:
    """Stands for numpy.dtype: its name, such as "u1"; the rest of its state is about other dtypes."""

    def __init__(self, name: bytes | str, *flags: Any) -> None:
        self.name = name.decode("latin1") if isinstance(name, bytes) else name

    def __setstate__(self, state: Any) -> None:
        pass


class _Array:
    """Stands for numpy.ndarray, and for the function that makes an empty one: what a pickle says that it holds."""

    def __init__(self, *arguments: Any) -> None:
        self.dtype, self.shape, self.fortran, self.content = "", (), False, b""

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, dtype, self.fortran, content = state
        self.dtype, self.content = dtype.name, content
        if not isinstance(content, (bytes, bytearray)):
            raise pickle.UnpicklingError(f"an array of {type(content).__name__} in place of bytes")

    def holds(self, images: int) -> bool:
        """Tell whether these are the pixels of so many images."""
        fits = self.dtype == "u1" and self.shape == (images, PIXELS) and len(self.content) == images * PIXELS
        return fits and not self.fortran

    def described(self) -> str:
        """Return what came, for an error."""
        order = " in Fortran order" if self.fortran else ""
        return f"{self.dtype!r} {self.shape!r}{order}, {len(self.content)} bytes"


def _from_buffer(content: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str, *axes: Any) -> _Array:
    """Stands for the function that protocol 5 has for arrays."""
    found = _Array()
    found.__setstate__((1, shape, dtype, order != "C", content))
    return found


class _Unpickler(pickle.Unpickler):
    """Loads dictionaries, lists, tuples, numbers, bytes and arrays; every other reference is an error."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._left = len(content)

    def _encoded(self, text: str, encoding: str) -> bytes:
        """Stands for the function that protocol 2 has for bytes, which are no more than the file has."""
        self._left -= len(text)
        if self._left < 0:
            raise pickle.UnpicklingError("more bytes than the file has")
        return text.encode("latin1")

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("numpy.core.multiarray", "_reconstruct"): _Array,
            ("numpy._core.multiarray", "_reconstruct"): _Array,  # since NumPy 2
            ("numpy.core.numeric", "_frombuffer"): _from_buffer,
            ("numpy._core.numeric", "_frombuffer"): _from_buffer,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): self._encoded,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"a reference to {module}.{name}")
        return known[module, name]
