"""Credit assigned by feedback: F4, F5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from nmnc_ref import credit, theory
from nmnc_ref.arrays import Array
from nmnc_ref.nn import activation, feedforward, loss, recurrent
from nmnc_ref.nn.initialisation import Kernel, convolutional_network, dense_network, lecun, recurrent_network
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact
from paper_checks.data import digits
from paper_checks.lab import Lab


@claim(
    "F4",
    "With B_i = J_i for each sample the deltas and weight gradients equal backpropagation's to rounding; so do the "
    "layer-wise ones with M_l = W_{l+1}.",
    formula=r"""
        B_l = J_l \;\implies\; \varphi'(s_l)\odot(eB_l) = \frac{\partial\mathcal{L}}{\partial s_l}
        M_l = W_{l+1} \;\implies\; \varphi'(s_l)\odot(\delta_{l+1}M_l) = \frac{\partial\mathcal{L}}{\partial s_l}
    """,
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
            lab.key("F4: kernels"), (1, 4, 4), (Kernel(2, 3, padding=1), Kernel(3, 2, pool=2)), (3,), lab.dtype, lecun
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
            truth = feedforward.backpropagation(layers, x, target, function, cost)
            slopes = tuple(slope(function)(s) for s in truth.forward.preactivation[:-1])
            jacobians = tuple(per_sample(feedforward.jacobian(layers, x, l, function)) for l in (1, 2))
            for name, deltas in (
                ("direct", credit.direct_deltas(truth.error, jacobians, slopes)),
                ("layer-wise", credit.layerwise_deltas(truth.error, mirrors, slopes)),
            ):
                gradient = credit.weight_gradients(layers, truth.forward.activity, deltas)
                for l, (want, got) in enumerate(zip(truth.gradient, gradient, strict=True), start=1):
                    label = f"∂W_{l}, {kind}, {name}, {function.name}, {cost.name}"
                    scale = float(lab.xp.max(lab.xp.abs(truth.gradient[-1].weight)))
                    place: dict[str, str | float] = {
                        "network": kind,
                        "layer": l,
                        "route": name,
                        "phi": function.name,
                        "loss": cost.name,
                        "B": 6,
                    }
                    yield exact(lab, label, want.weight, got.weight, terms=6 * 32, scale=scale).at(**place)
                    yield exact(lab, label.replace("W", "b"), want.bias, got.bias, terms=6 * 32, scale=scale).at(
                        **place
                    )


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
            deltas.append(credit.delta(signal, jacobians, gate))
        got = recurrent.weight_gradients(pair, x, truth.forward.activity, tuple(deltas), truth.error, every=every)
        scale = float(lab.xp.max(lab.xp.abs(truth.gradient[1].weight)))
        for field, one, other in zip(got[0]._fields, truth.gradient[0], got[0], strict=True):
            label = f"∂{field}, recurrent, {'every' if every else 'last'} step"
            found = exact(lab, label, one, other, terms=6 * 5 * steps * steps, scale=scale)
            yield found.at(network="recurrent", n=5, T=steps, leak=leak, B=6)


@claim(
    "F5",
    "With B = JP the activity gradient is gP: ⟨g, gP⟩ = ‖gP‖² ≥ 0, so in activity space it never points uphill, and "
    "the projected step is α_g. Past a gate it may: φ'⊙(gP) can oppose φ'⊙g.",
    formula=r"""
        \langle g, gP\rangle = \|gP\|^2 \ge 0
        \alpha_g = \frac{\|gP\|^2}{\|g\|^2}
    """,
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
    truth = feedforward.backpropagation(trained.network, x, target, activation.relu, loss.softmax_cross_entropy)
    for layer in digits.HIDDEN:
        basis = trained.basis(layer)
        jacobians = trained.jacobians(layer, 50)
        # errors of a trained network all but vanish, so take those of a network that is wrong everywhere
        signal = lab.normal(f"F5: e, layer {layer}", *truth.error.shape)
        g = credit.activity_gradient(signal, jacobians)
        got = credit.activity_gradient(signal, project(jacobians, basis @ basis.T))
        progress = lab.xp.sum(g * got, axis=-1) / lab.xp.sum(g**2, axis=-1)
        want = theory.feedback.projected_progress(g, basis @ basis.T)
        yield exact(lab, f"⟨g, gP⟩/‖g‖² = α_g, layer {layer}", want, progress, terms=100, scale=1).at(
            layer=layer, n=digits.WIDTHS[layer], d=digits.DIMENSION, images=50
        )
    direction = lab.array([[1.0], [2.0]]) / 5**0.5
    g, gate = lab.array([[1.0, -1.0]]), lab.array([[1.0, 0.0]])
    opposed = lab.xp.sum(gated(g, direction @ direction.T, gate) * (gate * g))
    yield exact(lab, "⟨φ'⊙(gP), φ'⊙g⟩ past a gate", -0.2, opposed, scale=1).at(n=2, d=1)
