"""Direct feedback from the clean forward pass of a training step, with manifold noise in coordinates, where few."""

from __future__ import annotations

from nmnc_ref import estimator, feedback, perturbation, random, training
from nmnc_ref.arrays import namespace
from nmnc_ref.checked import checked
from nmnc_ref.fast import factored
from nmnc_ref.nn import feedforward
from nmnc_ref.route import Direct
from nmnc_ref.training import Settings, State


@checked
def learned(state: State, passed: feedforward.Forward, route: Direct, settings: Settings) -> State:
    """B ← (1 − η) B + η C Uᵀ, with C from the first samples of a clean forward pass (F1, F2).

    Args:
        state: of `training.init`, for a rule that perturbs.
        passed: the forward pass.
        route: direct feedback.
        settings: how the network learns.
    """
    training.expect_to_learn(state, settings, passed.hidden)
    xp, samples = namespace(state.key), settings.samples
    passed = feedforward.Forward(*(tuple(each[:samples, ...] for each in part) for part in passed))
    key, fresh = xp.unstack(random.split(state.key, 2))
    keys = xp.unstack(random.split(fresh, len(state.bases)))
    feedbacks = []
    for site, (own, basis, old) in enumerate(zip(keys, state.bases, state.feedback, strict=True)):
        (n, d), isotropic = basis.shape, settings.rule == "vnc"
        sigma = perturbation.matched_sigma(settings.sigma, d, n) if isotropic else settings.sigma
        z = random.normal(own, (settings.draws, samples, n if isotropic else d), basis.dtype)
        few = settings.draws * samples < d  # perturbations: W ξ of each takes less than W U
        coordinates = None if few or isotropic else basis
        noise = perturbation.on_manifold(z, basis, sigma) if few and not isotropic else perturbation.isotropic(z, sigma)
        tail = factored.feedforward_tail(state.network, passed, site + 1, coordinates, route.activation)
        response = tail.antithetic(noise) if settings.antithetic else tail(noise) - passed.output[None, ...]
        estimate = estimator.batch_correlation(response, noise, sigma)
        new = estimate if coordinates is None else factored.lifted(estimate, basis)
        feedbacks.append(feedback.running_average(old, new, settings.feedback_rate))
    return state._replace(feedback=tuple(feedbacks), key=key)
