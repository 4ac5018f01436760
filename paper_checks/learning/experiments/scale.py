"""One training step of the layer-wise rule at the sizes of AlexNet (L7)."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmnc_ref import feedback, perturbation, random, training
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, loss
from nmnc_ref.nn.initialisation import Kernel, convolutional_network
from nmnc_ref.route import Layerwise
from paper_checks.data.images import CLASSES, mnist
from paper_checks.lab import Lab

IMAGE = (3, 224, 224)
KERNELS = (
    Kernel(64, 11, stride=4, padding=2),
    Kernel(192, 5, padding=2, pool=3, pool_stride=2),
    Kernel(384, 3, padding=1, pool=3, pool_stride=2),
    Kernel(256, 3, padding=1),
    Kernel(256, 3, padding=1),
    Kernel(4096, 6, pool=3, pool_stride=2),  # as large as what it sees: fully connected
)
DENSE = (4096, 1000)
DIMENSION = 10
BATCH, SAMPLE = 8, 32
SIGMA = 0.01
ROWS = 20
"""Of each layer, whose mirror is compared."""


@dataclass(frozen=True)
class Scale:
    """One step on eight digits, enlarged eightfold to 224×224 pixels in three equal channels."""

    seed: int
    alone = True

    def perform(self, lab: Lab) -> dict[str, Any]:
        """Return sizes, seconds, peak memory in bytes, and how far mirrors are from their expectations."""
        key = random.fold_in(lab.key("learning: scale"), self.seed)
        layers = convolutional_network(random.fold_in(key, 0), IMAGE, KERNELS, DENSE, lab.dtype)
        images, target = _enlarged(lab)
        route = Layerwise(activation.relu)
        settings = training.Settings("nmnc", learning_rate=1e-3, feedback_rate=0.05, dimension=DIMENSION, sigma=SIGMA)
        state = training.init(random.fold_in(key, 1), layers, images, route=route, settings=settings)
        start = time.perf_counter()
        _, info = training.step(
            state,
            images[:BATCH, :],
            target[:BATCH, :],
            route=route,
            loss=loss.softmax_cross_entropy,
            settings=settings,
        )
        seconds = time.perf_counter() - start
        peak = _peak()
        found = {
            "units": [basis.shape[0] for basis in state.bases],
            "parameters": sum(layer.weight.size + layer.bias.size for layer in layers),
            "seconds": seconds,
            "peak": peak,
            "gradients": [float(lab.xp.linalg.vector_norm(layer.weight)) for layer in info.gradient],
        }
        del info
        mirrors = [_deviation(lab, layers[site + 1], basis) for site, basis in enumerate(state.bases)]
        return found | {"mirrors": mirrors}


def _peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    import resource  # of Unix alone: elsewhere only this experiment cannot run

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _enlarged(lab: Lab) -> tuple[Array, Array]:
    """Return images [N, 3·224·224] and one-hot targets among 1,000 classes, of which ten occur."""
    data = mnist(lab)
    pixels = lab.numpy(data.train.inputs[:SAMPLE, :]).reshape(-1, 1, 28, 28)
    images = np.kron(pixels, np.ones((1, 3, 8, 8))).reshape(SAMPLE, -1)
    targets = np.zeros((SAMPLE, DENSE[-1]))
    targets[:, :CLASSES] = lab.numpy(data.train.targets[:SAMPLE, :])
    return lab.array(images), lab.array(targets)


def _deviation(lab: Lab, layer: Any, basis: Array) -> dict[str, float]:
    """Return how far the expected mirror estimate is from what it may be taken for, in rows of the layer: max|Δ|.

    The expectation is over the finite law of the d vectors z = √d e_j, which has E[z zᵀ] = I as the Gaussian law has,
    and no more enters, as responses are linear. "W C" is the prediction: C is the mean over places of the covariance of
    the noise's patches, over σ²; P itself for a dense layer. "size" is its largest element, "terms" how many summands
    it has.
    """
    layer = layer._replace(weight=layer.weight[:ROWS, ...], bias=layer.bias[:ROWS])
    weight = lab.numpy(layer.weight).reshape(ROWS, -1)
    seen = _patches(lab.numpy(basis.T), layer)  # [d, inputs of a unit, places]
    shared = np.einsum("ri,dip->rdp", weight, seen)
    summed = np.einsum("rdp,dip->ri", shared, seen)
    predicted = summed / seen.shape[-1]
    z = DIMENSION**0.5 * lab.xp.eye(DIMENSION, dtype=lab.dtype)
    noise = perturbation.on_manifold(z, basis, SIGMA)
    response = layer.preactivation(noise)  # δs, as the biases are zero
    estimate = lab.numpy(feedback.mirror_estimate(layer, response, noise, SIGMA).weight).reshape(ROWS, -1)
    found = {
        name: float(np.max(np.abs(estimate - target)))
        for name, target in (("W C", predicted), ("W", weight), ("W C, summed over places", summed))
    }
    return found | {"size": float(np.max(np.abs(predicted))), "terms": seen.size}


def _patches(images: np.ndarray, layer: Any) -> np.ndarray:
    """Return what each unit of a layer sees of images [d, inputs], by windows: [d, inputs of a unit, places]."""
    if not hasattr(layer, "geometry"):
        return images[..., None]
    shape = layer.geometry
    windows = np.lib.stride_tricks.sliding_window_view
    whole = images.reshape(-1, *shape.image)
    pooled = windows(whole, (shape.pool, shape.pool), axis=(2, 3))[:, :, :: shape.pool_stride, :: shape.pool_stride]
    pooled = np.pad(pooled.mean(axis=(-2, -1)), ((0, 0), (0, 0), *[(shape.padding, shape.padding)] * 2))
    seen = windows(pooled, (shape.size, shape.size), axis=(2, 3))[:, :, :: shape.stride, :: shape.stride]
    seen = seen.transpose(0, 1, 4, 5, 2, 3)
    return seen.reshape(len(images), shape.image[0] * shape.size**2, -1)
