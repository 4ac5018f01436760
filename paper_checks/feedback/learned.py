"""What feedback learns: F1–F3."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from nmnc_ref import estimator, feedback, perturbation, random, theory
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation
from nmnc_ref.nn.initialisation import Kernel, convolutional_network, dense_network
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact, sampled
from paper_checks.data import digits
from paper_checks.lab import Lab

RATE = 0.3
STATIONARY = 30
"""Steps after which (1 − η)²ᵗ < 1e-9."""
CHAINS = 40_000


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
    formula=r"""
        \mathbb{E}[B_t] = JP + (1-\eta)^t(B_0 - JP)
        \mathbb{E}\|B_t - \mathbb{E}B_t\|^2 \to \frac{\eta}{2-\eta}\,(d+1)\,\|JP\|^2
    """,
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
    yield exact(lab, "E B_3", want, lab.mean(probabilities, got), terms=3**6).at(n_o=3, d=2, eta=RATE, t=3)
    variance = lab.mean(probabilities, lab.squared_error(got, want))
    yield exact(lab, "variance of B_3", predict(RATE, 2, signal, 3), variance, terms=3**6).at(n_o=3, d=2, eta=RATE, t=3)
    jacobian = lab.normal("F1: wide J", 10, 8)
    signal, runs = float(lab.xp.sum(jacobian**2)), lab.xp.broadcast_to(jacobian, (CHAINS, 10, 8))
    draws = [lab.normal(f"F1: z, step {step}", CHAINS, 8) for step in range(STATIONARY)]
    got = _learn(lab, 0 * runs, [runs] * STATIONARY, draws, lab.jit(average))
    yield sampled("stationary variance", predict(RATE, 8, signal), lab.numpy(lab.squared_error(got, jacobian))).at(
        n_o=10, d=8, eta=RATE, t=STATIONARY
    )


@claim(
    "F2",
    "With input-dependent Jacobians E[B] converges to mean(J_i)P; stationary variance, one draw on one random sample "
    "per step: η/(2−η)·[(d+2)·E‖J_iP‖² − ‖J̄P‖²].",
    formula=r"""
        \mathbb{E}[B_t] \to \bar JP
        \mathbb{E}\|B_t - \mathbb{E}B_t\|^2 \to \frac{\eta}{2-\eta}\left((d+2)\,\mathbb{E}_i\|J_iP\|^2 -
            \|\bar JP\|^2\right)
    """,
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
    yield exact(
        lab, "E B_2", want, lab.mean(probabilities, got), terms=3**6, scale=float(lab.xp.max(lab.xp.abs(got)))
    ).at(images=3, d=2, eta=RATE, t=2)
    square, of_mean = float(lab.xp.mean(lab.xp.sum(jacobians**2, axis=(1, 2)))), float(lab.xp.sum(centre**2))
    variance = lab.mean(probabilities, lab.squared_error(got, want))
    yield exact(lab, "variance of B_2", predict(RATE, 2, square, of_mean, 2), variance, terms=3**6).at(
        images=3, d=2, eta=RATE, t=2
    )

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
    deviations = lab.numpy(lab.squared_error(runs, centre))
    yield sampled("stationary variance, 50 images", predict(RATE, d, square, of_mean), deviations).at(
        images=images, d=d, eta=RATE, t=STATIONARY
    )


@claim(
    "F3",
    "Layer-wise mirror: E[δs ξᵀ]/σ² = W P for every σ, as the map from activity to preactivation is linear. "
    "Convolutions: W · mean_p Cov(patch_p(ξ))/σ², which is W for isotropic noise without padding or pooling.",
    formula=r"""
        \frac{1}{\sigma^2}\,\mathbb{E}[\delta s\,\xi^{\top}] = WP \quad\text{(dense)}
        \frac{1}{\sigma^2}\,\mathbb{E}\left[\mathrm{mean}_p\,\delta s_p\,\pi_p(\xi)^{\top}\right] =
            \frac{1}{\sigma^2}\,W\,\mathrm{mean}_p\,\mathrm{Cov}(\pi_p(\xi)) \quad\text{(convolution)}
    """,
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
    kernels = {
        "kernel": Kernel(2, 2),
        "kernel, padded": Kernel(2, 2, stride=2, padding=1),
        "kernel, pooled": Kernel(2, 2, pool=2),
    }
    layers = {"dense": dense} | {
        name: convolutional_network(lab.key(f"F3: {name}"), (1, 3, 3), (kernel,), (1,), lab.dtype)[0]
        for name, kernel in kernels.items()
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
                yield exact(lab, f"M, {kind}, {name}, σ = {sigma}", want, got, terms=2**layer.inputs, scale=scale).at(
                    layer=kind, rule=name, law="rademacher", n=layer.inputs, d=3, sigma=sigma
                )


def _scaled(layer: Any, factor: float) -> Any:
    return layer._replace(weight=layer.weight * factor)


def _seen_through(lab: Lab, layer: Any, directions: Array) -> Array:
    """Return W · mean_p Σ_i patch_p(u_i) patch_p(u_i)ᵀ over the columns u_i, patches read by kernels of one pixel."""
    outputs, pixels = layer.weight.shape[0], math.prod(layer.weight.shape[1:])
    one_each = lab.xp.reshape(lab.xp.eye(pixels, dtype=lab.dtype), (pixels, *layer.weight.shape[1:]))
    reader = layer._replace(weight=one_each, bias=lab.xp.zeros(pixels, dtype=lab.dtype))
    patches = lab.xp.reshape(reader.preactivation(directions.T), (directions.shape[1], pixels, layer.positions))
    covariance = lab.xp.sum(patches @ patches.mT, axis=0) / layer.positions
    return lab.xp.reshape(lab.xp.reshape(layer.weight, (outputs, pixels)) @ covariance, layer.weight.shape)
