"""The catalogue of slips that no scale tells: each is the experiment of a right estimator with one step exchanged.

What a slip predicts is the moments of that experiment. Slips that cannot be told apart by anything that an estimator
returns share one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.expected import Part, parts
from nmnc_ref.oracle.audit.experiment import experiment, no_slope, own_slope
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, Declaration, Problem, basis, forward
from nmnc_ref.oracle.audit.session import ANOTHER_ORDER


class Slip(NamedTuple):
    """`steps` replace those of `experiment`, `instead` replaces what was declared; `applies` says where.

    `transposed` and `reversed_sites` say how arrays are returned.
    """

    name: str
    steps: Mapping[str, Any] = {}
    applies: Callable[[Declaration], bool] = lambda declaration: True
    instead: Mapping[str, Any] = {}
    transposed: bool = False
    reversed_sites: bool = False

    def expects(self, problem: Problem, declaration: Declaration, claimed: tuple[Part, ...]) -> tuple[Part, ...] | None:
        """Return what an estimator with the slip returns for the parts of the claim; None if in other shapes."""
        made = list(parts(experiment(problem, declaration._replace(**self.instead), **self.steps)))
        made += claimed[len(made) :]  # the exact output layer
        if self.reversed_sites:
            made = made[::-1]
        if self.transposed:
            made = [_transposed(part) for part in made]
        if [part.shape for part in made] != [part.shape for part in claimed]:
            return None
        return tuple(part._replace(name=claim.name, site=claim.site) for part, claim in zip(made, claimed, strict=True))


def _transposed(part: Part) -> Part:
    order = np.arange(part.mean.size).reshape(part.shape).T.ravel()
    covariance = part.covariance[np.ix_(order, order)]
    moved = part._replace(mean=part.mean[order], covariance=covariance, rows=part.rows[order])
    return moved._replace(shape=part.shape[::-1])


def _weights(declaration: Declaration) -> bool:
    return declaration.returns == "weight-gradient"


def _gated(declaration: Declaration) -> bool:
    return _weights(declaration) and declaration.perturbs == "activity"


def _projected(declaration: Declaration) -> bool:
    return declaration.target == "projected"


def _isotropic(problem: Problem, site: int) -> np.ndarray:
    return np.eye(len(problem.biases[site]))


def _rows_normalised(problem: Problem, site: int) -> np.ndarray:
    U = basis(problem, site)
    return U / np.linalg.norm(U, axis=1, keepdims=True)


def _neighbour(problem: Problem, site: int) -> np.ndarray:
    """Return the basis of another hidden layer, where one fits."""
    own = basis(problem, site)
    others = [basis(problem, other) for other in range(len(problem.biases) - 1) if other != site]
    return next((other for other in others if other.shape == own.shape), own)


def _without_mean(problem: Problem, site: int) -> np.ndarray:
    U = basis(problem, site)
    mean = forward(problem).activity[site + 1].mean(axis=0) @ U
    return U - U @ np.outer(mean, mean) / (mean @ mean or 1.0)


def _slope_at_activity(problem: Problem, site: int) -> np.ndarray:
    if site == len(problem.weights) - 1:
        return own_slope(problem, site)
    return ACTIVATIONS[problem.activation].slope(forward(problem).activity[site + 1])


def _slope_from_zero(problem: Problem, site: int) -> np.ndarray:
    s = forward(problem).preactivation[site]
    return np.where((s == 0) & (problem.activation == "relu"), 1.0, own_slope(problem, site))


CATALOGUE = (
    Slip(
        "noise shared over the batch",
        {"shared_by_samples": True},
        lambda declared: not (declared.perturbs == "weights" and declared.response == "batch-loss"),
    ),
    Slip(
        "one noise for the batch, with the batch's loss change",
        {"shared_by_samples": True},
        lambda declared: declared.returns != "jacobian" and declared.perturbs != "weights",
        instead={"response": "batch-loss"},
    ),
    Slip("noise shared between layers", {"shared_by_layers": True}, lambda declared: declared.perturbs != "weights"),
    Slip(
        "noise before the activation",
        {"before_activation": True},
        lambda declared: declared.perturbs == "activity",
    ),
    Slip(
        "stale baseline (of another sample)",
        {"stale": True},
        lambda declared: declared.measures != "value" and declared.response != "batch-loss",
    ),
    Slip(
        "propagated noise at the output",
        {"propagated": True},
        lambda declared: declared.output_layer and declared.simultaneous and declared.perturbs != "weights",
    ),
    Slip("transposed", transposed=True),
    Slip(ANOTHER_ORDER, applies=lambda declared: not _weights(declared), reversed_sites=True),
    Slip("activation derivative left out", {"slope": no_slope}, _gated),
    Slip("activation derivative at the activity, φ'(x) for φ'(s)", {"slope": _slope_at_activity}, _gated),
    Slip("derivative threshold s ≥ 0 for s > 0", {"slope": _slope_from_zero}, _gated),
    Slip(
        "activation derivative twice",
        {"slope": own_slope},
        lambda declared: _weights(declared) and not _gated(declared) and declared.perturbs == "preactivation",
    ),
    Slip("isotropic noise where the manifold was claimed", {"direction": _isotropic}, _projected),
    Slip("mean direction lost from the basis", {"direction": _without_mean}, _projected),
    Slip("basis of another layer", {"direction": _neighbour}, _projected),
    Slip("basis not orthonormal: rows normalised for columns", {"direction": _rows_normalised}, _projected),
)


def candidates(declaration: Declaration) -> tuple[Slip, ...]:
    """Return the slips that an estimator declared like this can have."""
    return tuple(entry for entry in CATALOGUE if entry.applies(declaration))
