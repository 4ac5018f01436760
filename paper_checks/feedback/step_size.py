"""Noise in the gradient, and the steps it allows: F6, F7."""

from __future__ import annotations

from collections.abc import Iterator

from nmnc_ref import credit, estimator, perturbation, theory
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, feedforward
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact
from paper_checks.data import digits
from paper_checks.lab import Lab

SIGMA = 0.5


@claim(
    "F6",
    "Step-size laws of a linear student (N inputs x ~ N(0, I), M outputs), error factor per step: gradient descent "
    "1−2ε+ε²(N+2), node perturbation 1−2ε+ε²(M+2)(N+2), weight perturbation 1−2ε+ε²(MN+2)(N+2).",
    formula=r"""
        \mathbb{E}\|W_{t+1} - W^{\ast}\|^2 = \left(1 - 2\epsilon +
            \epsilon^2c\,(N+2)\right)\mathbb{E}\|W_t - W^{\ast}\|^2
        c = 1 \text{ (gradient descent)}, \quad M+2 \text{ (node perturbation)}, \quad MN+2
            \text{ (weight perturbation)}
    """,
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
    """N = 3, M = 2 and N = 2, M = 3, ε = 0.1, over the joint Gaussian moments of input and perturbation; antithetic, so
    that the quadratic loss responds linearly.
    """
    for inputs, outputs in ((3, 2), (2, 3)):
        student, rate = lab.normal(f"F6: W − W*, N = {inputs}", outputs, inputs), 0.1
        for rule, size in (("gradient descent", 0), ("node perturbation", outputs), ("weight perturbation", 6)):
            laws = [lab.gaussian(inputs)] + ([lab.gaussian(size)] if size else [])
            (x, *z), probabilities = lab.independent(*laws)
            gradient = _student_gradients(lab, student, x, SIGMA * z[0][None, ...] if z else None)
            error = lab.mean(probabilities, lab.squared_error(student - sign * rate * gradient, 0 * student))
            got, want = error / lab.xp.sum(student**2), predict(rule, rate, inputs, outputs)
            yield exact(lab, f"factor, {rule}, N = {inputs}", want, got, terms=probabilities.shape[0]).at(
                rule=rule, N=inputs, M=outputs, epsilon=rate
            )


def _student_gradients(lab: Lab, student: Array, x: Array, noise: Array | None) -> Array:
    """Return the gradient [S, M, N] for each input x [S, N]: exact, or from noise on the nodes [1, S, M] or the weights
    [1, S, MN]. The teacher's output is subtracted, so that `student` is W − W* and its output the error.
    """
    output = x @ student.T
    if noise is None:
        return output[:, :, None] * x[:, None, :]

    def cost_of_output(y: Array) -> Array:
        return lab.xp.sum(y**2, axis=-1, keepdims=True) / 2

    def cost_of_weights(w: Array) -> Array:
        return cost_of_output((lab.xp.reshape(w, (*w.shape[:-1], *student.shape)) @ x[:, :, None])[..., 0])

    correlate = lab.jit(estimator.correlation)
    if noise.shape[-1] == student.shape[0]:
        response = estimator.antithetic_response(cost_of_output, output, noise)
        return correlate(response, noise, SIGMA)[:, 0, :, None] * x[:, None, :]
    weights = lab.xp.broadcast_to(lab.xp.reshape(student, (-1,)), noise.shape[1:])
    response = estimator.antithetic_response(cost_of_weights, weights, noise)
    return lab.xp.reshape(correlate(response, noise, SIGMA), (-1, *student.shape))


@claim(
    "F7",
    "Weight gradient from a noisy activity gradient, fresh noise per sample, D_i = diag φ'(s_i): variance "
    "(1/(B²K)) Σ_i ‖x_i‖² [‖D_iPg_i‖² + ‖D_iU‖²_F‖Pg_i‖²].",
    formula=r"""
        \mathbb{E}\|\hat G - \mathbb{E}\hat G\|^2 = \frac{1}{B^2K}\sum_i\|x_i\|^2\left(\|D_iPg_i\|^2 +
            \|D_iU\|^2\,\|Pg_i\|^2\right)
        D_i = \mathrm{diag}\,\varphi'(s_i)
    """,
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
        passed = feedforward.forward(trained.network, x, activation.relu)
        slope = activation.relu.slope(passed.preactivation[0])
        error = target - 0.1
        g = credit.activity_gradient(error, trained.jacobians(1, images))
        basis = trained.basis(1, 2)
        points, probabilities = lab.independent(*[lab.gaussian(2)] * (images * draws))
        z = lab.xp.reshape(lab.xp.stack(points), (draws, images, -1, 2))
        noise = perturbation.on_manifold(fresh(z), basis, SIGMA)
        response = lab.xp.sum(g[None, :, None, :] * noise, axis=-1, keepdims=True)
        estimate = lab.jit(estimator.correlation)(response, noise, SIGMA)[:, :, 0, :]  # [B, S, n]
        got = lab.xp.tensordot(slope[:, None, :] * estimate, x, axes=([0], [0])) / images  # [S, n, m]
        want = (slope * (g @ basis @ basis.T)).T @ x / images
        variance = lab.mean(probabilities, lab.squared_error(got, want))
        label = f"variance of ∂W_1, B = {images}, K = {draws}"
        yield exact(lab, label, predict(slope, g, x, basis, draws), variance, terms=3 ** (2 * images * draws)).at(
            law="gaussian", d=2, B=images, K=draws
        )
