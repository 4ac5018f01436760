"""Wrong twins of every operation of the golden vectors: slips that ports make, each of which the pack has to catch.

A twin takes the inputs of a stage by name, as NumPy arrays, and answers like a port with that one slip.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from nmnc_ref import estimator, random, training
from nmnc_ref.nn import recurrent, sgd
from nmnc_ref.nn.layer import each_parameter
from nmnc_ref.oracle.vectors.operations import OPERATIONS, trajectory
from nmnc_ref.oracle.vectors.operations.network import ACTIVATIONS, LOSSES, layers, tail
from nmnc_ref.oracle.vectors.operations.recurrent import cell_and_read_out

Twin = Callable[..., Any]
RIGHT = SimpleNamespace(**{name: each.function for name, each in OPERATIONS.items()})


def given(operation: str, **replaced: Callable[[SimpleNamespace], Any]) -> Twin:
    """The right operation, given other values for some inputs, each a function of all inputs."""
    return lambda **i: OPERATIONS[operation].function(
        **{**i, **{name: replace(SimpleNamespace(**i)) for name, replace in replaced.items()}}
    )


def then(operation: str, change: Callable[[np.ndarray, SimpleNamespace], Any]) -> Twin:
    """The right operation, and what becomes of its answer."""
    return lambda **i: change(np.asarray(OPERATIONS[operation].function(**i)), SimpleNamespace(**i))


def for_all(*operations: str, **slips: Callable[[str], Twin]) -> dict[str, dict[str, Twin]]:
    """The same slips of several operations."""
    return {name: {slip.replace("_", " "): make(name) for slip, make in slips.items()} for name in operations}


def column_major(array: np.ndarray) -> np.ndarray:
    return array.ravel().reshape(array.shape, order="F")


# Random numbers


def threefry(key, counter0, counter1, rounds=20, rotate=1, parity=0x1BD11BDA, injected=1, wrap=2**32):
    """Threefry-2x32 in Python's integers."""
    (k0, k1), x0, x1 = key.tolist(), int(counter0), int(counter1)
    keys = (k0, k1, k0 ^ k1 ^ parity)
    x0, x1 = (x0 + k0) % wrap, (x1 + k1) % wrap
    for group in range(rounds // 4):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            left = rotation if rotate == 1 else 32 - rotation
            x0 = (x0 + x1) % wrap
            x1 = (x1 << left | x1 >> 32 - left) % wrap ^ x0
        x0 = (x0 + keys[(group + 1) % 3]) % wrap
        x1 = (x1 + keys[(group + 2) % 3] + injected * (group + 1)) % wrap
    return x0 % 2**32, x1 % 2**32


def words(key, draws, start=0, of=lambda i: (0, i), **slip):
    return np.array([threefry(key, *of(i), **slip) for i in range(start, start + draws)], dtype=np.uint32).T


def bits(**slip) -> Twin:
    return lambda key, draws: np.bitwise_xor(*words(key, draws, **slip))


def uniform(of: Callable[[np.ndarray, np.ndarray, int], Any]) -> Twin:
    """Of the two words of each answer, and 23 or 52 digits."""
    return lambda key, draws, dtype: np.asarray(
        of(*(each.astype(np.uint64) for each in words(key, draws)), 23 if dtype == "float32" else 52), dtype
    )


def leading(x0, x1, digits, add=0.5, less=0):
    """The first digits of a word of 64 bits, as of the pack in float64."""
    return (((x0 << np.uint64(32) | x1) >> np.uint64(64 - digits + less)) + add) * 2.0 ** (less - digits)


def normal(make=lambda u, v: np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v), keys=(0, 1)) -> Twin:
    def twin(key, draws, dtype):
        drawn = [RIGHT.uniform(random.fold_in(key, k), draws=draws, dtype=dtype) for k in keys]
        return np.asarray(make(*drawn), dtype)

    return twin


inverse = np.vectorize(statistics.NormalDist().inv_cdf)

RANDOM = {
    "bits": {
        "the first word alone": lambda key, draws: words(key, draws)[0],
        "the second word alone": lambda key, draws: words(key, draws)[1],
        "counter (i, 0)": bits(of=lambda i: (i, 0)),
        "counter from 1": bits(start=1),
        "both words in a row": lambda key, draws: words(key, draws).T.ravel()[:draws],
        "12 rounds": bits(rounds=12),
        "rotation to the right": bits(rotate=-1),
        "no parity word": bits(parity=0),
        "key injected without its number": bits(injected=0),
        "sums that do not wrap": bits(wrap=2**64),
        "key words swapped": lambda key, draws: np.bitwise_xor(*words(key[::-1], draws)),
    },
    "split_keys": {
        "words swapped": then("split_keys", lambda keys, i: keys[:, ::-1]),
        "counter from 1": lambda key, number: words(key, number, start=1).T,
        "bits in a row": lambda key, number: bits()(key, 2 * number).reshape(number, 2),
        "words in columns": lambda key, number: words(key, number).ravel().reshape(number, 2),
    },
    "folded_key": {
        "words swapped": then("folded_key", lambda key, i: key[::-1]),
        "counter (data, 0)": lambda key, data: threefry(key, data, 0),
        "data of 31 bits": given("folded_key", data=lambda i: i.data % 2**31),
        "added to the key": lambda key, data: key + np.uint32(data),
    },
    "uniform": {
        "without the half": uniform(lambda x0, x1, p: leading(x0, x1, 52, 0) if p == 52 else ((x0 ^ x1) >> 9) / 2**23),
        "a bit more": uniform(
            lambda x0, x1, p: leading(x0, x1, 52, less=-1) if p == 52 else (((x0 ^ x1) >> 8) + 0.5) / 2**24
        ),
        "32 bits": uniform(lambda x0, x1, p: ((x0 ^ x1) + 0.5) / 2**32),
        "the last bits": uniform(lambda x0, x1, p: (((x0 << 32 | x1) if p == 52 else x0 ^ x1) % 2**p + 0.5) / 2**p),
        "words swapped": uniform(lambda x0, x1, p: leading(x1, x0, 52) if p == 52 else (x1 >> 9) / 2**23),
        "1 − u": then("uniform", lambda u, i: 1 - u),
    },
    "signs": {
        "+1 for a set bit": then("signs", lambda sign, i: -sign),
        "the last bit": lambda key, draws, dtype: (1 - 2.0 * (bits()(key, draws) % 2)).astype(dtype),
        "of the first word": lambda key, draws, dtype: (1 - 2.0 * (words(key, draws)[0] >> 31)).astype(dtype),
    },
    "normal": {
        "sine": normal(lambda u, v: np.sqrt(-2 * np.log(u)) * np.sin(2 * np.pi * v)),
        "log10": normal(lambda u, v: np.sqrt(-2 * np.log10(u)) * np.cos(2 * np.pi * v)),
        "no factor 2": normal(lambda u, v: np.sqrt(-np.log(u)) * np.cos(2 * np.pi * v)),
        "half the angle": normal(lambda u, v: np.sqrt(-2 * np.log(u)) * np.cos(np.pi * v)),
        "u and v swapped": normal(keys=(1, 0)),
        "keys from 1": normal(keys=(1, 2)),
        "one key": normal(keys=(0, 0)),
        "by the inverse of the distribution": lambda key, draws, dtype: inverse(
            RIGHT.uniform(key, draws=draws, dtype=dtype)
        ).astype(dtype),
    },
}

# Networks


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


def column_major_weights(operation: str) -> Twin:
    return lambda **i: OPERATIONS[operation].function(
        **{name: column_major(each) if name.startswith("weight_") else each for name, each in i.items()}
    )


def without_biases(operation: str) -> Twin:
    return lambda **i: OPERATIONS[operation].function(
        **{name: 0 * each if name.startswith("bias_") else each for name, each in i.items()}
    )


def jacobian_of_first(operation: str) -> Twin:
    return then(operation, lambda jacobian, i: np.broadcast_to(jacobian[:1], jacobian.shape))


NETWORK = {
    "preactivation": {
        "no bias": given("preactivation", bias=lambda i: 0 * i.bias),
        "bias subtracted": given("preactivation", bias=lambda i: -i.bias),
        "weight column-major": given("preactivation", weight=lambda i: column_major(i.weight)),
        "units in reverse": given("preactivation", activity=lambda i: i.activity[:, ::-1]),
        "scaled by the fan-in": then("preactivation", lambda s, i: s / math.sqrt(i.weight.shape[1])),
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
        "sum over the batch": then("loss_value", lambda loss, i: loss * len(i.output)),
        "mean over elements": then("loss_value", lambda loss, i: loss / i.output.shape[1]),
        "mean of squares": then("loss_value", lambda loss, i: 2 * loss / i.output.shape[1]),
        "no half": then("loss_value", lambda loss, i: loss * (2 if i.loss == "squared_error" else 1)),
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
        "base 2": then("loss_value", lambda loss, i: loss / (1 if i.loss == "squared_error" else np.log(2))),
    },
    "error": {
        "no 1/B": then("error", lambda e, i: e * len(e)),
        "mean over elements": then("error", lambda e, i: e / e.shape[1]),
        "factor 2": then("error", lambda e, i: 2 * e),
        "target less output": then("error", lambda e, i: -e),
        "no softmax": share_error(lambda y: y),
        "softmax over the batch": share_error(lambda y: shares(y, 0)),
        "softmax without a shift": share_error(lambda y: shares(y, shift=False)),
        "slope of the output": then("error", lambda e, i: e * (1 - np.tanh(i.output) ** 2)),
        "B − 1": then("error", lambda e, i: e * len(e) / max(len(e) - 1, 1)),
    },
    "tail_output": {
        "one layer less": given("tail_output", activity=lambda i: np.tanh(i.activity)),
        "activation on the output": then("tail_output", lambda y, i: np.tanh(y)),
        "weights column-major": column_major_weights("tail_output"),
        "no biases": without_biases("tail_output"),
        "no activation": given("tail_output", activation=lambda i: "identity"),
    },
    "injected_output": {
        "offset before the activation": lambda offset, x, activation, **network: injected_before(offset, x, network),
        "no offset": given("injected_output", offset=lambda i: 0 * i.offset),
        "layers in reverse": given("injected_output", offset=lambda i: np.roll(i.offset, 4, axis=-1)),
        "first layer alone": given("injected_output", offset=lambda i: np.where(np.arange(11) < 7, i.offset, 0)),
        "activation on the output": then("injected_output", lambda y, i: np.tanh(y)),
        "weights column-major": column_major_weights("injected_output"),
    },
    "jacobian": {
        "of the mean input": given("jacobian", x=lambda i: np.broadcast_to(i.x.mean(0), i.x.shape)),
        "of the first sample": jacobian_of_first("jacobian"),
        "no slopes": given("jacobian", activation=lambda i: "identity"),
        "with respect to the preactivation": lambda x, layer, activation, **network: jacobian_below(
            x, layer, activation, network
        ),
        "mean over samples": then("jacobian", lambda J, i: np.broadcast_to(J.mean(0), J.shape)),
        "samples in reverse": then("jacobian", lambda J, i: J[::-1]),
        "column-major": then("jacobian", lambda J, i: column_major(J)),
        "weights column-major": column_major_weights("jacobian"),
    },
    "loss_gradient": {
        "transposed": then("loss_gradient", lambda g, i: g.T),
        "column-major": then("loss_gradient", lambda g, i: column_major(g)),
        "sum over the batch": then("loss_gradient", lambda g, i: g * len(i.x)),
        "1/B twice": then("loss_gradient", lambda g, i: g / len(i.x)),
        "no slopes": lambda activation, **i: np.asarray(gradient_without_slopes(activation, **i)),
        "factor 2": then("loss_gradient", lambda g, i: 2 * g),
        "the other loss": given("loss_gradient", loss=lambda i: next(name for name in LOSSES if name != i.loss)),
    },
}


def injected_before(offset, x, network):
    layered, start = layers(network), 0
    for layer in layered[:-1]:
        s = layer.preactivation(x)
        x, start = np.tanh(s + offset[..., start : start + s.shape[-1]]), start + s.shape[-1]
    return layered[-1].preactivation(x)


def jacobian_below(x, layer, activation, network):
    J = RIGHT.jacobian(x, layer=layer, activation=activation, **network)
    if not layer:
        return J
    s = x
    for each in layers(network)[:layer]:
        s = each.preactivation(x)
        x = RIGHT.activity(s, activation)
    return J * RIGHT.slope(s, activation)[:, None, :]


def gradient_without_slopes(activation, x, target, layer, loss, **network):
    layered, activities = layers(network), [x]
    for index, each in enumerate(layered):
        s = each.preactivation(activities[-1])
        activities.append(RIGHT.activity(s, activation) if index + 1 < len(layered) else s)
    delta = RIGHT.error(activities[-1], target, loss)
    for each in reversed(layered[layer:]):
        delta = delta @ each.weight
    return delta.T @ activities[layer - 1]


# Manifolds


def of_components(columns: Callable[..., np.ndarray]) -> Twin:
    """The projector on columns made from all components V, the mean, and d."""

    def twin(activity, dimension, centring):
        mean = activity.mean(0)
        V = np.linalg.svd(activity if centring == "uncentred" else activity - mean)[2].T
        U = columns(V, mean if centring == "mean-added" else None, dimension)
        return U @ U.T

    return twin


def with_mean(U, mean):
    """Columns, and the direction of the mean where it is added."""
    return U if mean is None else np.linalg.qr(np.column_stack([U, mean]))[0]


def share_of(size: Callable[[np.ndarray], np.ndarray], of: Callable = lambda J, P: J @ P) -> Twin:
    return lambda jacobian, basis: size(of(jacobian, basis @ basis.T)) / size(jacobian)


def energy(J):
    return np.sum(J**2, axis=(-2, -1))


def spectral(J):
    return np.linalg.norm(J, 2, axis=(-2, -1)) ** 2


def angles(of: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """Of the singular values of U₁ᵀU₂."""
    return lambda basis, other_basis: of(np.linalg.svd(basis.T @ other_basis, compute_uv=False))


def neighbours(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distances = np.sort(np.linalg.norm(points[:, None] - points, axis=-1), axis=-1)
    return distances[:, 1], distances[:, 2]


def two_nearest(of: Callable[[np.ndarray, np.ndarray], Any]) -> Twin:
    """Of the distances to the two nearest neighbours among distinct points."""
    return lambda points: of(*neighbours(np.unique(points, axis=0)))


def slope_of_distribution(first, second):
    """The original fit of Facco et al., of all points but the last."""
    logs = np.sort(np.log(second / first))[:-1]
    left = -np.log(1 - np.arange(1, len(logs) + 1) / (len(logs) + 1))
    return logs @ left / (logs @ logs)


MANIFOLD = {
    "spectrum": {
        "singular values": then("spectrum", lambda each, i: np.sqrt(each)),
        "divisor B − 1": then("spectrum", lambda each, i: each * len(i.activity) / (len(i.activity) - 1)),
        "not divided by B": then("spectrum", lambda each, i: each * len(i.activity)),
        "divided by n": then("spectrum", lambda each, i: each * len(i.activity) / i.activity.shape[1]),
        "always centred": given("spectrum", centring=lambda i: "centred"),
        "never centred": given("spectrum", centring=lambda i: "uncentred"),
        "ascending": then("spectrum", lambda each, i: each[::-1]),
        "the mean over units": given("spectrum", activity=lambda i: i.activity - i.activity.mean(1, keepdims=True)),
        "standardised": given("spectrum", activity=lambda i: i.activity / i.activity.std(0)),
        "shares": then("spectrum", lambda each, i: each / each.sum()),
        "as many as units": then(
            "spectrum", lambda each, i: np.pad(each, (0, max(0, i.activity.shape[1] - len(each))))
        ),
    },
    "manifold_projector": {
        "the last components": of_components(lambda V, mean, d: with_mean(V[:, -d:], mean)),
        "one component more": of_components(lambda V, mean, d: with_mean(V[:, : d + 1], mean)),
        "one component less": of_components(lambda V, mean, d: with_mean(V[:, : d - 1], mean)),
        "mean forgotten": of_components(lambda V, mean, d: V[:, :d]),
        "mean in place of a component": of_components(
            lambda V, mean, d: with_mean(V[:, : d - (mean is not None)], mean)
        ),
        "mean not orthogonal": of_components(
            lambda V, mean, d: V[:, :d] if mean is None else np.column_stack([V[:, :d], mean / np.linalg.norm(mean)])
        ),
        "mean not normalised": of_components(
            lambda V, mean, d: (
                V[:, :d] if mean is None else np.column_stack([V[:, :d], mean - V[:, :d] @ (mean @ V[:, :d])])
            )
        ),
        "mean beside uncentred components": lambda activity, dimension, centring: (
            of_components(lambda V, _, d: with_mean(V[:, :d], activity.mean(0)))(activity, dimension, "uncentred")
            if centring == "mean-added"
            else RIGHT.manifold_projector(activity, dimension, centring)
        ),
        "always centred": given("manifold_projector", centring=lambda i: "centred"),
        "never centred": given("manifold_projector", centring=lambda i: "uncentred"),
        "complement": then("manifold_projector", lambda P, i: np.eye(len(P)) - P),
        "in rows": of_components(lambda V, mean, d: with_mean(V.T[:, :d], mean)),
        "standardised": given("manifold_projector", activity=lambda i: i.activity / i.activity.std(0)),
    },
    "projected_jacobian": {
        "projector left out": lambda jacobian, basis: jacobian,
        "off the manifold": lambda jacobian, basis: jacobian - jacobian @ basis @ basis.T,
        "coordinates": lambda jacobian, basis: jacobian @ basis,
        "basis column-major": lambda jacobian, basis: jacobian @ column_major(basis) @ column_major(basis).T,
        "Jacobian column-major": given("projected_jacobian", jacobian=lambda i: column_major(i.jacobian)),
    },
    "alignment": {
        "no squares": share_of(lambda J: np.sqrt(energy(J))),
        "spectral norm": share_of(spectral),
        "nuclear norm": share_of(lambda J: np.linalg.norm(J, "nuc", axis=(-2, -1)) ** 2),
        "off the manifold": then("alignment", lambda share, i: 1 - share),
        "mean of the rows' own": lambda jacobian, basis: np.mean(
            np.sum((jacobian @ basis) ** 2, -1) / np.sum(jacobian**2, -1), -1
        ),
        "projector left out": then("alignment", lambda share, i: np.ones_like(share)),
        "pooled over the batch": lambda jacobian, basis: np.broadcast_to(
            RIGHT.pooled_alignment(jacobian, basis), jacobian.shape[:-2]
        ),
        "magnitudes": share_of(lambda J: np.sum(np.abs(J), axis=(-2, -1))),
    },
    "pooled_alignment": {
        "mean of the samples' own": lambda jacobian, basis: np.mean(RIGHT.alignment(jacobian, basis)),
        "of the mean Jacobian": lambda jacobian, basis: RIGHT.alignment(jacobian.mean(0), basis),
        "no squares": share_of(lambda J: np.sum(np.sqrt(energy(J)))),
        "root": share_of(lambda J: np.sqrt(np.sum(energy(J)))),
        "off the manifold": then("pooled_alignment", lambda share, i: 1 - share),
        "projector left out": lambda jacobian, basis: np.ones(()),
    },
    "principal_angles": {
        "cosines": angles(lambda cosines: cosines),
        "degrees": then("principal_angles", lambda each, i: np.degrees(each)),
        "descending": then("principal_angles", lambda each, i: each[::-1]),
        "arc cosine without a clip, or of few digits": angles(np.arccos),
        "sines": then("principal_angles", lambda each, i: np.sin(each)),
        "complements": angles(lambda cosines: np.arcsin(np.clip(cosines, 0, 1))),
        "entries for singular values": lambda basis, other_basis: np.sort(
            np.arccos(np.clip(np.abs(np.diag(basis.T @ other_basis)), 0, 1))
        ),
        "one for each of the larger": lambda basis, other_basis: np.concatenate(
            [np.asarray(RIGHT.principal_angles(basis, other_basis)), [np.pi / 2]]
        ),
    },
    "participation_ratio": {
        "no squares above": lambda spectrum: spectrum.sum() / np.sum(spectrum**2),
        "of the largest": lambda spectrum: spectrum.sum() / spectrum.max(),
        "exponential of the entropy": lambda spectrum: np.exp(
            -np.sum(spectrum / spectrum.sum() * np.log(spectrum / spectrum.sum()))
        ),
        "inverse": then("participation_ratio", lambda each, i: 1 / each),
        "of singular values": given("participation_ratio", spectrum=lambda i: np.sqrt(i.spectrum)),
        "of squares": given("participation_ratio", spectrum=lambda i: i.spectrum**2),
        "share of the units": then("participation_ratio", lambda each, i: each / len(i.spectrum)),
    },
    "explained_dimension": {
        "index from 0": then("explained_dimension", lambda each, i: each - 1),
        "one more": then("explained_dimension", lambda each, i: each + 1),
        "more than the threshold": lambda spectrum, explained: (
            1 + np.sum(np.cumsum(spectrum) / spectrum.sum() <= explained)
        ),
        "of singular values": given("explained_dimension", spectrum=lambda i: np.sqrt(i.spectrum)),
        "of squares": given("explained_dimension", spectrum=lambda i: i.spectrum**2),
        "share of each": lambda spectrum, explained: np.sum(spectrum / spectrum.sum() >= explained),
        "share of the largest": lambda spectrum, explained: np.sum(spectrum >= (1 - explained) * spectrum[0]),
        "a fraction": then("explained_dimension", lambda each, i: each * 1.0),
    },
    "two_nearest_neighbours": {
        "one neighbour off": lambda points: 1 / np.mean(np.log(np.divide(*third_and_second(points)))),
        "repeated points kept": lambda points: (
            1 / np.mean(quietly(lambda: np.log(np.divide(*neighbours(points)[::-1]))))
        ),
        "mean of ratios": two_nearest(lambda first, second: 1 / np.log(np.mean(second / first))),
        "inverse": then("two_nearest_neighbours", lambda each, i: 1 / each),
        "log10": two_nearest(lambda first, second: 1 / np.mean(np.log10(second / first))),
        "squared distances": two_nearest(lambda first, second: 1 / np.mean(np.log(second**2 / first**2))),
        "median": two_nearest(lambda first, second: np.log(2) / np.median(np.log(second / first))),
        "without bias": two_nearest(lambda first, second: (len(first) - 1) / np.sum(np.log(second / first))),
        "fit of the distribution": two_nearest(slope_of_distribution),
        "all repeated points left out": lambda points: np.asarray(
            1 / np.mean(np.log(np.divide(*neighbours(unrepeated(points))[::-1])))
        ),
        "sum of differences": lambda points: 1 / np.mean(np.log(np.divide(*neighbours_by_sum(points)[::-1]))),
    },
}


def quietly(compute: Callable[[], Any]) -> Any:
    with np.errstate(all="ignore"):
        return compute()


def third_and_second(points):
    distances = np.sort(
        np.linalg.norm(np.unique(points, axis=0)[:, None] - np.unique(points, axis=0), axis=-1), axis=-1
    )
    return distances[:, 3], distances[:, 2]


def unrepeated(points):
    distinct, counts = np.unique(points, axis=0, return_counts=True)
    return distinct[counts == 1]


def neighbours_by_sum(points):
    distinct = np.unique(points, axis=0)
    distances = np.sort(np.abs(distinct[:, None] - distinct).sum(-1), axis=-1)
    return distances[:, 1], distances[:, 2]


# Perturbations and estimators


def by_sample(of: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """Of the draws [K, d] of each element of the batch."""

    def twin(coefficients):
        if coefficients.ndim == 2:
            return of(coefficients)
        return np.stack([of(coefficients[:, b]) for b in range(coefficients.shape[1])], axis=1)

    return twin


def gram_schmidt(z, again=False, norm=True):
    """Classical, once or twice: q in rows."""
    found = []
    for row in z:
        rest = row - sum((row @ q * q for q in found), 0 * row)
        rest = rest - again * sum((rest @ q * q for q in found), 0 * row)
        found.append(rest / np.linalg.norm(rest) if norm else rest)
    return math.sqrt(z.shape[1]) * np.stack(found)


def polar(z):
    U, _, V = np.linalg.svd(z, full_matrices=False)
    return math.sqrt(z.shape[1]) * U @ V


def solved(solve: Callable[[np.ndarray, np.ndarray], np.ndarray], back: bool = True) -> Twin:
    """Least squares of draws [K, d] and responses [K, n_o] of each element of the batch."""

    def twin(response, noise, basis=None):
        coordinates = noise if basis is None else noise @ basis
        pairs = zip(np.moveaxis(coordinates, 0, -2), np.moveaxis(response, 0, -2), strict=True)
        found = np.stack([solve(z, y).T for z, y in pairs])
        return found if basis is None or not back else found @ basis.T

    return twin


def lstsq(z, y, **cut):
    return np.linalg.lstsq(z, y, **(cut or {"rcond": None}))[0]


def response(of: Callable[[Callable, np.ndarray, np.ndarray], np.ndarray]) -> Twin:
    """Of the tail, the activity and the noise."""
    return lambda activity, noise, layer, activation, **network: of(tail(network, layer, activation), activity, noise)


def mirror(of: Callable[[Callable, np.ndarray, np.ndarray], np.ndarray]) -> Twin:
    return lambda activity, noise, weight, bias: of(lambda x: x @ weight.T + bias, activity, noise)


def estimated(
    draw: Callable[[SimpleNamespace, int, int], np.ndarray],
    respond: Callable = estimator.antithetic_response,
    scale: Callable[[float], float] = lambda sigma: sigma**2,
) -> Twin:
    """The whole method with coefficients from `draw`, of the inputs, d and K."""

    def twin(**inputs):
        i = SimpleNamespace(**inputs)
        z = draw(i, i.basis.shape[1], i.draws)
        noise = i.sigma * z @ i.basis.T
        network = {name: each for name, each in inputs.items() if name.startswith(("weight_", "bias_"))}
        found = respond(tail(network, i.layer, i.activation), i.activity, noise)
        return RIGHT.unnormalised_correlation(found, noise) / np.asarray(scale(i.sigma), noise.dtype)

    return twin


def draws(law=random.normal, keys=lambda key, K: [random.fold_in(key, k) for k in range(K)], order=lambda z: z):
    def drawn(i, d, K):
        shape = order(np.empty((len(i.activity), d))).shape
        return np.stack([order(law(key, shape, i.activity.dtype)) for key in keys(i.key, K)])

    return drawn


def of_noise(name: str) -> dict[str, Twin]:
    """Slips of an estimate from responses and noise."""
    return {
        "sum over draws": then(name, lambda J, i: J * len(i.noise)),
        "divisor K − 1": then(name, lambda J, i: J * len(i.noise) / max(len(i.noise) - 1, 1)),
        "noise centred over the draws": given(name, noise=lambda i: i.noise - i.noise.mean(0)),
        "covariance of centred draws": lambda response, noise, **i: (
            np.asarray(OPERATIONS[name].function(response, noise - noise.mean(0), **i)) * len(noise) / (len(noise) - 1)
        ),
        "the other sign": then(name, lambda J, i: -J),
        "draws out of step": given(name, noise=lambda i: np.roll(i.noise, 1, axis=0)),
        "samples out of step": given(name, noise=lambda i: np.roll(i.noise, 1, axis=1)),
        "noise column-major": given(name, noise=lambda i: column_major(i.noise)),
        "correlation coefficients": then(name, lambda J, i: J / np.linalg.norm(i.response) / np.linalg.norm(i.noise)),
        "noise normalised": given(name, noise=lambda i: i.noise / np.linalg.norm(i.noise, axis=-1, keepdims=True)),
        "median over draws": lambda response, noise, sigma=1.0: (
            np.median(np.einsum("kbo,kbn->kbon", response, noise), axis=(0, 1) if "batch" in name else 0) / sigma**2
        ),
    }


def of_sigma(name: str) -> dict[str, Twin]:
    return {
        "no 1/σ²": then(name, lambda J, i: J * i.sigma**2),
        "1/σ": then(name, lambda J, i: J * i.sigma),
        "energy of each draw for σ²": then(name, lambda J, i: J * i.sigma**2 / np.mean(i.noise**2)),
    }


SCALES = {
    "no σ": lambda xi, i: xi / i.sigma,
    "σ²": lambda xi, i: xi * i.sigma,
    "√σ": lambda xi, i: xi / math.sqrt(i.sigma),
}

ESTIMATOR = {
    "isotropic_noise": {name: then("isotropic_noise", change) for name, change in SCALES.items()}
    | {
        "divided by √n": then("isotropic_noise", lambda xi, i: xi / math.sqrt(xi.shape[-1])),
        "magnitudes": then("isotropic_noise", lambda xi, i: np.abs(xi)),
        "signs alone": then("isotropic_noise", lambda xi, i: i.sigma * np.sign(xi)),
    },
    "manifold_noise": {name: then("manifold_noise", change) for name, change in SCALES.items()}
    | {
        "scaled by √(n/d)": then("manifold_noise", lambda xi, i: xi * math.sqrt(len(i.basis) / i.basis.shape[1])),
        "basis column-major": lambda coefficients, basis, sigma: sigma * coefficients @ column_major(basis).T,
        "the first units": lambda coefficients, basis, sigma: sigma * coefficients @ np.eye(*basis.shape).T,
        "z for U z where d = n": lambda coefficients, basis, sigma: (
            sigma * coefficients @ (basis if basis.shape[0] > basis.shape[1] else np.eye(len(basis))).T
        ),
        "Uᵀ for U where d = n": lambda coefficients, basis, sigma: (
            sigma * coefficients @ (basis.T if basis.shape[0] > basis.shape[1] else basis)
        ),
        "an absolute threshold": then("manifold_noise", lambda xi, i: np.where(np.abs(xi) < 1e-4, 0, xi)),
        "clipped": then("manifold_noise", lambda xi, i: np.clip(xi, -100, 100)),
        "one norm for all": then("manifold_noise", lambda xi, i: xi / np.linalg.norm(xi, axis=-1, keepdims=True)),
    },
    "covariance_noise": {
        "factor column-major": given("covariance_noise", factor=lambda i: column_major(i.factor)),
        "divided by √m": then("covariance_noise", lambda xi, i: xi / math.sqrt(i.factor.shape[1])),
        "coefficients in reverse": given("covariance_noise", coefficients=lambda i: i.coefficients[..., ::-1]),
        "standard deviations alone": given(
            "covariance_noise", factor=lambda i: np.eye(*i.factor.shape) * np.linalg.norm(i.factor, axis=1)[:, None]
        ),
        "the covariance": lambda coefficients, factor: (coefficients @ np.linalg.pinv(factor) @ (factor @ factor.T))[
            ..., ::-1
        ],
    },
    "fixed_norm": {
        "norm 1": then("fixed_norm", lambda z, i: z / math.sqrt(z.shape[-1])),
        "norm d": then("fixed_norm", lambda z, i: z * math.sqrt(z.shape[-1])),
        "left alone": lambda coefficients: coefficients,
        "norm of all draws": lambda coefficients: (
            math.sqrt(coefficients.size) * coefficients / np.linalg.norm(coefficients)
        ),
        "norm of a sample's draws": lambda coefficients: (
            coefficients
            * math.sqrt(len(coefficients) * coefficients.shape[-1])
            / np.linalg.norm(coefficients, axis=(0, -1), keepdims=True)
        ),
        "squared norm": lambda coefficients: (
            math.sqrt(coefficients.shape[-1]) * coefficients / np.sum(coefficients**2, -1, keepdims=True)
        ),
        "over the draws": lambda coefficients: (
            math.sqrt(len(coefficients)) * coefficients / np.linalg.norm(coefficients, axis=0)
        ),
    },
    "orthonormal_frame": {
        "norm 1": then("orthonormal_frame", lambda z, i: z / math.sqrt(z.shape[-1])),
        "orthogonal alone": by_sample(lambda z: gram_schmidt(z, norm=False) if len(z) == 1 else unscaled(z)),
        "signs of the library": by_sample(lambda z: math.sqrt(z.shape[1]) * np.linalg.qr(z.T)[0].T),
        "polar factor": by_sample(polar),
        "last draw first": by_sample(lambda z: gram_schmidt(z[::-1], again=True)[::-1]),
        "lengths √K": then("orthonormal_frame", lambda z, i: z * math.sqrt(len(z) / z.shape[-1])),
        "fixed norm alone": lambda coefficients: np.asarray(RIGHT.fixed_norm(coefficients)),
        "classical Gram–Schmidt, once": by_sample(gram_schmidt),
        "Cholesky factor of the Gram matrix": by_sample(
            lambda z: math.sqrt(z.shape[1]) * np.linalg.solve(np.linalg.cholesky(z @ z.T), z)
        ),
        "over the batch": lambda coefficients: (
            np.stack([gram_schmidt(z, again=True) for z in coefficients]) if coefficients.ndim == 3 else coefficients
        ),
    },
    "matched_sigma": {
        "√(n/d)": lambda sigma, dimension, width: sigma * math.sqrt(width / dimension),
        "d/n": lambda sigma, dimension, width: sigma * dimension / width,
        "σ": lambda sigma, dimension, width: sigma,
        "σ²": lambda sigma, dimension, width: sigma**2 * dimension / width,
        "√d": lambda sigma, dimension, width: sigma * math.sqrt(dimension),
        "1/√n": lambda sigma, dimension, width: sigma / math.sqrt(width),
    },
    "unnormalised_correlation": of_noise("unnormalised_correlation")
    | {"divided by the energy": then("unnormalised_correlation", lambda G, i: G / np.mean(i.noise**2))},
    "correlation": of_noise("correlation")
    | of_sigma("correlation")
    | {
        "mean over the batch": then("correlation", lambda J, i: np.broadcast_to(J.mean(0), J.shape)),
        "divided by B": then("correlation", lambda J, i: J / len(J)),
        "one draw for all": then(
            "correlation", lambda J, i: np.asarray(RIGHT.correlation(i.response[:1], i.noise[:1], i.sigma))
        ),
    },
    "batch_correlation": of_noise("batch_correlation")
    | of_sigma("batch_correlation")
    | {
        "÷ K but not ÷ B": then("batch_correlation", lambda J, i: J * i.noise.shape[1]),
        "÷ B but not ÷ K": then("batch_correlation", lambda J, i: J * i.noise.shape[0]),
        "outer product of batch means": lambda response, noise, sigma: RIGHT.correlation(
            response.mean(1), noise.mean(1), sigma
        ),
        "response of the whole batch": given(
            "batch_correlation", response=lambda i: np.broadcast_to(i.response.mean(1, keepdims=True), i.response.shape)
        ),
        "first sample": lambda response, noise, sigma: RIGHT.correlation(response[:, 0], noise[:, 0], sigma),
    },
    "least_squares": {
        "normal equations": solved(lambda z, y: np.linalg.solve(z.T @ z, z.T @ y)),
        "inverse of the Gram matrix": solved(lambda z, y: np.linalg.inv(z.T @ z) @ z.T @ y),
        "a ridge": solved(lambda z, y: np.linalg.solve(z.T @ z + 1e-8 * np.eye(z.shape[1]), z.T @ y)),
        "an intercept": solved(lambda z, y: lstsq(np.column_stack([z, np.ones(len(z))]), y)[:-1]),
        "small singular values cut": solved(lambda z, y: lstsq(z, y, rcond=0.1)),
        "coordinates": solved(lstsq, back=False),
        "correlation": solved(lambda z, y: z.T @ y / len(z) / np.mean(z**2)),
        "scaled by K": solved(lambda z, y: lstsq(z, y) * len(z)),
        "draws weighted": solved(lambda z, y: lstsq(z * np.arange(1, len(z) + 1)[:, None], y)),
        "all draws of the batch together": lambda response, noise, basis=None: np.broadcast_to(
            solved(lstsq)(
                response.reshape(1, -1, response.shape[-1]).swapaxes(0, 1),
                noise.reshape(1, -1, noise.shape[-1]).swapaxes(0, 1),
                basis,
            ),
            (noise.shape[1], response.shape[-1], noise.shape[-1]),
        ),
    },
    "shrunk_estimate": {
        "divided by c": lambda estimate, scaling: estimate / scaling,
        "1 − c": lambda estimate, scaling: estimate * (1 - scaling),
        "c²": lambda estimate, scaling: estimate * scaling**2,
        "not at all": lambda estimate, scaling: estimate,
        "thresholded": lambda estimate, scaling: np.sign(estimate) * np.maximum(np.abs(estimate) - scaling, 0),
    },
    "one_sided_response": {
        "no baseline": response(lambda f, x, xi: f(x + xi)),
        "the other sign": response(lambda f, x, xi: f(x) - f(x + xi)),
        "antithetic": response(estimator.antithetic_response),
        "half": response(lambda f, x, xi: (f(x + xi) - f(x)) / 2),
        "of the other side": response(lambda f, x, xi: f(x) - f(x - xi)),
        "baseline of the mean activity": response(lambda f, x, xi: f(x + xi) - f(x.mean(0))),
        "mean response for the baseline": response(lambda f, x, xi: f(x + xi) - f(x + xi).mean(0)),
        "activation on the output": response(lambda f, x, xi: np.tanh(f(x + xi)) - np.tanh(f(x))),
        "activity past φ twice": response(lambda f, x, xi: f(np.tanh(x + xi)) - f(np.tanh(x))),
        "first sample's noise": response(lambda f, x, xi: f(x + xi[:, :1]) - f(x)),
        "weights column-major": column_major_weights("one_sided_response"),
    },
    "antithetic_response": {
        "whole difference": response(lambda f, x, xi: f(x + xi) - f(x - xi)),
        "one-sided": response(estimator.one_sided_response),
        "of the other side": response(lambda f, x, xi: f(x) - f(x - xi)),
        "mean of the sides": response(lambda f, x, xi: (f(x + xi) + f(x - xi)) / 2),
        "the other sign": response(lambda f, x, xi: (f(x - xi) - f(x + xi)) / 2),
        "σ twice": response(lambda f, x, xi: (f(x + 2 * xi) - f(x - 2 * xi)) / 2),
        "activation on the output": response(lambda f, x, xi: (np.tanh(f(x + xi)) - np.tanh(f(x - xi))) / 2),
        "activity past φ twice": response(lambda f, x, xi: (f(np.tanh(x + xi)) - f(np.tanh(x - xi))) / 2),
        "first draw's noise": response(
            lambda f, x, xi: np.broadcast_to(estimator.antithetic_response(f, x, xi[:1]), (len(xi), *f(x).shape))
        ),
        "linear": response(lambda f, x, xi: (f(x + xi / 64) - f(x - xi / 64)) * 32),
        "tail of the whole network": lambda layer, **i: (
            RIGHT.antithetic_response(layer=0, **i) if i["activity"].shape[1] == i["weight_1"].shape[1] else 0
        ),
        "tail from the next layer": lambda activity, noise, layer, activation, **network: RIGHT.antithetic_response(
            activity, noise, layer=layer, activation="identity", **network
        ),
    },
    "mirror_response": {
        "whole difference": mirror(lambda s, x, xi: s(x + xi) - s(x - xi)),
        "of the next activity": mirror(lambda s, x, xi: (np.tanh(s(x + xi)) - np.tanh(s(x - xi))) / 2),
        "of the next activity, linearised": mirror(lambda s, x, xi: (1 - np.tanh(s(x)) ** 2) * (s(x + xi) - s(x))),
        "no baseline": mirror(lambda s, x, xi: s(x + xi)),
        "mean of the sides": mirror(lambda s, x, xi: (s(x + xi) + s(x - xi)) / 2),
        "the other sign": mirror(lambda s, x, xi: s(x) - s(x + xi)),
        "noise and bias": mirror(lambda s, x, xi: s(xi)),
        "weight column-major": given("mirror_response", weight=lambda i: column_major(i.weight)),
    },
    "estimated_jacobian": {
        "fold_in from 1": estimated(draws(keys=lambda key, K: [random.fold_in(key, k + 1) for k in range(K)])),
        "one key for all draws": estimated(draws(keys=lambda key, K: [key] * K)),
        "all draws of the key": estimated(
            lambda i, d, K: random.normal(i.key, (K, len(i.activity), d), i.activity.dtype)
        ),
        "keys one after another": estimated(
            draws(keys=lambda key, K: [key := random.fold_in(key, 0) for _ in range(K)])
        ),
        "samples share a draw": estimated(draws(order=lambda z: np.broadcast_to(z[:1], z.shape))),
        "draws column-major": estimated(draws(order=lambda z: np.reshape(z, z.shape[::-1]).T)),
        "one-sided": estimated(draws(), estimator.one_sided_response),
        "signs": estimated(draws(random.rademacher)),
        "no 1/σ²": estimated(draws(), scale=lambda sigma: 1),
        "1/σ": estimated(draws(), scale=lambda sigma: sigma),
    },
}


def unscaled(z):
    """Rows made orthogonal, each as long as what is left of it."""
    q = gram_schmidt(z, again=True) / math.sqrt(z.shape[1])
    return math.sqrt(z.shape[1]) * q * np.sum(q * z, axis=1, keepdims=True)


# Credit and descent


def delivered(of: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """Credit by other feedback than that of each sample, where each has its own."""
    return given("delta", feedback=lambda i: of(i.feedback) if i.feedback.ndim == 3 else i.feedback)


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

CREDIT = {
    "running_average": {
        "η for 1 − η": given("running_average", rate=lambda i: 1 - i.rate),
        "added": lambda feedback, estimate, rate: feedback + rate * estimate,
        "the estimate": lambda feedback, estimate, rate: estimate,
        "not at all": lambda feedback, estimate, rate: feedback,
        "η unscaled": lambda feedback, estimate, rate: (1 - rate) * feedback + estimate,
        "corrected for the start": then("running_average", lambda B, i: B if i.feedback.any() else B / i.rate),
        "the other sign": lambda feedback, estimate, rate: (1 - rate) * feedback - rate * estimate,
        "estimate column-major": given("running_average", estimate=lambda i: column_major(i.estimate)),
        "η²": given("running_average", rate=lambda i: i.rate**2),
    },
    "activity_gradient": {
        "the other sign": then("activity_gradient", lambda g, i: -g),
        "mean over outputs": then("activity_gradient", lambda g, i: g / i.signal.shape[1]),
        "mean over the batch": then("activity_gradient", lambda g, i: g / len(g)),
        "feedback column-major": given("activity_gradient", feedback=lambda i: column_major(i.feedback)),
        "signs of the error": given("activity_gradient", signal=lambda i: np.sign(i.signal)),
        "pseudo-inverse": given(
            "activity_gradient", feedback=lambda i: np.linalg.pinv(np.swapaxes(i.feedback, -1, -2))
        ),
        "feedback of the first sample": given(
            "activity_gradient", feedback=lambda i: i.feedback if i.feedback.ndim == 2 else i.feedback[0]
        ),
        "feedback of the samples in reverse": given(
            "activity_gradient", feedback=lambda i: i.feedback if i.feedback.ndim == 2 else i.feedback[::-1]
        ),
    },
    "delta": {
        "no gate": lambda signal, feedback, slope: RIGHT.activity_gradient(signal, feedback),
        "gate squared": given("delta", slope=lambda i: i.slope**2),
        "gate of the mean": given("delta", slope=lambda i: np.broadcast_to(i.slope.mean(0), i.slope.shape)),
        "gate open or closed": given("delta", slope=lambda i: 1.0 * (i.slope > 0)),
        "mean feedback": delivered(lambda J: J.mean(0)),
        "feedback of the first sample": delivered(lambda J: J[0]),
        "feedback of the samples in reverse": delivered(lambda J: J[::-1]),
        "feedback of the sample before": delivered(lambda J: np.roll(J, 1, axis=0)),
        "feedback column-major": given("delta", feedback=lambda i: column_major(i.feedback)),
        "the other sign": then("delta", lambda delta, i: -delta),
        "signal of the mean": given("delta", signal=lambda i: np.broadcast_to(i.signal.mean(0), i.signal.shape)),
    },
    "weight_gradient": {
        "transposed": then("weight_gradient", lambda g, i: g.T),
        "column-major": then("weight_gradient", lambda g, i: column_major(g)),
        "1/B twice": then("weight_gradient", lambda g, i: g / len(i.delta)),
        "outer product of means": lambda delta, activity: np.outer(delta.sum(0), activity.mean(0)),
        "samples out of step": given("weight_gradient", activity=lambda i: i.activity[::-1]),
        "centred activity": given("weight_gradient", activity=lambda i: i.activity - i.activity.mean(0)),
        "first sample": lambda delta, activity: np.outer(delta[0], activity[0]),
        "the other sign": then("weight_gradient", lambda g, i: -g),
    },
    "bias_gradient": {
        "mean over the batch": then("bias_gradient", lambda g, i: g / len(i.delta)),
        "first sample": lambda delta, activity: delta[0],
        "the other sign": then("bias_gradient", lambda g, i: -g),
        "summed over units": lambda delta, activity: delta.sum(1),
        "zero": then("bias_gradient", lambda g, i: 0 * g),
    },
    "velocity": {name: both["velocity"] for name, both in DESCENTS.items()},
    "parameter": {name: both["parameter"] for name, both in DESCENTS.items()}
    | {name: descent(right_velocity, move)["parameter"] for name, move in STEPS.items()},
}

# Convolutions

GEOMETRY = ("height", "width", "stride", "padding", "pool")


def maps(flat, channels):
    return flat.reshape(len(flat), channels, -1)


def last_channels(flat, channels):
    """The same pixels with the channels last."""
    return maps(flat, channels).swapaxes(1, 2).reshape(flat.shape)


def pooled(i, of, flat):
    """Windows of the pool, each made a number."""
    h, w = i.height // i.pool, i.width // i.pool
    image = flat.reshape(len(flat), i.weight.shape[1], i.height, i.width)[:, :, : h * i.pool, : w * i.pool]
    return of(image.reshape(*image.shape[:2], h, i.pool, w, i.pool)).reshape(len(flat), -1), h, w


def with_pool(of: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """The layer above images that are pooled in another way."""

    def twin(**inputs):
        i = SimpleNamespace(**inputs)
        flat, h, w = pooled(i, of, i.activity)
        return RIGHT.convolution_preactivation(**{**inputs, "activity": flat, "height": h, "width": w, "pool": 1})

    return twin


def shifted(flat, i, by):
    image = flat.reshape(len(flat), -1, i.height, i.width)
    return np.roll(image, by, axis=(2, 3)).reshape(flat.shape)


def of_kernels(name: str) -> dict[str, Twin]:
    return {
        "kernel flipped": given(name, weight=lambda i: i.weight[..., ::-1, ::-1]),
        "rows of the kernel for columns": given(name, weight=lambda i: i.weight.swapaxes(2, 3)),
        "channels in reverse": given(name, weight=lambda i: i.weight[:, ::-1]),
        "kernels in reverse": given(name, weight=lambda i: i.weight[::-1]),
    }


def of_images(name: str, source: str) -> dict[str, Twin]:
    return {
        "channels last": given(name, **{source: lambda i: last_channels(getattr(i, source), i.weight.shape[1])}),
        "height for width": given(name, height=lambda i: i.width, width=lambda i: i.height),
        "padding on one side": given(name, **{source: lambda i: shifted(getattr(i, source), i, (1, 1))}),
    }


def of_gradients(name: str) -> dict[str, Twin]:
    return {
        "kernel flipped": then(name, lambda g, i: g[..., ::-1, ::-1]),
        "rows of the kernel for columns": then(name, lambda g, i: g.swapaxes(2, 3)),
        "kernels for channels": then(name, lambda g, i: column_major(g)),
    }


def of_deltas(name: str, source: str) -> dict[str, Twin]:
    return {
        "places before channels": given(
            name, **{source: lambda i: last_channels(getattr(i, source), i.weight.shape[0])}
        ),
        "places in reverse": given(
            name,
            **{
                source: lambda i: maps(getattr(i, source), i.weight.shape[0])[..., ::-1].reshape(
                    getattr(i, source).shape
                )
            },
        ),
    }


def places(i, source):
    return getattr(i, source).shape[1] // i.weight.shape[0]


CONVOLUTION = {
    "convolution_preactivation": of_kernels("convolution_preactivation")
    | of_images("convolution_preactivation", "activity")
    | {
        "no bias": given("convolution_preactivation", bias=lambda i: 0 * i.bias),
        "maximum for mean": with_pool(lambda windows: windows.max((3, 5))),
        "sum for mean": with_pool(lambda windows: windows.sum((3, 5))),
        "first pixel for mean": with_pool(lambda windows: windows[:, :, :, 0, :, 0]),
        "places before channels": then("convolution_preactivation", lambda s, i: last_channels(s, i.weight.shape[0])),
        "mean over the patch": then("convolution_preactivation", lambda s, i: s / i.weight[0].size),
    },
    "convolution_activity_gradient": of_kernels("convolution_activity_gradient")
    | of_deltas("convolution_activity_gradient", "delta")
    | {
        "not shared out over the pool": then("convolution_activity_gradient", lambda g, i: g * i.pool**2),
        "channels last": then("convolution_activity_gradient", lambda g, i: last_channels(g, i.weight.shape[1])),
        "one pixel off": then("convolution_activity_gradient", lambda g, i: shifted(g, i, (1, 1))),
    },
    "convolution_weight_gradient": of_gradients("convolution_weight_gradient")
    | of_images("convolution_weight_gradient", "activity")
    | of_deltas("convolution_weight_gradient", "delta")
    | {
        "mean over places": then("convolution_weight_gradient", lambda g, i: g / places(i, "delta")),
        "1/B twice": then("convolution_weight_gradient", lambda g, i: g / len(i.delta)),
    },
    "convolution_bias_gradient": of_deltas("convolution_bias_gradient", "delta")
    | {
        "mean over places": then("convolution_bias_gradient", lambda g, i: g / places(i, "delta")),
        "1/B twice": then("convolution_bias_gradient", lambda g, i: g / len(i.delta)),
        "first place": lambda delta, weight, **i: maps(delta, len(weight))[..., 0].sum(0),
    },
    "convolution_mirror": of_gradients("convolution_mirror")
    | of_images("convolution_mirror", "noise")
    | of_deltas("convolution_mirror", "response")
    | {
        "sum over places": then("convolution_mirror", lambda M, i: M * places(i, "response")),
        "sum over draws": then("convolution_mirror", lambda M, i: M * len(i.noise)),
        "no 1/σ²": then("convolution_mirror", lambda M, i: M * i.sigma**2),
        "1/σ": then("convolution_mirror", lambda M, i: M * i.sigma),
        "σ of the pooled noise": then("convolution_mirror", lambda M, i: M * i.pool**2),
    },
}
del CONVOLUTION["convolution_bias_gradient"]["places in reverse"]  # the sum over places is the same

# Recurrent networks


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


def of_cell(name: str) -> dict[str, Twin]:
    return {
        "weight transposed": given(name, weight=lambda i: i.weight.T),
        "inputs in reverse": given(name, x=lambda i: i.x[:, ::-1]),
        "input of the step before": given(name, x=lambda i: np.roll(i.x, 1, axis=1)),
        "no bias": given(name, bias=lambda i: 0 * i.bias),
        "no leak": given(name, leak=lambda i: 1.0),
        "leak for its complement": given(name, leak=lambda i: 1 - i.leak if i.leak < 1 else 1.0),
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


RECURRENT = {
    "recurrent_activity": of_cell("recurrent_activity")
    | {
        "one step less": lambda step, **i: unrolled(SimpleNamespace(**i))[step - 1],
        "leak of φ alone": unrolling(lambda i, h, s: h + i.leak * phi(i, s)),
        "leak of the state alone": unrolling(lambda i, h, s: (1 - i.leak) * h + phi(i, s)),
        "φ of the leaky sum": unrolling(lambda i, h, s: phi(i, (1 - i.leak) * h + i.leak * s)),
        "the bias in h_0": given("recurrent_activity", x=lambda i: np.roll(i.x, -1, axis=1)),
        "steps before the batch": given(
            "recurrent_activity", x=lambda i: i.x.ravel().reshape(i.x.shape[1], len(i.x), -1).swapaxes(0, 1)
        ),
    },
    "recurrent_tail_output": of_cell("recurrent_tail_output")
    | {
        "steps in reverse": then("recurrent_tail_output", reversed_blocks(-1)),
        "no bias of the read-out": given("recurrent_tail_output", read_bias=lambda i: 0 * i.read_bias),
        "one step more": lambda activity, step, leak, **i: RIGHT.recurrent_tail_output(
            activity=unrolled(SimpleNamespace(**i, leak=leak))[step - 1] + 0 * activity, step=step, leak=leak, **i
        ),
        "activity past φ twice": given("recurrent_tail_output", activity=lambda i: np.tanh(i.activity)),
        "φ on the output": then("recurrent_tail_output", lambda y, i: np.tanh(y)),
        "the last step alone": given("recurrent_tail_output", every=lambda i: 0),
        "interleaved": then(
            "recurrent_tail_output",
            blocks(lambda y, o: y.reshape(len(y), -1, o).swapaxes(1, 2).reshape(y.shape), -1),
        ),
    },
    "recurrent_jacobian": of_cell("recurrent_jacobian")
    | {
        "steps in reverse": then("recurrent_jacobian", reversed_blocks(1)),
        "no slopes": given("recurrent_jacobian", activation=lambda i: "identity"),
        "of the first sample": jacobian_of_first("recurrent_jacobian"),
        "no recurrence": lambda **i: np.broadcast_to(
            np.tile(i["read_weight"], (i["x"].shape[1] - i["step"] + 1 if i["every"] else 1, 1)),
            np.asarray(RIGHT.recurrent_jacobian(**i)).shape,
        ),
        "one step more": given(
            "recurrent_jacobian", step=lambda i: i.step - 1 if i.step > 1 and not i.every else i.step
        ),
        "factors in another order": lambda **i: jacobian_in_order(SimpleNamespace(**i)),
        "column-major": then("recurrent_jacobian", lambda J, i: column_major(J)),
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
        "transposed": then("recurrent_loss_gradient", lambda g, i: g.T),
        "sum over the batch": then("recurrent_loss_gradient", lambda g, i: g * len(i.x)),
        "the last output alone": lambda every, target, read_bias, **i: RIGHT.recurrent_loss_gradient(
            every=0, target=target[:, -len(read_bias) :], read_bias=read_bias, **i
        ),
    },
    "recurrent_activity_gradient": {
        "lags in reverse": given(
            "recurrent_activity_gradient",
            feedback_0=lambda i: i.feedback_2,
            feedback_2=lambda i: i.feedback_0,
        ),
        "one feedback for all lags": given(
            "recurrent_activity_gradient", feedback_1=lambda i: i.feedback_0, feedback_2=lambda i: i.feedback_0
        ),
        "mean over lags": then("recurrent_activity_gradient", lambda g, i: g / (4 - i.step)),
        "the first lag alone": given(
            "recurrent_activity_gradient", feedback_1=lambda i: 0 * i.feedback_1, feedback_2=lambda i: 0 * i.feedback_2
        ),
        "step from 0": given("recurrent_activity_gradient", step=lambda i: i.step + 1),
        "errors in reverse": given(
            "recurrent_activity_gradient",
            signal=lambda i: np.concatenate(np.split(i.signal, i.signal.shape[1] // 2, 1)[::-1], 1),
        ),
        "feedback column-major": given(
            "recurrent_activity_gradient",
            **{f"feedback_{lag}": lambda i, lag=lag: column_major(getattr(i, f"feedback_{lag}")) for lag in range(3)},
        ),
    },
    "recurrent_delta": {
        "no leak": given("recurrent_delta", leak=lambda i: 1.0),
        "leak for its complement": given("recurrent_delta", leak=lambda i: 1 - i.leak if i.leak < 1 else 1.0),
        "no gate": lambda gradient, leak, **i: leak * gradient,
        "gate of the activity": given("recurrent_delta", preactivation=lambda i: np.tanh(i.preactivation)),
        "leak squared": given("recurrent_delta", leak=lambda i: i.leak**2),
        "path through the leak": then("recurrent_delta", lambda delta, i: delta + (1 - i.leak) * i.gradient),
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


# Trajectories


def patched(*replaced: tuple[Any, str, Any]) -> Callable[[str], Twin]:
    """Training with parts of the library replaced."""

    def make(operation: str) -> Twin:
        def twin(**inputs):
            with contextlib.ExitStack() as stack:
                for module, name, value in replaced:
                    stack.enter_context(mock.patch.object(module, name, value))
                return OPERATIONS[operation].function(**inputs)

        return twin

    return make


def learning(change: Callable[[training.State, training.State], training.State]) -> Callable[[str], Twin]:
    """What becomes of the state before and after feedback has learned."""
    learn = training.learn_feedback

    def wrong(state, x, **kind):
        learned, observation = learn(state, x, **kind)
        return change(state, learned), observation

    return patched((training, "learn_feedback", wrong))


def drawing(change: Callable[[list[np.ndarray]], list[np.ndarray]]) -> Callable[[str], Twin]:
    """What becomes of the coefficients [K, B, d] of each activity."""
    draw = training._draws
    return patched((training, "_draws", lambda *arguments: change(draw(*arguments))))


DRAW, NOISE, STEP, LEARN, DESCEND = training._draws, training._noise, training.step, training.learn_feedback, sgd.step


def credit_first(state, x, target, *, route, settings, **kind):
    """Credit by the feedback of the step before."""
    learned, _ = LEARN(state, x, route=route, settings=settings)
    moved, info = STEP(state._replace(key=None), x, target, route=route, settings=settings, **kind)
    return moved._replace(feedback=learned.feedback, key=learned.key), info


def feedback_last(state, x, target, *, route, settings, **kind):
    """Feedback learned from the weights that have moved."""
    moved, info = STEP(state._replace(key=None), x, target, route=route, settings=settings, **kind)
    learned, _ = LEARN(moved._replace(key=state.key), x, route=route, settings=settings)
    return learned, info


def decoupled(network, gradient, velocity, *, learning_rate, decay, momentum):
    """Decay past the velocity."""
    _, speeds = DESCEND(network, gradient, velocity, learning_rate=learning_rate, momentum=momentum, decay=0.0)
    fall = 1 - learning_rate * decay
    return tuple(
        each_parameter(lambda w, v: fall * w - learning_rate * v, *pair) for pair in zip(network, speeds, strict=True)
    ), speeds


SUMMED = LOSSES["squared_error"]._replace(error=lambda output, target: output - target)


def weights_alone_decay(network, gradient, velocity, *, decay, **rates):
    """No decay of biases."""
    decaying, speeds = DESCEND(network, gradient, velocity, decay=decay, **rates)
    steady, others = DESCEND(network, gradient, velocity, decay=0.0, **rates)

    def chosen(own, other):
        return tuple(a._replace(bias=b.bias) if hasattr(a, "bias") else a for a, b in zip(own, other, strict=True))

    return chosen(decaying, steady), chosen(speeds, others)


def rates_changed(**change: Callable[[float], float]) -> Callable[[str], Twin]:
    return lambda operation: given(
        operation, **{name: lambda i, name=name, of=of: of(getattr(i, name)) for name, of in change.items()}
    )


def unmatched(z, basis, settings):
    return training.perturbation.isotropic(z, settings.sigma), settings.sigma


def estimated_with_sigma(z, basis, settings):
    """Noise of the matched σ, and an estimate divided by the other."""
    noise, _ = NOISE(z, basis, settings)
    return noise, settings.sigma


LEARNED: dict[str, Callable[[str], Twin]] = {
    "credit by the feedback before": patched((training, "step", credit_first)),
    "feedback from weights that have moved": patched((training, "step", feedback_last)),
    "one-sided": patched((estimator, "antithetic_response", estimator.one_sided_response)),
    "whole difference of a pair": patched((estimator, "antithetic_response", lambda f, x, xi: f(x + xi) - f(x - xi))),
    "the same noise at every step": learning(lambda before, after: after._replace(key=before.key)),
    "feedback that does not learn": learning(lambda before, after: after._replace(feedback=before.feedback)),
    "samples share a draw": drawing(lambda draws: [np.broadcast_to(z[:, :1], z.shape).copy() for z in draws]),
    "one draw for all": drawing(lambda draws: [np.broadcast_to(z[:1], z.shape).copy() for z in draws]),
    "no decay of biases": patched((sgd, "step", weights_alone_decay)),
    "no decay": rates_changed(decay=lambda each: 0.0),
    "no momentum": rates_changed(momentum=lambda each: 0.0),
    "η for 1 − η": rates_changed(feedback_rate=lambda each: 1 - each),
    "twice the rate": rates_changed(learning_rate=lambda each: 2 * each),
    "loss summed over the batch": patched((trajectory, "LOSSES", {"squared_error": SUMMED})),
    "decay decoupled": patched((sgd, "step", decoupled)),
    "one step less": lambda operation: given(operation, last=lambda i: i.last - 1),
    "key of the start": lambda operation: (
        lambda first, last, **i: OPERATIONS[operation].function(first=0, last=last - first, **i)
    ),
}
SITES: dict[str, Callable[[str], Twin]] = {
    "one key for all activities": patched((training, "_draws", lambda keys, *rest: DRAW(0 * keys + keys[:1], *rest))),
    "keys in reverse": patched((training, "_draws", lambda keys, *rest: DRAW(keys[::-1].copy(), *rest))),
}

TRAJECTORY = {
    name: {
        slip: make(name) for slip, make in (LEARNED | (SITES if name != "convolutional_training_state" else {})).items()
    }
    for name in ("training_state", "convolutional_training_state", "recurrent_training_state")
}
del TRAJECTORY["convolutional_training_state"]["one-sided"]  # the tail is linear: it is the same
TRAJECTORY["training_state"] |= {
    "σ of the other method": patched((training, "_noise", unmatched))("training_state"),
    "estimate with σ of the other method": patched((training, "_noise", estimated_with_sigma))("training_state"),
    "always along the manifold": given("training_state", rule=lambda i: "nmnc"),
    "never along the manifold": given("training_state", rule=lambda i: "vnc"),
    "mirror for feedback": given(
        "training_state", route=lambda i: {"layerwise": "direct", "direct": "layerwise"}[i.route]
    ),
}

TWINS: dict[str, dict[str, Twin]] = (
    RANDOM | NETWORK | MANIFOLD | ESTIMATOR | CREDIT | CONVOLUTION | RECURRENT | TRAJECTORY
)
