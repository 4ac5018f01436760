"""Feedback, credit and descent."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from twins.slip import RIGHT, Twin, column_major, given, then


def delivered(of: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """Credit by other feedback than that of each sample, where each has its own."""
    return given(feedback=lambda i: of(i.feedback) if i.feedback.ndim == 3 else i.feedback)


def descent(velocity: Callable[[SimpleNamespace], Any], parameter: Callable | None = None) -> dict[str, Twin]:
    """The twin of both operations of a step of descent."""
    moved = parameter or (lambda i, v: i.parameter - i.learning_rate * v)
    return {
        "velocity": lambda **i: velocity(SimpleNamespace(**i)),
        "parameter": lambda **i: moved(SimpleNamespace(**i), velocity(SimpleNamespace(**i))),
    }


def right_velocity(i):
    return i.momentum * i.velocity + i.gradient + i.decay * i.parameter


DESCENTS = {
    "no decay": descent(lambda i: i.momentum * i.velocity + i.gradient),
    "half of the decay": descent(lambda i: i.momentum * i.velocity + i.gradient + i.decay / 2 * i.parameter),
    "decay of the other sign": descent(lambda i: i.momentum * i.velocity + i.gradient - i.decay * i.parameter),
    "no momentum": descent(lambda i: i.gradient + i.decay * i.parameter),
    "dampening": descent(lambda i: i.momentum * i.velocity + (1 - i.momentum) * (i.gradient + i.decay * i.parameter)),
    "rate inside the velocity": descent(
        lambda i: i.momentum * i.velocity + i.learning_rate * (i.gradient + i.decay * i.parameter),
        lambda i, v: i.parameter - v,
    ),
    "gradient of the other sign": descent(lambda i: i.momentum * i.velocity - i.gradient + i.decay * i.parameter),
}
STEPS = {
    "Nesterov": lambda i, v: i.parameter - i.learning_rate * (i.gradient + i.decay * i.parameter + i.momentum * v),
    "uphill": lambda i, v: i.parameter + i.learning_rate * v,
    "the velocity before": lambda i, v: i.parameter - i.learning_rate * i.velocity,
    "decay of the weight alone": lambda i, v: (
        (1 - i.decay) * i.parameter - i.learning_rate * (i.momentum * i.velocity + i.gradient)
    ),
    "no rate": lambda i, v: i.parameter - v,
}

TWINS = {
    "running_average": {
        "η for 1 − η": given(rate=lambda i: 1 - i.rate),
        "added": lambda feedback, estimate, rate: feedback + rate * estimate,
        "the estimate": lambda feedback, estimate, rate: estimate,
        "not at all": lambda feedback, estimate, rate: feedback,
        "η unscaled": lambda feedback, estimate, rate: (1 - rate) * feedback + estimate,
        "corrected for the start": then(lambda B, i: B if i.feedback.any() else B / i.rate),
        "the other sign": lambda feedback, estimate, rate: (1 - rate) * feedback - rate * estimate,
        "estimate column-major": given(estimate=lambda i: column_major(i.estimate)),
        "η²": given(rate=lambda i: i.rate**2),
    },
    "activity_gradient": {
        "the other sign": then(lambda g, i: -g),
        "mean over outputs": then(lambda g, i: g / i.signal.shape[1]),
        "mean over the batch": then(lambda g, i: g / len(g)),
        "feedback column-major": given(feedback=lambda i: column_major(i.feedback)),
        "signs of the error": given(signal=lambda i: np.sign(i.signal)),
        "feedback of the first sample": given(feedback=lambda i: i.feedback if i.feedback.ndim == 2 else i.feedback[0]),
        "feedback of the samples in reverse": given(
            feedback=lambda i: i.feedback if i.feedback.ndim == 2 else i.feedback[::-1]
        ),
    },
    "delta": {
        "no gate": lambda signal, feedback, slope: RIGHT.activity_gradient(signal, feedback),
        "gate squared": given(slope=lambda i: i.slope**2),
        "gate of the mean": given(slope=lambda i: np.broadcast_to(i.slope.mean(0), i.slope.shape)),
        "gate open or closed": given(slope=lambda i: 1.0 * (i.slope > 0)),
        "mean feedback": delivered(lambda J: J.mean(0)),
        "feedback of the first sample": delivered(lambda J: J[0]),
        "feedback of the samples in reverse": delivered(lambda J: J[::-1]),
        "feedback of the sample before": delivered(lambda J: np.roll(J, 1, axis=0)),
        "feedback column-major": given(feedback=lambda i: column_major(i.feedback)),
        "the other sign": then(lambda delta, i: -delta),
        "signal of the mean": given(signal=lambda i: np.broadcast_to(i.signal.mean(0), i.signal.shape)),
    },
    "weight_gradient": {
        "transposed": then(lambda g, i: g.T),
        "column-major": then(lambda g, i: column_major(g)),
        "1/B twice": then(lambda g, i: g / len(i.delta)),
        "outer product of means": lambda delta, activity: np.outer(delta.sum(0), activity.mean(0)),
        "samples out of step": given(activity=lambda i: i.activity[::-1]),
        "centred activity": given(activity=lambda i: i.activity - i.activity.mean(0)),
        "first sample": lambda delta, activity: np.outer(delta[0], activity[0]),
        "the other sign": then(lambda g, i: -g),
    },
    "bias_gradient": {
        "mean over the batch": then(lambda g, i: g / len(i.delta)),
        "first sample": lambda delta, activity: delta[0],
        "the other sign": then(lambda g, i: -g),
        "summed over units": lambda delta, activity: delta.sum(1),
        "zero": then(lambda g, i: 0 * g),
    },
    "velocity": {name: both["velocity"] for name, both in DESCENTS.items()},
    "parameter": {name: both["parameter"] for name, both in DESCENTS.items()}
    | {name: descent(right_velocity, move)["parameter"] for name, move in STEPS.items()},
}
