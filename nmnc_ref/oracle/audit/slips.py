"""The catalogue of slips: each is the reference estimator with one step exchanged, or with other noise than declared.

What a slip predicts is what the reference then returns. Slips that cannot be told apart by anything that an estimator
returns share one entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.problem import ACTIVATIONS, Declaration, Problem, basis, forward


class Slip(NamedTuple):
    """`steps` replace those of `reference.estimates`, `instead` replaces what was declared; `applies` says where."""

    name: str
    steps: Mapping[str, Any] = {}
    applies: Callable[[Declaration], bool] = lambda declaration: True
    instead: Mapping[str, Any] = {}


def _weights(declaration: Declaration) -> bool:
    return declaration.returns == "weight-gradient"


def _projected(declaration: Declaration) -> bool:
    return declaration.target == "projected"


def _batch(problem: Problem) -> float:
    return float(len(problem.x))


def _share(problem: Problem, site: int) -> float:
    """Return d/n."""
    U = basis(problem, site)
    return U.shape[1] / U.shape[0]


def _isotropic(problem: Problem, site: int) -> np.ndarray:
    return np.eye(len(problem.biases[site]))


def _rows_normalised(problem: Problem, site: int) -> np.ndarray:
    U = basis(problem, site)
    return U / np.linalg.norm(U, axis=1, keepdims=True)


def _one_norm(problem: Problem, site: int) -> np.ndarray:
    U = basis(problem, site)
    return U / np.linalg.norm(U)


def _neighbour(problem: Problem, site: int) -> np.ndarray:
    """Return the basis of another hidden layer, where one fits."""
    own = basis(problem, site)
    others = [basis(problem, other) for other in range(len(problem.biases) - 1) if other != site]
    return next((other for other in others if other.shape == own.shape), own)


def _without_mean(problem: Problem, site: int) -> np.ndarray:
    U = basis(problem, site)
    mean = forward(problem).activity[site + 1].mean(axis=0) @ U
    return U - U @ np.outer(mean, mean) / (mean @ mean or 1.0)


def _no_slope(problem: Problem, site: int) -> np.ndarray:
    return np.ones((len(problem.x), len(problem.biases[site])))


def _slope_at_activity(problem: Problem, site: int) -> np.ndarray:
    return ACTIVATIONS[problem.activation].slope(forward(problem).activity[site + 1])


def _slope_from_zero(problem: Problem, site: int) -> np.ndarray:
    s = forward(problem).preactivation[site]
    slope = ACTIVATIONS[problem.activation].slope(s)
    return np.where(s == 0, 1.0, slope) if problem.activation == "relu" else slope


def _other_noise(law: str) -> Slip:
    return Slip(f"{law} noise", instead={"noise": law}, applies=lambda declaration: declaration.noise != law)


CATALOGUE = (
    Slip("no 1/σ²", {"factor": lambda problem, site: problem.sigma**2}),
    Slip("1/σ for 1/σ²", {"factor": lambda problem, site: problem.sigma}),
    Slip("no 1/K", {"factor": lambda problem, site: problem.draws}),
    Slip("pair counted twice, or antithetic pairs without ½", {"factor": lambda problem, site: 2.0}),
    Slip("½ twice, or ½ on a one-sided response", {"factor": lambda problem, site: 0.5}),
    Slip("sign", {"factor": lambda problem, site: -1.0}),
    Slip(
        "sum for mean over the batch",
        {"factor": lambda problem, site: _batch(problem)},
        applies=lambda declaration: not _weights(declaration),
    ),
    Slip("sum for mean over the batch", {"weight_factor": _batch, "bias_factor": _batch}, applies=_weights),
    Slip("sum for mean over the batch, in weights only", {"weight_factor": _batch}, applies=_weights),
    Slip("sum for mean over the batch, in biases only", {"bias_factor": _batch}, applies=_weights),
    Slip("noise shared over the batch", {"shared_by_samples": True}),
    Slip("noise shared between layers", {"shared_by_layers": True}),
    Slip("noise before the activation", {"before_activation": True}),
    Slip("stale baseline (of another sample)", {"stale": True}),
    Slip("transposed", {"transposed": True}),
    Slip("activation derivative left out", {"slope": _no_slope}, applies=_weights),
    Slip("activation derivative at the activity, φ'(x) for φ'(s)", {"slope": _slope_at_activity}, applies=_weights),
    Slip("derivative threshold s ≥ 0 for s > 0", {"slope": _slope_from_zero}, applies=_weights),
    Slip("isotropic noise where the manifold was claimed", {"direction": _isotropic}, applies=_projected),
    Slip("mean direction lost from the basis", {"direction": _without_mean}, applies=_projected),
    Slip("basis of another layer", {"direction": _neighbour}, applies=_projected),
    Slip("basis not orthonormal: rows normalised for columns", {"direction": _rows_normalised}, applies=_projected),
    Slip("basis not orthonormal: of Frobenius norm 1", {"direction": _one_norm}, applies=_projected),
    Slip(
        "energy mismatch: noise of σ√(d/n), estimate divided by σ²",
        {"direction": lambda problem, site: math.sqrt(_share(problem, site)) * basis(problem, site)},
        applies=_projected,
    ),
    Slip(
        "energy mismatch: noise of σ, estimate divided by σ²d/n",
        {"factor": lambda problem, site: 1 / _share(problem, site)},
        applies=_projected,
    ),
    *map(_other_noise, ("gaussian", "rademacher", "fixed-norm")),
    Slip(
        "all layers perturbed at once, not one after another",
        instead={"simultaneous": True},
        applies=lambda declaration: not declaration.simultaneous,
    ),
    Slip(
        "layers perturbed one after another, not at once",
        instead={"simultaneous": False},
        applies=lambda declaration: declaration.simultaneous,
    ),
)


def candidates(declaration: Declaration) -> tuple[Slip, ...]:
    """Return the slips that an estimator declared like this can have."""
    return tuple(entry for entry in CATALOGUE if entry.applies(declaration))
