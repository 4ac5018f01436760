"""Recorded responses of neurons to images, from a file that the user supplies.

An `.npz` file of NumPy with two arrays of numbers: `stimuli`, [N, 28, 28] or [N, 784], images as MNIST has them, light
on dark, from 0 to 1; and `responses`, [N, neurons], one row for each image in the same order, such as mean rates. At
least ten images and two neurons, and no image to which all neurons respond alike, as dissimilarities need differences.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmnc_ref import similarity

STIMULI = 10
"""The least number that dissimilarities are compared over."""
PIXELS = 28 * 28
DAMAGED = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Recording:
    """A file of responses, and a digest of its content."""

    file: str
    digest: str

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return stimuli [N, 784] and responses [N, neurons], these of mean 0 and variance 1 all together.

        Raises:
            ValueError: the file cannot be read any more, or is not what it was.
        """
        try:
            content = Path(self.file).read_bytes()
        except OSError as error:
            raise ValueError(f"{self.file}: expected the file that was there before, got: {error.strerror}") from None
        if _digest(content) != self.digest:
            raise ValueError(f"{self.file}: expected the content that it had before, got another")
        return _arrays(self.file, content)


def recording(file: str | Path) -> Recording:
    """Return the recording in a file, after checking it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not what this module describes; the message says what was expected and what came.
    """
    if Path(file).exists() and not Path(file).is_file():
        raise ValueError(f"{file}: expected a file, got something else, such as a directory or a pipe")
    content = Path(file).read_bytes()
    _arrays(str(file), content)
    return Recording(str(file), _digest(content))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _arrays(file: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    try:
        stimuli, responses = _load(content)
        _expect_pair(stimuli, responses)
        return stimuli.reshape(-1, PIXELS), _standardised(responses)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _load(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError("expected an .npz file of stimuli and responses, got another kind of file")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            names = set(archive.files)
            missing = {"stimuli", "responses"} - names
            if missing:
                raise ValueError(f"expected arrays stimuli and responses, got {', '.join(sorted(names)) or 'none'}")
            return _numbers("stimuli", archive["stimuli"]), _numbers("responses", archive["responses"])
    except (ValueError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError, *DAMAGED) as error:
        raise ValueError(f"expected an .npz file of stimuli and responses: {error}") from None


def _expect_pair(stimuli: np.ndarray, responses: np.ndarray) -> None:
    if stimuli.ndim < 2 or math.prod(stimuli.shape[1:]) != PIXELS:
        raise ValueError(f"expected stimuli [N, 28, 28] or [N, 784], got shape {list(stimuli.shape)}")
    if stimuli.min() < 0 or stimuli.max() > 1:
        raise ValueError(f"expected stimuli from 0 to 1, got {stimuli.min()} to {stimuli.max()}")
    if responses.ndim != 2 or responses.shape[0] != stimuli.shape[0] or responses.shape[1] < 2:
        got = list(responses.shape)
        raise ValueError(f"expected responses [{stimuli.shape[0]}, neurons], two or more, got shape {got}")
    if stimuli.shape[0] < STIMULI:
        raise ValueError(f"expected at least {STIMULI} stimuli, got {stimuli.shape[0]}")
    if not np.any(np.ptp(stimuli, axis=0)):
        raise ValueError(f"expected stimuli that differ, got the same image {stimuli.shape[0]} times")
    constant = np.flatnonzero(np.ptp(responses, axis=1) == 0)
    if constant.size:
        raise ValueError(f"expected responses that differ between neurons, got equal ones in row {constant[0]}")


def _standardised(responses: np.ndarray) -> np.ndarray:
    """Return responses of mean 0 and variance 1 all together: neither measure sees a scale or shift of all of them."""
    responses = responses / np.abs(responses).max()
    responses = (responses - responses.mean()) / responses.std()
    try:  # RSA alone, as CKA needs less: that some responses to two stimuli differ
        similarity.rsa(responses.astype(np.float32), responses.astype(np.float32))
    except ValueError as error:
        raise ValueError(f"expected responses that can be compared, got: {error}") from None
    return responses


def _numbers(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected {name} of real numbers, got {array.dtype}")
    values = array.astype(np.float64)
    if not values.size or not np.all(np.isfinite(values)):
        raise ValueError(f"expected finite {name}, got {'none' if not values.size else 'NaN or infinity'}")
    return values
