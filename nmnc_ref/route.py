"""Routes of credit: how the output error reaches every activity that is perturbed, in each kind of network.

`Direct` carries it to every hidden layer of a feedforward network at once, `Layerwise` one layer down at a time, and
`ThroughTime` to every step of a recurrent network with one feedback matrix for each lag. The activities that are
perturbed are `hidden` in a forward pass: x_1 … x_{L−1}, or h_1 … h_T.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nmnc_ref import credit, estimator, feedback
from nmnc_ref.arrays import Array, Float, expect_number, namespace
from nmnc_ref.checked import check_fields, checked
from nmnc_ref.nn import feedforward, recurrent
from nmnc_ref.nn.activation import Activation
from nmnc_ref.nn.loss import Loss
from nmnc_ref.scalars import PositiveFraction

Arrays = tuple[Array, ...]


class Route(Protocol):
    """All that training asks of a kind of network and of feedback; feedback is a tuple of arrays."""

    def forward(self, network: tuple, x: Array) -> Any:
        """The forward pass, with `hidden`, `preactivation` and `output`."""

    def tail(self, network: tuple, x: Array, site: int) -> Callable[[Array], Array]:
        """The function of the hidden activity number `site`, counted from 0, whose response is read."""

    def estimate(self, network: tuple, responses: Arrays, noises: Arrays, sigmas: tuple[float, ...]) -> Arrays:
        """An estimate for each array of feedback, from a row for each draw and each element of the batch."""

    def credit(self, network: tuple, x: Array, passed: Any, error: Array, feedbacks: Arrays) -> tuple:
        """The gradients of hidden activities, of preactivations, and of all parameters."""

    def backpropagation(self, network: tuple, x: Array, target: Array, loss: Loss) -> Any:
        """The same exactly, and what else backpropagation computes."""

    def bases(self, passed: Any, fit: Callable[[Array], Array]) -> Arrays:
        """What `fit` makes of the activity matrix of each hidden activity."""


@dataclass(frozen=True)
class _Feedforward:
    activation: Activation

    def __post_init__(self) -> None:
        check_fields(self)

    @checked
    def forward(self, network: feedforward.Network, x: Float[Array, "B m"]) -> feedforward.Forward:
        """x_l = φ(s_l), y = s_L."""
        return feedforward.forward(network, x, self.activation)

    def backpropagation(self, network: tuple, x: Array, target: Array, loss: Loss) -> feedforward.Backpropagation:
        truth = feedforward.backpropagation(network, x, target, self.activation, loss, to_input=False)
        return truth._replace(activity_gradient=truth.activity_gradient[:-1])

    def bases(self, passed: feedforward.Forward, fit: Callable[[Array], Array]) -> Arrays:
        return tuple(map(fit, passed.hidden))

    def _slopes(self, passed: feedforward.Forward) -> Arrays:
        return tuple(map(self.activation.slope, passed.preactivation[:-1]))


@dataclass(frozen=True)
class Direct(_Feedforward):
    """B_l ≈ E[J_l] P_l, δ_l = φ'(s_l) ⊙ (e B_l): direct feedback to feedforward networks (F4) [choice]."""

    def tail(self, network: tuple, x: Array, site: int) -> Callable[[Array], Array]:
        """y = f_l(x_l)."""
        return feedforward.tail(network, site + 1, self.activation)

    def estimate(self, network: tuple, responses: Arrays, noises: Arrays, sigmas: tuple[float, ...]) -> Arrays:
        """Ĵ_l of the Jacobians ∂y/∂x_l."""
        return tuple(map(estimator.correlation, responses, noises, sigmas))

    def credit(self, network: tuple, x: Array, passed: feedforward.Forward, error: Array, feedbacks: Arrays) -> tuple:
        """g_l = e B_l, δ_l = φ'(s_l) ⊙ g_l, ∂W_l = δ_lᵀ x_{l−1}."""
        gradients = tuple(credit.activity_gradient(error, feedback) for feedback in feedbacks)
        deltas = credit.direct_deltas(error, feedbacks, self._slopes(passed))
        return gradients, deltas, credit.weight_gradients(network, passed.activity, deltas)


@dataclass(frozen=True)
class Layerwise(_Feedforward):
    """M_l ≈ W_{l+1} P_l, δ_l = φ'(s_l) ⊙ (δ_{l+1} M_l): mirrors of feedforward networks (F3) [choice]."""

    def tail(self, network: tuple, x: Array, site: int) -> Callable[[Array], Array]:
        """s_{l+1} of x_l."""
        return network[site + 1].preactivation

    def estimate(self, network: tuple, responses: Arrays, noises: Arrays, sigmas: tuple[float, ...]) -> Arrays:
        """M_l of the weights W_{l+1}."""
        mirrors = map(feedback.mirror_estimate, network[1:], responses, noises, sigmas)
        return tuple(mirror.weight for mirror in mirrors)

    def credit(self, network: tuple, x: Array, passed: feedforward.Forward, error: Array, feedbacks: Arrays) -> tuple:
        """g_l = δ_{l+1} M_l, δ_l = φ'(s_l) ⊙ g_l, ∂W_l = δ_lᵀ x_{l−1}."""
        expect_number("feedbacks", feedbacks, len(network) - 1, "the layers above the first")
        mirrors = tuple(layer._replace(weight=weight) for layer, weight in zip(network[1:], feedbacks, strict=True))
        deltas = credit.layerwise_deltas(error, mirrors, self._slopes(passed))
        gradients = tuple(mirror.pull_back(delta) for mirror, delta in zip(mirrors, deltas[1:], strict=True))
        return gradients, deltas, credit.weight_gradients(network, passed.activity, deltas)


@dataclass(frozen=True)
class ThroughTime:
    """g_t = Σ_lag e_{t+lag} B_lag: one feedback matrix for each time lag of recurrent networks (F5) [choice].

    `leak`, `every`: as in `nn.recurrent`.
    """

    activation: Activation
    leak: PositiveFraction = 1.0
    every: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def forward(self, network: tuple, x: Array) -> recurrent.Forward:
        """h_t = (1 − a) h_{t−1} + a φ(s_t)."""
        return recurrent.forward(network, x, self.activation, leak=self.leak, every=self.every)

    def tail(self, network: tuple, x: Array, site: int) -> Callable[[Array], Array]:
        """y of h_t."""
        return recurrent.tail(network, x, site + 1, self.activation, leak=self.leak, every=self.every)

    def estimate(self, network: tuple, responses: Arrays, noises: Arrays, sigmas: tuple[float, ...]) -> Arrays:
        """Ĵ of the Jacobians ∂y_{t+lag}/∂h_t, averaged for each lag."""
        return feedback.by_lag(tuple(map(estimator.correlation, responses, noises, sigmas)), every=self.every)

    def credit(self, network: tuple, x: Array, passed: recurrent.Forward, error: Array, feedbacks: Arrays) -> tuple:
        """g_t = Σ_lag e_{t+lag} B_lag, δ_t = a φ'(s_t) ⊙ g_t, ∂W = Σ_t δ_tᵀ h_{t−1}."""
        gradients = credit.activity_gradients_by_lag(error, feedbacks, every=self.every)
        deltas = tuple(
            recurrent.delta(gradient, s, self.activation, leak=self.leak)
            for gradient, s in zip(gradients, passed.preactivation, strict=True)
        )
        found = recurrent.weight_gradients(network, x, passed.activity, deltas, error, every=self.every)
        return gradients, deltas, found

    def backpropagation(self, network: tuple, x: Array, target: Array, loss: Loss) -> recurrent.Backpropagation:
        """The same by backpropagation through time."""
        kind: dict[str, Any] = {"leak": self.leak, "every": self.every}
        return recurrent.backpropagation(network, x, target, self.activation, loss, **kind)

    def bases(self, passed: recurrent.Forward, fit: Callable[[Array], Array]) -> Arrays:
        """One manifold for all steps."""
        states = passed.hidden
        return (fit(namespace(states[0]).concat(list(states), axis=0)),) * len(states)
