"""Feedback through time from one run: the perturbed trajectories of all steps go on side by side.

The readable tails run one after another, each step of each on its own; here the step from t to t + 1 is taken once, by
the t trajectories together that have been perturbed until then.
"""

from __future__ import annotations

from nmnc_ref import feedback, training
from nmnc_ref.arrays import Array, Float, expect_number, namespace
from nmnc_ref.checked import checked
from nmnc_ref.nn import recurrent
from nmnc_ref.numerics import of_rank
from nmnc_ref.route import ThroughTime


@checked
def learned(
    state: training.State,
    x: Float[Array, "B T m"],
    passed: recurrent.Forward,
    route: ThroughTime,
    settings: training.Settings,
) -> training.State:
    """B_lag ← (1 − η) B_lag + η Ĵ_lag, from the first samples of a clean forward pass (F1, F5).

    Args:
        state: of `training.init`, for a rule that perturbs.
        x: inputs.
        passed: the forward pass.
        route: feedback through time.
        settings: how the network learns.
    """
    samples = settings.samples
    training.expect_to_learn(state, settings, passed.hidden)
    noises, sigmas, key = training.perturbations(state, settings=settings)
    hidden = tuple(activity[:samples, :] for activity in passed.hidden)
    found = responses(state.network, x[:samples, ...], hidden, noises, route, antithetic=settings.antithetic)
    rows = tuple(namespace(noise).reshape(noise, (-1, noise.shape[-1])) for noise in noises)
    estimates = route.estimate(state.network, found, rows, sigmas)
    feedbacks = tuple(
        feedback.running_average(old, new, settings.feedback_rate)
        for old, new in zip(state.feedback, estimates, strict=True)
    )
    return state._replace(feedback=feedbacks, key=key)


@checked
def responses(
    network: recurrent.Network,
    x: Float[Array, "B T m"],
    hidden: tuple[Float[Array, "B n"], ...],
    noises: tuple[Float[Array, "K B n"], ...],
    route: ThroughTime,
    *,
    antithetic: bool = True,
) -> tuple[Float[Array, "N _"], ...]:
    """δy, a row for each draw and input, of perturbations of each state on its own.

    Args:
        network: cell and read-out.
        x: inputs.
        hidden: h_1, …, h_T, of the clean forward pass.
        noises: ξ_1, …, ξ_T.
        route: feedback through time.
        antithetic: pairs of perturbations, or one-sided.
    """
    (cell, read_out), last = network, x.shape[1] - 1
    expect_number("hidden", hidden, x.shape[1], "the steps of x")
    expect_number("noises", noises, x.shape[1], "the steps of x")
    xp, drive = namespace(x), cell.drive(x)
    h, found = None, {}
    for t, (state, noise) in enumerate(zip(hidden, noises, strict=True)):
        begun = of_rank(state, 5) + (xp.stack([noise, -noise]) if antithetic else noise[None, ...])[None, ...]
        if h is None:
            h = begun  # [t, signs, K, B, n]
        else:
            carried = xp.reshape(h, (-1, h.shape[-1])) @ cell.weight.T  # as one matrix: one product, not many
            s = xp.reshape(carried, h.shape) + of_rank(drive[:, t, :], 5)
            h = xp.concat([(1 - route.leak) * h + route.leak * route.activation.value(s), begun], axis=0)
        if route.every or t == last:
            y = read_out.preactivation(h)
            other = y[:, 1, ...] if antithetic else of_rank(read_out.preactivation(state), 4)
            response = (y[:, 0, ...] - other) / (2 if antithetic else 1)
            found[t] = xp.reshape(response, (t + 1, -1, response.shape[-1]))
    return tuple(
        xp.concat([rows[site, ...] for t, rows in found.items() if t >= site], axis=-1) for site in range(last + 1)
    )
