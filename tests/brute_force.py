"""Every public function of numbers once more, as plainly as it can be said: NumPy, loops, and derivatives by steps.

Arguments are those of the functions, in float64, and answers have their order. A step along the imaginary axis gives a
derivative to the last digit without any formula for it. NaN stands where the documentation leaves the answer open.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.linalg import subspace_angles

from nmnc_ref import random

TINY = 1e-100


def derivative(function, x):
    """Return ∂f/∂x of a function of the last axis, [..., o, n]."""
    steps = TINY * 1j * np.eye(x.shape[-1])
    return np.stack([np.imag(function(x + step)) / TINY for step in steps], axis=-1)


def gradient(function, x):
    """Return the derivative of a scalar by every entry."""
    return derivative(lambda flat: function(flat.reshape(x.shape)), x.reshape(-1)).reshape(x.shape)


# Estimates


def one_sided(tail, activity, noise):
    return np.stack([tail(activity + each) - tail(activity) for each in noise])


def antithetic(tail, activity, noise):
    return np.stack([(tail(activity + each) - tail(activity - each)) / 2 for each in noise])


def mean_outer(response, noise):
    return sum(y[..., :, None] * z[..., None, :] for y, z in zip(response, noise, strict=True)) / len(noise)


def correlation(response, noise, sigma):
    return mean_outer(response, noise) / sigma**2


def batch_correlation(response, noise, sigma):
    return np.mean([correlation(response[:, i], noise[:, i], sigma) for i in range(noise.shape[1])], axis=0)


def least_squares(response, noise, basis=None):
    basis = np.eye(noise.shape[-1]) if basis is None else basis
    estimates = np.empty((*noise.shape[1:-1], response.shape[-1], noise.shape[-1]))
    for index in np.ndindex(noise.shape[1:-1]):
        each = (slice(None), *index)
        estimates[index] = (basis @ np.linalg.lstsq(noise[each] @ basis, response[each])[0]).T
    return estimates


def estimate_jacobian(key, tail, activity, sigma, draws, law, basis=None, **_):
    basis = np.eye(activity.shape[-1]) if basis is None else basis
    shape = (*activity.shape[:-1], basis.shape[1])
    keys = [random.fold_in(key, k) for k in range(draws)]
    noise = np.stack([sigma * law(each[None], shape, np.float64)[0] @ basis.T for each in keys])
    return correlation(one_sided(tail, activity, noise), noise, sigma)


def gram_schmidt(vectors):
    """Return orthonormal vectors, one after the other."""
    found = []
    for vector in vectors:
        for _ in range(2):
            vector = vector - sum((other * (other @ vector) for other in found), np.zeros_like(vector))
        found.append(vector / np.sqrt(vector @ vector))
    return np.stack(found)


def orthonormal_frame(coefficients):
    frame = np.empty_like(coefficients)
    for index in np.ndindex(coefficients.shape[1:-1]):
        each = (slice(None), *index)
        frame[each] = gram_schmidt(coefficients[each]) * math.sqrt(coefficients.shape[-1])
    return frame


# Manifolds


def components(factor, mean, centring, dimension, explained, eps):
    """Return basis, spectrum and mean of a moment FᵀF."""
    _, singular, rows = np.linalg.svd(factor, full_matrices=False)
    spectrum = singular**2
    return _chosen(rows, spectrum, mean, centring, dimension or dimension_for(spectrum, explained, eps))


def _chosen(rows, spectrum, mean, centring, dimension):
    basis = []
    for row in rows[:dimension]:
        leading = next(entry for entry in row if abs(entry) >= 0.99 * max(abs(row)))
        basis.append(row * np.sign(leading))
    if centring == "mean-added":
        basis.append(gram_schmidt([*basis, mean])[-1])
    return np.stack(basis, axis=1), spectrum, mean


def fit(activity, *, eps, dimension=None, explained=None, centring="uncentred"):
    mean = np.mean(activity, axis=0)
    rows = activity if centring == "uncentred" else activity - mean
    return components(rows / math.sqrt(len(rows)), mean, centring, dimension, explained, eps)


def from_moments(mean, covariance, *, eps, dimension=None, explained=None, centring="uncentred"):
    moment = covariance + (np.outer(mean, mean) if centring == "uncentred" else 0)
    values, vectors = np.linalg.eigh(moment)
    spectrum = np.maximum(values[::-1], 0)
    dimension = dimension or dimension_for(spectrum, explained, eps)
    return _chosen(vectors.T[::-1], spectrum, mean, centring, dimension)


def merge(moments, other):
    count = moments.count + other.count
    mean = (moments.count * moments.mean + other.count * other.mean) / count if count else other.mean
    scatter = moments.scatter + other.scatter
    for part in (moments, other):
        scatter = scatter + part.count * np.outer(part.mean - mean, part.mean - mean)
    return type(moments)(count, mean if count else np.full(mean.shape, math.nan), scatter)


def moments_of(activity, kind):
    deviation = activity - np.mean(activity, axis=0)
    return kind(np.float64(len(activity)), np.mean(activity, axis=0), sum(np.outer(row, row) for row in deviation))


def forget(moments, rate):
    return type(moments)((1 - rate) * moments.count, moments.mean, (1 - rate) * moments.scatter)


def update(moments, activity, rate):
    return merge(forget(moments, rate), moments_of(activity, type(moments)))


def dimension_for(spectrum, explained, eps):
    """Return the fewest variances with a share of the whole, which rounding may keep from being reached."""
    wanted = explained * sum(spectrum) * (1 - 4 * eps * math.sqrt(len(spectrum)))
    return next(d for d in range(1, len(spectrum) + 1) if sum(spectrum[:d]) >= wanted or d == len(spectrum))


def two_nearest_neighbours(points, eps):
    same = 1e-19 if eps > 1e-10 else 1e-154
    found = []
    for cloud in points:
        cloud = np.unique(cloud, axis=0)
        distances = np.array([[math.dist(p, q) for q in cloud] for p in cloud])
        apart = distances[~np.eye(len(cloud), dtype=bool)]
        if np.any(apart < same * np.max(np.abs(points))):
            return np.full(len(points), math.nan)
        logarithms = [math.log(sorted(row)[2] / sorted(row)[1]) for row in distances]
        found.append(len(cloud) / sum(logarithms) if sum(logarithms) else math.inf)
    return np.array(found)


# Representations


def linear_cka(activity, other_activity):
    x, y = (each - np.mean(each, axis=0) for each in (activity, other_activity))
    return np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def debiased_alignment(gram, other_gram):
    """Over all ordered quadruples of different stimuli: the estimate that is unbiased by its making."""
    i, j, q, r = np.array(list(itertools.permutations(range(len(gram)), 4))).T

    def product(k, l):
        k, l = k / np.max(np.abs(k)), l / np.max(np.abs(l))
        return np.sum(k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]))

    norms = product(gram, gram), product(other_gram, other_gram)
    if min(norms) <= 0:
        return math.nan
    return np.clip(product(gram, other_gram) / math.sqrt(norms[0]) / math.sqrt(norms[1]), -1, 1)


def debiased_cka(activity, other_activity):
    deviations = [each - np.mean(each, axis=0) for each in (activity, other_activity)]
    return debiased_alignment(*(each @ each.T for each in deviations))


def dissimilarity(activity):
    size = range(len(activity))
    return np.array([[1 - np.corrcoef(activity[i], activity[j])[0, 1] if i != j else 0.0 for j in size] for i in size])


def ranks(values, rounding):
    """Return ranks in which values that differ by less than rounding share theirs, NaN where that hangs by a hair."""
    found = [
        [np.sum(values < each - width) + np.sum(values <= each + width) for each in values]
        for width in (rounding / 2, 2 * rounding)
    ]
    return np.array(found[0]) / 2 if found[0] == found[1] else np.full(len(values), math.nan)


def rsa(activity, other_activity, eps):
    above = np.triu_indices(len(activity), 1)
    pairs = [ranks(dissimilarity(each)[above], 8 * eps) for each in (activity, other_activity)]
    return np.corrcoef(*pairs)[0, 1]


# Networks


def relu(preactivation):
    return np.where(np.real(preactivation) > 0, preactivation, 0)


def run(network, x):
    """Return (x_0, …, x_L) and (s_1, …, s_L)."""
    activity, preactivation = [x], []
    for index, layer in enumerate(network, start=1):
        s = np.einsum("nm,...m->...n", layer.weight, activity[-1]) + layer.bias
        preactivation.append(s)
        activity.append(s if index == len(network) else relu(s))
    return activity, preactivation


def output(network, x):
    return run(network, x)[0][-1]


def squared_error(output, target):
    return np.sum((output - target) ** 2) / (2 * len(target))


def injection(network, x, offset, **_):
    for layer in network[:-1]:
        units = len(layer.bias)
        x, offset = relu(x @ layer.weight.T + layer.bias) + offset[..., :units], offset[..., units:]
    return x @ network[-1].weight.T + network[-1].bias


def jacobian(network, x, layer, **_):
    return derivative(lambda activity: output(network[layer:], activity), run(network, x)[0][layer])


def backpropagation(network, x, target, to_input, **_):
    activity, preactivation = run(network, x)

    def loss_above(l):
        return lambda activity: squared_error(output(network[l:], activity), target)

    def loss_of(l, field):
        own = network[l]

        def loss(values):
            changed = own._replace(**{field: values})
            return squared_error(output((*network[:l], changed, *network[l + 1 :]), x), target)

        return gradient(loss, getattr(own, field))

    gradients = [gradient(loss_above(l), each) for l, each in enumerate(activity)]
    deltas = [gradient(lambda s, l=l: loss_above(l)(relu(s)), s) for l, s in enumerate(preactivation[:-1], start=1)]
    deltas.append(gradients[-1])
    parameters = [(loss_of(l, "weight"), loss_of(l, "bias")) for l in range(len(network))]
    value = squared_error(activity[-1], target)
    return activity, preactivation, value, gradients[-1], gradients[not to_input :], deltas, parameters


def recurrent(network, drive, h, leak, every, first=0):
    """Return activities and preactivations from a state on, and what is read out."""
    cell, read_out = network
    activity, preactivation = [h], []
    for t in range(first, drive.shape[1]):
        s = activity[-1] @ cell.weight.T + drive[:, t]
        preactivation.append(s)
        activity.append((1 - leak) * activity[-1] + leak * relu(s))
    read = [h @ read_out.weight.T + read_out.bias for h in activity]
    return activity, preactivation, read if every else read[-1:]


def _drive(cell, x):
    return np.stack([x[:, t] @ cell.input_weight.T + cell.bias for t in range(x.shape[1])], axis=1)


def recurrent_forward(network, x, leak, every, **_):
    drive = _drive(network[0], x)
    activity, preactivation, read = recurrent(network, drive, 0 * drive[:, 0], leak, False)
    if every:
        read = recurrent(network, drive, 0 * drive[:, 0], leak, True)[2][1:]
    return activity, preactivation, np.concatenate(read, axis=-1)


def recurrent_tail(network, x, step, activity, leak, every, **_):
    return np.concatenate(recurrent(network, _drive(network[0], x), activity, leak, every, step)[2], axis=-1)


def recurrent_jacobian(network, x, step, leak, every, **_):
    state = recurrent_forward(network, x, leak, every)[0][step]
    return derivative(lambda h: recurrent_tail(network, x, step, h, leak, every), state)


def recurrent_jacobians(network, x, leak, every, **_):
    return [recurrent_jacobian(network, x, step, leak, every) for step in range(x.shape[1], 0, -1)]


def recurrent_backpropagation(network, x, target, leak, every, **_):
    activity, preactivation, y = recurrent_forward(network, x, leak, every)

    def loss_above(t):
        later = target[:, -network[1].bias.shape[0] * (x.shape[1] - t + 1 if every else 1) :]
        return lambda h: squared_error(recurrent_tail(network, x, t, h, leak, every), later)

    def loss_of(part, field):
        def loss(values):
            changed = [each._replace(**{field: values}) if i == part else each for i, each in enumerate(network)]
            return squared_error(recurrent_forward(changed, x, leak, every)[2], target)

        return gradient(loss, getattr(network[part], field))

    steps = range(1, x.shape[1] + 1)
    deltas = [
        gradient(lambda s, t=t: loss_above(t)((1 - leak) * activity[t - 1] + leak * relu(s)), preactivation[t - 1])
        for t in steps
    ]
    parameters = [[loss_of(part, field) for field in layer._fields] for part, layer in enumerate(network)]
    gradients = [gradient(loss_above(t), activity[t]) for t in steps]
    return activity, preactivation, y, squared_error(y, target), (y - target) / len(y), gradients, deltas, parameters


def recurrent_weight_gradients(network, x, activities, deltas, error, **_):
    cell = [
        sum(d.T @ h for d, h in zip(deltas, activities, strict=False)),
        sum(d.T @ x[:, t] for t, d in enumerate(deltas)),
        sum(np.sum(d, axis=0) for d in deltas),
    ]
    return cell, (error.T @ activities[-1], np.sum(error, axis=0))


def maps(layer, activity):
    """Return the map of each channel of a convolution, [..., o, H', W']."""
    shape = layer.geometry
    image = activity.reshape(*activity.shape[:-1], *shape.image)
    border = [(0, 0)] * (image.ndim - 2) + [(shape.padding, shape.padding)] * 2
    image, (height, width) = np.pad(image, border), shape.places
    found = np.empty((*activity.shape[:-1], len(layer.bias), height, width), np.result_type(image, *layer[:2]))
    for o, i, j in np.ndindex(found.shape[-3:]):
        rows, columns = (slice(k * shape.stride, k * shape.stride + shape.size) for k in (i, j))
        found[..., o, i, j] = np.sum(layer.weight[o] * image[..., rows, columns], axis=(-3, -2, -1)) + layer.bias[o]
    return found


def convolved(layer, activity):
    return maps(layer, activity).reshape(*activity.shape[:-1], -1)


def pulled_back(self, delta):
    at_rest = np.zeros((*delta.shape[:-1], self.inputs))
    return np.einsum("...n,...nm->...m", delta, derivative(lambda x: convolved(self, x), at_rest))


def convolution_gradient(self, delta, activity):
    def along(field):
        own = getattr(self, field)
        return gradient(lambda values: np.sum(delta * convolved(self._replace(**{field: values}), activity)), own)

    return along("weight"), along("bias")


# Credit


def delivered(signal, feedback):
    return np.stack([each @ (feedback if feedback.ndim == 2 else feedback[i]) for i, each in enumerate(signal)])


def direct_deltas(error, feedbacks, slopes):
    return [*(s * delivered(error, b) for b, s in zip(feedbacks, slopes, strict=True)), error]


def layerwise_deltas(error, mirrors, slopes):
    deltas = [error]
    for mirror, slope in zip(mirrors[::-1], slopes[::-1], strict=True):
        deltas.append(slope * delivered(deltas[-1], mirror.weight))
    return deltas[::-1]


def by_step(error, steps, outputs, every):
    return (
        [error[:, t * outputs : (t + 1) * outputs] for t in range(steps)] if every else [None] * (steps - 1) + [error]
    )


def gradients_by_lag(error, feedbacks, every):
    steps = len(feedbacks)
    errors = by_step(error, steps, len(feedbacks[0]), every)
    found = [np.zeros((len(error), feedbacks[0].shape[1])) for _ in range(steps)]
    for t, later in itertools.combinations_with_replacement(range(steps), 2):
        if errors[later] is not None:
            found[t] += errors[later] @ feedbacks[later - t]
    return found


def layer_gradients(deltas, activities):
    return [
        (sum(map(np.outer, delta, activity)), np.sum(delta, axis=0))
        for delta, activity in zip(deltas, activities, strict=False)
    ]


def by_lag(estimates, every):
    if not every:
        return estimates[::-1]
    steps, o = len(estimates), len(estimates[-1])
    return [
        np.mean([estimates[t][lag * o : (lag + 1) * o] for t in range(steps - lag)], axis=0) for lag in range(steps)
    ]


def oja(weight, activity, rate, seen):
    """Return a step of each row by what it sees of the others: `seen`(i, j) of row j."""
    step = np.zeros_like(weight)
    for x, i in itertools.product(activity, range(len(weight))):
        y = weight @ x
        explained = sum(y[j] * weight[j] for j in range(len(weight)) if seen(i, j))
        step[i] += y[i] * (x - explained)
    return weight + rate * step / len(activity)


def momentum_step(network, gradient, velocity, *, learning_rate, momentum, decay):
    speeds = [
        [momentum * v + g + decay * w for w, g, v in zip(*layers, strict=True)]
        for layers in zip(network, gradient, velocity, strict=True)
    ]
    moved = [
        [w - learning_rate * v for w, v in zip(*layers, strict=True)] for layers in zip(network, speeds, strict=True)
    ]
    return moved, speeds


# Losses


def softmax_terms(y):
    """Return log p and p, and of each entry the p of all others together."""
    shifted = y - np.max(y, axis=-1, keepdims=True)
    weights = np.exp(shifted)
    largest = np.arange(y.shape[-1]) == np.argmax(y, axis=-1)[..., None]
    logarithm = shifted - np.log1p(np.sum(np.where(largest, 0, weights), axis=-1, keepdims=True))
    p = weights / np.sum(weights, axis=-1, keepdims=True)
    return logarithm, p, _others(p)


def _others(values):
    return np.stack([np.sum(np.delete(values, i, axis=-1), axis=-1) for i in range(values.shape[-1])], axis=-1)


def cross_entropies(output, target):
    logarithm, _, _ = softmax_terms(output)
    return -np.sum(np.where(target == 0, 0, target * logarithm), axis=-1)


def cross_entropy_error(output, target):
    _, p, others = softmax_terms(output)
    return (p * _others(target) - target * others) / len(output)


def half_squares(output, target):
    return np.sum((output - target) ** 2, axis=-1) / 2


# Theory


def weight_gradient_variance(slope, gradient, activity, basis, draws):
    total = 0.0
    for d, g, x in zip(slope, gradient, activity, strict=True):
        projected = basis @ basis.T @ g
        total += x @ x * (np.sum((d * projected) ** 2) + np.sum((d[:, None] * basis) ** 2) * projected @ projected)
    return total / (len(slope) ** 2 * draws)


def batch_loss_variance(gradients, projector, draws, dimension, **_):
    energies = [np.sum((g @ projector) ** 2) for g in gradients]
    others = [sum(energies[:i]) + sum(energies[i + 1 :]) for i in range(len(energies))]
    return np.array([(dimension + 1) * e + dimension * rest for e, rest in zip(energies, others, strict=True)]) / draws


def squared_cosine_variance(gram):
    d, trace, square = len(gram), sum(np.diag(gram)), sum((gram * gram.T).ravel())
    return (2 * square + trace**2) / (d * (d + 2)) - (trace / d) ** 2


def curvature_variance(hessians, sigma, draws):
    energies = [np.trace(m) ** 2 + 2 * np.trace(m @ m.T) for m in hessians]
    return sigma**2 * (hessians.shape[-1] + 4) / (4 * draws) * sum(energies)


def expected_participation_ratio(spectrum, samples):
    total, square = sum(spectrum), sum(spectrum**2)
    return (total**2 + 2 * square / samples) / (square * (1 + 1 / samples) + total**2 / samples)


ANSWERS = {
    "alignment.alignment": lambda jacobian, basis: (
        np.sum((jacobian @ basis @ basis.T) ** 2, axis=(-2, -1)) / np.sum(jacobian**2, axis=(-2, -1))
    ),
    "alignment.pooled_alignment": lambda jacobian, basis: (
        np.sum((jacobian @ basis @ basis.T) ** 2) / np.sum(jacobian**2)
    ),
    "alignment.principal_angles": lambda basis, other_basis: subspace_angles(basis, other_basis)[::-1],
    "credit.activity_gradient": delivered,
    "credit.delta": lambda signal, feedback, slope: slope * delivered(signal, feedback),
    "credit.direct_deltas": direct_deltas,
    "credit.layerwise_deltas": layerwise_deltas,
    "credit.activity_gradients_by_lag": gradients_by_lag,
    "credit.weight_gradients": lambda network, activities, deltas: layer_gradients(deltas, activities),
    "dimension.participation_ratio": lambda spectrum: np.sum(spectrum, axis=-1) ** 2 / np.sum(spectrum**2, axis=-1),
    "dimension.explained_variance_dimension": lambda spectrum, explained, eps: np.array(
        [dimension_for(each, explained, eps) for each in spectrum]
    ),
    "dimension.two_nearest_neighbours": two_nearest_neighbours,
    "estimator.one_sided_response": one_sided,
    "estimator.antithetic_response": antithetic,
    "estimator.unnormalised_correlation": mean_outer,
    "estimator.correlation": correlation,
    "estimator.batch_correlation": batch_correlation,
    "estimator.least_squares": least_squares,
    "estimator.shrunk": lambda estimate, scaling: scaling * estimate,
    "feedback.running_average": lambda feedback, estimate, rate: feedback * (1 - rate) + estimate * rate,
    "feedback.mirror_estimate": lambda layer, response, noise, sigma: (
        correlation(response, noise, sigma),
        0 * layer.bias,
    ),
    "feedback.by_lag": by_lag,
    "hebbian.oja_step": lambda weight, activity, rate: oja(weight, activity, rate, lambda i, j: True),
    "hebbian.sanger_step": lambda weight, activity, rate: oja(weight, activity, rate, lambda i, j: j <= i),
    "hebbian.basis": lambda weight: gram_schmidt(weight).T,
    "manifold.fit": fit,
    "manifold.from_moments": from_moments,
    "manifold.projector": lambda basis: sum(np.outer(column, column) for column in basis.T),
    "moments.empty": lambda activity: (0.0, 0 * activity[0], np.zeros((activity.shape[1],) * 2)),
    "moments.of": lambda activity: moments_of(activity, lambda *parts: parts),
    "moments.merge": merge,
    "moments.forget": forget,
    "moments.update": update,
    "moments.covariance": lambda moments: moments.scatter / moments.count,
    "noise_correlation.estimate_jacobian": estimate_jacobian,
    "perturbation.isotropic": lambda coefficients, sigma: sigma * coefficients,
    "perturbation.on_manifold": lambda coefficients, basis, sigma: (
        sigma * np.einsum("...d,nd->...n", coefficients, basis)
    ),
    "perturbation.covariance_shaped": lambda coefficients, factor: np.einsum("...m,nm->...n", coefficients, factor),
    "perturbation.fixed_norm": lambda coefficients: (
        coefficients * np.sqrt(coefficients.shape[-1] / np.sum(coefficients**2, axis=-1, keepdims=True))
    ),
    "perturbation.orthonormal_frame": orthonormal_frame,
    "similarity.linear_cka": linear_cka,
    "similarity.debiased_cka": debiased_cka,
    "similarity.debiased_alignment": debiased_alignment,
    "similarity.dissimilarity": dissimilarity,
    "similarity.rsa": rsa,
    "nn.activation.identity.value": lambda preactivation: preactivation,
    "nn.activation.identity.slope": lambda preactivation: np.ones(preactivation.shape),
    "nn.activation.relu.value": relu,
    "nn.activation.relu.slope": lambda preactivation: 1.0 * (preactivation > 0),
    "nn.activation.tanh.value": lambda preactivation: np.tanh(preactivation),
    "nn.activation.tanh.slope": lambda preactivation: 1 / np.cosh(preactivation) ** 2,
    "nn.activation.softplus.value": lambda preactivation: np.logaddexp(0, preactivation),
    "nn.activation.softplus.slope": lambda preactivation: 1 / (1 + np.exp(-preactivation)),
    "nn.convolution.Convolution.preactivation": lambda self, activity: convolved(self, activity),
    "nn.convolution.Convolution.pull_back": pulled_back,
    "nn.convolution.Convolution.gradient": convolution_gradient,
    "nn.convolution.layer": lambda weight, bias, geometry: (weight, bias),
    "nn.convolution.channel_vectors": lambda activity, channels: np.stack(
        np.split(activity, channels, axis=-1), axis=-1
    ),
    "nn.convolution.shared_basis": lambda basis, positions: np.kron(basis, np.eye(positions)),
    "nn.dense.Dense.preactivation": lambda self, activity: output((self,), activity),
    "nn.dense.Dense.pull_back": lambda self, delta: np.einsum("...n,nm->...m", delta, self.weight),
    "nn.dense.Dense.gradient": lambda self, delta, activity: layer_gradients([delta], [activity]),
    "nn.feedforward.forward": lambda network, x, activation: run(network, x),
    "nn.feedforward.tail": lambda network, layer, activation, activity: output(network[layer:], activity),
    "nn.feedforward.injection": injection,
    "nn.feedforward.jacobian": jacobian,
    "nn.feedforward.backpropagation": backpropagation,
    "nn.loss.squared_error.value": squared_error,
    "nn.loss.squared_error.error": lambda output, target: (output - target) / len(output),
    "nn.loss.squared_error.each": half_squares,
    "nn.loss.softmax_cross_entropy.value": lambda output, target: np.mean(cross_entropies(output, target)),
    "nn.loss.softmax_cross_entropy.error": cross_entropy_error,
    "nn.loss.softmax_cross_entropy.each": cross_entropies,
    "nn.recurrent.Cell.drive": lambda self, x: _drive(self, x),
    "nn.recurrent.forward": recurrent_forward,
    "nn.recurrent.tail": recurrent_tail,
    "nn.recurrent.jacobian": recurrent_jacobian,
    "nn.recurrent.jacobians": recurrent_jacobians,
    "nn.recurrent.backpropagation": recurrent_backpropagation,
    "nn.recurrent.delta": lambda activity_gradient, preactivation, activation, leak: (
        leak * (preactivation > 0) * activity_gradient
    ),
    "nn.recurrent.weight_gradients": recurrent_weight_gradients,
    "nn.recurrent.by_step": by_step,
    "nn.sgd.zero_velocity": lambda network: [[np.zeros(each.shape) for each in layer] for layer in network],
    "nn.sgd.step": momentum_step,
    "theory.alignment.missed_by_centring": lambda delta, mean, projector: np.outer(
        np.sum(delta, axis=0), mean @ (np.eye(len(mean)) - projector).T
    ),
    "theory.alignment.off_manifold_edit": lambda weight, bias, edit, projector, mean: (
        weight + edit @ (np.eye(len(mean)) - projector),
        bias - edit @ (np.eye(len(mean)) - projector) @ mean,
    ),
    "theory.dimension.expected_participation_ratio": expected_participation_ratio,
    "theory.estimator.expected_estimate": lambda jacobian, projector: np.einsum("...on,nm->...om", jacobian, projector),
    "theory.estimator.squared_cosine_variance": squared_cosine_variance,
    "theory.estimator.smoothed_jacobian": lambda jacobians, probabilities, projector: (
        sum(map(np.multiply, probabilities, jacobians)) @ projector
    ),
    "theory.estimator.curvature_variance": curvature_variance,
    "theory.estimator.covariance_shaped_variance": lambda jacobian, covariance, draws: (
        (
            np.trace(jacobian @ covariance @ jacobian.T) * np.trace(covariance)
            + np.trace(jacobian @ covariance @ covariance.T @ jacobian.T)
        )
        / draws
    ),
    "theory.estimator.batch_mean": lambda jacobians, projector: np.mean(
        [each @ projector for each in jacobians], axis=0
    ),
    "theory.estimator.batch_variance": lambda jacobians, projector, draws, dimension, law: (
        (dimension + 1) * np.mean([np.sum((each @ projector) ** 2) for each in jacobians]) / (draws * len(jacobians))
    ),
    "theory.estimator.shared_noise_weight_gradient": lambda delta, activity: np.outer(
        np.mean(delta, axis=0), np.mean(activity, axis=0)
    ),
    "theory.estimator.batch_loss_variance": batch_loss_variance,
    "theory.estimator.baseline_energy": lambda value, dimension, draws, sigma: (
        dimension * sum(value**2) / (draws * sigma**2)
    ),
    "theory.feedback.mean_feedback": lambda initial, target, rate, steps: (
        (1 - rate) ** steps * initial + sum(rate * (1 - rate) ** t for t in range(steps)) * target
    ),
    "theory.feedback.projected_progress": lambda gradient, projector: (
        np.sum((gradient @ projector) ** 2, axis=-1) / np.sum(gradient**2, axis=-1)
    ),
    "theory.feedback.weight_gradient_variance": weight_gradient_variance,
}
"""By the name of the function."""
