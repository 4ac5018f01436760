"""What is seen of a network on CIFAR-10, during training and after it: accuracy, feedback, alignment, likeness."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nmnc_ref import feedback, manifold, similarity, training
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, feedforward, loss
from nmnc_ref.nn.layer import Layer
from paper_checks.data.dataset import Dataset, Samples
from paper_checks.data.neural import Recording, resized, upper_triangle
from paper_checks.lab import Lab
from paper_checks.learning.experiments.accuracy import cosine
from paper_checks.learning.experiments.course import SAMPLE

WATCHED = 500
"""Of the validation images, on which loss and accuracy are followed."""
JACOBIANS = 40
"""Of the validation images, whose Jacobians are measured; the test images are for accuracy alone."""
CHUNK = 1_000
"""Images that are passed at once."""
IMAGE = 32
EXPLAINED = 1 - 1e-6
DIMENSIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""At which the alignment A(d) is measured (E17)."""


@functools.cache
def _jacobian(backend: str, site: int) -> Callable:
    return Lab(backend).jit(lambda network, x: feedforward.jacobian(network, x, site, activation.relu))


@functools.cache
def _output(backend: str) -> Callable:
    return Lab(backend).jit(lambda network, x: feedforward.forward(network, x, activation.relu).output)


def performance(lab: Lab, state: training.State, part: Samples, steps: int) -> tuple[float, float]:
    """Return loss and accuracy of a network after so many steps of training.

    Raises:
        training.Divergence: its outputs are not finite.
    """
    starts = range(0, part.inputs.shape[0], CHUNK)
    outputs = [_output(lab.backend)(state.network, part.inputs[start : start + CHUNK, :]) for start in starts]
    output = lab.xp.concat(outputs, axis=0)
    if not lab.xp.all(lab.xp.isfinite(output)):
        raise training.Divergence(steps - 1, "outputs after this last step that are not finite")
    right = lab.xp.argmax(output, axis=-1) == lab.xp.argmax(part.targets, axis=-1)
    return float(loss.softmax_cross_entropy.value(output, part.targets)), float(lab.numpy(right).mean())


def jacobians(lab: Lab, data: Dataset, state: training.State) -> Iterator[Array]:
    """Yield those of each hidden layer for `JACOBIANS` images."""
    for site in range(1, len(state.network)):
        yield _jacobian(lab.backend, site)(state.network, data.validation.inputs[:JACOBIANS, :])


def watched(lab: Lab, data: Dataset, state: training.State, step: int) -> dict[str, Any]:
    """Return the step, and loss and accuracy on some validation images."""
    value, accuracy = performance(lab, state, Samples(*(array[:WATCHED, :] for array in data.validation)), step)
    return {"step": step, "loss": value, "accuracy": accuracy}


def direct_feedback(lab: Lab, data: Dataset, state: training.State) -> list[dict[str, float]]:
    """Return by layer the cosine of feedback with the mean Jacobian, and the energies that predict it (F2)."""
    found = []
    for index, each in enumerate(jacobians(lab, data, state) if state.feedback else ()):
        mean, learned = lab.xp.mean(each, axis=0), state.feedback[index]
        energies = {
            "cosine": cosine(lab, learned, mean),
            "energy of feedback": float(lab.xp.sum(learned**2)),
            "width": each.shape[2],
            "mean": float(lab.xp.sum(mean**2)),
            "each": float(lab.xp.sum(each**2)) / each.shape[0],
        }
        if state.bases:
            basis = state.bases[index]
            energies |= {
                "dimension": basis.shape[1],
                "its part in the manifold": float(lab.xp.sum((mean @ basis) ** 2)),
                "their part in the manifold": float(lab.xp.sum((each @ basis) ** 2)) / each.shape[0],
            }
        found.append(energies)
    return found


def mirrors(lab: Lab, data: Dataset, state: training.State) -> list[dict[str, float]]:
    """Return by layer the cosine of a mirror with the weights, and that of its mean on the manifold (F3)."""
    del data
    found = []
    for index, layer in enumerate(state.network[1:] if state.feedback else ()):
        found.append({"cosine": cosine(lab, state.feedback[index], layer.weight)})
        if state.bases:
            found[-1]["cosine of its mean"] = cosine(lab, _mean_mirror(layer, state.bases[index]).weight, layer.weight)
    return found


def _mean_mirror(layer: Layer, basis: Array) -> Layer:
    """Return the mean of mirror estimates with noise along a basis: that of perturbations √d u_1, …, √d u_d."""
    noise = basis.T * basis.shape[1] ** 0.5
    return feedback.mirror_estimate(layer, layer._replace(bias=0 * layer.bias).preactivation(noise), noise, 1.0)


def alignments(lab: Lab, data: Dataset, state: training.State) -> list[dict[str, list[float]]]:
    """Return by layer A(d) for the first `DIMENSIONS` of the manifold after training, of the mean Jacobian and of all
    Jacobians together.
    """
    passed = feedforward.forward(state.network, data.train.inputs[:SAMPLE, :], activation.relu)
    found: list[dict[str, list[float]]] = []
    for site, each in enumerate(jacobians(lab, data, state), start=1):
        basis = manifold.fit(passed.activity[site], explained=EXPLAINED).basis
        mean = lab.xp.mean(each, axis=0)
        shares = {"mean": (mean @ basis) ** 2 / lab.xp.sum(mean**2), "each": (each @ basis) ** 2 / lab.xp.sum(each**2)}
        found.append({})
        for name, share in shares.items():
            course = lab.numpy(share).reshape(-1, basis.shape[1]).sum(axis=0).cumsum()
            found[-1][name] = [float(course[min(d, course.shape[0]) - 1]) for d in DIMENSIONS]
    return found


def dissimilarities(lab: Lab, network: tuple, recording: Recording) -> list[str | None]:
    """Return by layer the dissimilarities of the activity for the stimuli, packed; None where units have died."""
    images = resized(recording.read().stimuli, IMAGE).transpose(0, 3, 1, 2)
    passed = feedforward.forward(network, lab.array(images.reshape(images.shape[0], -1)), activation.relu)
    found: list[str | None] = []
    for activity in passed.activity[1:]:
        try:
            found.append(pack(upper_triangle(similarity.dissimilarity(lab.numpy(activity)))))
        except ValueError:
            found.append(None)
    return found


def pack(values: np.ndarray) -> str:
    """Return numbers as text: float32 in base 64."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def unpack(text: str) -> np.ndarray:
    """Return the numbers of `pack`."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float64)
