"""Trajectories: twenty steps of training with noise from a key, with the state after a few of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nmnc_ref.oracle.vectors.cases.draft import Draft, dense, numbers, orthonormal

WIDTHS = (3, 5, 4, 2)
STOPS = (1, 5, 20)
RULES = {
    "nmnc": ("nmnc", "direct", "Noise that is drawn again for each step, layer and sample, along the manifold."),
    "vnc": ("vnc", "direct", "Isotropic noise of matched energy, in the estimate too."),
    "layerwise": ("nmnc", "layerwise", "Mirrors that learn from the next preactivation, one layer at a time."),
}


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    for name, (rule, route, why) in RULES.items():
        for precision in ("float32", "float64"):
            draft = Draft(
                f"trajectory_{name}_{precision}",
                why,
                precision=precision,
                key=np.array([13, 17], dtype=np.uint32),
                x=numbers(f"{name} x", 3, WIDTHS[0]),
                target=numbers(f"{name} target", 3, WIDTHS[-1]),
                basis_1=orthonormal(f"{name} U1", 5, 3),
                basis_2=orthonormal(f"{name} U2", 4, 2),
                **dense(name, *WIDTHS),
            )
            rates = {"learning_rate": 0.0625, "momentum": 0.75, "decay": 0.015625, "feedback_rate": 0.25}
            parameters = {**rates, "rule": rule, "route": route, "sigma": 0.25, "draws": 2}
            for first, last in zip((0, *STOPS[:-1]), STOPS, strict=True):
                before = {"state": f"training_state_{first}"} if first else {}
                draft.stage(f"training_state_{last}", first=first, last=last, **parameters, **before)
            yield draft
