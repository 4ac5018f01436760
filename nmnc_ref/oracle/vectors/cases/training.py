"""One step of learning in stages: forward, perturb, respond, estimate, average, assign credit, descend."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nmnc_ref.oracle.vectors.cases.draft import Draft, dense, numbers, orthonormal
from nmnc_ref.oracle.vectors.cases.network import forward, loss_and_error, parameter_gradients

WIDTHS, BATCH, DRAWS, SIGMA = (5, 7, 4, 3), 3, 2, 0.25
HIDDEN = (1, 2)
RATES = {"learning_rate": 0.125, "momentum": 0.875, "decay": 0.03125}


def _draft(name: str, why: str, dimension: int | None, layerwise: bool) -> Draft:
    arrays = {"x": numbers(f"{name} x", BATCH, 5), "target": numbers(f"{name} t", BATCH, 3), **dense(name, *WIDTHS)}
    for l in HIDDEN:
        n, above = WIDTHS[l], WIDTHS[l + 1] if layerwise else WIDTHS[-1]
        arrays[f"coefficients_{l}"] = numbers(f"{name} z{l}", DRAWS, BATCH, dimension or n)
        arrays[f"feedback_{l}"] = numbers(f"{name} B{l}", above, n, scale=0.25)
        if dimension:
            arrays[f"basis_{l}"] = orthonormal(f"{name} U{l}", n, dimension)
    for l in range(1, len(WIDTHS)):
        arrays[f"past_velocity_{l}"] = numbers(f"{name} v{l}", WIDTHS[l], WIDTHS[l - 1], scale=0.125)
    return loss_and_error(forward(Draft(name, why, **arrays), 3, "tanh"), 3, "squared_error")


def _learn_feedback(draft: Draft, layer: int, manifold: bool, layerwise: bool) -> None:
    """Add the stages that learn the feedback of a layer."""
    noise = f"manifold_noise_{layer}" if manifold else f"isotropic_noise_{layer}"
    basis = {"basis": f"basis_{layer}"} if manifold else {}
    draft.stage(noise, coefficients=f"coefficients_{layer}", sigma=SIGMA, **basis)
    if layerwise:
        response = f"mirror_response_{layer}"
        above = {"weight": f"weight_{layer + 1}", "bias": f"bias_{layer + 1}"}
        draft.stage(response, activity=f"activity_{layer}", noise=noise, **above)
    else:
        response = f"antithetic_response_{layer}"
        draft.stage(response, activity=f"activity_{layer}", noise=noise, layer=layer, activation="tanh")
    estimate = f"batch_correlation_{layer}"
    draft.stage(estimate, response=response, noise=noise, sigma=SIGMA)
    draft.stage(f"running_average_{layer}", feedback=f"feedback_{layer}", estimate=estimate, rate=0.125)


def _step(name: str, why: str, dimension: int | None, layerwise: bool = False) -> Draft:
    draft = _draft(name, why, dimension, layerwise)
    for l in HIDDEN:
        _learn_feedback(draft, l, dimension is not None, layerwise)
    parameter_gradients(draft, 3, "error")
    signal = "error"
    for l in reversed(HIDDEN):
        draft.stage(f"slope_{l}", preactivation=f"preactivation_{l}", activation="tanh")
        draft.stage(f"delta_{l}", signal=signal, feedback=f"running_average_{l}", slope=f"slope_{l}")
        parameter_gradients(draft, l, f"delta_{l}")
        if layerwise:
            signal = f"delta_{l}"
    for l in range(1, len(WIDTHS)):
        links = {"parameter": f"weight_{l}", "gradient": f"weight_gradient_{l}", "velocity": f"past_velocity_{l}"}
        draft.stage(f"velocity_{l}", **links, **RATES).stage(f"parameter_{l}", **links, **RATES)
    return draft


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    why = "Parts that are right one by one, put together wrongly: credit by the feedback of the step before, say."
    yield _step("training_step_nmnc", why, 2)
    yield _step("training_step_vnc", "The same with isotropic noise: σ of the other method.", None)
    yield _step("training_step_layerwise", "The same with mirrors: deltas that skip a layer.", 2, layerwise=True)
    why = "Momentum and decay from rest, and with neither: decay that is decoupled, or left out."
    arrays = {name: numbers(f"descent {name}", 3, 5) for name in ("parameter", "gradient", "velocity")}
    draft = Draft("training_descent", why, **arrays, rest=np.zeros((3, 5)))
    rates = {"learning_rate": 0.125, "momentum": 0.0, "decay": 0.0}
    draft.stage("parameter_1", **rates).stage("velocity_2", velocity="rest", **RATES)
    yield draft.stage("parameter_2", velocity="rest", **RATES)
