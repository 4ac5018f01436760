"""Networks: forward pass, loss and error, tails, exact Jacobians and backpropagation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nmnc_ref.arrays import Array
from nmnc_ref.oracle.vectors.cases.draft import Draft, dense, numbers


def forward(draft: Draft, depth: int, activation: str) -> Draft:
    """Add preactivation_l and activity_l of each layer; the last preactivation is the output."""
    below = "x"
    for l in range(1, depth):
        draft.stage(f"preactivation_{l}", activity=below, weight=f"weight_{l}", bias=f"bias_{l}")
        draft.stage(f"activity_{l}", preactivation=f"preactivation_{l}", activation=activation)
        below = f"activity_{l}"
    return draft.stage(f"preactivation_{depth}", activity=below, weight=f"weight_{depth}", bias=f"bias_{depth}")


def loss_and_error(draft: Draft, depth: int, loss: str) -> Draft:
    """Add the loss of the output and its gradient with respect to it."""
    output = f"preactivation_{depth}"
    return draft.stage("loss_value", output=output, loss=loss).stage("error", output=output, loss=loss)


def exact_credit(draft: Draft, depth: int, activation: str) -> Draft:
    """Add backpropagation in steps, from the last layer to the first."""
    signal = "error"
    parameter_gradients(draft, depth, signal)
    for l in range(depth - 1, 0, -1):
        draft.stage(f"slope_{l}", preactivation=f"preactivation_{l}", activation=activation)
        draft.stage(f"delta_{l}", signal=signal, feedback=f"weight_{l + 1}", slope=f"slope_{l}")
        signal = f"delta_{l}"
        parameter_gradients(draft, l, signal)
    return draft


def parameter_gradients(draft: Draft, layer: int, delta: str) -> Draft:
    """Add the gradients of a layer's weight and bias."""
    below = "x" if layer == 1 else f"activity_{layer - 1}"
    draft.stage(f"weight_gradient_{layer}", delta=delta, activity=below)
    return draft.stage(f"bias_gradient_{layer}", delta=delta, activity=below)


def _whole(draft: Draft, depth: int, activation: str, loss: str) -> Draft:
    exact_credit(loss_and_error(forward(draft, depth, activation), depth, loss), depth, activation)
    for l in range(1, depth + 1):
        draft.stage(f"loss_gradient_{l}", layer=l, activation=activation, loss=loss)
    for l in range(depth):
        draft.stage(f"jacobian_{l}", layer=l, activation=activation)
    return draft


def _draft(name: str, why: str, batch: int, *widths: int, **replaced: Array) -> Draft:
    inputs = {"x": numbers(f"{name} x", batch, widths[0]), "target": numbers(f"{name} target", batch, widths[-1])}
    return Draft(name, why, **(inputs | dense(name, *widths) | replaced))


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    why = "Losses on their own: averages over elements; logits whose exponentials overflow, shares that underflow."
    shares = [[0.25, 0.5, 0.0, 0.125, 0.125], [0.0, 0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.25, 0.25, 0.0]]
    arrays = {"output": numbers("loss output", 3, 5), "target": numbers("loss target", 3, 5)}
    logits = {"logits": numbers("loss logits", 3, 5, scale=512.0), "shares": np.array(shares)}
    draft = Draft("network_loss", why, **arrays, **logits)
    for name in ("loss_value", "error"):
        draft.stage(f"{name}_1", loss="squared_error")
        draft.stage(f"{name}_2", output="logits", target="shares", loss="softmax_cross_entropy")
    yield draft

    why = "Unequal widths and a curved φ: a transposed weight, a swapped layer, φ on the output, φ' of the activity."
    draft = _whole(_draft("network_tanh", why, 3, 5, 7, 4, 2), 3, "tanh", "squared_error")
    draft.inputs["offset"] = draft.values["offset"] = numbers("network offset", 3, 11, scale=0.25)
    draft.stage("tail_output_1", activity="activity_1", layer=1, activation="tanh")
    yield draft.stage("injected_output", activation="tanh")

    why = "Logits and shares: softmax over the wrong axis, a loss that is summed over the batch."
    share = np.array([[0.25, 0.5, 0.125, 0.125], [0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.5]])
    draft = _draft("network_softmax", why, 3, 2, 5, 4, target=share)
    yield _whole(draft, 2, "relu", "softmax_cross_entropy")

    why = "Two of five ReLU units are dead for all samples: a slope that leaks, a gradient that passes a closed gate."
    bias = np.array([0.25, -16.0, 0.375, -16.0, 0.125])
    yield _whole(_draft("network_dead_units", why, 4, 3, 5, 2, bias_1=bias), 2, "relu", "squared_error")

    why = "A preactivation of exactly zero: the slope of ReLU is 0 there, not 1 or 1/2."
    draft = Draft("network_relu_at_zero", why, preactivation=np.array([[-0.5, 0.0, 0.75], [0.0, 1.5, -2.0]]))
    yield draft.stage("activity", activation="relu").stage("slope", activation="relu")

    why = "A batch of one: axes of length 1 that are squeezed, a mean over the wrong axis that goes unseen elsewhere."
    yield _whole(_draft("network_batch_of_one", why, 1, 3, 5, 2), 2, "tanh", "squared_error")

    why = "A hidden layer of one unit: a matrix that is taken for a vector."
    yield _whole(_draft("network_one_unit", why, 3, 2, 1, 3), 2, "tanh", "squared_error")

    why = "Weights of zero: no gradient below, and none where code divides by a norm."
    zeros = {"weight_1": np.zeros((4, 3)), "weight_2": np.zeros((2, 4))}
    yield _whole(_draft("network_zero_weights", why, 2, 3, 4, 2, **zeros), 2, "tanh", "squared_error")

    why = "No non-linearity: the Jacobian is the product of the weights, in this order."
    yield _whole(_draft("network_linear", why, 2, 3, 5, 7), 2, "identity", "squared_error")
