"""Trajectories: twenty steps of training with noise from a key, with the state after a few of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nmnc_ref.oracle.vectors.cases.draft import Draft, dense, numbers, orthonormal

WIDTHS = (3, 5, 4, 2)
STOPS = (1, 5, 20)
RULES = {
    "nmnc": ("nmnc", "direct", "Noise that is drawn again for each step, layer and sample, along the manifold."),
    "vnc": ("vnc", "direct", "Isotropic noise of matched energy, in the estimate too."),
    "layerwise": ("nmnc", "layerwise", "Mirrors that learn from the next preactivation, one layer at a time."),
}
RATES = {"learning_rate": 0.0625, "momentum": 0.75, "decay": 0.015625, "feedback_rate": 0.25, "sigma": 0.25, "draws": 2}
KEY = np.array([13, 17], dtype=np.uint32)


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    for name, (rule, route, why) in RULES.items():
        for precision in ("float32", "float64"):
            draft = Draft(
                f"trajectory_{name}_{precision}",
                why,
                precision=precision,
                key=KEY,
                x=numbers(f"{name} x", 3, WIDTHS[0]),
                target=numbers(f"{name} target", 3, WIDTHS[-1]),
                basis_1=orthonormal(f"{name} U1", 5, 3),
                basis_2=orthonormal(f"{name} U2", 4, 2),
                **dense(name, *WIDTHS),
            )
            yield _trained(draft, "training_state", rule=rule, route=route)
    for precision in ("float32", "float64"):
        yield _convolutional(precision)
        yield _recurrent(precision)


def _convolutional(precision: str) -> Draft:
    draft = Draft(
        f"trajectory_convolutional_{precision}",
        "One manifold of the whole flattened map, and kernels whose gradient sums over places.",
        precision=precision,
        key=KEY,
        x=numbers("convolutional x", 2, 5 * 7),
        target=numbers("convolutional target", 2, 3),
        basis=orthonormal("convolutional U", 2 * 2 * 3, 3),
        kernel=numbers("convolutional kernel", 2, 1, 3, 3, scale=0.25),
        kernel_bias=numbers("convolutional kernel bias", 2, scale=0.25),
        weight=numbers("convolutional weight", 3, 2 * 2 * 3, scale=0.25),
        bias=numbers("convolutional bias", 3, scale=0.25),
    )
    geometry = {"height": 5, "width": 7, "stride": 2, "padding": 0, "pool": 1}
    return _trained(draft, "convolutional_training_state", rule="nmnc", **geometry)


def _recurrent(precision: str) -> Draft:
    draft = Draft(
        f"trajectory_recurrent_{precision}",
        "Each step perturbed on its own along one manifold, and one feedback for each lag, averaged over steps.",
        precision=precision,
        key=KEY,
        x=numbers("recurrent x", 2, 3, 2),
        target=numbers("recurrent target", 2, 3 * 2),
        basis=orthonormal("recurrent U", 5, 2),
        weight=numbers("recurrent weight", 5, 5, scale=0.25),
        input_weight=numbers("recurrent input weight", 5, 2, scale=0.25),
        bias=numbers("recurrent bias", 5, scale=0.25),
        read_weight=numbers("recurrent read weight", 2, 5, scale=0.25),
        read_bias=numbers("recurrent read bias", 2, scale=0.25),
    )
    return _trained(draft, "recurrent_training_state", rule="nmnc", leak=0.625, every=1)


def _trained(draft: Draft, operation: str, **parameters: Any) -> Draft:
    """Add the state after each of the stops, each computed from the one before."""
    for first, last in zip((0, *STOPS[:-1]), STOPS, strict=True):
        before = {"state": f"{operation}_{first}"} if first else {}
        draft.stage(f"{operation}_{last}", first=first, last=last, **RATES, **parameters, **before)
    return draft
