"""Data that the user may supply, and what to get from where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from paper_checks.data.cifar import Archive, archive
from paper_checks.data.neural import Recording, recording


class Supplied(NamedTuple):
    """What the user has supplied; None for what not."""

    cifar: Archive | None = None
    neural: Recording | None = None


class Source(NamedTuple):
    """`what` the data are, and `read`, which checks them."""

    what: str
    read: Callable[[Path], Any]


SOURCES = {
    "cifar": Source(
        "the images of CIFAR-10, unpacked, binary or for Python, from https://www.cs.toronto.edu/~kriz/cifar.html: "
        "--cifar FOLDER",
        archive,
    ),
    "neural": Source(
        "images and responses of neurons to them or their dissimilarities, such as the published supplement of "
        "Kriegeskorte et al. 2008 that https://github.com/rsagroup/rsatoolbox has in demos/92imageData: --neural FILE",
        recording,
    ),
}
"""By field of `Supplied`."""
