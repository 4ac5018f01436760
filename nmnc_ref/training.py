"""Training by any credit rule: `init` and `step` over NamedTuples, for any route of credit.

    settings = training.Settings("nmnc", dimension=16)
    given = {"route": Direct(activation.relu), "settings": settings}
    state = training.init(key, layers, sample, **given)
    step = functools.partial(training.step, loss=loss.softmax_cross_entropy, **given)
    state = training.train(state, batches, sample, advance=step, **given)

`step` is pure and can be jitted as it stands here, as a whole: `jax.jit(step)`. `train` runs it over batches and keeps
the manifolds fresh. A state is nested tuples of arrays, and can be pickled.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from nmnc_ref import estimator, feedback, manifold, perturbation, random
from nmnc_ref.arrays import Array, Basis, Float, Key, Layers, expect, expect_number, namespace
from nmnc_ref.checked import check_fields, checked, validate
from nmnc_ref.nn import sgd
from nmnc_ref.nn.loss import Loss
from nmnc_ref.numerics import RangeError
from nmnc_ref.route import Route
from nmnc_ref.scalars import Choice, Count, Fraction, NonNegative, Positive, Share

RULES = ("backpropagation", "random feedback", "vnc", "nmnc")
Rule = Annotated[str, Choice(*RULES)]
PERTURBING = ("vnc", "nmnc")


@dataclass(frozen=True)
class Settings:
    """How a network learns.

    `rule`: random feedback stays as it was drawn, vnc and nmnc learn it from isotropic and from manifold noise of the
        same energy;
    `learning_rate`, `momentum`, `decay`: of `sgd.step`;
    `feedback_rate`: η of the running average, for each perturbation step;
    `sigma`: σ of manifold noise, in units of activity; isotropic noise gets σ √(d/n) (E7);
    `draws`, `samples`: perturbations K of each sample, and how many samples of the batch are perturbed;
    `perturb_every`: steps between perturbation steps; `fit_every`: steps between fits of the manifold (for `train`);
    `dimension` or `explained`, `centring`: of `manifold.fit`;
    `antithetic`: pairs of perturbations (2K forward passes), or one-sided (K + 1).
    """

    rule: Rule = "nmnc"
    learning_rate: Positive = 0.02
    momentum: Fraction = 0.9
    decay: NonNegative = 0.0
    feedback_rate: Fraction = 0.01
    sigma: Positive = 0.01
    draws: Count = 1
    samples: Count = 1
    perturb_every: Count = 1
    fit_every: Count = 50
    dimension: Count | None = 16
    explained: Share | None = None
    centring: manifold.Centring = "uncentred"
    antithetic: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        manifold.expect_one(self.dimension, self.explained)


class State(NamedTuple):
    """All that changes in training.

    `network`; its `velocity`; the `feedback` arrays of the route; the `bases` of the hidden activities; the random
    `key`, or None: a state without a key takes a step without perturbations.
    """

    network: Layers
    velocity: Layers
    feedback: tuple[Float[Array, "..."], ...]
    bases: tuple[Basis[Array, "?n ?d"], ...]
    key: Key | None


class Observation(NamedTuple):
    """One perturbation step: `noise` and `response` of each hidden activity, `estimate` for each array of feedback."""

    noise: tuple[Float[Array, "N _"], ...]
    response: tuple[Float[Array, "N _"], ...]
    estimate: tuple[Float[Array, "..."], ...]


class Info(NamedTuple):
    """All that a step computes on its way, under the names of `nn.feedforward.Backpropagation`.

    `activity_gradient` is that of hidden activities; `observation` is None where nothing was perturbed.
    """

    forward: Any
    loss: Float[Array, ""]
    error: Float[Array, "B o"]
    observation: Observation | None
    activity_gradient: tuple[Float[Array, "B _"], ...]
    delta: tuple[Float[Array, "B _"], ...]
    gradient: Layers


class Divergence(ArithmeticError):
    """Training that did not come to its end: at which step, and what became of it."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"training diverged at step {step} ({what}): lower learning_rate or feedback_rate")
        self.step, self.what = step, what


@checked
def fit_manifolds(state: State, sample: Float[Array, "B _ ..."], *, route: Route, settings: Settings) -> State:
    """The state with the manifolds of the activities at `sample`, for the rules that use them.

    Isotropic noise needs their dimension alone, to have their energy.

    Args:
        state: of `init`.
        sample: inputs.
        route: kind of network and of feedback.
        settings: how it learns.
    """
    if settings.rule not in PERTURBING:
        return state
    fit = functools.partial(
        manifold.fit, dimension=settings.dimension, explained=settings.explained, centring=settings.centring
    )
    return state._replace(bases=route.bases(route.forward(state.network, sample), lambda activity: fit(activity).basis))


@checked
def init(
    key: Key,
    network: Layers,
    sample: Float[Array, "B _ ..."],
    *,
    route: Route,
    settings: Settings,
    fit: Callable = fit_manifolds,
) -> State:
    """The state to begin with: velocity 0, manifolds of `sample`, and feedback B_0 = 0, or drawn at random.

    Random feedback [r, c, …] is N(0, c/size), with as many numbers to a unit: that of e B has the mean square of e's.

    Args:
        key: random key.
        network: as the route takes it.
        sample: inputs whose activities give the first manifolds.
        route: kind of network and of feedback.
        settings: how it learns.
        fit: what fits the manifolds, `fit_manifolds` or another function with its arguments.
    """
    hidden = route.forward(network, sample).hidden
    nothing = tuple(0 * activity[:1, :] for activity in hidden)
    zero = tuple(
        0 * route.tail(network, sample[:1, ...], site)(activity[:1, ...]) for site, activity in enumerate(hidden)
    )
    blank = route.estimate(network, zero, nothing, (1.0,) * len(hidden))
    if settings.rule == "random feedback":
        blank = tuple(
            random.normal(random.fold_in(key, index), each.shape, each.dtype)
            / math.sqrt(math.prod(each.shape) / each.shape[1])
            for index, each in enumerate(blank)
        )
    state = State(network, sgd.zero_velocity(network), blank, (), random.fold_in(key, len(blank)))
    return fit(state, sample, route=route, settings=settings)


@checked
def learn_feedback(
    state: State, x: Float[Array, "B _ ..."], *, route: Route, settings: Settings
) -> tuple[State, Observation]:
    """Perturb each hidden activity, read the response, and learn: B ← (1 − η) B + η Ĵ (F1, F2, F3).

    The first `settings.samples` elements of the batch are perturbed, each activity on its own, with noise from the
    state's key.

    Args:
        state: of `init`, for a rule that perturbs.
        x: inputs.
        route: kind of network and of feedback.
        settings: how it learns.
    """
    x = x[: settings.samples, ...]
    hidden = route.forward(state.network, x).hidden
    expect_to_learn(state, settings, hidden)
    noises, sigmas, key = perturbations(state, settings=settings)
    respond = estimator.antithetic_response if settings.antithetic else estimator.one_sided_response
    responses = tuple(
        _rows(respond(route.tail(state.network, x, site), activity, noise))
        for site, (activity, noise) in enumerate(zip(hidden, noises, strict=True))
    )
    rows = tuple(map(_rows, noises))
    estimate = route.estimate(state.network, responses, rows, sigmas)
    learned = tuple(
        feedback.running_average(old, new, settings.feedback_rate)
        for old, new in zip(state.feedback, estimate, strict=True)
    )
    observation = Observation(rows, responses, estimate)
    return state._replace(feedback=learned, key=key), observation


@checked
def perturbations(
    state: State, *, settings: Settings
) -> tuple[tuple[Float[Array, "K S ?n"], ...], tuple[float, ...], Key]:
    """The noise ξ of each hidden activity, K draws for each of S samples, its σ, and the key of the next step (E1, E2).

    Args:
        state: of `init`, for a rule that perturbs.
        settings: how it learns.
    """
    xp = namespace(state.key)
    key, fresh = xp.unstack(random.split(state.key, 2))
    keys = random.split(fresh, len(state.bases))
    sizes = [basis.shape[0 if settings.rule == "vnc" else 1] for basis in state.bases]
    draws: dict[int, Array] = {}
    for size in set(sizes):
        sites = [site for site, own in enumerate(sizes) if own == size]
        shape = (settings.draws, settings.samples, size)
        drawn = random.normal(xp.stack([keys[site, :] for site in sites]), shape, state.bases[0].dtype)
        draws |= zip(sites, xp.unstack(drawn), strict=True)
    noises, sigmas = zip(*(_noise(draws[site], basis, settings) for site, basis in enumerate(state.bases)), strict=True)
    return noises, sigmas, key


def _noise(z: Array, basis: Array, settings: Settings) -> tuple[Array, float]:
    """Return the noise [K, S, n] of the rule at an activity with a manifold, and its σ."""
    if settings.rule == "vnc":
        sigma = perturbation.matched_sigma(settings.sigma, basis.shape[1], basis.shape[0])
        return perturbation.isotropic(z, sigma), sigma
    return perturbation.on_manifold(z, basis, settings.sigma), settings.sigma


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
        state: of `init`.
        x: inputs.
        target: of the output.
        route: kind of network and of feedback.
        loss: of output and target.
        settings: how it learns.
        annealing: factor of the learning rate at this step; may be traced.

    Returns:
        The new state, and all intermediate quantities.
    """
    observation = None
    if settings.rule in PERTURBING and state.key is not None:
        state, observation = learn_feedback(state, x, route=route, settings=settings)
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


@checked
def train(
    state: State,
    batches: Iterable[tuple[Array, Array]],
    sample: Float[Array, "B _ ..."],
    *,
    route: Route,
    settings: Settings,
    advance: Callable,
    annealing: Callable[[int], Positive] = lambda index: 1.0,
) -> State:
    """Run a step on each batch, with perturbations every `perturb_every` steps, and new manifolds every `fit_every`.

    Args:
        state: of `init`.
        batches: pairs (x, target).
        sample: inputs whose activities give the manifolds.
        route: kind of network and of feedback.
        settings: how it learns.
        advance: `step` with route, loss and settings bound, jitted or not.
        annealing: the factor of the learning rate at step 0, 1, …; constant by default.

    Raises:
        Divergence: the loss became infinite, or units died until the activity had too few dimensions for a manifold.
    """
    index = 0
    for index, (x, target) in enumerate(batches):
        validate(step, x=x, target=target)
        if index and index % settings.fit_every == 0:
            _expect_finite(state, index)
            state = _refitted(state, sample, route, settings, index)
        perturbs = index % settings.perturb_every == 0
        moved, info = advance(state if perturbs else state._replace(key=None), x, target, annealing=annealing(index))
        if not math.isfinite(float(info.loss)):
            raise Divergence(index, f"loss {float(info.loss)}")
        state = moved if perturbs else moved._replace(key=state.key)
    _expect_finite(state, index)
    return state


def _expect_finite(state: State, index: int) -> None:
    try:
        validate(step, state=state)
    except ValueError as error:
        raise Divergence(index, str(error)) from error


def _refitted(state: State, sample: Array, route: Route, settings: Settings, index: int) -> State:
    try:
        return fit_manifolds(state, sample, route=route, settings=settings)
    except (manifold.RankError, RangeError) as error:
        raise Divergence(index, str(error)) from error


def _rows(array: Array) -> Array:
    """Join draws and samples: [K, S, n] to [K·S, n]."""
    return namespace(array).reshape(array, (-1, array.shape[-1]))


def expect_to_learn(state: State, settings: Settings, hidden: tuple[Array, ...]) -> None:
    """Refuse to learn feedback where the rule, the state or the batch of the hidden activities does not allow it."""
    rule, samples = settings.rule, settings.samples
    expect(rule in PERTURBING, f"settings.rule: expected vnc or nmnc, which perturb, got {rule}")
    expect(
        len(hidden) > 0, f"state.network: expected hidden layers for the rule {rule} to learn feedback for, got none"
    )
    given = hidden[0].shape[0]
    expect(samples <= given, f"x: expected at least {samples} samples to perturb, got {given}")
    expect(state.key is not None, "state.key: expected a random key, got None")
    if len(state.bases) != len(hidden):
        raise TypeError(
            f"state: expected a basis for each of {len(hidden)} hidden activities, as `init` gives for the rule "
            f"{rule}, got {len(state.bases)}"
        )
    expect_number("state.feedback", state.feedback, len(hidden), "the hidden activities")
