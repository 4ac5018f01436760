"""What an audited estimator is given, and what its user declares that it computes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import numpy as np

from nmnc_ref.checked import checked
from nmnc_ref.nn import activation, feedforward, loss
from nmnc_ref.nn.dense import Dense
from nmnc_ref.scalars import Choice, Some
from nmnc_ref.theory.estimator import LAWS

RETURNS = ("jacobian", "activity-gradient", "weight-gradient")
TARGETS = ("full", "projected")
PERTURBED = ("activity", "preactivation", "weights")
RESPONSES = ("output", "loss", "batch-loss")
MEASURES = ("difference", "value", "derivative")
NOISES = (*LAWS, "sphere", "other")
ACTIVATIONS = {each.name: each for each in (activation.identity, activation.tanh, activation.relu)}
Returns = Annotated[str, Choice(*RETURNS)]
Target = Annotated[str, Choice(*TARGETS)]
Perturbed = Annotated[str, Choice(*PERTURBED)]
Response = Annotated[str, Choice(*RESPONSES)]
Measures = Annotated[str, Choice(*MEASURES)]
Noise = Annotated[str, Choice(*NOISES)]
Activations = Annotated[tuple[Annotated[str, Choice(*ACTIVATIONS)], ...], Some]
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

    The claim, which alone fixes the mean. `returns`: "jacobian" [n_o, n_l] for each site, the batch mean of ∂y/∂x_l;
    "activity-gradient" [B, n_l] for each site, ∂loss/∂x_l; or "weight-gradient" ((dW, db), …) for every layer.
    `target`: "full", or "projected" on bases.

    The kind, which fixes the variance. `perturbs`: "activity" x_l, "preactivation" s_l, or "weights" (and biases) of
    each site. `response`: what is correlated with the noise, the "output" vector, each sample's own "loss", or the one
    "batch-loss"; for the last, weights have one noise for the whole batch, otherwise each sample has its own.
    `measures`: the "difference" to a baseline or between antithetic points; the "value" alone, without a baseline; or
    the exact directional "derivative", without σ. `noise`: law of the coefficients. `simultaneous`: all sites are
    perturbed at once. `output_layer`: the gradient of the output layer is estimated too, not exact.
    """

    returns: str
    target: str = "full"
    noise: str = "gaussian"
    response: str = "output"
    simultaneous: bool = False
    perturbs: str = "activity"
    measures: str = "difference"
    output_layer: bool = False

    @property
    def kind(self) -> str:
        """The kind in words."""
        noun = {"activity": "activity", "preactivation": "node", "weights": "weight"}[self.perturbs]
        read = {
            "output": "reading outputs",
            "loss": "reading each sample's loss",
            "batch-loss": "reading the batch's loss",
        }
        words = [f"{noun} perturbation", read[self.response], f"{self.noise} noise"]
        words += [{"difference": "", "value": "no baseline", "derivative": "exact derivatives"}[self.measures]]
        words += ["all layers at once" * self.simultaneous, "output layer too" * self.output_layer]
        return ", ".join(filter(None, words))


@checked
def declare(
    returns: Returns,
    target: Target = "full",
    noise: Noise = "gaussian",
    response: Response = "output",
    simultaneous: bool = False,
    perturbs: Perturbed = "activity",
    measures: Measures = "difference",
    output_layer: bool = False,
) -> Declaration:
    """Return a declaration, of which every word is one of those listed.

    Raises:
        ValueError: words that contradict each other.
    """
    declaration = Declaration(returns, target, noise, response, simultaneous, perturbs, measures, output_layer)
    if reason := _contradiction(declaration):
        raise ValueError(reason)
    return declaration


def _contradiction(declared: Declaration) -> str:
    if declared.returns == "jacobian" and declared.response != "output":
        return "response: expected output for --returns jacobian; the loss has a gradient, not a Jacobian"
    if declared.returns != "weight-gradient" and declared.perturbs != "activity":
        return f"perturbs: expected activity for --returns {declared.returns}, got {declared.perturbs}"
    if declared.target == "projected" and declared.perturbs != "activity":
        return f"perturbs: expected activity for --target projected, whose bases are its, got {declared.perturbs}"
    if declared.output_layer and declared.returns != "weight-gradient":
        return f"output_layer: expected --returns weight-gradient, got {declared.returns}"
    return ""


def kinds(declared: Declaration) -> Iterator[Declaration]:
    """Yield the declarations of the same claim and any kind that small σ tells apart, the declared one first."""
    words = itertools.product(NOISES[:-1], RESPONSES, (False, True), PERTURBED, MEASURES, (False, True))
    every = (Declaration(declared.returns, declared.target, *each) for each in words)
    seen: set[Declaration] = set()
    for kind in (declared, *every):
        if not (seen.intersection(variants(kind)) or _contradiction(kind)):
            seen.add(kind)
            yield kind


def variants(kind: Declaration) -> tuple[Declaration, ...]:
    """Return a kind and those that only large σ tells from it.

    At small σ a difference is a derivative, noise on the sphere is of fixed norm (but for how loud layers of another
    size are, if all are perturbed at once), and each sample's loss changes as its output does; without a baseline
    nothing is as small as σ.
    """
    if kind.measures == "value":
        return (kind,)
    alike = {"measures": ("difference", "derivative"), "noise": ("fixed-norm", "sphere")}
    if kind.returns != "jacobian":
        alike["response"] = ("output", "loss")
    found = [kind]
    for word, values in alike.items():
        if getattr(kind, word) in values:
            others: list[Any] = [{word: value} for value in values if value != getattr(kind, word)]
            found += [each._replace(**other) for each in found for other in others]
    return tuple(each for each in found if _on_spheres(each) == _on_spheres(kind))


def _on_spheres(kind: Declaration) -> bool:
    """Tell whether the noise of several layers has σ for norm in each, so that a larger one has less in each entry."""
    several = kind.simultaneous and kind.perturbs != "weights"
    return several and (kind.noise, kind.measures) == ("sphere", "difference")


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
