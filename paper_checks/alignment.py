"""Claims A1–A5: why the rows of the Jacobian lie in the manifold."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nmnc_ref import alignment, credit, manifold, random, theory
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, feedforward, loss, sgd
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.initialisation import dense_network, glorot, he
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, at_least, exact, ratio_of_means, shown
from paper_checks.data import digits
from paper_checks.lab import Lab

IMAGES = 40
"""Fewer than a layer has units, so that their activity leaves directions off the manifold."""
LEARNING_RATE = 0.1


@claim(
    "A1",
    "J_l = (∂y/∂s_{l+1}) W_{l+1}, so row(J_l) ⊂ row(W_{l+1}).",
    formula=r"J_l = \frac{\partial y}{\partial s_{l+1}}\,W_{l+1}",
    source="summary, exact",
    rung="identity",
    twins={
        "one row of W left out": {"weight": lambda layers, l: layers[l].weight[1:, :]},
        "units in another order": {"arrange": lambda xp, J: xp.flip(J, axis=-1)},
    },
)
def row_space(lab: Lab, weight=lambda layers, l: layers[l].weight, arrange=lambda xp, J: J) -> Iterator[Comparison]:
    """A random network of widths 9, 9, 6, 3, and the last hidden layer (100 units, 10 outputs) of one trained on
    images.
    """
    layers = dense_network(lab.key("A1: network"), (9, 9, 6, 3), lab.dtype)
    x = lab.normal("A1: x", 5, 9)
    trained = digits.trained(lab)
    cases = [(layers, l, feedforward.jacobian(layers, x, l, activation.tanh)) for l in (1, 2)]
    cases.append((trained.network, 2, trained.jacobians(2, 20)))
    for stack, l, J in cases:
        rows = lab.xp.linalg.qr(weight(stack, l).T)[0]
        J = arrange(lab.xp, J)
        outside = J - (J @ rows) @ rows.T
        scale = float(lab.xp.max(lab.xp.abs(J)))
        n = J.shape[-1]
        found = exact(lab, f"J_{l} off row(W_{l + 1}), width {n}", 0 * J, outside, terms=n, scale=scale)
        yield found.at(layer=l, n=n, n_o=J.shape[-2])


def _adam(
    network: tuple, gradient: tuple, velocity: tuple, *, learning_rate: float, momentum: float, decay: float
) -> tuple:
    """One element-wise scaled step, as Adam's first: the negative control."""
    moved = tuple(
        type(layer)(
            *(
                w - learning_rate * (g + decay * w) / (abs(g + decay * w) + 1e-3)
                for w, g in zip(layer, slope, strict=True)
            )
        )
        for layer, slope in zip(network, gradient, strict=True)
    )
    return moved, velocity


@claim(
    "A2",
    "SGD with decay λ and step η, activity in span(P): W_t P_⊥ = (1−ηλ)ᵗ W_0 P_⊥ exactly, whatever the outer(post, "
    "pre) rule; with heavy-ball momentum μ the factor is the (1,1) entry of [[1−ηλ, −ημ], [λ, μ]]ᵗ.",
    formula=r"""
        W_tP_{\perp} = (1-\eta\lambda)^t\,W_0P_{\perp}
        W_tP_{\perp} = \left[\left(\begin{matrix} 1-\eta\lambda & -\eta\mu \\ \lambda & \mu
            \end{matrix}\right)^t\right]_{11}W_0P_{\perp} \quad\text{(momentum)}
    """,
    source="derived",
    rung="identity",
    twins={
        "element-wise scaling (Adam)": {"step": _adam},
        "momentum ignored": {
            "predict": lambda rate, decay, momentum, steps: theory.alignment.off_manifold_factor(
                rate, decay, 0.0, steps
            )
        },
        "one step fewer": {
            "predict": lambda rate, decay, momentum, steps: theory.alignment.off_manifold_factor(
                rate, decay, momentum, steps - 1
            )
        },
        "activity leaves the span": {"inputs": lambda x, step: x + 0.01 * step},
    },
)
def off_manifold_decay(
    lab: Lab,
    step=sgd.step,
    predict=theory.alignment.off_manifold_factor,
    inputs=lambda x, step: x,
) -> Iterator[Comparison]:
    """30 steps on 40 real images (rank 40 of 64 pixels at most), first layer; backpropagation, random direct
    feedback, and feedback J P through the hidden layer's manifold; with and without momentum and
    decay; after every fifth step.
    """
    images, targets = digits.load(lab)
    images, targets = images[:IMAGES, :], targets[:IMAGES, :]
    span = manifold.fit(images, explained=1.0).basis
    start = dense_network(lab.key("A2: network"), (64, 30, 10), lab.dtype)
    random_feedback = lab.normal("A2: random feedback", 10, 30) / 5

    def off(layers: tuple) -> Array:
        return layers[0].weight - (layers[0].weight @ span) @ span.T

    for rule in ("backpropagation", "random feedback", "manifold feedback"):
        for momentum, decay in ((0.0, 0.05), (0.9, 0.05), (0.9, 0.0)):

            def advance(layers: tuple, velocity: tuple, x: Array, rule=rule, momentum=momentum, decay=decay) -> tuple:
                truth = feedforward.backpropagation(layers, x, targets, activation.relu, loss.softmax_cross_entropy)
                gradient = truth.gradient
                if rule != "backpropagation":
                    carried = random_feedback
                    if rule == "manifold feedback":
                        hidden = truth.forward.activity[1]
                        basis = manifold.fit(hidden, dimension=5).basis
                        carried = (layers[1].weight @ basis) @ basis.T
                    slope = activation.relu.slope(truth.forward.preactivation[0])
                    deltas = credit.direct_deltas(truth.error, (carried,), (slope,))
                    gradient = credit.weight_gradients(layers, truth.forward.activity, deltas)
                return step(layers, gradient, velocity, learning_rate=LEARNING_RATE, momentum=momentum, decay=decay)

            advance = lab.jit(advance)
            layers, velocity = start, sgd.zero_velocity(start)
            for t in range(1, 31):
                layers, velocity = advance(layers, velocity, inputs(images, t - 1))
                if t % 5 == 0:
                    want = predict(LEARNING_RATE, decay, momentum, t) * off(start)
                    scale = float(lab.xp.max(lab.xp.abs(layers[0].weight)))
                    name = f"W_{t} P_⊥, {rule}, μ = {momentum}, λ = {decay}"
                    found = exact(lab, name, want, off(layers), terms=30 * 64, scale=scale)
                    settings = {"learning_rate": LEARNING_RATE, "decay": decay, "momentum": momentum}
                    yield found.at(quantity="off the manifold", rule=rule, t=t, **settings)


INITIALISATIONS = 1_000
WIDTH, DIMENSION = 40, 16
DECAY = 5e-3
COMPONENTS = (1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50)
"""Of the activity, by variance, that are shown."""


def _zero_mean(key: Array, widths: tuple[int, ...], dtype: Any) -> tuple:
    return dense_network(key, widths, dtype, he)


def _positive_mean(key: Array, widths: tuple[int, ...], dtype: Any) -> tuple:
    return tuple(layer._replace(weight=layer.weight + 0.1) for layer in dense_network(key, widths, dtype, glorot))


@functools.lru_cache(maxsize=4)
def _energies_at_initialisation(lab: Lab, initial: Callable) -> np.ndarray:
    """Return ‖JP‖² and ‖J‖² of each network and hidden layer, [1000, 3, 2]."""
    images, _ = digits.load(lab)
    images = images[:100, :]

    def energies(key: Array) -> Array:
        layers = initial(key, (64, WIDTH, WIDTH, WIDTH, 10), lab.dtype)
        passed = feedforward.forward(layers, images, activation.relu)
        rows = []
        for l in (1, 2, 3):
            J = feedforward.jacobian(layers, images[:5, :], l, activation.relu)
            basis = manifold.fit(passed.activity[l], dimension=DIMENSION).basis
            rows.append(lab.xp.stack([lab.xp.sum((J @ basis) ** 2), lab.xp.sum(J**2)]))
        return lab.xp.stack(rows)

    energies = lab.jit(energies)
    keys = random.split(lab.key("A3: initial networks"), INITIALISATIONS)
    return lab.numpy(lab.xp.stack([energies(keys[i, :]) for i in range(INITIALISATIONS)]))


@claim(
    "A3",
    "At random initialisation (ReLU, zero biases) E‖J_lP‖²/E‖J_l‖² = d/n, and so E[α_l]; in trained networks α_l is "
    "far above it: at least 3d/n at every hidden layer of a classifier of real images, with and without weight decay.",
    formula=r"""
        \mathbb{E}[\alpha_l] = \frac{\mathbb{E}\|J_lP\|^2}{\mathbb{E}\|J_l\|^2} = \frac{d}{n}
            \quad\text{(at initialisation)}
        \alpha_l \ge \frac{3d}{n} \quad\text{(trained)}
    """,
    source="abstract, derived",
    rung="Monte Carlo",
    twins={
        "not trained": {"train": lambda lab, decay: digits.untrained(lab)},
        "weights with a mean": {"initial": _positive_mean},
        "√(d/n) for d/n": {"predict": lambda d, n: (d / n) ** 0.5},
    },
)
def trained_alignment(
    lab: Lab, initial=_zero_mean, train=digits.trained, predict=theory.estimator.random_alignment
) -> Iterator[Comparison]:
    """1,000 random networks 64-40-40-40-10 on 100 images, d = 16: E‖JP‖²/E‖J‖², which is d/n without finite-size
    terms; and the trained classifier 64-100-100-10 with decay 0 and 5e-3, d = 10, uncentred and centred. What each
    component of its activity has of the energy of activity and Jacobians, with decay, is reported.
    """
    samples = _energies_at_initialisation(lab, initial)
    for l in (1, 2, 3):
        inside, whole = samples[:, l - 1, 0], samples[:, l - 1, 1]
        yield ratio_of_means(f"α_{l} at initialisation", predict(DIMENSION, WIDTH), inside, whole).at(
            layer=l, n=WIDTH, d=DIMENSION
        )
    for decay in (0.0, DECAY):
        trained = train(lab, decay)
        for l in digits.HIDDEN:
            for centring in ("uncentred", "centred"):
                got = alignment.pooled_alignment(trained.jacobians(l, 200), trained.basis(l, centring=centring))
                bound = 3 * digits.DIMENSION / digits.WIDTHS[l]
                yield at_least(f"α_{l} trained, decay {decay}, {centring}", bound, float(got)).at(
                    layer=l, n=digits.WIDTHS[l], d=digits.DIMENSION, decay=decay, centring=centring
                )
    trained = train(lab, DECAY)
    for l in digits.HIDDEN:
        fit = manifold.fit(trained.forward.activity[l], dimension=COMPONENTS[-1])
        J = trained.jacobians(l, 200)
        energies = lab.xp.sum((J @ fit.basis) ** 2, axis=(0, 1))
        for index in COMPONENTS:
            place = {"layer": l, "n": digits.WIDTHS[l], "component": index}
            for quantity, parts, total in (
                ("share of the activity", fit.spectrum, lab.xp.sum(fit.spectrum)),
                ("share of the Jacobian", energies, lab.xp.sum(J**2)),
            ):
                found = shown(f"{quantity}, layer {l}, component {index}", float(parts[index - 1] / total))
                yield found.at(quantity=quantity, **place)


@claim(
    "A4",
    "Weight updates span the uncentred activity. The centred basis misses the mean direction: ∂W(I − P_c) = (Σδ_i) "
    "mᵀ(I − P_c). Weights made of updates alone have α = 1 with the uncentred span or the mean added, less with the "
    "centred one.",
    formula=r"G\,(I - P_c) = \left(\sum_i\delta_i\right)^{\top}m^{\top}(I - P_c)",
    source="derived",
    rung="identity",
    twins={
        "centred for uncentred": {"centrings": ("centred", "centred")},
        "mean-added for centred": {"missing": "mean-added"},
        "mean for sum of δ": {
            "predict": lambda delta, mean, P: theory.alignment.missed_by_centring(delta, mean, P) / delta.shape[0]
        },
    },
)
def uncentred_span(
    lab: Lab,
    predict=theory.alignment.missed_by_centring,
    centrings: tuple[str, ...] = ("uncentred", "mean-added"),
    missing: str = "centred",
) -> Iterator[Comparison]:
    """The last hidden layer (100 units) of the trained classifier on 40 real images: the gradient of the output
    weights, and output weights made of five updates from zero.
    """
    trained = digits.trained(lab)
    activity, target = trained.forward.activity[2][:IMAGES, :], trained.targets[:IMAGES, :]
    fits = {name: manifold.fit(activity, explained=1.0, centring=name) for name in (*centrings, missing)}
    delta = target - 0.1
    gradient = delta.T @ activity
    scale = float(lab.xp.max(lab.xp.abs(gradient)))
    for name in centrings:
        basis = fits[name].basis
        outside = gradient - (gradient @ basis) @ basis.T
        yield exact(lab, f"∂W off the {name} span", 0 * gradient, outside, terms=IMAGES * 100, scale=scale).at(
            layer=2, n=100, centring=name, images=IMAGES
        )
    basis = fits[missing].basis
    outside = gradient - (gradient @ basis) @ basis.T
    want = predict(delta, fits[missing].mean, basis @ basis.T)
    yield exact(lab, "∂W off the centred span", want, outside, terms=IMAGES * 100, scale=scale).at(
        layer=2, n=100, centring="centred", images=IMAGES
    )
    layer = (Dense(0 * gradient, 0 * gradient[:, 0]),)
    velocity = sgd.zero_velocity(layer)
    for _ in range(5):
        truth = feedforward.backpropagation(layer, activity, target, activation.identity, loss.squared_error)
        layer, velocity = sgd.step(layer, truth.gradient, velocity, learning_rate=0.01)
    J = layer[0].weight
    for name in centrings:
        alpha = alignment.alignment(J, fits[name].basis)
        yield exact(lab, f"α of weights made of updates, {name}", 1.0, alpha, terms=IMAGES * 100).at(
            layer=2, n=100, centring=name, images=IMAGES
        )
    rest = fits[missing].mean - basis @ (basis.T @ fits[missing].mean)
    want = 1 - lab.xp.sum((J @ rest) ** 2) / (lab.xp.sum(rest**2) * lab.xp.sum(J**2))
    yield exact(
        lab, "α of weights made of updates, centred", want, alignment.alignment(J, basis), terms=IMAGES * 100
    ).at(layer=2, n=100, centring="centred", images=IMAGES)


@claim(
    "A5",
    "Editing W → W + A(I−P), P on the uncentred span, changes no output on the manifold but changes J: off-manifold "
    "responses are not determined by the task. With a centred basis and mean m, also b → b − A(I−P)m.",
    formula=r"""
        \left(W + A(I-P)\right)x = Wx \quad\text{for } x = Px
        J \to J + \frac{\partial y}{\partial s}\,A(I-P)
        b \to b - A(I-P)\,m \quad\text{(centred basis)}
    """,
    source="summary, exact",
    rung="identity",
    twins={
        "A for A(I − P)": {"edit": lambda W, b, A, P, m: (W + A, b)},
        "bias not moved": {"edit": lambda W, b, A, P, m: (theory.alignment.off_manifold_edit(W, b, A, P, m)[0], b)},
        "no edit": {"edit": lambda W, b, A, P, m: (W, b)},
    },
)
def off_manifold_edit(lab: Lab, edit=theory.alignment.off_manifold_edit) -> Iterator[Comparison]:
    """The second hidden layer's weights of the trained classifier, 40 real images: outputs before and after, and the
    change of the Jacobian of its preactivation, which must be A(I − P).
    """
    trained = digits.trained(lab)
    images = trained.images[:IMAGES, :]
    passed = feedforward.forward(trained.network, images, activation.relu)
    activity, layer = passed.activity[1], trained.network[1]
    A = lab.normal("A5: A", *layer.weight.shape)
    scale = float(lab.xp.max(lab.xp.abs(A))) * float(lab.xp.max(lab.xp.sum(lab.xp.abs(activity), axis=1)))
    for centring in ("uncentred", "centred"):
        fitted = manifold.fit(activity, explained=1.0, centring=centring)
        P = fitted.basis @ fitted.basis.T
        mean = fitted.mean if centring == "centred" else 0 * fitted.mean
        weight, bias = edit(layer.weight, layer.bias, A, P, mean)
        edited = (trained.network[0], Dense(weight, bias), trained.network[2])
        output = feedforward.forward(edited, images, activation.relu).output
        yield exact(lab, f"outputs, {centring}", passed.output, output, terms=100, scale=scale).at(
            layer=2, n=100, centring=centring, images=IMAGES
        )
        change = weight - layer.weight
        outside = A - (A @ fitted.basis) @ fitted.basis.T
        yield exact(lab, f"change of the Jacobian, {centring}", outside, change, terms=100).at(
            layer=2, n=100, centring=centring, images=IMAGES
        )
