"""Claims F1–F7: learned feedback, credit assignment and step sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from nmnc_ref import activation, estimator, feedback, loss, network, perturbation, random, recurrent, theory
from nmnc_ref.arrays import Array
from nmnc_ref.initialisation import Stage, convolutional_network, dense_network, lecun, recurrent_network
from paper_checks import digits
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact, sampled
from paper_checks.lab import Lab

RATE = 0.3
SIGMA = 0.5
STATIONARY = 30
"""Steps after which (1 − η)²ᵗ < 1e-9."""
CHAINS = 40_000


def _deviation(lab: Lab, estimates: Array, target: Array) -> Array:
    return lab.xp.sum((estimates - target) ** 2, axis=(-2, -1))


def _learn(lab: Lab, start: Array, jacobians: list[Array], coefficients: list[Array], average) -> Array:
    """Return B_t after one draw per step: z_k [S, d] on Jacobians [S, n_o, d], both in coordinates of the manifold."""
    learned = start
    for jacobian, z in zip(jacobians, coefficients, strict=True):
        response = (jacobian @ z[..., None])[None, ..., 0]
        learned = average(learned, estimator.correlation(response, z[None, ...], 1.0), RATE)
    return learned


@claim(
    "F1",
    "One draw per step, fixed J: E[B_t] = JP + (1−η)ᵗ(B_0 − JP), with stationary variance η/(2−η)·(d+1)‖JP‖².",
    source="derived",
    rung="Monte Carlo",
    twins={
        "η and 1 − η exchanged": {"average": lambda B, estimate, rate: rate * B + (1 - rate) * estimate},
        "B not decayed": {"average": lambda B, estimate, rate: B + rate * estimate},
        "η for η/(2 − η)": {
            "predict": lambda rate, d, signal, steps=None: (
                theory.feedback.feedback_variance(rate, d, signal, steps) * (2 - rate)
            )
        },
        "d for d + 1": {
            "predict": lambda rate, d, signal, steps=None: (
                theory.feedback.feedback_variance(rate, d, signal, steps) * d / (d + 1)
            )
        },
    },
)
def running_average(
    lab: Lab, average=feedback.running_average, predict=theory.feedback.feedback_variance
) -> Iterator[Comparison]:
    """Three steps over the joint Gaussian moments, d = 2; 40,000 independent runs of 30 steps, d = 8, for the
    stationary value."""
    jacobian, start = lab.normal("F1: J", 3, 2), lab.normal("F1: B_0", 3, 2)
    signal = float(lab.xp.sum(jacobian**2))
    points, probabilities = lab.independent(*[lab.gaussian(2)] * 3)
    outcomes = (probabilities.shape[0], 3, 2)
    spread = [lab.xp.broadcast_to(each, outcomes) for each in (start, jacobian)]
    got = _learn(lab, spread[0], [spread[1]] * 3, points, average)
    want = theory.feedback.mean_feedback(start, jacobian, RATE, 3)
    yield exact(lab, "E B_3", want, lab.mean(probabilities, got), terms=3**6)
    variance = lab.mean(probabilities, _deviation(lab, got, want))
    yield exact(lab, "variance of B_3", predict(RATE, 2, signal, 3), variance, terms=3**6)
    jacobian = lab.normal("F1: wide J", 10, 8)
    signal, runs = float(lab.xp.sum(jacobian**2)), lab.xp.broadcast_to(jacobian, (CHAINS, 10, 8))
    draws = [lab.normal(f"F1: z, step {step}", CHAINS, 8) for step in range(STATIONARY)]
    got = _learn(lab, 0 * runs, [runs] * STATIONARY, draws, lab.jit(average))
    yield sampled("stationary variance", predict(RATE, 8, signal), lab.numpy(_deviation(lab, got, jacobian)))


@claim(
    "F2",
    "With input-dependent Jacobians E[B] converges to mean(J_i)P; stationary variance, one draw on one random sample "
    "per step: η/(2−η)·[(d+2)·E‖J_iP‖² − ‖J̄P‖²].",
    source="derived",
    rung="Monte Carlo",
    twins={
        "F1's variance": {
            "predict": lambda rate, d, square, of_mean, steps=None: theory.feedback.feedback_variance(
                rate, d, of_mean, steps
            )
        },
        "mean not subtracted": {
            "predict": lambda rate, d, square, of_mean, steps=None: theory.feedback.feedback_variance_over_inputs(
                rate, d, square, 0, steps
            )
        },
        "one sample's Jacobian": {"mean": lambda jacobians: jacobians[0, ...]},
    },
)
def average_over_inputs(
    lab: Lab, predict=theory.feedback.feedback_variance_over_inputs, mean=None
) -> Iterator[Comparison]:
    """Jacobians of real images in a trained network, in coordinates of the manifold: two steps over three images and
    the joint Gaussian moments, d = 2; 40,000 runs of 30 steps over 50 images, d = 8.
    """
    mean = mean or (lambda jacobians: lab.xp.mean(jacobians, axis=0))
    trained = digits.trained(lab)
    jacobians = trained.jacobians(1, 3) @ trained.basis(1, 2)
    image = (lab.array([[0.0], [1.0], [2.0]]), lab.array([1 / 3] * 3))
    (i0, i1, *points), probabilities = lab.independent(image, image, lab.gaussian(2), lab.gaussian(2))
    chosen = [lab.xp.take(jacobians, lab.xp.astype(i[:, 0], lab.xp.int32), axis=0) for i in (i0, i1)]
    got = _learn(lab, 0 * chosen[0], chosen, points, feedback.running_average)
    centre = mean(jacobians)
    want = theory.feedback.mean_feedback(0 * centre, centre, RATE, 2)
    yield exact(lab, "E B_2", want, lab.mean(probabilities, got), terms=3**6, scale=float(lab.xp.max(lab.xp.abs(got))))
    square, of_mean = float(lab.xp.mean(lab.xp.sum(jacobians**2, axis=(1, 2)))), float(lab.xp.sum(centre**2))
    variance = lab.mean(probabilities, _deviation(lab, got, want))
    yield exact(lab, "variance of B_2", predict(RATE, 2, square, of_mean, 2), variance, terms=3**6)

    images, d = 50, 8
    jacobians = trained.jacobians(1, images) @ trained.basis(1, d)
    centre = mean(jacobians)
    square, of_mean = float(lab.xp.mean(lab.xp.sum(jacobians**2, axis=(1, 2)))), float(lab.xp.sum(centre**2))
    runs = lab.xp.zeros((CHAINS, *centre.shape), dtype=lab.dtype)
    average = lab.jit(feedback.running_average)
    for step in range(STATIONARY):
        uniform = random.uniform(lab.key(f"F2: image, step {step}"), (CHAINS,), lab.dtype)
        index = lab.xp.astype(lab.xp.floor(images * uniform), lab.xp.int32)
        z = lab.normal(f"F2: z, step {step}", CHAINS, d)
        runs = _learn(lab, runs, [lab.xp.take(jacobians, index, axis=0)], [z], average)
    deviations = lab.numpy(_deviation(lab, runs, centre))
    yield sampled("stationary variance, 50 images", predict(RATE, d, square, of_mean), deviations)


@claim(
    "F3",
    "Layer-wise mirror: E[δs ξᵀ]/σ² = W P for every σ, as the map from activity to preactivation is linear. "
    "Convolutions: W · mean_p Cov(patch_p(ξ))/σ², which is W for isotropic noise without padding or pooling.",
    source="literature, choice",
    rung="enumeration",
    twins={
        "1/σ for 1/σ²": {"estimate": lambda *arguments: _scaled(feedback.mirror_estimate(*arguments), arguments[3])},
        "sum over places for mean": {
            "estimate": lambda *arguments: _scaled(feedback.mirror_estimate(*arguments), arguments[0].positions)
        },
        "activity for preactivation": {"read": lambda layer: lambda x: activation.tanh.value(layer.preactivation(x))},
        "no baseline": {"respond": lambda tail, x, noise: 2 * tail(x + noise) - tail(x)},
    },
)
def weight_mirror(
    lab: Lab,
    estimate=feedback.mirror_estimate,
    read=lambda layer: layer.preactivation,
    respond=estimator.one_sided_response,
) -> Iterator[Comparison]:
    """All signs, on the manifold (d = 3) and isotropic, at three scales: a dense layer of 6 inputs, and kernels of 2×2
    on 3×3 pixels with and without padding and pooling.
    """
    (dense,) = dense_network(lab.key("F3: layer"), (6, 4), lab.dtype)
    stages = {
        "kernel": Stage(2, 2),
        "kernel, padded": Stage(2, 2, stride=2, padding=1),
        "kernel, pooled": Stage(2, 2, pool=2),
    }
    layers = {"dense": dense} | {
        name: convolutional_network(lab.key(f"F3: {name}"), (1, 3, 3), (stage,), (1,), lab.dtype)[0]
        for name, stage in stages.items()
    }
    for kind, layer in layers.items():
        x, basis = lab.normal(f"F3: x, {kind}", layer.inputs), lab.orthonormal(f"F3: U, {kind}", layer.inputs, 3)
        everything = lab.xp.eye(layer.inputs, dtype=lab.dtype)
        for sigma in (0.01, 1.0, 100.0):
            for name, noise, directions in (
                ("NMNC", perturbation.on_manifold(lab.signs(3), basis, sigma), basis),
                ("VNC", perturbation.isotropic(lab.signs(layer.inputs), sigma), everything),
            ):
                got = estimate(layer, respond(read(layer), x, noise), noise, sigma).weight
                want = layer.weight
                if name == "NMNC" or kind in ("kernel, padded", "kernel, pooled"):
                    want = _seen_through(lab, layer, directions)
                scale = 1 + 1 / sigma  # δs has the rounding of s, which 1/σ amplifies
                yield exact(lab, f"M, {kind}, {name}, σ = {sigma}", want, got, terms=2**layer.inputs, scale=scale)


def _scaled(layer: Any, factor: float) -> Any:
    return layer._replace(weight=layer.weight * factor)


def _seen_through(lab: Lab, layer: Any, directions: Array) -> Array:
    """Return W · mean_p Σ_i patch_p(u_i) patch_p(u_i)ᵀ over the columns u_i, patches read by kernels of one pixel."""
    outputs, pixels = layer.weight.shape[0], math.prod(layer.weight.shape[1:])
    one_each = lab.xp.reshape(lab.xp.eye(pixels, dtype=lab.dtype), (pixels, *layer.weight.shape[1:]))
    reader = type(layer)(one_each, lab.xp.zeros(pixels, dtype=lab.dtype))
    patches = lab.xp.reshape(reader.preactivation(directions.T), (directions.shape[1], pixels, layer.positions))
    covariance = lab.xp.sum(patches @ patches.mT, axis=0) / layer.positions
    return lab.xp.reshape(lab.xp.reshape(layer.weight, (outputs, pixels)) @ covariance, layer.weight.shape)


@claim(
    "F4",
    "With B_i = J_i for each sample the deltas and weight gradients equal backpropagation's to rounding; so do the "
    "layer-wise ones with M_l = W_{l+1}.",
    source="exact",
    rung="identity",
    twins={
        "φ' left out": {"slope": lambda function: lambda s: 0 * s + 1},
        "φ' at the wrong place": {"slope": lambda function: lambda s: function.slope(function.value(s) - 0.5)},
        "mean Jacobian for each sample's": {"per_sample": lambda J: 0 * J + sum(J[i, ...] for i in range(6)) / 6},
    },
)
def exact_feedback(
    lab: Lab, slope=lambda function: function.slope, per_sample=lambda jacobians: jacobians
) -> Iterator[Comparison]:
    """Dense and convolutional networks with two hidden layers and every activation, six random inputs, both losses;
    and, for a leaky recurrent network read out at the end or at every step, the Jacobian of each step.
    """
    target = lab.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]] * 2)
    networks = {
        "dense": dense_network(lab.key("F4: network"), (16, 7, 6, 3), lab.dtype, lecun),
        "convolutional": convolutional_network(
            lab.key("F4: kernels"), (1, 4, 4), (Stage(2, 3, padding=1), Stage(3, 2, pool=2)), (3,), lab.dtype, lecun
        ),
    }
    for kind, layers in networks.items():
        layers = tuple(
            layer._replace(bias=lab.normal(f"F4: b, {kind}, {l}", layer.bias.shape[0]))
            for l, layer in enumerate(layers)
        )
        yield from _feedforward_credit(lab, kind, layers, target, slope, per_sample)
    yield from _recurrent_credit(lab, target, slope, per_sample)


def _feedforward_credit(
    lab: Lab, kind: str, layers: tuple, target: Array, slope: Callable, per_sample: Callable
) -> Iterator[Comparison]:
    mirrors, x = layers[1:], lab.normal("F4: x", 6, 16)
    for function in (activation.relu, activation.tanh, activation.softplus):
        for cost in (loss.squared_error, loss.softmax_cross_entropy):
            truth = network.backpropagation(layers, x, target, function, cost)
            slopes = tuple(slope(function)(s) for s in truth.forward.preactivation[:-1])
            jacobians = tuple(per_sample(network.jacobian(layers, x, l, function)) for l in (1, 2))
            for name, deltas in (
                ("direct", feedback.direct_deltas(truth.error, jacobians, slopes)),
                ("layer-wise", feedback.layerwise_deltas(truth.error, mirrors, slopes)),
            ):
                gradient = feedback.weight_gradients(layers, truth.forward.activity, deltas)
                for l, (want, got) in enumerate(zip(truth.gradient, gradient, strict=True), start=1):
                    label = f"∂W_{l}, {kind}, {name}, {function.name}, {cost.name}"
                    scale = float(lab.xp.max(lab.xp.abs(truth.gradient[-1].weight)))
                    yield exact(lab, label, want.weight, got.weight, terms=6 * 32, scale=scale)
                    yield exact(lab, label.replace("W", "b"), want.bias, got.bias, terms=6 * 32, scale=scale)


def _recurrent_credit(lab: Lab, target: Array, slope: Callable, per_sample: Callable) -> Iterator[Comparison]:
    pair, steps, leak = recurrent_network(lab.key("F4: recurrent"), 4, 5, 3, lab.dtype), 4, 0.6
    x = lab.normal("F4: sequences", 6, steps, 4)
    for every in (False, True):
        wanted = lab.xp.concat([target] * steps, axis=1) if every else target
        kind: dict[str, Any] = {"leak": leak, "every": every}
        truth = recurrent.backpropagation(pair, x, wanted, activation.tanh, loss.squared_error, **kind)
        deltas = []
        for step in range(1, steps + 1):
            jacobians = per_sample(recurrent.jacobian(pair, x, step, activation.tanh, **kind))
            signal = truth.error[:, -jacobians.shape[1] :]
            gate = leak * slope(activation.tanh)(truth.forward.preactivation[step - 1])
            deltas.append(feedback.delta(signal, jacobians, gate))
        got = recurrent.weight_gradients(pair, x, truth.forward.activity, tuple(deltas), truth.error, every=every)
        scale = float(lab.xp.max(lab.xp.abs(truth.gradient[1].weight)))
        for field, one, other in zip(got[0]._fields, truth.gradient[0], got[0], strict=True):
            label = f"∂{field}, recurrent, {'every' if every else 'last'} step"
            yield exact(lab, label, one, other, terms=6 * 5 * steps * steps, scale=scale)


@claim(
    "F5",
    "With B = JP the activity gradient is gP: ⟨g, gP⟩ = ‖gP‖² ≥ 0, so in activity space it never points uphill, and "
    "the projected step is α_g. Past a gate it may: φ'⊙(gP) can oppose φ'⊙g.",
    source="exact",
    rung="identity",
    twins={
        "complement for manifold": {"project": lambda jacobian, projector: jacobian - jacobian @ projector},
        "oblique projector": {"project": lambda jacobian, projector: 1.1 * jacobian @ projector},
        "gate before projection": {"gated": lambda gradient, projector, gate: (gate * gradient) @ projector},
    },
)
def never_uphill(
    lab: Lab,
    project=lambda jacobian, projector: jacobian @ projector,
    gated=lambda gradient, projector, gate: gate * (gradient @ projector),
) -> Iterator[Comparison]:
    """50 real images in a trained network; and two units with g = (1, −1), U = (1, 2)/√5, φ' = (1, 0)."""
    trained = digits.trained(lab)
    x, target = trained.images[:50, :], trained.targets[:50, :]
    truth = network.backpropagation(trained.network, x, target, activation.relu, loss.softmax_cross_entropy)
    for layer in digits.HIDDEN:
        basis = trained.basis(layer)
        jacobians = trained.jacobians(layer, 50)
        # errors of a trained network all but vanish, so take those of a network that is wrong everywhere
        signal = lab.normal(f"F5: e, layer {layer}", *truth.error.shape)
        g = feedback.activity_gradient(signal, jacobians)
        got = feedback.activity_gradient(signal, project(jacobians, basis @ basis.T))
        progress = lab.xp.sum(g * got, axis=-1) / lab.xp.sum(g**2, axis=-1)
        want = theory.feedback.projected_progress(g, basis @ basis.T)
        yield exact(lab, f"⟨g, gP⟩/‖g‖² = α_g, layer {layer}", want, progress, terms=100, scale=1)
    direction = lab.array([[1.0], [2.0]]) / 5**0.5
    g, gate = lab.array([[1.0, -1.0]]), lab.array([[1.0, 0.0]])
    opposed = lab.xp.sum(gated(g, direction @ direction.T, gate) * (gate * g))
    yield exact(lab, "⟨φ'⊙(gP), φ'⊙g⟩ past a gate", -0.2, opposed, scale=1)


@claim(
    "F6",
    "Step-size laws of a linear student (N inputs x ~ N(0, I), M outputs), error factor per step: gradient descent "
    "1−2ε+ε²(N+2), node perturbation 1−2ε+ε²(M+2)(N+2), weight perturbation 1−2ε+ε²(MN+2)(N+2).",
    source="literature",
    rung="enumeration",
    twins={
        "N and M exchanged": {
            "predict": lambda rule, rate, N, M: theory.feedback.student_error_factor(rule, rate, M, N)
        },
        "N for N + 2": {
            "predict": lambda rule, rate, N, M: (
                1 - 2 * rate + (theory.feedback.student_error_factor(rule, rate, N, M) - 1 + 2 * rate) * N / (N + 2)
            )
        },
        "ascent": {"sign": -1.0},
    },
)
def step_size_laws(lab: Lab, predict=theory.feedback.student_error_factor, sign: float = 1.0) -> Iterator[Comparison]:
    """N = 3, M = 2, ε = 0.1, over the joint Gaussian moments of input and perturbation; antithetic, so that the
    quadratic loss responds linearly.
    """
    student, rate = lab.normal("F6: W − W*", 2, 3), 0.1
    for rule, size in (("gradient descent", 0), ("node perturbation", 2), ("weight perturbation", 6)):
        laws = [lab.gaussian(3)] + ([lab.gaussian(size)] if size else [])
        (x, *z), probabilities = lab.independent(*laws)
        gradient = _student_gradients(lab, student, x, SIGMA * z[0][None, ...] if z else None)
        error = lab.mean(probabilities, _deviation(lab, student - sign * rate * gradient, 0 * student))
        terms = probabilities.shape[0]
        yield exact(lab, f"factor, {rule}", predict(rule, rate, 3, 2), error / lab.xp.sum(student**2), terms=terms)


def _student_gradients(lab: Lab, student: Array, x: Array, noise: Array | None) -> Array:
    """Return the gradient [S, 2, 3] for each input x [S, 3]: exact, or from noise on the nodes [1, S, 2] or the weights
    [1, S, 6]. The teacher's output is subtracted, so that `student` is W − W* and its output the error.
    """
    output = x @ student.T
    if noise is None:
        return output[:, :, None] * x[:, None, :]

    def cost_of_output(y: Array) -> Array:
        return lab.xp.sum(y**2, axis=-1, keepdims=True) / 2

    def cost_of_weights(w: Array) -> Array:
        return cost_of_output((lab.xp.reshape(w, (*w.shape[:-1], 2, 3)) @ x[:, :, None])[..., 0])

    correlate = lab.jit(estimator.correlation)
    if noise.shape[-1] == 2:
        response = estimator.antithetic_response(cost_of_output, output, noise)
        return correlate(response, noise, SIGMA)[:, 0, :, None] * x[:, None, :]
    weights = lab.xp.broadcast_to(lab.xp.reshape(student, (6,)), noise.shape[1:])
    response = estimator.antithetic_response(cost_of_weights, weights, noise)
    return lab.xp.reshape(correlate(response, noise, SIGMA), (-1, 2, 3))


@claim(
    "F7",
    "Weight gradient from a noisy activity gradient, fresh noise per sample, D_i = diag φ'(s_i): variance "
    "(1/(B²K)) Σ_i ‖x_i‖² [‖D_iPg_i‖² + ‖D_iU‖²_F‖Pg_i‖²].",
    source="derived",
    rung="enumeration",
    twins={
        "gate left out": {
            "predict": lambda D, g, x, U, K: theory.feedback.weight_gradient_variance(0 * D + 1, g, x, U, K)
        },
        "1/B for 1/B²": {
            "predict": lambda D, g, x, U, K: D.shape[0] * theory.feedback.weight_gradient_variance(D, g, x, U, K)
        },
        "one noise shared over the batch": {"fresh": lambda z: 0 * z + z[:, :1, ...]},
    },
)
def weight_gradient_variance(
    lab: Lab, predict=theory.feedback.weight_gradient_variance, fresh=lambda z: z
) -> Iterator[Comparison]:
    """Real images in a trained network, d = 2: two images and one draw, one image and two draws, over the joint
    Gaussian moments.
    """
    trained = digits.trained(lab)
    for images, draws in ((2, 1), (1, 2)):
        x, target = trained.images[:images, :], trained.targets[:images, :]
        passed = network.forward(trained.network, x, activation.relu)
        slope = activation.relu.slope(passed.preactivation[0])
        error = target - 0.1
        g = feedback.activity_gradient(error, trained.jacobians(1, images))
        basis = trained.basis(1, 2)
        points, probabilities = lab.independent(*[lab.gaussian(2)] * (images * draws))
        z = lab.xp.reshape(lab.xp.stack(points), (draws, images, -1, 2))
        noise = perturbation.on_manifold(fresh(z), basis, SIGMA)
        response = lab.xp.sum(g[None, :, None, :] * noise, axis=-1, keepdims=True)
        estimate = lab.jit(estimator.correlation)(response, noise, SIGMA)[:, :, 0, :]  # [B, S, n]
        got = lab.xp.tensordot(slope[:, None, :] * estimate, x, axes=([0], [0])) / images  # [S, n, m]
        want = (slope * (g @ basis @ basis.T)).T @ x / images
        variance = lab.mean(probabilities, _deviation(lab, got, want))
        label = f"variance of ∂W_1, B = {images}, K = {draws}"
        yield exact(lab, label, predict(slope, g, x, basis, draws), variance, terms=3 ** (2 * images * draws))
