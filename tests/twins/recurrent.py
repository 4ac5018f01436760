"""Recurrent networks."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from nmnc_ref.nn import recurrent
from nmnc_ref.oracle.vectors.operations.network import ACTIVATIONS
from nmnc_ref.oracle.vectors.operations.recurrent import cell_and_read_out
from twins.network import OF_THE_FIRST
from twins.slip import RIGHT, Twin, column_major, given, then


def unrolled(i, gate=lambda i, h, s: (1 - i.leak) * h + i.leak * np.asarray(RIGHT.activity(s, i.activation)), **swap):
    """h_0 … h_T by another rule, of other arrays."""
    i = SimpleNamespace(**{**vars(i), **swap})
    h = [np.zeros((len(i.x), len(i.weight)))]
    for t in range(i.x.shape[1]):
        h.append(gate(i, h[-1], h[-1] @ i.weight.T + i.x[:, t] @ i.input_weight.T + i.bias))
    return h


def phi(i, s):
    return np.asarray(RIGHT.activity(s, i.activation))


def unrolling(gate: Callable) -> Twin:
    return lambda step, **i: unrolled(SimpleNamespace(**i), gate)[step]


OF_CELL = {
    "weight transposed": given(weight=lambda i: i.weight.T),
    "inputs in reverse": given(x=lambda i: i.x[:, ::-1]),
    "input of the step before": given(x=lambda i: np.roll(i.x, 1, axis=1)),
    "no bias": given(bias=lambda i: 0 * i.bias),
    "no leak": given(leak=lambda i: 1.0),
    "leak for its complement": given(leak=lambda i: 1 - i.leak if i.leak < 1 else 1.0),
}


def blocks(
    of: Callable[[np.ndarray, int], np.ndarray], axis: int
) -> Callable[[np.ndarray, SimpleNamespace], np.ndarray]:
    """What becomes of the outputs of several steps side by side."""
    return lambda y, i: of(y, len(i.read_bias)) if i.every else y


def reversed_blocks(axis):
    return blocks(lambda y, o: np.concatenate(np.split(y, y.shape[axis] // o, axis)[::-1], axis), axis)


def recurrent_gradient(of: Callable[[SimpleNamespace, list, list], np.ndarray], through=True, leak=True) -> Twin:
    """∂W from h_0 … h_T and δ_1 … δ_T, these with or without what comes through time."""

    def twin(**inputs):
        i = SimpleNamespace(**inputs)
        passed = recurrent.forward(
            cell_and_read_out(i.weight, i.input_weight, i.bias, i.read_weight, i.read_bias),
            i.x,
            ACTIVATIONS[i.activation],
            leak=i.leak,
            every=bool(i.every),
        )
        e = np.asarray(RIGHT.error(passed.output, i.target, i.loss))
        T, deltas, g = i.x.shape[1], [], 0.0
        errors = np.split(e, T, axis=1) if i.every else [0 * e] * (T - 1) + [e]
        for t in reversed(range(T)):
            past = (1 - i.leak * leak if leak else 0) * g + deltas[-1] @ i.weight if deltas and through else 0.0
            g = errors[t] @ i.read_weight + past
            deltas.append(i.leak * np.asarray(RIGHT.slope(passed.preactivation[t], i.activation)) * g)
        return of(i, list(passed.activity), deltas[::-1])

    return twin


def summed(i, h, deltas):
    return sum(delta.T @ below for delta, below in zip(deltas, h[:-1], strict=True))


TWINS = {
    "recurrent_activity": OF_CELL
    | {
        "one step less": lambda step, **i: unrolled(SimpleNamespace(**i))[step - 1],
        "leak of φ alone": unrolling(lambda i, h, s: h + i.leak * phi(i, s)),
        "leak of the state alone": unrolling(lambda i, h, s: (1 - i.leak) * h + phi(i, s)),
        "φ of the leaky sum": unrolling(lambda i, h, s: phi(i, (1 - i.leak) * h + i.leak * s)),
        "the bias in h_0": given(x=lambda i: np.roll(i.x, -1, axis=1)),
    },
    "recurrent_tail_output": OF_CELL
    | {
        "steps in reverse": then(reversed_blocks(-1)),
        "no bias of the read-out": given(read_bias=lambda i: 0 * i.read_bias),
        "activity past φ twice": given(activity=lambda i: np.tanh(i.activity)),
        "φ on the output": then(lambda y, i: np.tanh(y)),
        "the last step alone": given(every=lambda i: 0),
    },
    "recurrent_jacobian": OF_CELL
    | {
        "steps in reverse": then(reversed_blocks(1)),
        "no slopes": given(activation=lambda i: "identity"),
        "of the first sample": OF_THE_FIRST,
        "factors in another order": lambda **i: jacobian_in_order(SimpleNamespace(**i)),
        "column-major": then(lambda J, i: column_major(J)),
    },
    "recurrent_loss_gradient": {
        "one step back": recurrent_gradient(summed, through=False),
        "no path through the leak": recurrent_gradient(summed, leak=False),
        "h_t for h_{t−1}": recurrent_gradient(
            lambda i, h, deltas: sum(delta.T @ own for delta, own in zip(deltas, h[1:], strict=True))
        ),
        "mean over steps": recurrent_gradient(lambda i, h, deltas: summed(i, h, deltas) / len(deltas)),
        "no leak in δ": recurrent_gradient(lambda i, h, deltas: summed(i, h, [d / i.leak for d in deltas])),
        "the last step": recurrent_gradient(lambda i, h, deltas: deltas[-1].T @ h[-2]),
        "transposed": then(lambda g, i: g.T),
        "sum over the batch": then(lambda g, i: g * len(i.x)),
    },
    "recurrent_activity_gradient": {
        "lags in reverse": given(
            feedback_0=lambda i: i.feedback_2,
            feedback_2=lambda i: i.feedback_0,
        ),
        "mean over lags": then(lambda g, i: g / (4 - i.step)),
        "the first lag alone": given(feedback_1=lambda i: 0 * i.feedback_1, feedback_2=lambda i: 0 * i.feedback_2),
        "step from 0": given(step=lambda i: i.step + 1),
        "errors in reverse": given(
            signal=lambda i: np.concatenate(np.split(i.signal, i.signal.shape[1] // 2, 1)[::-1], 1),
        ),
        "feedback column-major": given(
            **{f"feedback_{lag}": lambda i, lag=lag: column_major(getattr(i, f"feedback_{lag}")) for lag in range(3)},
        ),
    },
    "recurrent_delta": {
        "no leak": given(leak=lambda i: 1.0),
        "leak for its complement": given(leak=lambda i: 1 - i.leak if i.leak < 1 else 1.0),
        "no gate": lambda gradient, leak, **i: leak * gradient,
        "gate of the activity": given(preactivation=lambda i: np.tanh(i.preactivation)),
        "leak squared": given(leak=lambda i: i.leak**2),
        "path through the leak": then(lambda delta, i: delta + (1 - i.leak) * i.gradient),
    },
}


def jacobian_in_order(i):
    """Factors from t + 1 up to T, where they go from T down."""
    h = unrolled(i)
    rows = np.broadcast_to(i.read_weight, (len(i.x), *i.read_weight.shape))
    found = [rows]
    for t in range(i.step, i.x.shape[1]):
        s = h[t] @ i.weight.T + i.x[:, t] @ i.input_weight.T + i.bias
        slopes = np.asarray(RIGHT.slope(s, i.activation))[:, None, :]
        rows = (1 - i.leak) * rows + i.leak * (rows * slopes) @ i.weight
        found.append(rows)
    return np.concatenate(found, axis=1) if i.every else rows
