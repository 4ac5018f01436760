"""How the outputs, or the losses of the samples, respond to perturbations of hidden layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nmnc_ref.nn import feedforward
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, LOSSES, Declaration, Problem


def outputs(
    problem: Problem, clean: feedforward.Forward, offsets: Mapping[int, np.ndarray], before_activation: bool = False
) -> np.ndarray:
    """Return y [..., B, n_o] of the network with offsets [..., B, n_l] added to the activity of hidden layers.

    Args:
        problem: whose network and inputs are used.
        clean: its unperturbed forward pass.
        offsets: by hidden layer.
        before_activation: add them to the preactivation s_l instead.
    """
    first, value = min(offsets), ACTIVATIONS[problem.activation].value
    activity = clean.activity[first + 1] + offsets[first]
    if before_activation:
        activity = value(clean.preactivation[first] + offsets[first])
    hidden = len(problem.weights) - 1
    for layer in range(first + 1, hidden):
        s = activity @ problem.weights[layer].T + problem.biases[layer]
        if before_activation and layer in offsets:
            s = s + offsets[layer]
        activity = value(s)
        if not before_activation and layer in offsets:
            activity = activity + offsets[layer]
    return activity @ problem.weights[hidden].T + problem.biases[hidden]


def declared(problem: Problem, declaration: Declaration, output: np.ndarray) -> np.ndarray:
    """Return what the declaration correlates with the noise: outputs [..., B, n_o] or losses [..., B, 1]."""
    if declaration.response == "output":
        return output
    return LOSSES[problem.loss].each(output, problem.target)[..., None]
