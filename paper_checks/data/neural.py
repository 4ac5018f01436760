"""Recorded responses of neurons to images, from a file that the user supplies.

An `.npz` file of NumPy with two arrays of numbers: `stimuli`, [N, 28, 28] or [N, 784], images as MNIST has them, light
on dark, from 0 to 1; and `responses`, [N, neurons], one row for each image in the same order, such as mean rates.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STIMULI = 10
"""The least number that dissimilarities are compared over."""
PIXELS = 28 * 28


@dataclass(frozen=True)
class Recording:
    """A file of responses, and a digest of its content."""

    file: str
    digest: str

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return stimuli [N, 784] and responses [N, neurons].

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not what this module describes, or not what it was.
        """
        content = Path(self.file).read_bytes()
        if _digest(content) != self.digest:
            raise ValueError(f"{self.file}: expected the content that it had before, got another")
        return _arrays(self.file, content)


def recording(file: str | Path) -> Recording:
    """Return the recording in a file, after checking it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not what this module describes; the message says what was expected and what came.
    """
    content = Path(file).read_bytes()
    _arrays(str(file), content)
    return Recording(str(file), _digest(content))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _arrays(file: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            names = set(archive.files)
            missing = {"stimuli", "responses"} - names
            if missing:
                raise ValueError(f"expected arrays stimuli and responses, got {', '.join(sorted(names)) or 'none'}")
            stimuli, responses = _numbers("stimuli", archive["stimuli"]), _numbers("responses", archive["responses"])
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:  # of another kind of file
        raise ValueError(f"{file}: expected an .npz file of stimuli and responses: {error}") from None
    if stimuli.ndim < 2 or math.prod(stimuli.shape[1:]) != PIXELS:
        raise ValueError(f"{file}: expected stimuli [N, 28, 28] or [N, 784], got shape {list(stimuli.shape)}")
    if stimuli.min() < 0 or stimuli.max() > 1:
        raise ValueError(f"{file}: expected stimuli from 0 to 1, got {stimuli.min():g} to {stimuli.max():g}")
    if responses.ndim != 2 or responses.shape[0] != stimuli.shape[0] or responses.shape[1] < 2:
        got = list(responses.shape)
        raise ValueError(f"{file}: expected responses [{stimuli.shape[0]}, neurons], two or more, got shape {got}")
    if stimuli.shape[0] < STIMULI:
        raise ValueError(f"{file}: expected at least {STIMULI} stimuli, got {stimuli.shape[0]}")
    constant = np.flatnonzero(np.ptp(responses, axis=1) == 0)
    if constant.size:
        raise ValueError(f"{file}: expected responses that differ between neurons, got equal ones in row {constant[0]}")
    return stimuli.reshape(stimuli.shape[0], PIXELS), responses


def _numbers(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected {name} of real numbers, got {array.dtype}")
    values = array.astype(np.float64)
    if not values.size or not np.all(np.isfinite(values)):
        raise ValueError(f"expected finite {name}, got {'none' if not values.size else 'NaN or infinity'}")
    return values
