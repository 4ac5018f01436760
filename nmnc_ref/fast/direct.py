"""A whole training step by direct feedback: `training.step` with less work, for networks of any layers.

One forward pass serves the loss, the perturbations and the gradients, manifold noise stays in coordinates where that
takes less, and only what learning needs is returned. Draws, state and result are those of `training.step`, to rounding.
Under JAX it is one function to compile, whose state can be given away:

    step = jax.jit(functools.partial(direct.step, loss=loss, **given), donate_argnums=0)
    state = training.train(state, batches, sample, advance=step, **given)

`jax.vmap` runs it for many seeds, a state for each, and `jax.lax.scan` over many batches.
"""

from __future__ import annotations

from typing import NamedTuple

from nmnc_ref import credit, estimator, feedback, perturbation, random
from nmnc_ref.arrays import Array, Float, expect, expect_number, namespace
from nmnc_ref.checked import checked
from nmnc_ref.fast import factored
from nmnc_ref.nn import feedforward, sgd
from nmnc_ref.nn.loss import Loss
from nmnc_ref.route import Direct
from nmnc_ref.scalars import Positive
from nmnc_ref.training import PERTURBING, Settings, State


class Info(NamedTuple):
    """The loss, before the step."""

    loss: Float[Array, ""]


@checked
def step(
    state: State,
    x: Float[Array, "B _ ..."],
    target: Float[Array, "B o"],
    *,
    route: Direct,
    loss: Loss,
    settings: Settings,
    annealing: Positive = 1.0,
) -> tuple[State, Info]:
    """Perturb (if the rule does, and the state has a key), assign credit through the feedback, and move the weights.

    Args:
        state: of `training.init`, for a rule with feedback.
        x: inputs.
        target: of the output.
        route: direct feedback.
        loss: of output and target.
        settings: how the network learns.
        annealing: factor of the learning rate at this step; may be traced.
    """
    rule = settings.rule
    expect(rule != "backpropagation", f"settings.rule: expected a rule with feedback, got {rule}")
    passed = route.forward(state.network, x)
    if rule in PERTURBING and state.key is not None:
        state = learned(state, passed, route, settings)
    error = loss.error(passed.output, target)
    slopes = tuple(map(route.activation.slope, passed.preactivation[:-1]))
    deltas = credit.direct_deltas(error, state.feedback, slopes)
    moved, velocity = sgd.step(
        state.network,
        credit.weight_gradients(state.network, passed.activity, deltas),
        state.velocity,
        learning_rate=settings.learning_rate * annealing,
        momentum=settings.momentum,
        decay=settings.decay,
    )
    return state._replace(network=moved, velocity=velocity), Info(loss.value(passed.output, target))


@checked
def learned(state: State, passed: feedforward.Forward, route: Direct, settings: Settings) -> State:
    """B ← (1 − η) B + η C Uᵀ, with C from the first samples of a clean forward pass (F1, F2).

    Args:
        state: of `training.init`, for a rule that perturbs.
        passed: the forward pass.
        route: direct feedback.
        settings: how the network learns.
    """
    xp, samples = namespace(state.key), settings.samples
    given = passed.output.shape[0]
    expect(samples <= given, f"x: expected at least {samples} samples to perturb, got {given}")
    expect_number("state.bases", state.bases, len(passed.hidden), "the hidden layers")
    passed = feedforward.Forward(*(tuple(each[:samples, ...] for each in part) for part in passed))
    key, fresh = xp.unstack(random.split(state.key, 2))
    keys = xp.unstack(random.split(fresh, len(state.bases)))
    feedbacks = []
    for site, (own, basis, old) in enumerate(zip(keys, state.bases, state.feedback, strict=True)):
        (n, d), isotropic = basis.shape, settings.rule == "vnc"
        sigma = perturbation.matched_sigma(settings.sigma, d, n) if isotropic else settings.sigma
        noise = sigma * random.normal(own, (settings.draws, samples, n if isotropic else d), basis.dtype)
        few = settings.draws * samples < d  # perturbations: W ξ of each takes less than W U
        if few and not isotropic:
            noise = noise @ basis.T
        coordinates = None if few or isotropic else basis
        tail = factored.feedforward_tail(state.network, passed, site + 1, coordinates, route.activation)
        response = (tail(noise) - tail(-noise)) / 2 if settings.antithetic else tail(noise) - passed.output[None, ...]
        estimate = estimator.batch_correlation(response, noise, sigma)
        new = estimate if coordinates is None else factored.lifted(estimate, basis)
        feedbacks.append(feedback.running_average(old, new, settings.feedback_rate))
    return state._replace(feedback=tuple(feedbacks), key=key)
