"""Credit: deltas from direct and layer-wise feedback, and the gradients of weights."""

from __future__ import annotations

from collections.abc import Iterator

from nmnc_ref.arrays import Array
from nmnc_ref.oracle.vectors.cases.draft import Draft, dense, numbers
from nmnc_ref.oracle.vectors.cases.network import forward, loss_and_error, parameter_gradients


def _draft(name: str, why: str, batch: int, *widths: int, **inputs: Array) -> Draft:
    arrays = {"x": numbers(f"{name} x", batch, widths[0]), "target": numbers(f"{name} t", batch, widths[-1])}
    draft = Draft(name, why, **arrays, **dense(name, *widths), **inputs)
    return loss_and_error(forward(draft, len(widths) - 1, "tanh"), len(widths) - 1, "squared_error")


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    why = "Direct feedback: the error passed through the next layer too, the gate left out, layers swapped."
    feedbacks = {"feedback_1": numbers("credit B1", 2, 7), "feedback_2": numbers("credit B2", 2, 4)}
    draft = _draft("credit_direct", why, 3, 5, 7, 4, 2, **feedbacks)
    for l in (1, 2):
        draft.stage(f"slope_{l}", preactivation=f"preactivation_{l}", activation="tanh")
        draft.stage(f"delta_{l}", signal="error", feedback=f"feedback_{l}", slope=f"slope_{l}")
        parameter_gradients(draft, l, f"delta_{l}")
    yield parameter_gradients(draft, 3, "error")

    why = "Layer-wise feedback: the error passed directly, the weight in place of its mirror."
    mirrors = {"mirror_1": numbers("credit M1", 4, 7), "mirror_2": numbers("credit M2", 2, 4)}
    draft = _draft("credit_layerwise", why, 3, 5, 7, 4, 2, **mirrors)
    for l, signal in ((2, "error"), (1, "delta_2")):
        draft.stage(f"slope_{l}", preactivation=f"preactivation_{l}", activation="tanh")
        draft.stage(f"delta_{l}", signal=signal, feedback=f"mirror_{l}", slope=f"slope_{l}")
        parameter_gradients(draft, l, f"delta_{l}")
    yield draft

    why = "Each sample's exact Jacobian as feedback, and not their mean or another's: the gradient of backpropagation."
    draft = _draft("credit_exact", why, 3, 6, 5, 4, 2)
    for l in (1, 2):
        draft.stage(f"jacobian_{l}", layer=l, activation="tanh")
        draft.stage(f"activity_gradient_{l}", signal="error", feedback=f"jacobian_{l}")
        draft.stage(f"slope_{l}", preactivation=f"preactivation_{l}", activation="tanh")
        draft.stage(f"delta_{l}", signal="error", feedback=f"jacobian_{l}", slope=f"slope_{l}")
        parameter_gradients(draft, l, f"delta_{l}")
    yield draft

    why = "A batch of one: an outer product of two vectors."
    draft = _draft("credit_batch_of_one", why, 1, 3, 5, 2, feedback_1=numbers("single B", 2, 5))
    draft.stage("slope_1", preactivation="preactivation_1", activation="tanh")
    draft.stage("delta_1", signal="error", feedback="feedback_1", slope="slope_1")
    yield parameter_gradients(draft, 1, "delta_1")
