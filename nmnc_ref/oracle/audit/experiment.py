"""The experiment that an estimator of any kind makes on a problem; a slip of the catalogue exchanges one step of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nmnc_ref.nn import feedforward
from nmnc_ref.oracle.audit.moments import Experiment
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, LOSSES, Declaration, Problem, basis, forward, layers


def own_slope(problem: Problem, site: int) -> np.ndarray:
    """Return φ'(s) [B, n] of a layer; the output layer is linear."""
    s = forward(problem).preactivation[site]
    return np.ones_like(s) if site == len(problem.weights) - 1 else ACTIVATIONS[problem.activation].slope(s)


def no_slope(problem: Problem, site: int) -> np.ndarray:
    """Return ones [B, n]."""
    return np.ones((len(problem.x), len(problem.biases[site])))


def perturbed(problem: Problem, declaration: Declaration) -> tuple[int, ...]:
    """Return the layers that are perturbed: the sites, and the output layer where it is estimated too."""
    return (*problem.sites, len(problem.weights) - 1) if declaration.output_layer else problem.sites


def experiment(
    problem: Problem,
    declaration: Declaration,
    *,
    direction: Callable[[Problem, int], np.ndarray] = basis,
    slope: Callable[[Problem, int], np.ndarray] | None = None,
    before_activation: bool = False,
    stale: bool = False,
    shared_by_samples: bool = False,
    shared_by_layers: bool = False,
    propagated: bool = False,
) -> Experiment:
    """Return the experiment that a right estimator makes, or one with a step exchanged.

    Args:
        problem: what is estimated.
        declaration: how.
        direction: the matrix [n, d] that carries coefficients to perturbations of an activity.
        slope: the φ' [B, n] by which a weight gradient multiplies; by default its own, where activities are perturbed.
        before_activation: perturb s_l where x_l was claimed.
        stale: take each sample's baseline from its neighbour in the batch.
        shared_by_samples: one noise for the whole batch.
        shared_by_layers: one noise for all sites, as far as it fits.
        propagated: take the whole change of the output for the noise that was added there.
    """
    if slope is None:
        slope = own_slope if declaration.perturbs == "activity" else no_slope
    at, batch, one_loss = perturbed(problem, declaration), len(problem.x), declaration.response == "batch-loss"
    jacobian = declaration.returns == "jacobian"
    signal, at_rest = _read(problem, declaration)
    width = 1 if one_loss else signal.shape[1]  # rows of a sample; the whole batch shares one of one loss
    block = width if one_loss else width * batch  # rows of one forward pass
    carried = {l: _carried(problem, declaration, l, direction) for l in at}  # [B, n, d]
    one_noise = shared_by_samples or (declaration.perturbs == "weights" and one_loss)
    columns, units = _columns({l: carried[l].shape[2] for l in at}, batch, one_noise, shared_by_layers)
    if declaration.perturbs == "weights" and declaration.simultaneous:
        noises = 1 if one_noise else batch  # all parameters are one vector
        units = tuple(np.concatenate([columns[l, i] for l in at]) for i in range(noises))
    passes = 1 if declaration.simultaneous else len(at)
    D = sum(map(len, units))
    A, f = np.zeros((passes * block, D)), np.zeros(passes * block)
    scale = np.full(D, 1.0 if declaration.measures == "derivative" else problem.sigma)
    if declaration.noise == "sphere" and declaration.measures != "derivative":
        for unit in units:
            scale[unit] /= np.sqrt(len(unit))

    def rows(index: int, sample: int) -> np.ndarray:
        start = 0 if declaration.simultaneous else index * block
        return start + (np.arange(width) if one_loss else sample * width + np.arange(width))

    maps = []
    if declaration.measures == "value":
        f = np.tile(at_rest.sum(axis=0) if one_loss else at_rest.ravel(), passes)
    elif stale:
        f = np.tile((at_rest - np.roll(at_rest, 1, axis=0)).ravel(), passes)[: len(f)]
    downstream = {l: _downstream(problem, declaration, l, before_activation) @ carried[l] for l in at}  # [B, n_o, d]
    for index, l in enumerate(at):
        for i in range(batch):
            A[np.ix_(rows(index, i), columns[l, i])] += signal[i] @ downstream[l][i]
        noise = downstream if propagated and l == len(problem.weights) - 1 else {l: carried[l]}
        for number, (name, shape, _) in enumerate(_readouts(problem, declaration, l, carried[l], slope)):
            T = np.zeros((int(np.prod(shape)), passes * block, D))
            for source, each in noise.items():
                for i, readout in enumerate(_readouts(problem, declaration, l, each, slope)[number][2]):  # [m, d]
                    if jacobian:
                        for o, row in enumerate(rows(index, i)):
                            entries = o * len(readout) + np.arange(len(readout))
                            T[np.ix_(entries, [row], columns[source, i])] += readout[:, None]
                    else:
                        T[:, rows(index, i)[0], columns[source, i]] += readout
            maps.append((name, shape, l, T / scale))
    return Experiment(problem, declaration.noise, A * scale, f, units, tuple(maps), columns)


def _read(problem: Problem, declaration: Declaration) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives by the outputs [B, r, n_o] of what is read of each sample, and its values [B, r]."""
    output = forward(problem).output
    if declaration.returns == "jacobian":
        return np.broadcast_to(np.eye(output.shape[1]), (*output.shape, output.shape[1])), output
    error = LOSSES[problem.loss].error(output, problem.target)  # the batch mean's 1/B is inside
    if declaration.response == "output":
        return error[:, None], np.sum(error * output, axis=1, keepdims=True)
    return error[:, None], LOSSES[problem.loss].each(output, problem.target)[:, None] / len(output)


def _carried(
    problem: Problem, declaration: Declaration, l: int, direction: Callable[[Problem, int], np.ndarray]
) -> np.ndarray:
    """Return how the coefficients of each sample move what is perturbed of a layer, x_l or s_l [B, n, d]."""
    batch, n = len(problem.x), len(problem.biases[l])
    if declaration.perturbs == "weights":
        below = forward(problem).activity[l]  # weights [n, m] and then biases [n]
        weights = np.einsum("nk,im->inkm", np.eye(n), below).reshape(batch, n, n * below.shape[1])
        return np.concatenate([weights, np.broadcast_to(np.eye(n), (batch, n, n))], axis=2)
    hidden_activity = declaration.perturbs == "activity" and l < len(problem.weights) - 1
    matrix = direction(problem, l) if hidden_activity else np.eye(n)
    return np.broadcast_to(matrix, (batch, *matrix.shape))


def _downstream(problem: Problem, declaration: Declaration, l: int, before_activation: bool) -> np.ndarray:
    """Return ∂y/∂x_l or ∂y/∂s_l [B, n_o, n], by what is perturbed."""
    J = feedforward.jacobian(layers(problem), problem.x, l + 1, ACTIVATIONS[problem.activation])
    if declaration.perturbs == "activity" and not before_activation:
        return J
    slope = own_slope(problem, l)
    if before_activation and problem.activation == "relu":  # noise of both signs goes on by half at the kink
        slope = slope + (forward(problem).preactivation[l] == 0) / 2
    return J * slope[:, None, :]


def _readouts(
    problem: Problem,
    declaration: Declaration,
    l: int,
    carried: np.ndarray,
    slope: Callable[[Problem, int], np.ndarray],
) -> list[tuple[str, tuple[int, ...], np.ndarray]]:
    """Return name and shape of what is returned for a layer, and how it follows from each sample's noise [B, m, d].

    Of Jacobians, for each output alone.
    """
    passed, (batch, n, d) = forward(problem), carried.shape
    if declaration.returns == "jacobian":
        return [(f"∂y/∂x at layer {l}", (problem.target.shape[1], n), carried / batch)]
    if declaration.returns == "activity-gradient":
        each = np.einsum("ij,ina->ijna", np.eye(batch), carried).reshape(batch, batch * n, d)
        return [(f"∂loss/∂x at layer {l}", (batch, n), each)]
    below = passed.activity[l]
    names = [
        f"{array} of {'the output layer' if l == len(problem.weights) - 1 else f'layer {l}'}" for array in ("dW", "db")
    ]
    shapes = [(n, below.shape[1]), (n,)]
    if declaration.perturbs == "weights":
        noises = 1 if declaration.response == "batch-loss" else batch
        return [
            (name, shape, np.broadcast_to(each, (noises, *each.shape)))
            for name, shape, each in zip(names, shapes, np.split(np.eye(d), [n * below.shape[1]]), strict=True)
        ]
    delta = slope(problem, l)[:, :, None] * carried
    return [
        (names[0], shapes[0], np.einsum("ina,im->inma", delta, below).reshape(batch, n * below.shape[1], d)),
        (names[1], shapes[1], delta),
    ]


def _columns(
    dimensions: dict[int, int], batch: int, shared_by_samples: bool, shared_by_layers: bool
) -> tuple[dict[tuple[int, int], np.ndarray], tuple[np.ndarray, ...]]:
    """Return the columns of the coefficients of each layer and sample, and those of each independent vector."""
    columns: dict[tuple[int, int], np.ndarray] = {}
    vectors: dict[tuple[int | None, int], np.ndarray] = {}
    start = 0
    for l, d in dimensions.items():
        size = max(dimensions.values()) if shared_by_layers else d
        for i in range(batch):
            whose = None if shared_by_layers else l, 0 if shared_by_samples else i
            if whose not in vectors:
                vectors[whose] = start + np.arange(size)
                start += size
            columns[l, i] = vectors[whose][:d]
    return columns, tuple(vectors.values())
