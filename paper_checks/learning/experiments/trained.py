"""Classifiers of MNIST digits trained by backpropagation, for what is measured on trained networks."""

from __future__ import annotations

from collections.abc import Iterator

from nmnc_ref import random, training
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation
from nmnc_ref.nn.initialisation import Kernel, convolutional_network, dense_network
from nmnc_ref.route import Direct
from paper_checks.data.dataset import Dataset
from paper_checks.data.images import CLASSES, mnist
from paper_checks.lab import Lab
from paper_checks.learning.experiments.course import course

BATCH = 50
STEPS = 70
"""In an epoch."""
ROUTE = Direct(activation.relu)
KERNELS = (Kernel(8, 5, stride=2, padding=2), Kernel(16, 5, stride=2, padding=2))


def dense(key: Array, lab: Lab, data: Dataset, hidden: tuple[int, ...]) -> tuple:
    """Return a network of dense layers."""
    return dense_network(key, (data.train.inputs.shape[1], *hidden, CLASSES), lab.dtype)


def convolutional(key: Array, lab: Lab, data: Dataset, hidden: tuple[int, ...]) -> tuple:
    """Return a network of two strided convolutions, 8 and 16 channels, and dense layers above."""
    channels, height, width = data.shape
    return convolutional_network(key, (channels, height, width), KERNELS, (*hidden, CLASSES), lab.dtype)


KINDS = {"dense": dense, "convolutional": convolutional}


def course_of_classifier(
    lab: Lab, kind: str, hidden: tuple[int, ...], *, decay: float, seed: int, epochs: int, every: int = 1
) -> tuple[Dataset, Iterator[training.State]]:
    """Return the data, and the states before training and after every so many epochs of it."""
    data = mnist(lab)
    key = random.fold_in(lab.key("learning: trained classifiers"), seed)
    layers = KINDS[kind](random.fold_in(key, 0), lab, data, hidden)
    settings = training.Settings(
        "backpropagation", learning_rate=0.05, momentum=0.9, decay=decay, fit_every=STEPS * every
    )
    return data, course(
        lab, random.fold_in(key, 1), layers, data, route=ROUTE, settings=settings, epochs=epochs, batch=BATCH
    )


def classifier(
    lab: Lab, kind: str, hidden: tuple[int, ...], *, decay: float, seed: int, epochs: int
) -> tuple[Dataset, tuple]:
    """Return the data and the network at the end of training."""
    data, states = course_of_classifier(lab, kind, hidden, decay=decay, seed=seed, epochs=epochs, every=epochs)
    *_, state = states
    return data, state.network
