"""Data that is split for training, validation and testing, the same way in every run and on every array library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace

from nmnc_ref import random
from nmnc_ref.arrays import Array

TEST, VALIDATION = 0.2, 0.1
"""Shares of data that comes without a test set of its own, rounded down; the rest is for training."""


class Samples(NamedTuple):
    """`inputs`: [N, C·H·W] or [N, T, features]; `targets`: [N, classes], one-hot."""

    inputs: Array
    targets: Array


class Dataset(NamedTuple):
    """Samples for training, for choosing among trained networks, and for testing the choice.

    `shape`: what an input is: an image (C, H, W), flattened in this order, or a sequence (T, features).
    """

    train: Samples
    validation: Samples
    test: Samples
    shape: tuple[int, ...]


def permutation(total: int) -> np.ndarray:
    """Return the fixed order in which `total` samples are dealt out, the same for every seed of a run."""
    return np.argsort(random.uniform(random.key(0, np), (total,), np.float64))


def split(total: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the positions of the samples for training, validation and testing, in the fixed order."""
    order = permutation(total)
    test, validation = int(TEST * total), int(VALIDATION * total)
    return order[test + validation :], order[test : test + validation], order[:test]


def batches(samples: Samples, key: Array, size: int) -> Iterator[Samples]:
    """Yield the batches of one epoch in random order; what does not fill a batch is left out."""
    xp = array_namespace(samples.inputs)
    total = samples.inputs.shape[0]
    order = xp.argsort(random.uniform(key, (total,), samples.inputs.dtype))
    for start in range(0, total - size + 1, size):
        chosen = order[start : start + size]
        yield Samples(xp.take(samples.inputs, chosen, axis=0), xp.take(samples.targets, chosen, axis=0))
