"""Training by every rule and route: against its parts, on every library, and what it learns."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import to_library

from nmnc_ref import manifold, perturbation, random, training
from nmnc_ref.nn import activation, feedforward, initialisation, loss, sgd
from nmnc_ref.nn.initialisation import Kernel
from nmnc_ref.nn.layer import each_parameter
from nmnc_ref.route import Direct, Layerwise, ThroughTime
from nmnc_ref.training import RULES, Settings

B, OUTPUTS = 6, 3
IMAGES = np.random.default_rng(3).normal(size=(40, 36))
TARGETS = np.eye(OUTPUTS)[np.arange(40) % OUTPUTS]
ROUTES = {
    "dense, direct": Direct(activation.tanh),
    "dense, layer-wise": Layerwise(activation.tanh),
    "convolutional, direct": Direct(activation.relu),
    "convolutional, layer-wise": Layerwise(activation.relu),
    "recurrent": ThroughTime(activation.tanh, leak=0.7),
    "recurrent, every step": ThroughTime(activation.tanh, every=True),
}
NOISE = ("vnc", "nmnc")
INEXACT = {
    "recurrent, every step": "feedback is a mean over the steps of a lag: tested in a linear network, where exact",
    "convolutional, layer-wise": "patches that reach over the edge shrink the mirror: tested with the kernel",
}
"""Routes that do not give backpropagation from exact estimates, and why."""
routes = pytest.mark.parametrize("name", ROUTES)


def problem(name, xp, dtype="float64"):
    """Return a network, inputs and targets that suit a route."""
    key, kind = random.key(5, np), getattr(np, dtype)
    images, targets = IMAGES, TARGETS
    if name.startswith("recurrent"):
        layers = initialisation.recurrent_network(key, 6, 9, OUTPUTS, kind)
        images = IMAGES.reshape(-1, 6, 6)
        targets = np.tile(TARGETS, 6) if "every" in name else TARGETS
    elif name.startswith("dense"):
        layers = initialisation.dense_network(key, (36, 12, 9, OUTPUTS), kind)
    else:
        kernels = (Kernel(4, 3, padding=1), Kernel(3, 2, pool=2, pool_stride=2))
        layers = initialisation.convolutional_network(key, (1, 6, 6), kernels, (7, OUTPUTS), kind)
    layers = tuple(each_parameter(lambda values: to_library(values, xp, dtype), layer) for layer in layers)
    return layers, to_library(images, xp, dtype), to_library(targets, xp, dtype)


def run(name, xp, settings, steps=20, jit=lambda function: function, dtype="float64"):
    """Train on batches of B in order, and return the last state, the losses and the last info."""
    layers, x, target = problem(name, xp, dtype)
    given = {"route": ROUTES[name], "settings": settings}
    init = jit(functools.partial(training.init, **given))
    fit_manifolds = jit(functools.partial(training.fit_manifolds, **given))
    advance = jit(functools.partial(training.step, loss=loss.squared_error, **given))
    state = init(random.key(6, xp), layers, x)
    losses, info = [], None
    for step in range(steps):
        start = B * step % 36
        if step and step % 7 == 0:
            state = fit_manifolds(state, x)
        state, info = advance(state, x[start : start + B, ...], target[start : start + B, ...])
        losses.append(float(info.loss))
    return state, losses, info


def arrays(value):
    return [np.asarray(part) for _, part in parts(value) if not isinstance(part, dict)]


def statics(value):
    return [part for _, part in parts(value) if isinstance(part, dict)]


def parts(value, path="state"):
    for index, item in enumerate(value):
        if isinstance(item, tuple):
            yield from parts(item, f"{path}.{index}")
        elif item is not None:
            yield f"{path}.{index}", item


@routes
@pytest.mark.parametrize("rule", RULES)
def test_runs_repeat_bit_for_bit(name, rule):
    xp, settings = np, Settings(rule, dimension=3)
    one, other = (run(name, xp, settings)[0] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


@routes
@pytest.mark.parametrize("rule", NOISE)
def test_trajectories_agree_between_libraries(name, rule, xp_or_jax):
    """20 steps, jitted on JAX: rounding errors grow with each step, but far less than 1e-9 here."""
    settings = Settings(rule, dimension=3, draws=2, samples=3, antithetic=rule == "nmnc")
    want, losses, info = run(name, np, settings)
    jit = importlib.import_module("jax").jit if "jax" in xp_or_jax.__name__ else lambda function: function
    got, others, seen = run(name, xp_or_jax, settings, jit=jit)
    assert np.allclose(losses, others, rtol=1e-9)
    for part in ("network", "velocity", "feedback"):
        for a, b in zip(arrays(getattr(got, part)), arrays(getattr(want, part)), strict=True):
            assert np.allclose(a, b, rtol=1e-9, atol=1e-9 * np.max(np.abs(b)) + 1e-300)
    assert [path for path, _ in parts(seen)] == [path for path, _ in parts(info)]
    for a, b in zip(arrays(seen), arrays(info), strict=True):
        assert np.allclose(a, b, rtol=1e-7, atol=1e-8 * np.max(np.abs(b)))


@routes
@pytest.mark.parametrize("rule", RULES)
def test_the_dtype_is_kept(name, rule):
    settings = Settings(rule, dimension=3, learning_rate=0.02)
    state, losses, info = run(name, np, settings, steps=2, dtype="float32")
    assert all(np.asarray(array).dtype == np.float32 for array in arrays(state[:-1]) + arrays(info))
    assert np.all(np.isfinite(losses))


@routes
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_learns(name, rule):
    """The loss over the last six batches, all images once, is below that over the first six."""
    steep = rule == "random feedback" and name.startswith("convolutional")  # far larger than the Jacobian there
    rate = 0.001 if steep else 0.01
    settings = Settings(rule, dimension=3, learning_rate=rate, draws=20, samples=6, feedback_rate=0.2)
    _, losses, _ = run(name, np, settings, steps=60)
    assert np.mean(losses[-6:]) < 0.9 * np.mean(losses[:6])


@routes
def test_backpropagation_is_that_of_the_route(name):
    layers, x, target = problem(name, np)
    settings, route = Settings("backpropagation", learning_rate=0.1, decay=0.3), ROUTES[name]
    state = training.init(random.key(6, np), layers, x, route=route, settings=settings)
    moved, info = training.step(state, x, target, route=route, loss=loss.squared_error, settings=settings)
    truth = route.backpropagation(layers, x, target, loss.squared_error)
    want, _ = sgd.step(layers, truth.gradient, sgd.zero_velocity(layers), learning_rate=0.1, momentum=0.9, decay=0.3)
    assert all(np.array_equal(a, b) for a, b in zip(arrays(moved.network), arrays(want), strict=True))
    assert info.observation is None
    hidden = route.forward(layers, x).hidden
    assert [each.shape for each in info.activity_gradient] == [each.shape for each in hidden]


def test_a_perturbation_step_is_the_method_by_hand():
    """Noise along the manifold, response, correlation, running average, delta, weight gradient."""
    layers, x, target = problem("dense, direct", np)
    settings, route = Settings("nmnc", dimension=4, draws=3, samples=2, feedback_rate=0.25), ROUTES["dense, direct"]
    state = training.init(random.key(6, np), layers, x, route=route, settings=settings)
    state = state._replace(feedback=tuple(each + 1 for each in state.feedback))
    moved, info = training.step(state, x, target, route=route, loss=loss.squared_error, settings=settings)
    passed = feedforward.forward(layers, x, activation.tanh)
    for l in (1, 2):
        basis = manifold.fit(passed.activity[l], dimension=4).basis
        assert np.allclose(state.bases[l - 1] @ state.bases[l - 1].T, basis @ basis.T)
        noise = info.observation.noise[l - 1]
        assert noise.shape == (6, layers[l].inputs)
        assert np.allclose(noise @ basis @ basis.T, noise)
        tail, at = feedforward.tail(layers, l, activation.tanh), np.tile(passed.activity[l][:2], (3, 1))
        response = (tail(at + noise) - tail(at - noise)) / 2
        assert np.allclose(info.observation.response[l - 1], response)
        estimate = response.T @ noise / 6 / settings.sigma**2
        assert np.allclose(info.observation.estimate[l - 1], estimate)
        B_l = 0.75 * state.feedback[l - 1] + 0.25 * estimate
        assert np.allclose(moved.feedback[l - 1], B_l)
        error = (passed.output - target) / x.shape[0]
        delta = activation.tanh.slope(passed.preactivation[l - 1]) * (error @ B_l)
        assert np.allclose(info.delta[l - 1], delta)
        assert np.allclose(info.gradient[l - 1].weight, delta.T @ passed.activity[l - 1])


@routes
def test_both_noises_have_the_same_energy(name):
    """The mean of ‖ξ‖² over 300 draws, each of variance 2σ⁴/d or less relative to its square, within 6 errors."""
    layers, x, _ = problem(name, np)
    route = ROUTES[name]
    for rule in NOISE:
        settings = Settings(rule, dimension=4, draws=300, samples=1)
        state = training.init(random.key(6, np), layers, x, route=route, settings=settings)
        _, observation = training.learn_feedback(state, x, route=route, settings=settings)
        for noise, basis in zip(observation.noise, state.bases, strict=True):
            energy = np.mean(np.sum(noise**2, axis=1)) / (settings.sigma**2 * 4)
            assert abs(energy - 1) <= 6 * np.sqrt(2 / 4 / 300)
            outside = np.max(np.abs(noise - noise @ basis @ basis.T))
            assert (outside < 1e-12) == (rule == "nmnc")


@pytest.mark.parametrize("name", [name for name in ROUTES if name not in INEXACT])
def test_a_complete_frame_of_noise_makes_a_route_backpropagation(name):
    """Orthonormal noise √n e_i in place of random draws makes the estimate of a route exact up to O(σ²) (E8, E10)."""
    layers, x, _ = problem(name, np)
    route, x = ROUTES[name], x[:1, ...]
    hidden = route.forward(layers, x).hidden
    noises, responses, sigma = [], [], 1e-4
    for site, activity in enumerate(hidden):
        noise = perturbation.isotropic(np.sqrt(activity.shape[1]) * np.eye(activity.shape[1]), sigma)
        tail = route.tail(layers, x, site)
        both = [tail(activity + sign * noise[:, None, :])[:, 0, :] for sign in (1, -1)]
        noises.append(noise)
        responses.append((both[0] - both[1]) / 2)
    estimates = route.estimate(layers, tuple(responses), tuple(noises), (sigma,) * len(hidden))
    error = np.ones((1, OUTPUTS))
    gradients, _, _ = route.credit(layers, x, route.forward(layers, x), error, estimates)
    exact = route.backpropagation(layers, x, route.forward(layers, x).output - error, loss.squared_error)
    for got, want in zip(gradients, exact.activity_gradient, strict=True):
        assert np.allclose(got, want, rtol=1e-5, atol=1e-6 * np.max(np.abs(want)))


def test_training_perturbs_and_refreshes_when_it_is_told():
    layers, x, target = problem("dense, direct", np)
    settings, route = Settings("nmnc", dimension=3, perturb_every=3, fit_every=4), ROUTES["dense, direct"]
    state = training.init(random.key(6, np), layers, x, route=route, settings=settings)
    step = functools.partial(training.step, route=route, loss=loss.squared_error, settings=settings)
    perturbed, bases = [], []

    def advance(state, x, target, annealing):
        moved, info = step(state, x, target, annealing=annealing)
        perturbed.append(info.observation is not None)
        bases.append(state.bases[0])
        return moved, info

    training.train(state, [(x, target)] * 9, x, route=route, settings=settings, advance=advance)
    assert perturbed == [True, False, False] * 3
    assert [bases[i] is bases[i - 1] for i in range(1, 9)] == [i % 4 != 0 for i in range(1, 9)]


def test_annealing_is_a_factor_of_the_learning_rate(xp):
    layers, x, target = problem("dense, direct", xp)
    given = {"route": ROUTES["dense, direct"], "loss": loss.squared_error}
    settings = Settings("vnc", dimension=3, learning_rate=0.08)
    state = training.init(random.key(6, xp), layers, x, route=given["route"], settings=settings)
    step = functools.partial(training.step, **given)
    scaled = [dataclasses.replace(settings, learning_rate=0.08 * factor) for factor in (0.5, 1)]
    want = [step(state, x, target, settings=each)[0] for each in scaled]
    for factor, moved in zip((0.5, 1), want, strict=True):
        got, _ = step(state, x, target, settings=settings, annealing=factor)
        assert all(np.array_equal(a, b) for a, b in zip(arrays(got), arrays(moved), strict=True))
    asked = []
    training.train(
        state,
        [(x, target)] * 3,
        x,
        route=given["route"],
        settings=settings,
        advance=lambda *given, annealing: (asked.append(annealing), step(*given, settings=settings))[1],
        annealing=lambda index: 1 - index / 3,
    )
    assert asked == [1, 1 - 1 / 3, 1 - 2 / 3]


def test_annealing_may_be_traced():
    jax = pytest.importorskip("jax")
    layers, x, target = problem("dense, direct", np, "float32")
    settings = Settings("backpropagation")
    state = training.init(random.key(6, np), layers, x, route=ROUTES["dense, direct"], settings=settings)
    step = functools.partial(training.step, route=ROUTES["dense, direct"], loss=loss.squared_error, settings=settings)
    got, _ = jax.jit(step)(*jax.tree.map(jax.numpy.asarray, (state, x, target)), annealing=0.25)
    want, _ = step(state, x, target, annealing=0.25)
    for a, b in zip(arrays(got), arrays(want), strict=True):
        assert a.dtype == b.dtype
        assert np.allclose(a, b, rtol=0, atol=32 * np.finfo(np.float32).eps * np.max(np.abs(b)))


def test_random_feedback_stays_and_learned_feedback_begins_at_zero():
    for rule in RULES:
        state, _, _ = run("dense, direct", np, Settings(rule, dimension=3), steps=0)
        moved, _, _ = run("dense, direct", np, Settings(rule, dimension=3), steps=2)
        assert any(np.any(each) for each in state.feedback) == (rule == "random feedback")
        same = all(np.array_equal(a, b) for a, b in zip(state.feedback, moved.feedback, strict=True))
        assert same == (rule not in NOISE)


def test_bad_states_and_settings_are_refused():
    layers, x, target = problem("dense, direct", np)
    route, settings = ROUTES["dense, direct"], Settings(dimension=3)
    state = training.init(random.key(6, np), layers, x, route=route, settings=settings)

    def step(state=state, x=x, settings=settings):
        return training.step(state, x, target, route=route, loss=loss.squared_error, settings=settings)

    with pytest.raises(TypeError, match="state: expected State, got tuple"):
        step(tuple(state))
    with pytest.raises(TypeError, match="settings: expected Settings, got dict"):
        step(settings=dataclasses.asdict(settings))
    spoiled = layers[0]._replace(weight=layers[0].weight * np.nan)
    with pytest.raises(ValueError, match=r"network\[0\]\.weight: expected finite values, got NaN"):
        step(state._replace(network=(spoiled, *layers[1:])))
    with pytest.raises(ValueError, match=r"state\.bases\[0\]: expected orthonormal columns"):
        step(state._replace(bases=tuple(2 * basis for basis in state.bases)))
    with pytest.raises(TypeError, match="float32"):
        step(x=x.astype(np.float32))
    with pytest.raises(ValueError, match="x: expected at least 50 samples to perturb, got 40"):
        step(settings=dataclasses.replace(settings, samples=50))
    with pytest.raises(ValueError, match=r"settings\.rule: expected vnc or nmnc, which perturb, got backpropagation"):
        training.learn_feedback(state, x, route=route, settings=Settings("backpropagation"))
    with pytest.raises(ValueError, match="dimension: expected at most n = 12 units, got 16"):
        training.init(random.key(6, np), layers, x, route=route, settings=Settings())
    with pytest.raises(ValueError, match="rank"):
        training.fit_manifolds(state, 0 * x, route=route, settings=settings)


@routes
def test_a_state_survives_pickling_and_training_goes_on_from_it(name):
    settings = Settings("nmnc", dimension=3, samples=2, perturb_every=2, fit_every=3)
    state, _, _ = run(name, np, settings, steps=4)
    kept = pickle.loads(pickle.dumps(state))
    _, x, target = problem(name, np)
    given = {"route": ROUTES[name], "settings": settings}
    advance = functools.partial(training.step, loss=loss.squared_error, **given)
    batches = [(x[start : start + B, ...], target[start : start + B, ...]) for start in range(0, 24, B)]
    pairs = [(state, kept)]
    pairs.append(tuple(training.train(each, batches, x, advance=advance, **given) for each in pairs[0]))
    for one, other in pairs:
        assert [(path, type(each)) for path, each in parts(one)] == [(path, type(each)) for path, each in parts(other)]
        assert statics(one) == statics(other)
        for a, b in zip(arrays(one), arrays(other), strict=True):
            assert a.dtype == b.dtype
            assert a.tobytes() == b.tobytes()
    assert len(statics(kept)) == 4 * name.startswith("convolutional")  # of two layers, in network and velocity
    assert not all(np.array_equal(a, b) for a, b in zip(arrays(pairs[0][1]), arrays(pairs[1][1]), strict=True))


@pytest.mark.parametrize("name", ["dense, direct", "convolutional, layer-wise"])
def test_training_compiles_once_with_perturbations_and_once_without(name):
    jax = pytest.importorskip("jax")
    settings, traced = Settings("nmnc", dimension=3, perturb_every=3, fit_every=4), []
    given = {"route": ROUTES[name], "settings": settings}

    def error(output, target):
        traced.append(isinstance(output, jax.core.Tracer))
        return loss.squared_error.error(output, target)

    step = functools.partial(training.step, loss=loss.squared_error._replace(error=error), **given)
    layers, x, target = problem(name, np)
    batches = [(x[start : start + B, ...], target[start : start + B, ...]) for start in range(0, 36, B)]
    arguments = training.init(random.key(6, np), layers, x, **given), batches, x
    want = training.train(*arguments, advance=step, **given)  # eager JAX compiles every operation: NumPy is eager
    got = training.train(*jax.tree.map(jax.numpy.asarray, arguments), advance=jax.jit(step), **given)
    assert (len(traced), sum(traced)) == (6 + 2, 2)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(arrays(got), arrays(want), strict=True):
        assert np.allclose(a, b, rtol=1e-9, atol=1e-9 * np.max(np.abs(b)))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("fit_every", [1, 50])
def test_a_training_that_diverges_says_at_which_step(rule, fit_every):
    layers, x, target = problem("dense, direct", np)
    given = {"route": ROUTES["dense, direct"]}
    given["settings"] = Settings(rule, dimension=3, learning_rate=1e6, feedback_rate=1.0, fit_every=fit_every)
    step, taken = functools.partial(training.step, loss=loss.squared_error, **given), []

    def advance(*arguments, **named):
        taken.append(step(*arguments, **named))
        return taken[-1]

    state = training.init(random.key(6, np), layers, x, **given)
    with np.errstate(all="ignore"), pytest.raises(training.Divergence, match="lower learning_rate or") as raised:
        training.train(state, [(x, target)] * 500, x, advance=advance, **given)
    assert f"training diverged at step {raised.value.step} (" in str(raised.value)
    assert 0 < raised.value.step <= len(taken) < 500
    assert all(np.isfinite(info.loss) for _, info in taken[:-1])
    assert len(taken) in (raised.value.step, raised.value.step + 1)  # before the step, by the manifold, or by its loss


def test_activity_that_has_become_too_large_for_a_manifold_is_a_divergence(xp):
    layers, x, target = problem("dense, direct", xp)
    given = {"route": Direct(activation.relu), "settings": Settings("nmnc", dimension=3, fit_every=2)}
    state = training.init(random.key(6, xp), layers, x, **given)
    huge = tuple(layer._replace(weight=1e200 * layer.weight) for layer in layers)

    def advance(state, x, target, annealing):
        return state._replace(network=huge), SimpleNamespace(loss=0.0)

    message = r"diverged at step 2 \(activity: expected values whose squares are in the range of"
    with np.errstate(all="ignore"), pytest.raises(training.Divergence, match=message):
        training.train(state, [(x, target)] * 3, x, advance=advance, **given)


def test_what_is_of_another_kind_is_refused():
    layers, x, target = problem("dense, direct", np)
    given = {"route": ROUTES["dense, direct"], "loss": loss.squared_error, "settings": Settings("nmnc", dimension=3)}
    state = training.init(random.key(6, np), layers, x, route=given["route"], settings=given["settings"])
    other = training.init(random.key(6, np), layers, x, route=given["route"], settings=Settings("backpropagation"))
    refusals = (
        (r"activation: expected Activation, got ufunc", lambda: Direct(np.tanh)),
        (r"loss: expected Loss, got object", lambda: training.step(state, x, target, **given | {"loss": object()})),
        (
            r"route: expected a Route \(forward, tail, .*\), got the class Direct",
            lambda: training.step(state, x, target, **given | {"route": Direct}),
        ),
        (
            r"state: expected a basis for each of 2 hidden activities, as `init` gives for the rule nmnc, got 0",
            lambda: training.step(other, x, target, **given),
        ),
        (r"xp: expected an array namespace, such as numpy or jax\.numpy, got 'jax'", lambda: random.key(0, "jax")),
    )
    for message, call in refusals:
        with pytest.raises(TypeError, match=message):
            call()


@pytest.mark.parametrize("rule", ["vnc", "nmnc"])
def test_a_network_without_hidden_layers_has_no_feedback_to_learn(rule):
    layers = initialisation.dense_network(random.key(0, np), (5, 3), np.float64)
    x, target = random.normal(random.key(1, np), (7, 5), np.float64), np.eye(3)[[0, 1, 2, 0, 1, 2, 0]]
    route, settings = Direct(activation.tanh), Settings(rule)
    state = training.init(random.key(2, np), layers, x, route=route, settings=settings)
    with pytest.raises(ValueError, match=rf"state\.network: expected hidden layers for the rule {rule}"):
        training.step(state, x, target, route=route, loss=loss.squared_error, settings=settings)


def test_manifolds_are_those_that_are_asked_for():
    """By the share of the variance, or by the caller's own fit."""
    layers = initialisation.dense_network(random.key(0, np), (5, 9, 8, 3), np.float64)
    x, route = random.normal(random.key(1, np), (40, 5), np.float64), Direct(activation.tanh)
    given = {"route": route, "settings": Settings(dimension=None, explained=0.95)}
    state = training.init(random.key(2, np), layers, x, **given)
    for basis, hidden in zip(state.bases, route.forward(layers, x).hidden, strict=True):
        np.testing.assert_array_equal(basis, manifold.fit(hidden, explained=0.95).basis)

    own = tuple(np.eye(n)[:, :2] for n in (9, 8))
    state = training.init(
        random.key(2, np), layers, x, **given, fit=lambda state, sample, **named: state._replace(bases=own)
    )
    for basis, wanted in zip(state.bases, own, strict=True):
        np.testing.assert_array_equal(basis, wanted)
