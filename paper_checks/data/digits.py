"""A small classifier of real images: the UCI handwritten digits that scikit-learn ships (1,797 images of 8×8)."""

from __future__ import annotations

import functools
from typing import NamedTuple

from nmnc_ref import manifold, random
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, feedforward, loss, sgd
from nmnc_ref.nn.feedforward import Forward, Network
from nmnc_ref.nn.initialisation import dense_network
from paper_checks.data.dataset import Samples, batches
from paper_checks.data.images import samples, uci_digits
from paper_checks.lab import Lab

WIDTHS = (64, 100, 100, 10)
HIDDEN = (1, 2)
DIMENSION = 10
BATCH = 64
EPOCHS = 30
LEARNING_RATE = 0.05
MOMENTUM = 0.9


class Classifier(NamedTuple):
    """A trained ReLU network, the images and one-hot targets it was trained on, and its forward pass on them."""

    network: Network
    images: Array
    targets: Array
    forward: Forward

    def basis(self, layer: int, dimension: int = DIMENSION, centring: str = "uncentred") -> Array:
        """Return the basis of the manifold of a layer."""
        return manifold.fit(self.forward.activity[layer], dimension=dimension, centring=centring).basis

    def jacobians(self, layer: int, samples: int) -> Array:
        """Return the Jacobians of the first images, [samples, 10, n]."""
        return feedforward.jacobian(self.network, self.images[:samples, :], layer, activation.relu)


def load(lab: Lab) -> tuple[Array, Array]:
    """Return the images [1797, 64], with pixels from 0 to 1, and the one-hot targets [1797, 10]."""
    images, targets = samples(lab, uci_digits())
    return images, targets


def untrained(lab: Lab) -> Classifier:
    """Return the classifier as it is before training."""
    images, targets = load(lab)
    layers = dense_network(lab.key("digits: initial weights"), WIDTHS, lab.dtype)
    return Classifier(layers, images, targets, feedforward.forward(layers, images, activation.relu))


@functools.lru_cache(maxsize=4)
def trained(lab: Lab, decay: float = 0.0) -> Classifier:
    """Train the classifier by backpropagation with momentum, from an initial network that the lab's seed determines."""
    images, targets = load(lab)
    layers = untrained(lab).network

    def step(layers: tuple, velocity: tuple, x: Array, target: Array) -> tuple[tuple, tuple]:
        pass_ = feedforward.backpropagation(layers, x, target, activation.relu, loss.softmax_cross_entropy)
        return sgd.step(layers, pass_.gradient, velocity, learning_rate=LEARNING_RATE, momentum=MOMENTUM, decay=decay)

    step = lab.jit(step)
    velocity = sgd.zero_velocity(layers)
    for epoch in range(EPOCHS):
        key = random.fold_in(lab.key("digits: order"), epoch)
        for x, target in batches(Samples(images, targets), key, BATCH):
            layers, velocity = step(layers, velocity, x, target)
    return Classifier(layers, images, targets, feedforward.forward(layers, images, activation.relu))
