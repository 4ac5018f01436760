"""A whole training step: `training.step` with less work, for any route and rule.

One forward pass serves the loss, the perturbations and the gradients; `direct` and `through_time` learn the feedback of
their routes; and only what learning needs is returned. Draws, state and result are those of `training.step`, to
rounding. Under JAX it is one function to compile, whose state can be given away:

    step = jax.jit(functools.partial(training.step, loss=loss, **given), donate_argnums=0)
    state = nmnc_ref.training.train(state, batches, sample, advance=step, **given)

`jax.vmap` runs it for many seeds, a state for each, and `jax.lax.scan` over many batches.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from nmnc_ref import training
from nmnc_ref.arrays import Array, Float
from nmnc_ref.checked import checked
from nmnc_ref.fast import direct, gram, through_time
from nmnc_ref.nn import sgd
from nmnc_ref.nn.loss import Loss
from nmnc_ref.route import Direct, Route, ThroughTime
from nmnc_ref.scalars import Positive
from nmnc_ref.training import Settings, State


class Info(NamedTuple):
    """The loss, before the step."""

    loss: Float[Array, ""]


@checked
def step(
    state: State,
    x: Float[Array, "B _ ..."],
    target: Float[Array, "B o"],
    *,
    route: Route,
    loss: Loss,
    settings: Settings,
    annealing: Positive = 1.0,
) -> tuple[State, Info]:
    """Perturb (if the rule does, and the state has a key), assign credit through the feedback, and move the weights.

    Args:
        state: of `training.init`.
        x: inputs.
        target: of the output.
        route: kind of network and of feedback.
        loss: of output and target.
        settings: how the network learns.
        annealing: factor of the learning rate at this step; may be traced.
    """
    if settings.rule == "backpropagation":
        truth = route.backpropagation(state.network, x, target, loss)
        value, gradient = truth.loss, truth.gradient
    else:
        passed = route.forward(state.network, x)
        if settings.rule in training.PERTURBING and state.key is not None:
            state = _learned(state, x, passed, route=route, settings=settings)
        error, value = loss.error(passed.output, target), loss.value(passed.output, target)
        *_, gradient = route.credit(state.network, x, passed, error, state.feedback)
    moved, velocity = sgd.step(
        state.network,
        gradient,
        state.velocity,
        learning_rate=settings.learning_rate * annealing,
        momentum=settings.momentum,
        decay=settings.decay,
    )
    return state._replace(network=moved, velocity=velocity), Info(value)


@checked
def fit_manifolds(state: State, sample: Float[Array, "B _ ..."], *, route: Route, settings: Settings) -> State:
    """`training.fit_manifolds` by `gram.fit`, with what it offers: a `dimension`, uncentred or centred.

    Args:
        state: of `training.init`.
        sample: inputs.
        route: kind of network and of feedback.
        settings: how it learns.
    """
    if settings.rule not in training.PERTURBING:
        return state
    dimension = settings.dimension
    if dimension is None:
        raise ValueError(f"settings: expected a dimension, got an explained share of {settings.explained}")

    def fit(activity: Array) -> Array:
        return gram.fit(activity, dimension=dimension, centring=settings.centring).basis

    return state._replace(bases=route.bases(route.forward(state.network, sample), fit))


def _learned(state: State, x: Array, passed: Any, *, route: Route, settings: Settings) -> State:
    """The state with the feedback that one perturbation step teaches."""
    if isinstance(route, Direct):
        return direct.learned(state, passed, route, settings)
    if isinstance(route, ThroughTime):
        return through_time.learned(state, x, passed, route, settings)
    return training.learn_feedback(state, x, route=route, settings=settings)[0]
