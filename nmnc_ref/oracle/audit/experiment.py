"""An estimator as an experiment: responses, coefficients, and what is made of their products; so mean and covariance.

Whatever is perturbed and read, an estimate of any kind is linear in the products of responses ρ [R] and independent
coefficients z [D] of K draws, and while the response is linear, ρ = f + A z:

    part = mean_k Σ_ra T_mra ρ_r z_a,    E[part] = T·A,
    K Cov = Σ T_mra T_nsb [δ_ab (A Aᵀ + f fᵀ)_rs + A_rb A_sa] + what fourth moments add (E3, E14, E15, E18–E21).

Entries of another fourth moment than 3 add κ − 3 times the terms with four equal indices; coefficients of fixed norm
shrink the moments within their vector by d/(d + 2). A slip of the catalogue is an experiment with one step exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nmnc_ref.nn import feedforward
from nmnc_ref.oracle.audit.law import FIXED_NORM, KURTOSIS, draw
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, LOSSES, Declaration, Problem, basis, forward, layers

GROUPS = 32
"""Of points of the integral over finite noise, from whose scatter its own error is known."""
POINTS = 1 << 16
"""In all groups together; a judgement that is not the last one needs fewer."""


class Part(NamedTuple):
    """One returned array and what is expected of it.

    `name`; `shape`; `site`: the layer that was perturbed for it, None for the exact output layer; `mean` [m];
    `covariance` [m, m] of one estimate, for a linear response; `uncertainty` [m, m]: covariance of the error of `mean`
    itself, zero where it has a closed form; `joint` [M, M]: covariance of all parts, of which this one is at `rows`.
    """

    name: str
    shape: tuple[int, ...]
    site: int | None
    mean: np.ndarray
    covariance: np.ndarray
    uncertainty: np.ndarray
    joint: np.ndarray
    rows: np.ndarray


class Experiment(NamedTuple):
    """`slopes` A [R, D]; `offset` f [R]; `units`: the columns of each independent vector of coefficients.

    `maps`: T of each part with its name, shape and site; `columns`: those of the coefficients of (layer, sample).
    """

    problem: Problem
    law: str
    slopes: np.ndarray
    offset: np.ndarray
    units: tuple[np.ndarray, ...]
    maps: tuple[tuple[str, tuple[int, ...], int, np.ndarray], ...]
    columns: dict[tuple[int, int], np.ndarray]

    def mean(self, maps: np.ndarray) -> np.ndarray:
        """Return T·A [m]."""
        return np.tensordot(maps, self.slopes, 2)

    def covariance(self, maps: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the covariance [m, m'] between two parts of one estimate."""
        A, T, S = self.slopes, maps, others
        total = _wick(A, T, S)
        at_rest, other_at_rest = (np.einsum("mra,r->ma", each, self.offset) for each in (T, S))
        total += at_rest @ other_at_rest.T
        if self.law in FIXED_NORM:
            for unit in self.units:
                within = A[:, unit], T[:, :, unit], S[:, :, unit]
                product = np.outer(*(np.tensordot(each, within[0], 2) for each in within[1:]))
                total -= 2 / (len(unit) + 2) * (_wick(*within) + product)
        elif KURTOSIS[self.law] != 3:
            alike, other_alike = (np.einsum("mra,ra->ma", each, A) for each in (T, S))
            total += (KURTOSIS[self.law] - 3) * alike @ other_alike.T
        return total / self.problem.draws

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Draw coefficients [count, D]."""
        z = np.empty((count, self.slopes.shape[1]))
        for unit in self.units:
            z[:, unit] = draw(generator, (count, len(unit)), self.law)
        return z


def _wick(A: np.ndarray, T: np.ndarray, S: np.ndarray) -> np.ndarray:
    """Return Σ T_mra S_nsb [δ_ab (A Aᵀ)_rs + A_rb A_sa]."""
    m, n = len(T), len(S)
    own = T.reshape(m, -1) @ np.einsum("rs,nsa->nra", A @ A.T, S, optimize=True).reshape(n, -1).T
    crossed = (np.einsum("mra,sa->mrs", T, A, optimize=True), np.einsum("nsb,rb->nrs", S, A, optimize=True))
    return own + crossed[0].reshape(m, -1) @ crossed[1].reshape(n, -1).T


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
    D = 1 + max(int(unit.max()) for unit in units)
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
        below = np.hstack([forward(problem).activity[l], np.ones((batch, 1))])  # weights [n, m] and then biases [n]
        weights = np.einsum("nk,im->inkm", np.eye(n), below[:, :-1]).reshape(batch, n, -1)
        return np.concatenate([weights, np.broadcast_to(np.eye(n), (batch, n, n))], axis=2)
    hidden_activity = declaration.perturbs == "activity" and l < len(problem.weights) - 1
    matrix = direction(problem, l) if hidden_activity else np.eye(n)
    return np.broadcast_to(matrix, (batch, *matrix.shape))


def _downstream(problem: Problem, declaration: Declaration, l: int, before_activation: bool) -> np.ndarray:
    """Return ∂y/∂x_l or ∂y/∂s_l [B, n_o, n], by what is perturbed."""
    J = feedforward.jacobian(layers(problem), problem.x, l + 1, ACTIVATIONS[problem.activation])
    if declaration.perturbs == "activity" and not before_activation:
        return J
    return J * own_slope(problem, l)[:, None, :]


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
        (names[0], shapes[0], np.einsum("ina,im->inma", delta, below).reshape(batch, -1, d)),
        (names[1], shapes[1], delta),
    ]


def _columns(
    dimensions: dict[int, int], batch: int, shared_by_samples: bool, shared_by_layers: bool
) -> tuple[dict[tuple[int, int], np.ndarray], tuple[np.ndarray, ...]]:
    """Return the columns of the coefficients of each layer and sample, and those of each independent vector."""
    columns: dict[tuple[int, int], np.ndarray] = {}
    start = 0
    for l, d in dimensions.items():
        for i in range(batch):
            columns[l, i] = start + np.arange(d)
            start += 0 if shared_by_samples else d
        start = 0 if shared_by_layers else start + d * shared_by_samples
        if shared_by_layers:
            most = max(dimensions.values())
            columns |= {(l, i): np.arange(d) + most * i * (not shared_by_samples) for i in range(batch)}
    if shared_by_layers:
        vectors = [np.arange(most) + most * i for i in range(1 if shared_by_samples else batch)]
    else:
        vectors = [columns[l, i] for l in dimensions for i in range(1 if shared_by_samples else batch)]
    return columns, tuple(vectors)


def expected_parts(
    problem: Problem, declaration: Declaration, smoothing: np.random.Generator | None = None, points: int = POINTS
) -> tuple[Part, ...]:
    """Return the parts of a right estimate, in the order in which they are returned.

    Args:
        problem: what is estimated.
        declaration: how.
        smoothing: of an integral over finite noise for the means; None where the response is linear.
        points: of that integral.
    """
    made = experiment(problem, declaration)
    products = None if smoothing is None else _products(made, declaration, smoothing, points)
    return (*parts(made, products), *exact_output_layer(problem, declaration))


def parts(made: Experiment, products: np.ndarray | None = None) -> tuple[Part, ...]:
    """Return what is estimated, with its moments; `products` [G, R, D]: E[ρ zᵀ] in independent groups, if not A."""
    found = []
    every = np.concatenate([maps for *_, maps in made.maps])
    joint, start = made.covariance(every, every), 0
    for name, shape, site, maps in made.maps:
        rows, start = np.arange(start, start + len(maps)), start + len(maps)
        covariance = joint[np.ix_(rows, rows)]
        mean, uncertainty = made.mean(maps), np.zeros_like(covariance)
        if products is not None:
            groups = np.tensordot(products, maps, ([1, 2], [1, 2]))
            mean, uncertainty = groups.mean(axis=0), np.cov(groups.T).reshape(covariance.shape) / len(groups)
        found.append(Part(name, shape, site, mean, covariance, uncertainty, joint, rows))
    return tuple(found)


def exact_output_layer(problem: Problem, declaration: Declaration) -> tuple[Part, ...]:
    """Return the exact gradient of the output layer, where it is returned and not estimated."""
    if declaration.returns != "weight-gradient" or declaration.output_layer:
        return ()
    passed = forward(problem)
    error = LOSSES[problem.loss].error(passed.output, problem.target)
    values = {"dW": error.T @ passed.activity[-2], "db": error.sum(axis=0)}
    found = []
    for name, value in values.items():
        zero, rows = np.zeros((value.size, value.size)), np.arange(value.size)
        found.append(Part(f"{name} of the output layer", value.shape, None, value.ravel(), zero, zero, zero, rows))
    return tuple(found)


def _products(made: Experiment, declaration: Declaration, generator: np.random.Generator, points: int) -> np.ndarray:
    """Return E[ρ zᵀ] at finite σ [G, R, D].

    The linear response, whose part is known, is subtracted under the integral; that leaves little variance.
    """
    found = np.empty((GROUPS, *made.slopes.shape))
    count = points // GROUPS
    for group in range(GROUPS):
        z = made.draw(generator, count)
        odd = (respond(made, declaration, z) - respond(made, declaration, -z)) / 2
        found[group] = made.slopes + (odd - z @ made.slopes.T).T @ z / count
    return found


def respond(made: Experiment, declaration: Declaration, z: np.ndarray) -> np.ndarray:
    """Return the values [S, R] that are read with coefficients [S, D], of the network as it is."""
    problem, at = made.problem, perturbed(made.problem, declaration)
    passes = [at] if declaration.simultaneous else [(l,) for l in at]
    sigma = np.full(z.shape[1], problem.sigma)
    if declaration.noise == "sphere":
        for unit in made.units:
            sigma[unit] /= np.sqrt(len(unit))
    z = z * sigma
    found = []
    for together in passes:
        noise = {l: np.stack([z[:, made.columns[l, i]] for i in range(len(problem.x))], axis=1) for l in together}
        output = _outputs(problem, declaration, noise)
        if declaration.returns == "jacobian":
            read = output.reshape(len(z), -1)
        elif declaration.response == "output":
            clean = forward(problem).output
            read = np.sum(LOSSES[problem.loss].error(clean, problem.target) * output, axis=-1)
        else:
            read = LOSSES[problem.loss].each(output, problem.target) / len(problem.x)
            read = read.sum(axis=-1, keepdims=True) if declaration.response == "batch-loss" else read
        found.append(read)
    return np.concatenate(found, axis=1)


def _outputs(problem: Problem, declaration: Declaration, noise: dict[int, np.ndarray]) -> np.ndarray:
    """Return y [S, B, n_o] of the network whose layers carry noise [S, B, d] of the declared kind."""
    activity = np.broadcast_to(problem.x, (len(next(iter(noise.values()))), *problem.x.shape))
    last = len(problem.weights) - 1
    for l, (weight, bias) in enumerate(zip(problem.weights, problem.biases, strict=True)):
        s = activity @ weight.T + bias
        early = l in noise and (declaration.perturbs != "activity" or l == last)
        if early and declaration.perturbs == "weights":
            on_weights, on_biases = np.split(noise[l], [weight.size], axis=2)
            s = s + np.einsum("sbnm,sbm->sbn", on_weights.reshape(*s.shape[:2], *weight.shape), activity) + on_biases
        elif early:
            s = s + noise[l]
        activity = s if l == last else ACTIVATIONS[problem.activation].value(s)
        if l in noise and not early:
            activity = activity + noise[l] @ basis(problem, l).T
    return activity
