"""What feedback has learned in the course of a training, beside what the theory predicts for a network at rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from nmnc_ref import theory, training
from paper_checks.comparison import Comparison, reported
from paper_checks.learning.experiments.accuracy import Learner

Runs = Mapping[Learner, Mapping]


class Learns(Protocol):
    """An experiment of a network that learns feedback."""

    @property
    def settings(self) -> training.Settings:
        """How it learns."""


def predicted_cosine(learner: Learns, target: Mapping[str, float], perturbations: int) -> float:
    """Return ⟨E B, T̄⟩/√(‖T̄‖² E‖B‖²) of the running average of estimates of T, in the mean T̄ over inputs (F1, F2).

    NaN where units have died until nothing passes.

    Args:
        learner: whose rule, η and number of perturbed samples count.
        target: the sizes and energies that its run found at the end of training.
        perturbations: in the whole training, of each site.
    """
    progress, energy = _moments(learner, target, perturbations)
    return progress / math.sqrt(target["mean"] * energy) if progress else math.nan


def predicted_norm(learner: Learns, target: Mapping[str, float], perturbations: int) -> float:
    """Return √(E‖B‖²/‖T̄‖²), with what `predicted_cosine` takes."""
    _, energy = _moments(learner, target, perturbations)
    return math.sqrt(ratio(energy, target["mean"]))


def ratio(part: float, whole: float) -> float:
    """Return a ratio, NaN where nothing passes a layer whose units have died."""
    return part / whole if whole else math.nan


def _moments(learner: Learns, target: Mapping[str, float], perturbations: int) -> tuple[float, float]:
    """Return ⟨E B, T̄⟩ and E‖B‖²."""
    settings = learner.settings
    isotropic = settings.rule == "vnc"
    inside = target["mean" if isotropic else "its part in the manifold"]
    if not inside:
        return 0.0, 0.0
    energy = target["each" if isotropic else "their part in the manifold"]
    dimension = int(target["width" if isotropic else "dimension"])
    steps = perturbations // settings.samples
    reached = 1 - (1 - settings.feedback_rate) ** steps
    spread = theory.feedback.feedback_variance_over_inputs(settings.feedback_rate, dimension, energy, inside, steps)
    return reached * inside, reached**2 * inside + spread / settings.samples


def sound(runs: Runs) -> Runs:
    """Return the runs that came to their end."""
    return {each: run for each, run in runs.items() if run["diverged"] is None}


def cosines(name: str, runs: Runs) -> Iterator[Comparison]:
    """Report the cosine of feedback with what it estimates, a mean over layers or lags, if there is an interval."""
    if len(runs) < 2:
        return
    found = [float(np.mean([target["cosine"] for target in run["feedback"]])) for run in runs.values()]
    predicted = [
        predicted_cosine(each, target, run["perturbations"]) for each, run in runs.items() for target in run["feedback"]
    ]
    yield reported(
        f"{name}: mean cosine of feedback, that of a network at rest predicted", found, float(np.mean(predicted))
    )


def limits(name: str, runs: Runs) -> Iterator[Comparison]:
    """Report what bounds feedback however many perturbations there are: the share of the energy of what it estimates
    that is in the mean over inputs, which is all that one B for all inputs can have, and the α of this mean, beside the
    one above which NMNC's feedback has the larger cosine at this number of perturbations (E6).
    """
    boundaries = [
        boundary(each, target, run["perturbations"]) for each, run in runs.items() for target in run["feedback"]
    ]
    for quantity, part, whole, predicted in (
        ("share of the energy in the mean over inputs", "mean", "each", math.nan),
        ("α of the mean over inputs, E6's boundary predicted", "its part in the manifold", "mean", np.mean(boundaries)),
    ):
        shares = [_share(run["feedback"], part, whole) for run in runs.values()]
        yield reported(f"{name}: {quantity}", shares, float(predicted))


def boundary(learner: Learns, target: Mapping[str, float], perturbations: int) -> float:
    """Return the α of E6 at K = (2 − η)/η steps of perturbations, what a running average holds, or all there are."""
    settings = learner.settings
    window = settings.samples / theory.feedback.averaging_gain(settings.feedback_rate)
    draws = min(round(window), perturbations)
    return theory.estimator.cosine_threshold(draws, int(target["dimension"]), int(target["width"]))


def _share(targets: Sequence[Mapping[str, float]], part: str, whole: str) -> float:
    """Return the share of one energy in another, both summed over layers or lags; NaN where nothing passes."""
    energy = sum(target[whole] for target in targets)
    return sum(target[part] for target in targets) / energy if energy else math.nan
