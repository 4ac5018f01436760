"""Networks: slips in the forward pass, in losses, tails, Jacobians and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nmnc_ref.oracle.vectors.operations.network import LOSSES, layers
from twins.slip import RIGHT, Slip, Twin, column_major, given, then


def cross_entropy(share: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """Of other shares; the squared error is right."""

    def twin(output, target, loss):
        if loss == "squared_error":
            return RIGHT.loss_value(output, target, loss)
        with np.errstate(divide="ignore", invalid="ignore"):
            return -np.mean(np.sum(target * np.log(share(output)), axis=-1))

    return twin


def share_error(share: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """The error of the cross-entropy of other shares; that of the squared error is right."""
    return lambda output, target, loss: (
        RIGHT.error(output, target, loss) if loss == "squared_error" else (share(output) - target) / len(output)
    )


def shares(y, axis=-1, shift=True):
    with np.errstate(over="ignore", invalid="ignore"):
        exps = np.exp(y - np.max(y, axis=axis, keepdims=True) if shift else y)
        return exps / np.sum(exps, axis=axis, keepdims=True)


def entropy(target):
    return -np.mean(np.sum(np.where(target > 0, target * np.log(np.where(target > 0, target, 1)), 0), axis=-1))


def activity(of: Callable[[np.ndarray], np.ndarray], wrong: str) -> Twin:
    return lambda preactivation, activation: (
        of(preactivation) if activation == wrong else RIGHT.activity(preactivation, activation)
    )


def slope(of: Callable[[np.ndarray], np.ndarray], wrong: str) -> Twin:
    return lambda preactivation, activation: np.asarray(
        of(preactivation) if activation == wrong else RIGHT.slope(preactivation, activation), float
    )


COLUMN_MAJOR_WEIGHTS = Slip(
    lambda right: (
        lambda **i: right(
            **{name: column_major(each) if name.startswith("weight_") else each for name, each in i.items()}
        )
    )
)
NO_BIASES = Slip(
    lambda right: (
        lambda **i: right(**{name: 0 * each if name.startswith("bias_") else each for name, each in i.items()})
    )
)
OF_THE_FIRST = then(lambda jacobian, i: np.broadcast_to(jacobian[:1], jacobian.shape))

TWINS = {
    "preactivation": {
        "no bias": given(bias=lambda i: 0 * i.bias),
        "bias subtracted": given(bias=lambda i: -i.bias),
        "weight column-major": given(weight=lambda i: column_major(i.weight)),
        "units in reverse": given(activity=lambda i: i.activity[:, ::-1]),
        "scaled by the fan-in": then(lambda s, i: s / math.sqrt(i.weight.shape[1])),
    },
    "activity": {
        "logistic for tanh": activity(lambda s: 1 / (1 + np.exp(-s)), "tanh"),
        "no tanh": activity(lambda s: s, "tanh"),
        "no ReLU": activity(lambda s: s, "relu"),
        "leaky ReLU": activity(lambda s: np.where(s > 0, s, 0.01 * s), "relu"),
        "magnitude for ReLU": activity(np.abs, "relu"),
        "tanh for no activation": activity(np.tanh, "identity"),
        "hard tanh": activity(lambda s: np.clip(s, -1, 1), "tanh"),
    },
    "slope": {
        "of the activity": slope(lambda s: 1 - np.tanh(np.tanh(s)) ** 2, "tanh"),
        "no tanh": slope(lambda s: 1 - s**2, "tanh"),
        "no square": slope(lambda s: 1 - np.tanh(s), "tanh"),
        "of a half": slope(lambda s: (1 - np.tanh(s) ** 2) / 2, "tanh"),
        "ReLU'(0) = 1": slope(lambda s: s >= 0, "relu"),
        "ReLU'(0) = 1/2": slope(lambda s: (np.sign(s) + 1) / 2, "relu"),
        "leaky ReLU": slope(lambda s: np.where(s > 0, 1, 0.01), "relu"),
        "1 for ReLU": slope(np.ones_like, "relu"),
        "0 for no activation": slope(np.zeros_like, "identity"),
    },
    "loss_value": {
        "sum over the batch": then(lambda loss, i: loss * len(i.output)),
        "mean over elements": then(lambda loss, i: loss / i.output.shape[1]),
        "mean of squares": then(lambda loss, i: 2 * loss / i.output.shape[1]),
        "no half": then(lambda loss, i: loss * (2 if i.loss == "squared_error" else 1)),
        "norm, not squared": lambda output, target, loss: (
            np.mean(np.linalg.norm(output - target, axis=1))
            if loss == "squared_error"
            else RIGHT.loss_value(output, target, loss)
        ),
        "softmax without a shift": cross_entropy(lambda y: shares(y, shift=False)),
        "softmax over the batch": cross_entropy(lambda y: shares(y, 0)),
        "softmax twice": cross_entropy(lambda y: shares(shares(y))),
        "1e-8 inside the logarithm": cross_entropy(lambda y: shares(y) + 1e-8),
        "shares that are clipped": cross_entropy(lambda y: np.clip(shares(y), 1e-7, 1)),
        "divergence from the target": lambda output, target, loss: (
            RIGHT.loss_value(output, target, loss) - (0 if loss == "squared_error" else entropy(target))
        ),
        "the likeliest class alone": lambda output, target, loss: RIGHT.loss_value(
            output, target if loss == "squared_error" else np.eye(target.shape[1])[np.argmax(target, 1)], loss
        ),
        "base 2": then(lambda loss, i: loss / (1 if i.loss == "squared_error" else np.log(2))),
    },
    "error": {
        "no 1/B": then(lambda e, i: e * len(e)),
        "mean over elements": then(lambda e, i: e / e.shape[1]),
        "factor 2": then(lambda e, i: 2 * e),
        "target less output": then(lambda e, i: -e),
        "no softmax": share_error(lambda y: y),
        "softmax over the batch": share_error(lambda y: shares(y, 0)),
        "softmax without a shift": share_error(lambda y: shares(y, shift=False)),
        "slope of the output": then(lambda e, i: e * (1 - np.tanh(i.output) ** 2)),
        "B − 1": then(lambda e, i: e * len(e) / max(len(e) - 1, 1)),
    },
    "tail_output": {
        "one layer less": given(activity=lambda i: np.tanh(i.activity)),
        "activation on the output": then(lambda y, i: np.tanh(y)),
        "weights column-major": COLUMN_MAJOR_WEIGHTS,
        "no biases": NO_BIASES,
        "no activation": given(activation=lambda i: "identity"),
    },
    "injected_output": {
        "offset before the activation": lambda offset, x, activation, **network: injected_before(offset, x, network),
        "no offset": given(offset=lambda i: 0 * i.offset),
        "layers in reverse": given(offset=lambda i: np.roll(i.offset, 4, axis=-1)),
        "first layer alone": given(offset=lambda i: np.where(np.arange(11) < 7, i.offset, 0)),
        "activation on the output": then(lambda y, i: np.tanh(y)),
        "weights column-major": COLUMN_MAJOR_WEIGHTS,
    },
    "jacobian": {
        "of the mean input": given(x=lambda i: np.broadcast_to(i.x.mean(0), i.x.shape)),
        "of the first sample": OF_THE_FIRST,
        "no slopes": given(activation=lambda i: "identity"),
        "mean over samples": then(lambda J, i: np.broadcast_to(J.mean(0), J.shape)),
        "samples in reverse": then(lambda J, i: J[::-1]),
        "column-major": then(lambda J, i: column_major(J)),
        "weights column-major": COLUMN_MAJOR_WEIGHTS,
    },
    "loss_gradient": {
        "transposed": then(lambda g, i: g.T),
        "column-major": then(lambda g, i: column_major(g)),
        "sum over the batch": then(lambda g, i: g * len(i.x)),
        "1/B twice": then(lambda g, i: g / len(i.x)),
        "no slopes": lambda activation, **i: np.asarray(gradient_without_slopes(activation, **i)),
        "factor 2": then(lambda g, i: 2 * g),
        "the other loss": given(loss=lambda i: next(name for name in LOSSES if name != i.loss)),
    },
}


def injected_before(offset, x, network):
    layered, start = layers(network), 0
    for layer in layered[:-1]:
        s = layer.preactivation(x)
        x, start = np.tanh(s + offset[..., start : start + s.shape[-1]]), start + s.shape[-1]
    return layered[-1].preactivation(x)


def gradient_without_slopes(activation, x, target, layer, loss, **network):
    layered, activities = layers(network), [x]
    for index, each in enumerate(layered):
        s = each.preactivation(activities[-1])
        activities.append(RIGHT.activity(s, activation) if index + 1 < len(layered) else s)
    delta = RIGHT.error(activities[-1], target, loss)
    for each in reversed(layered[layer:]):
        delta = delta @ each.weight
    return delta.T @ activities[layer - 1]
