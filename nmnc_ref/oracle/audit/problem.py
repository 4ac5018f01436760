"""What an audited estimator is given, and what its user declares that it computes."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np

from nmnc_ref.checked import checked
from nmnc_ref.nn import activation, feedforward, loss
from nmnc_ref.nn.dense import Dense
from nmnc_ref.scalars import Choice
from nmnc_ref.theory.estimator import Law

RETURNS = ("jacobian", "activity-gradient", "weight-gradient")
TARGETS = ("full", "projected")
RESPONSES = ("output", "loss")
ACTIVATIONS = {each.name: each for each in (activation.identity, activation.tanh, activation.relu)}
Returns = Annotated[str, Choice(*RETURNS)]
Target = Annotated[str, Choice(*TARGETS)]
Response = Annotated[str, Choice(*RESPONSES)]
ActivationName = Annotated[str, Choice(*ACTIVATIONS)]
LOSSES = {each.name: each for each in (loss.squared_error, loss.softmax_cross_entropy)}


class Problem(NamedTuple):
    """A network, a batch, and how to perturb it: all that an estimator needs but its seed.

    The arrays are read-only NumPy float64. Hidden layers are counted from 0.

    `weights`: W_l [n_l, n_{l−1}], the output layer included; `biases`: b_l [n_l]; `activation`: "identity", "tanh" or
    "relu" (slope 0 at 0) of the hidden layers, the output being linear; `x`: [B, n_0]; `target`: [B, n_o], one-hot for
    cross-entropy; `loss`: "squared error", the batch mean of ½‖y − t‖², or "softmax cross-entropy", a batch mean too;
    `sigma`: σ; `draws`: K for each sample; `bases`: U_l [n_l, d_l] with orthonormal columns for each hidden layer, or
    None; `sites`: the hidden layers to estimate at; one entry is to be returned for each, in this order (for weight
    gradients they are all hidden layers, upwards).
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    activation: str
    x: np.ndarray
    target: np.ndarray
    loss: str
    sigma: float
    draws: int
    bases: tuple[np.ndarray, ...] | None
    sites: tuple[int, ...]


class Declaration(NamedTuple):
    """What the user says that the estimator computes.

    `returns`: "jacobian" [n_o, n_l] for each site, the batch mean of ∂y/∂x_l; "activity-gradient" [B, n_l] for each
    site, ∂loss/∂x_l; or "weight-gradient" ((dW, db), …) for every layer. `target`: "full", or "projected" on bases.
    `noise`: law of the coefficients. `response`: what is correlated with the noise, the output vector or each sample's
    own loss. `simultaneous`: all sites are perturbed at once.
    """

    returns: str
    target: str = "full"
    noise: str = "gaussian"
    response: str = "output"
    simultaneous: bool = False


@checked
def declare(returns: Returns, target: Target, noise: Law, response: Response, simultaneous: bool) -> Declaration:
    """Return a declaration, of which every word is one of those listed.

    Raises:
        ValueError: a Jacobian from the response of a scalar loss.
    """
    if returns == "jacobian" and response == "loss":
        raise ValueError("response: expected output for --returns jacobian; the loss has a gradient, not a Jacobian")
    return Declaration(returns, target, noise, response, simultaneous)


def layers(problem: Problem) -> tuple[Dense, ...]:
    """Return the network of a problem as layers of this library."""
    return tuple(Dense(weight, bias) for weight, bias in zip(problem.weights, problem.biases, strict=True))


def forward(problem: Problem) -> feedforward.Forward:
    """Run the unperturbed network: `activity[l + 1]` is that of hidden layer l."""
    return feedforward.forward(layers(problem), problem.x, ACTIVATIONS[problem.activation])


def basis(problem: Problem, site: int) -> np.ndarray:
    """Return U [n_l, d_l] of a hidden layer, or the identity where noise is to be isotropic."""
    return np.eye(len(problem.biases[site])) if problem.bases is None else problem.bases[site]


def read_only(array: Any) -> np.ndarray:
    """Return a float64 copy that NumPy refuses to write to, or to make writable."""
    array = np.ascontiguousarray(array, dtype=np.float64)
    return np.frombuffer(array.tobytes()).reshape(array.shape)
