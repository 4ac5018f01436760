"""Routes of credit: all that training asks of a kind of network, as functions.

`direct` carries the output error to every hidden layer of a feedforward network, `layerwise` one layer down at a time,
and `through_time` to every step of a recurrent network with one feedback matrix for each lag. A site is an activity
that is perturbed: x_1 … x_{L−1}, or h_1 … h_T. Feedback is a tuple of arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from nmnc_ref import estimator, feedback, network, recurrent
from nmnc_ref.arrays import Array, expect, flag, positive


class Route(NamedTuple):
    """What a kind of network and of feedback is to training.

    `forward`: (network, x) → a pass with `activity`, `preactivation` and `output`;
    `sites`: pass → the activities that are perturbed;
    `tail`: (network, x, site) → the function of that activity whose response is read;
    `estimate`: (network, responses, noises, sigmas) → an estimate for each array of feedback, from one row for each
    draw and each element of the batch;
    `credit`: (network, x, pass, error, feedback) → (activity gradients at the sites, deltas, weight gradients);
    `backpropagation`: (network, x, target, loss) → `network.Backpropagation` or its like in `recurrent`, with the
    activity gradients at the sites alone;
    `bases`: (pass, fit) → `fit` of the activity matrix of each site.
    """

    forward: Callable[..., Any]
    sites: Callable[..., tuple[Array, ...]]
    tail: Callable[..., Callable[[Array], Array]]
    estimate: Callable[..., tuple[Array, ...]]
    credit: Callable[..., tuple]
    backpropagation: Callable[..., Any]
    bases: Callable[..., tuple[Array, ...]]


def direct(activation: Any) -> Route:
    """Return the route by direct feedback B_l ≈ E[J_l] P_l, δ_l = φ'(s_l) ⊙ (e B_l), of feedforward networks (F4).

    Raises:
        TypeError: not an activation.
    """
    _expect_activation(activation)

    def credit(layers: tuple, x: Array, passed: network.Forward, error: Array, matrices: tuple) -> tuple:
        del x
        gradients = tuple(feedback.activity_gradient(error, matrix) for matrix in matrices)
        deltas = feedback.direct_deltas(error, matrices, _slopes(activation, passed))
        return gradients, deltas, feedback.weight_gradients(layers, passed.activity, deltas)

    def estimate(layers: tuple, responses: tuple, noises: tuple, sigmas: tuple) -> tuple[Array, ...]:
        del layers
        return tuple(map(estimator.correlation, responses, noises, sigmas))

    def tail(layers: tuple, x: Array, site: int) -> Callable[[Array], Array]:
        del x
        return network.tail(layers, site + 1, activation)

    return _feedforward(activation, tail, estimate, credit)


def layerwise(activation: Any) -> Route:
    """Return the route by mirrors M_l ≈ W_{l+1} P_l, δ_l = φ'(s_l) ⊙ (δ_{l+1} M_l), of feedforward networks (F3).

    Raises:
        TypeError: not an activation.
    """
    _expect_activation(activation)

    def credit(layers: tuple, x: Array, passed: network.Forward, error: Array, weights: tuple) -> tuple:
        del x
        mirrors = tuple(layer._replace(weight=weight) for layer, weight in zip(layers[1:], weights, strict=True))
        deltas = feedback.layerwise_deltas(error, mirrors, _slopes(activation, passed))
        gradients = tuple(mirror.pull_back(delta) for mirror, delta in zip(mirrors, deltas[1:], strict=True))
        return gradients, deltas, feedback.weight_gradients(layers, passed.activity, deltas)

    def estimate(layers: tuple, responses: tuple, noises: tuple, sigmas: tuple) -> tuple[Array, ...]:
        mirrors = map(feedback.mirror_estimate, layers[1:], responses, noises, sigmas)
        return tuple(mirror.weight for mirror in mirrors)

    def tail(layers: tuple, x: Array, site: int) -> Callable[[Array], Array]:
        del x
        return layers[site + 1].preactivation

    return _feedforward(activation, tail, estimate, credit)


def through_time(activation: Any, *, leak: float = 1.0, every: bool = False) -> Route:
    """Return the route by one feedback matrix for each time lag, g_t = Σ_lag e_{t+lag} B_lag, of recurrent networks.

    Args:
        activation: φ.
        leak: a in (0, 1], as in `recurrent`.
        every: read out at every step, not at the last alone.

    Raises:
        TypeError: not an activation, a leak that is not a number, or `every` not True or False.
        ValueError: a leak outside (0, 1].
    """
    _expect_activation(activation)
    if positive("leak", leak) > 1:
        raise ValueError(f"leak: expected at most 1, got {leak}")
    flag("every", every)
    kind: dict[str, Any] = {"leak": leak, "every": every}

    def tail(layers: tuple, x: Array, site: int) -> Callable[[Array], Array]:
        return recurrent.tail(layers, x, site + 1, activation, **kind)

    def estimate(layers: tuple, responses: tuple, noises: tuple, sigmas: tuple) -> tuple[Array, ...]:
        del layers
        return recurrent.by_lag(tuple(map(estimator.correlation, responses, noises, sigmas)), every=every)

    def credit(layers: tuple, x: Array, passed: recurrent.Forward, error: Array, matrices: tuple) -> tuple:
        gradients = recurrent.activity_gradients(error, matrices, every=every)
        deltas = tuple(
            recurrent.delta(gradient, s, activation, leak=leak)
            for gradient, s in zip(gradients, passed.preactivation, strict=True)
        )
        found = recurrent.weight_gradients(layers, x, passed.activity, deltas, error, every=every)
        return gradients, deltas, found

    def bases(passed: recurrent.Forward, fit: Callable[[Array], Array]) -> tuple[Array, ...]:
        states = passed.activity[1:]  # one manifold for all steps
        return (fit(array_namespace(states[0]).concat(list(states), axis=0)),) * len(states)

    return Route(
        lambda layers, x: recurrent.forward(layers, x, activation, **kind),
        lambda passed: passed.activity[1:],
        tail,
        estimate,
        credit,
        lambda layers, x, target, loss: recurrent.backpropagation(layers, x, target, activation, loss, **kind),
        bases,
    )


def _feedforward(activation: Any, tail: Callable, estimate: Callable, credit: Callable) -> Route:
    def forward(layers: tuple, x: Array) -> network.Forward:
        expect(x=(x, "B m"))
        return network.forward(layers, x, activation)

    def backpropagation(layers: tuple, x: Array, target: Array, loss: Any) -> network.Backpropagation:
        truth = network.backpropagation(layers, x, target, activation, loss)
        return truth._replace(activity_gradient=truth.activity_gradient[1:-1])

    return Route(
        forward,
        lambda passed: passed.activity[1:-1],
        tail,
        estimate,
        credit,
        backpropagation,
        lambda passed, fit: tuple(map(fit, passed.activity[1:-1])),
    )


def _slopes(activation: Any, passed: network.Forward) -> tuple[Array, ...]:
    return tuple(map(activation.slope, passed.preactivation[:-1]))


def _expect_activation(activation: Any) -> None:
    if not all(callable(getattr(activation, name, None)) for name in ("value", "slope")):
        raise TypeError(f"activation: expected an activation, got {type(activation).__name__}")
