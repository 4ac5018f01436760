"""Recurrent networks: activities, tails, Jacobians, gradients and feedback by time lag."""

from __future__ import annotations

from collections.abc import Iterator

from nmnc_ref.oracle.vectors.cases.draft import Draft, numbers

STEPS = 3


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    why = "Read out at the end, no leak: the input of the wrong step, h_0 counted as h_1, the cell's weight transposed."
    yield _draft("recurrent_last", why, 2, 1.0, 0)
    why = "Read out at every step, with a leak: a leak that gates only φ, outputs in the wrong order, lags reversed."
    yield _draft("recurrent_every", why, 3, 0.375, 1)


def _draft(name: str, why: str, batch: int, leak: float, every: int) -> Draft:
    n, inputs, outputs = 5, 3, 2
    read = outputs * (STEPS if every else 1)
    draft = Draft(
        name,
        why,
        x=numbers(f"{name} x", batch, STEPS, inputs),
        target=numbers(f"{name} t", batch, read),
        weight=numbers(f"{name} W", n, n, scale=0.5),
        input_weight=numbers(f"{name} V", n, inputs, scale=0.5),
        bias=numbers(f"{name} b", n, scale=0.25),
        read_weight=numbers(f"{name} O", outputs, n, scale=0.5),
        read_bias=numbers(f"{name} c", outputs, scale=0.25),
        preactivation=numbers(f"{name} s", batch, n),
        signal=numbers(f"{name} e", batch, read),
        **{f"feedback_{lag}": numbers(f"{name} B{lag}", outputs, n) for lag in range(STEPS)},
    )
    kind = {"activation": "tanh", "leak": leak}
    for step in range(1, STEPS + 1):
        draft.stage(f"recurrent_activity_{step}", step=step, **kind)
    for step in (1, 2):
        here = {"step": step, "every": every}
        draft.stage(f"recurrent_tail_output_{step}", activity=f"recurrent_activity_{step}", **here, **kind)
        draft.stage(f"recurrent_jacobian_{step}", **here, **kind)
        draft.stage(f"recurrent_activity_gradient_{step}", **here)
        gradient = f"recurrent_activity_gradient_{step}"
        draft.stage(f"recurrent_delta_{step}", gradient=gradient, **kind)
    return draft.stage("recurrent_loss_gradient", every=every, loss="squared_error", **kind)
