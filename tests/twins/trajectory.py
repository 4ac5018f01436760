"""Training: parts of the library replaced by wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from nmnc_ref import estimator, training
from nmnc_ref.nn import sgd
from nmnc_ref.nn.layer import each_parameter
from nmnc_ref.oracle.vectors.operations import trajectory
from nmnc_ref.oracle.vectors.operations.network import LOSSES
from twins.slip import Slip, given


def patched(module: Any, name: str, value: Any) -> Slip:
    """Training with a part of the library replaced."""

    def of(right):
        def twin(**inputs):
            with mock.patch.object(module, name, value):
                return right(**inputs)

        return twin

    return Slip(of)


def learning(change: Callable[[training.State, training.State], training.State]) -> Slip:
    """What becomes of the state before and after feedback has learned."""
    learn = training.learn_feedback

    def wrong(state, x, **kind):
        learned, observation = learn(state, x, **kind)
        return change(state, learned), observation

    return patched(training, "learn_feedback", wrong)


PERTURB, NOISE, STEP, LEARN, DESCEND = (
    training.perturbations,
    training._noise,
    training.step,
    training.learn_feedback,
    sgd.step,
)


def perturbing(change: Callable[[np.ndarray], np.ndarray]) -> Slip:
    """What becomes of the noise [K, B, n] of each activity."""

    def wrong(state, *, settings):
        noises, sigmas, key = PERTURB(state, settings=settings)
        return tuple(map(change, noises)), sigmas, key

    return patched(training, "perturbations", wrong)


def one_key(state, *, settings):
    """The key of the first activity for all."""
    alone = [PERTURB(state._replace(bases=(basis,)), settings=settings) for basis in state.bases]
    noises, sigmas, keys = zip(*alone, strict=True)
    return tuple(noise for (noise,) in noises), tuple(sigma for (sigma,) in sigmas), keys[0]


def keys_in_reverse(state, *, settings):
    """The key of the last activity for the first."""
    noises, sigmas, key = PERTURB(state._replace(bases=state.bases[::-1]), settings=settings)
    return noises[::-1], sigmas[::-1], key


def credit_first(state, x, target, *, route, settings, **kind):
    """Credit by the feedback of the step before."""
    learned, _ = LEARN(state, x, route=route, settings=settings)
    moved, info = STEP(state._replace(key=None), x, target, route=route, settings=settings, **kind)
    return moved._replace(feedback=learned.feedback, key=learned.key), info


def feedback_last(state, x, target, *, route, settings, **kind):
    """Feedback learned from the weights that have moved."""
    moved, info = STEP(state._replace(key=None), x, target, route=route, settings=settings, **kind)
    learned, _ = LEARN(moved._replace(key=state.key), x, route=route, settings=settings)
    return learned, info


def decoupled(network, gradient, velocity, *, learning_rate, decay, momentum):
    """Decay past the velocity."""
    _, speeds = DESCEND(network, gradient, velocity, learning_rate=learning_rate, momentum=momentum, decay=0.0)
    fall = 1 - learning_rate * decay
    return tuple(
        each_parameter(lambda w, v: fall * w - learning_rate * v, *pair) for pair in zip(network, speeds, strict=True)
    ), speeds


SUMMED = LOSSES["squared_error"]._replace(error=lambda output, target: output - target)


def weights_alone_decay(network, gradient, velocity, *, decay, **rates):
    """No decay of biases."""
    decaying, speeds = DESCEND(network, gradient, velocity, decay=decay, **rates)
    steady, others = DESCEND(network, gradient, velocity, decay=0.0, **rates)

    def chosen(own, other):
        return tuple(a._replace(bias=b.bias) if hasattr(a, "bias") else a for a, b in zip(own, other, strict=True))

    return chosen(decaying, steady), chosen(speeds, others)


def factor(**factors: float) -> Slip:
    """Other rates."""
    return given(**{name: lambda i, name=name, by=by: by * getattr(i, name) for name, by in factors.items()})


def unmatched(z, basis, settings):
    return training.perturbation.isotropic(z, settings.sigma), settings.sigma


def estimated_with_sigma(z, basis, settings):
    """Noise of the matched σ, and an estimate divided by the other."""
    noise, _ = NOISE(z, basis, settings)
    return noise, settings.sigma


LEARNED = {
    "credit by the feedback before": patched(training, "step", credit_first),
    "feedback from weights that have moved": patched(training, "step", feedback_last),
    "whole difference of a pair": patched(estimator, "antithetic_response", lambda f, x, xi: f(x + xi) - f(x - xi)),
    "the same noise at every step": learning(lambda before, after: after._replace(key=before.key)),
    "feedback that does not learn": learning(lambda before, after: after._replace(feedback=before.feedback)),
    "samples share a draw": perturbing(lambda noise: np.broadcast_to(noise[:, :1], noise.shape).copy()),
    "one draw for all": perturbing(lambda noise: np.broadcast_to(noise[:1], noise.shape).copy()),
    "no decay of biases": patched(sgd, "step", weights_alone_decay),
    "no decay": factor(decay=0.0),
    "no momentum": factor(momentum=0.0),
    "η for 1 − η": given(feedback_rate=lambda i: 1 - i.feedback_rate),
    "twice the rate": factor(learning_rate=2.0),
    "loss summed over the batch": patched(trajectory, "LOSSES", {"squared_error": SUMMED}),
    "decay decoupled": patched(sgd, "step", decoupled),
    "one step less": given(last=lambda i: i.last - 1),
    "key of the start": given(first=lambda i: 0, last=lambda i: i.last - i.first),
}
SITES = {
    "one key for all activities": patched(training, "perturbations", one_key),
    "keys in reverse": patched(training, "perturbations", keys_in_reverse),
}
METHODS = {
    "σ of the other method": patched(training, "_noise", unmatched),
    "estimate with σ of the other method": patched(training, "_noise", estimated_with_sigma),
    "always along the manifold": given(rule=lambda i: "nmnc"),
    "never along the manifold": given(rule=lambda i: "vnc"),
    "mirror for feedback": given(route=lambda i: {"layerwise": "direct", "direct": "layerwise"}[i.route]),
}
ONE_SIDED = {"one-sided": patched(estimator, "antithetic_response", estimator.one_sided_response)}

TWINS = {
    "training_state": LEARNED | SITES | METHODS | ONE_SIDED,
    "convolutional_training_state": LEARNED,  # its tail is linear: a response of one side is the same
    "recurrent_training_state": LEARNED | SITES | ONE_SIDED,
}
