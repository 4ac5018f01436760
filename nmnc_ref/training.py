"""Training by any credit rule: `init` and `step` over NamedTuples, for any route of `credit`.

    route = credit.direct(activation.relu)
    settings = training.Settings("nmnc", dimension=16)
    state = training.init(key, layers, sample, route=route, settings=settings)
    state, info = training.step(state, x, target, route=route, loss=loss.softmax_cross_entropy, settings=settings)

`step` is pure and can be jitted as a whole, with route, loss and settings bound by `functools.partial`. `train` runs it
over batches and keeps the manifold fresh.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from nmnc_ref import estimator, feedback, manifold, perturbation, random, sgd
from nmnc_ref.arrays import Array, choice, count, expect, flag, fraction, leaves, positive
from nmnc_ref.credit import Route

RULES = ("backpropagation", "random feedback", "vnc", "nmnc")
PERTURBING = ("vnc", "nmnc")


class Settings(NamedTuple):
    """How a network learns.

    `rule`: one of `RULES`; random feedback stays as it was drawn, vnc and nmnc learn it from isotropic and from
        manifold noise of the same energy;
    `learning_rate`, `momentum`, `decay`: of `sgd.step`;
    `feedback_rate`: η of the running average, for each perturbation step;
    `sigma`: σ of manifold noise, in units of activity; isotropic noise gets σ √(d/n) (E7);
    `draws`, `samples`: perturbations K of each sample, and how many samples of the batch are perturbed;
    `interval`: steps between perturbation steps; `refresh`: steps between fits of the manifold (both for `train`);
    `dimension` or `explained`, `centring`: of `manifold.fit`;
    `antithetic`: pairs of perturbations (2K forward passes), or one-sided (K + 1).
    """

    rule: str = "nmnc"
    learning_rate: float = 0.05
    momentum: float = 0.9
    decay: float = 0.0
    feedback_rate: float = 0.05
    sigma: float = 0.01
    draws: int = 1
    samples: int = 1
    interval: int = 1
    refresh: int = 50
    dimension: int | None = 16
    explained: float | None = None
    centring: str = "uncentred"
    antithetic: bool = True


class State(NamedTuple):
    """`network`, its `velocity`, the `feedback` arrays, the `bases` of the sites [n, d], and the random `key`."""

    network: tuple[Any, ...]
    velocity: tuple[Any, ...]
    feedback: tuple[Array, ...]
    bases: tuple[Array, ...]
    key: Array


class Observation(NamedTuple):
    """One perturbation step, by site: `noise` [K·S, n], `response` [K·S, …]; `estimate`, by array of feedback."""

    noise: tuple[Array, ...]
    response: tuple[Array, ...]
    estimate: tuple[Array, ...]


class Info(NamedTuple):
    """All that a step computes on its way, under the names of `network.Backpropagation`.

    `activity_gradient` is that at the sites; `observation` is None where nothing was perturbed.
    """

    forward: Any
    loss: Array
    error: Array
    observation: Observation | None
    activity_gradient: tuple[Array, ...]
    delta: tuple[Array, ...]
    gradient: tuple[Any, ...]


def init(key: Array, network: tuple[Any, ...], sample: Array, *, route: Route, settings: Settings) -> State:
    """Return the state to begin with: velocity 0, manifolds of `sample`, and feedback B_0 = 0, or drawn at random.

    Random feedback [r, c, …] is N(0, c/size), with as many numbers to a unit: that of e B has the mean square of e's.

    Args:
        key: random key [2].
        network: as the route takes it.
        sample: inputs [B, ...] whose activities give the first manifolds.
        route: kind of network and of feedback.
        settings: how it learns.

    Raises:
        TypeError, ValueError: as the functions that it composes; ValueError also for settings out of range.
    """
    _expect_settings(settings)
    _expect_inputs(network, sample=sample)
    random.expect_one_key(key, sample=sample)
    passed = route.forward(network, sample)
    sites = route.sites(passed)
    nothing = tuple(0 * site[:1, :] for site in sites)
    zero = tuple(0 * route.tail(network, sample[:1, ...], index)(site[:1, ...]) for index, site in enumerate(sites))
    blank = route.estimate(network, zero, nothing, (1.0,) * len(sites))
    if settings.rule == "random feedback":
        blank = tuple(
            random.normal(random.fold_in(key, index), each.shape, each.dtype)
            / math.sqrt(math.prod(each.shape) / each.shape[1])
            for index, each in enumerate(blank)
        )
    state = State(network, sgd.zero_velocity(network), blank, (), random.fold_in(key, len(blank)))
    return refresh(state, sample, route=route, settings=settings)


def refresh(state: State, sample: Array, *, route: Route, settings: Settings) -> State:
    """Return the state with the manifolds of the activities at `sample` [B, ...], for the rules that use them.

    Isotropic noise needs their dimension alone, to have their energy.

    Raises:
        TypeError, ValueError: as the route's `forward` and `manifold.fit`; also for what is no State or Settings.
    """
    _expect_settings(settings)
    _expect_state(state, sample=sample)
    if settings.rule not in PERTURBING:
        return state
    fit = functools.partial(
        manifold.fit, dimension=settings.dimension, explained=settings.explained, centring=settings.centring
    )
    return state._replace(bases=route.bases(route.forward(state.network, sample), lambda activity: fit(activity).basis))


def observe(state: State, x: Array, *, route: Route, settings: Settings) -> tuple[State, Observation]:
    """Perturb each site, read the response, and learn: B ← (1 − η) B + η Ĵ (F1, F2, F3).

    The first `samples` elements of the batch are perturbed, each site on its own, with noise from the state's key.

    Raises:
        TypeError, ValueError: as the functions that it composes; ValueError also for a rule that does not perturb,
            and for fewer elements than `samples`.
    """
    _expect_settings(settings)
    _expect_state(state, x=x)
    if settings.rule not in PERTURBING:
        raise ValueError(f"settings.rule: expected vnc or nmnc, which perturb, got {settings.rule}")
    if settings.samples > x.shape[0]:
        raise ValueError(f"x: expected at least {settings.samples} samples to perturb, got {x.shape[0]}")
    x = x[: settings.samples, ...]
    key, fresh = random.fold_in(state.key, 0), random.fold_in(state.key, 1)
    respond = estimator.antithetic_response if settings.antithetic else estimator.one_sided_response
    noises, responses, sigmas = [], [], []
    for index, activity in enumerate(route.sites(route.forward(state.network, x))):
        basis = state.bases[index]
        (n, d), sigma = basis.shape, settings.sigma
        site_key = random.fold_in(fresh, index)
        if settings.rule == "vnc":
            sigma = perturbation.matched_sigma(sigma, d, n)
            z = random.normal(site_key, (settings.draws, settings.samples, n), x.dtype)
            noise = perturbation.isotropic(z, sigma)
        else:
            z = random.normal(site_key, (settings.draws, settings.samples, d), x.dtype)
            noise = perturbation.on_manifold(z, basis, sigma)
        response = respond(route.tail(state.network, x, index), activity, noise)
        noises.append(_rows(noise))
        responses.append(_rows(response))
        sigmas.append(sigma)
    estimate = route.estimate(state.network, tuple(responses), tuple(noises), tuple(sigmas))
    learned = tuple(
        feedback.running_average(old, new, settings.feedback_rate)
        for old, new in zip(state.feedback, estimate, strict=True)
    )
    observation = Observation(tuple(noises), tuple(responses), estimate)
    return state._replace(feedback=learned, key=key), observation


def step(
    state: State,
    x: Array,
    target: Array,
    *,
    route: Route,
    loss: Any,
    settings: Settings,
    perturb: bool = True,
    annealing: float | Array = 1.0,
) -> tuple[State, Info]:
    """Perturb (if the rule does, and `perturb`), assign credit through the feedback, and move the weights.

    Args:
        state: of `init`.
        x: inputs [B, ...].
        target: [B, n_o].
        route: kind of network and of feedback.
        loss: of output and target.
        settings: how it learns.
        perturb: whether this step is a perturbation step.
        annealing: factor of the learning rate at this step; may be traced.

    Returns:
        The new state, and all intermediate quantities.

    Raises:
        TypeError, ValueError: as the functions that it composes; ValueError also for settings out of range, and for an
            annealing that is not positive.
    """
    _expect_settings(settings)
    _expect_state(state, x=x, target=target)
    annealing = positive("annealing", annealing, x)
    observation = None
    if flag("perturb", perturb) and settings.rule in PERTURBING:
        state, observation = observe(state, x, route=route, settings=settings)
    if settings.rule == "backpropagation":
        truth = route.backpropagation(state.network, x, target, loss)
        info = Info(truth.forward, truth.loss, truth.error, None, *truth[3:])
    else:
        passed = route.forward(state.network, x)
        error = loss.error(passed.output, target)
        credit = route.credit(state.network, x, passed, error, state.feedback)
        info = Info(passed, loss.value(passed.output, target), error, observation, *credit)
    moved, velocity = sgd.step(
        state.network,
        info.gradient,
        state.velocity,
        learning_rate=settings.learning_rate * annealing,
        momentum=settings.momentum,
        decay=settings.decay,
    )
    return state._replace(network=moved, velocity=velocity), info


def train(
    state: State,
    batches: Iterable[tuple[Array, Array]],
    sample: Array,
    *,
    route: Route,
    settings: Settings,
    advance: Callable[..., tuple[State, Info]],
    annealing: Callable[[int], float] = lambda index: 1.0,
) -> State:
    """Run a step on each batch, with a perturbation step at every `interval` and fresh manifolds at every `refresh`.

    Args:
        state: of `init`.
        batches: pairs (x, target).
        sample: inputs whose activities give the manifolds.
        route: kind of network and of feedback.
        settings: how it learns.
        advance: `step` with route, loss and settings bound, jitted or not: (state, x, target, perturb=bool,
            annealing=number).
        annealing: the factor of the learning rate at step 0, 1, …; constant by default.

    Raises:
        TypeError, ValueError: as `refresh`, and as `advance`.
    """
    _expect_settings(settings)
    _expect_state(state, sample=sample)
    for index, (x, target) in enumerate(batches):
        if index and index % settings.refresh == 0:
            state = refresh(state, sample, route=route, settings=settings)
        state, _ = advance(state, x, target, perturb=index % settings.interval == 0, annealing=annealing(index))
    return state


def _rows(array: Array) -> Array:
    """Join draws and samples: [K, S, n] to [K·S, n]."""
    xp = expect(array=(array, "K S n"))
    return xp.reshape(array, (-1, array.shape[-1]))


def _expect_inputs(network: tuple[Any, ...], **inputs: Array) -> None:
    parameters = {name: (array, "**") for name, array in leaves("network", network)}
    expect(**parameters, **{name: (array, "B **") for name, array in inputs.items()})


def _expect_state(state: State, **inputs: Array) -> None:
    if not isinstance(state, State):
        raise TypeError(f"state: expected a State, got {type(state).__name__}")
    _expect_inputs(state.network, **inputs)


def _expect_settings(settings: Settings) -> None:
    if not isinstance(settings, Settings):
        raise TypeError(f"settings: expected Settings, got {type(settings).__name__}")
    choice("settings.rule", settings.rule, RULES)
    choice("settings.centring", settings.centring, manifold.CENTRINGS)
    flag("settings.antithetic", settings.antithetic)
    if (settings.dimension is None) == (settings.explained is None):
        got = "neither" if settings.dimension is None else "both"
        raise ValueError(f"settings.dimension, settings.explained: expected exactly one of the two, got {got}")
    if settings.dimension is not None:
        count("settings.dimension", settings.dimension)
    else:
        fraction("settings.explained", positive("settings.explained", settings.explained))
    for name in ("draws", "samples", "interval", "refresh"):
        count(f"settings.{name}", getattr(settings, name))
    for name in ("learning_rate", "sigma"):
        positive(f"settings.{name}", getattr(settings, name))
    positive("settings.decay", settings.decay, zero=True)
    for name in ("momentum", "feedback_rate"):
        fraction(f"settings.{name}", getattr(settings, name))
