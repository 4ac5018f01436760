"""Estimates for a batch, and for all layers at once: E14, E15."""

from __future__ import annotations

from collections.abc import Iterator

from nmnc_ref import estimator, perturbation, theory
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, feedforward, loss
from nmnc_ref.nn.initialisation import dense_network
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact, sampled
from paper_checks.data import digits
from paper_checks.estimator.problem import SIGMA, rademacher, repeated
from paper_checks.lab import Lab


def _per_sample(jacobians: Array):
    """Return the linear tails of a batch, y_i = J_i x_i, of [..., B, n], or of [..., B, S, n] for S outcomes."""
    for_outcomes = jacobians[:, None, :, :]

    def tail(x: Array) -> Array:
        rows = jacobians if x.shape[-2] == jacobians.shape[0] else for_outcomes
        return (rows @ x[..., None])[..., 0]

    return tail


def _batch_estimates(lab: Lab, jacobians: Array, noise: Array, estimate, fresh) -> Array:
    """Return the estimates [S, n_o, n] of mean(J_i) P from noise [K, B, S, n]."""
    noise = fresh(noise)
    response = estimator.one_sided_response(_per_sample(jacobians), 0 * noise[0, ...], noise)
    return lab.jit(estimate)(response, noise, SIGMA)


def _summed(response: Array, noise: Array, sigma: float) -> Array:
    return noise.shape[1] * estimator.batch_correlation(response, noise, sigma)


@claim(
    "E14",
    "Batch of B samples with one fresh ξ each: mean mean_i(J_i) P, variance (1/(BK))(d+1)·mean_i‖J_iP‖². Negative "
    "control, noise on preactivations: noise shared over the batch with a batch-mean loss gives outer(mean δ, mean "
    "x), not mean(outer).",
    formula=r"""
        \mathbb{E}[\hat J] = \bar JP, \quad \bar J = \frac{1}{B}\sum_i J_i
        \mathbb{E}\|\hat J - \bar JP\|^2 = \frac{d+1}{BK}\cdot\frac{1}{B}\sum_i\|J_iP\|^2
        \text{shared noise: } \bar\delta^{\top}\bar x^{\top} \ne \frac{1}{B}\sum_i\delta_i^{\top}x_i^{\top}
    """,
    source="derived",
    rung="Monte Carlo",
    twins={
        "sum for mean": {"estimate": _summed},
        "one noise shared over the batch": {"fresh": lambda z: 0 * z + z[:, :1, ...]},
        "no 1/B in the variance": {
            "predict": lambda J, P, K, d, law="gaussian": theory.estimator.batch_variance(J, P, K, d, law) * J.shape[0]
        },
        "mean of outer products": {"shared": lambda delta, x: (delta.T @ x) / x.shape[0]},
    },
)
def batch(
    lab: Lab,
    estimate=estimator.batch_correlation,
    predict=theory.estimator.batch_variance,
    shared=theory.estimator.shared_noise_weight_gradient,
    fresh=lambda z: z,
) -> Iterator[Comparison]:
    """Jacobians of real images in a trained network: three images, d = 2, over the Gaussian moments and over all signs
    of two draws; 32 images, d = 10, 6,000 repetitions. The control over all signs of shared preactivation noise.
    """
    trained = digits.trained(lab)
    jacobians, basis = trained.jacobians(1, 3), trained.basis(1, 2)
    projector = basis @ basis.T
    want = theory.estimator.batch_mean(jacobians, projector)
    scale = float(lab.xp.max(lab.xp.abs(jacobians)))
    for law, each, draws in (("gaussian", lab.gaussian(2), 1), ("rademacher", rademacher(lab, 2), 2)):
        points, probabilities = lab.independent(*[each] * 3 * draws)
        stacked = lab.xp.stack([lab.xp.stack(points[3 * k : 3 * k + 3]) for k in range(draws)])  # [K, B, S, d]
        got = _batch_estimates(lab, jacobians, perturbation.on_manifold(stacked, basis, SIGMA), estimate, fresh)
        name = f"3 images, {law}, K = {draws}"
        yield exact(lab, f"mean, {name}", want, lab.mean(probabilities, got), terms=4**6, scale=scale).at(
            law=law, n=100, d=2, n_o=10, B=3, K=draws
        )
        variance = lab.mean(probabilities, lab.squared_error(got, want))
        yield exact(lab, f"variance, {name}", predict(jacobians, projector, draws, 2, law), variance, terms=4**6).at(
            law=law, n=100, d=2, n_o=10, B=3, K=draws
        )

    jacobians, basis = trained.jacobians(1, 32), trained.basis(1)
    projector, repetitions = basis @ basis.T, 6_000
    want = jacobians @ basis
    z = lab.normal("E14: z", 1, 32, repetitions, digits.DIMENSION)
    # in coordinates of the manifold, where a batch of estimates fits into memory
    got = _batch_estimates(lab, want, SIGMA * z, estimate, fresh)
    samples = lab.numpy(lab.squared_error(got, lab.xp.mean(want, axis=0)))
    yield sampled("variance, 32 images", float(predict(jacobians, projector, 1, digits.DIMENSION)), samples).at(
        law="gaussian", n=100, d=digits.DIMENSION, n_o=10, B=32, K=1
    )

    units, images = 8, 20
    activity = trained.forward.activity[0][:images, :]
    targets = trained.targets[:images, :]
    passed = feedforward.backpropagation(
        trained.network, activity, targets, activation.relu, loss.softmax_cross_entropy
    )
    delta = images * passed.delta[0][:, :units]  # of each image's own loss, at units of the first hidden layer
    noise = SIGMA * lab.signs(units)
    loss_change = lab.xp.mean(noise @ delta.T, axis=1)  # first order, mean over the batch
    per_unit = lab.xp.mean(loss_change[:, None] * noise, axis=0) / SIGMA**2
    got = per_unit[:, None] * lab.xp.mean(activity, axis=0)[None, :]
    yield exact(lab, "shared preactivation noise", shared(delta, activity), got, terms=2**8 * images).at(
        law="rademacher", n=units, B=images
    )


@claim(
    "E15",
    "Perturbing every layer at once adds d_l σ_k²‖J_kP_k‖²/(Kσ_l²) to the error of layer l for each other layer k "
    "(responses linear and additive).",
    formula=r"""
        \mathbb{E}\|\hat J_l - J_lP_l\|^2 = \frac{d_l+1}{K}\,\|J_lP_l\|^2 +
            \sum_{k\ne l}\frac{d_l\,\sigma_k^2\,\|J_kP_k\|^2}{K\sigma_l^2}
    """,
    source="derived",
    rung="enumeration",
    twins={
        "d_k for d_l": {
            "predict": lambda d, sigma, K, other_sigma, signal: theory.estimator.crosstalk(
                5 - d, sigma, K, other_sigma, signal
            )
        },
        "σ for σ²": {
            "predict": lambda d, sigma, K, other_sigma, signal: (
                theory.estimator.crosstalk(d, sigma, K, other_sigma, signal) * sigma / other_sigma
            )
        },
        "noise of the other layer left out": {"predict": lambda *others: 0.0},
    },
)
def all_layers(lab: Lab, predict=theory.estimator.crosstalk) -> Iterator[Comparison]:
    """A linear network with two hidden layers, d = 2 and 3, over the joint Gaussian moments of both noises, and all
    signs of two draws.
    """
    layers = dense_network(lab.key("E15: network"), (4, 5, 6, 2), lab.dtype)
    x = lab.normal("E15: x", 1, 4)
    dimensions, sigmas = (2, 3), (0.3, 0.7)
    bases = [lab.orthonormal(f"E15: U, {l}", n, d) for l, (n, d) in enumerate(zip((5, 6), dimensions, strict=True))]
    jacobians = [feedforward.jacobian(layers, x, l, activation.identity)[0, ...] for l in (1, 2)]
    tail = feedforward.injection(layers, x, activation.identity)
    signals = [float(lab.xp.sum((J @ U) ** 2)) for J, U in zip(jacobians, bases, strict=True)]
    joint = sum(dimensions)
    for law, each, draws in (("gaussian", lab.gaussian(joint), 1), ("rademacher", rademacher(lab, joint), 2)):
        points, probabilities = repeated(lab, each, draws)  # [K, S, d_1 + d_2]
        noises = [
            perturbation.on_manifold(z, basis, sigma)
            for z, basis, sigma in zip((points[..., :2], points[..., 2:]), bases, sigmas, strict=True)
        ]
        together = lab.xp.concat(noises, axis=-1)[:, :, None, :]
        noise = lab.xp.reshape(together, (-1, 1, together.shape[-1]))
        response = estimator.one_sided_response(tail, 0 * noise[0, ...], noise)
        response = lab.xp.reshape(response, (draws, -1, response.shape[-1]))
        for l, k in ((0, 1), (1, 0)):
            target, name = jacobians[l] @ bases[l] @ bases[l].T, f"layer {l + 1}, {law}, K = {draws}"
            got = lab.jit(estimator.correlation)(response, noises[l], sigmas[l])
            scale = (signals[k] ** 0.5 * sigmas[k] / sigmas[l]) + signals[l] ** 0.5
            yield exact(lab, f"mean, {name}", target, lab.mean(probabilities, got), terms=4**5, scale=scale).at(
                law=law, layer=l + 1, d=dimensions[l], sigma=sigmas[l], K=draws
            )
            own = theory.estimator.variance(draws, dimensions[l], law) * signals[l]
            want = own + predict(dimensions[l], sigmas[l], draws, sigmas[k], signals[k])
            error = lab.mean(probabilities, lab.squared_error(got, target))
            yield exact(lab, f"variance, {name}", want, error, terms=4**5).at(
                law=law, layer=l + 1, d=dimensions[l], sigma=sigmas[l], K=draws
            )
