"""Estimators: responses of a tail to noise given as data, and every estimate from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nmnc_ref.arrays import Array
from nmnc_ref.oracle.vectors.cases.draft import Draft, dense, near_dependent, numbers, orthonormal


def _draft(name: str, why: str, draws: int, batch: int, n: int, d: int, outputs: int, **inputs: Array) -> Draft:
    """Return a draft with a tail of one hidden layer above an activity of n units; d = 0 for isotropic noise."""
    arrays = {
        "activity": numbers(f"{name} x", batch, n),
        "coefficients": numbers(f"{name} z", draws, batch, d or n),
        **({"basis": orthonormal(f"{name} U", n, d)} if d else {}),
        **dense(name, n, 5, outputs),
    }
    return Draft(name, why, **(arrays | inputs))


def _noise(draft: Draft, sigma: float) -> Draft:
    return draft.stage("manifold_noise" if "basis" in draft.inputs else "isotropic_noise", sigma=sigma)


def _estimated(draft: Draft, response: str, sigma: float) -> Draft:
    noise = "manifold_noise" if "basis" in draft.inputs else "isotropic_noise"
    _noise(draft, sigma).stage(response, noise=noise, layer=0, activation="tanh")
    return draft.stage("correlation", response=response, noise=noise, sigma=sigma)


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    why = "NMNC in full: the half of the pair, the mean over draws, σ² and not σ, one estimate for each sample."
    yield _estimated(_draft("estimator_manifold", why, 5, 3, 7, 2, 4), "antithetic_response", 0.375)
    why = "VNC in full: a baseline left out, a sum over draws, σ of the other method."
    yield _estimated(_draft("estimator_isotropic", why, 5, 3, 7, 0, 4), "one_sided_response", 0.375)
    why = "One perturbation: a mean over the batch in place of the draws."
    yield _estimated(_draft("estimator_one_draw", why, 1, 3, 5, 2, 2), "antithetic_response", 0.25)
    why = "A batch of one: the batch axis squeezed."
    yield _estimated(_draft("estimator_batch_of_one", why, 3, 1, 5, 2, 2), "antithetic_response", 0.25)
    why = "One unit: d = n = 1, a Jacobian [n_o, 1]."
    yield _estimated(_draft("estimator_one_unit", why, 3, 2, 1, 1, 3), "antithetic_response", 0.25)
    why = "One output: a response that lost its last axis."
    yield _estimated(_draft("estimator_one_output", why, 3, 2, 5, 2, 1), "antithetic_response", 0.25)
    why = "d = n: manifold noise in all directions."
    yield _estimated(_draft("estimator_all_dimensions", why, 3, 2, 5, 5, 3), "antithetic_response", 0.25)
    why = "σ of 2^-10: outputs nearly cancel; the response has lost ten bits, and so may yours."
    yield _estimated(_draft("estimator_tiny_sigma", why, 3, 2, 5, 2, 3), "antithetic_response", 2.0**-10)
    why = "σ of 64: a saturated tail, far from linear; responses of one side differ much from half a pair."
    yield _estimated(_draft("estimator_large_sigma", why, 3, 2, 5, 2, 3), "antithetic_response", 64.0)

    why = "The estimate for the whole batch: divided by K alone, or by B alone; and its scaled and unscaled kin."
    draft = _noise(_draft("estimator_batch", why, 5, 3, 7, 2, 4), 0.375)
    draft.stage("one_sided_response", noise="manifold_noise", layer=0, activation="tanh")
    links = {"response": "one_sided_response", "noise": "manifold_noise"}
    draft.stage("batch_correlation", sigma=0.375, **links).stage("unnormalised_correlation", **links)
    yield draft.stage("shrunk_estimate", estimate="batch_correlation", scaling=0.8125)

    why = "Least squares in the manifold: the way back by U left out."
    draft = _noise(_draft("estimator_least_squares_manifold", why, 5, 2, 7, 3, 4), 0.375)
    draft.stage("antithetic_response", noise="manifold_noise", layer=0, activation="tanh")
    yield draft.stage("least_squares", response="antithetic_response", noise="manifold_noise")
    why = "Least squares in all directions, from as many draws as units."
    draft = _noise(_draft("estimator_least_squares", why, 4, 2, 4, 0, 3), 0.375)
    draft.stage("one_sided_response", noise="isotropic_noise", layer=0, activation="tanh")
    yield draft.stage("least_squares", response="one_sided_response", noise="isotropic_noise")

    why = "Draws that nearly depend on one another: normal equations, which lose twice as many digits."
    arrays = {"response": numbers("dependent response", 4, 2, 3), "noise": near_dependent("dependent noise", 4, 2, 4)}
    yield Draft("estimator_least_squares_near_dependent", why, **arrays).stage("least_squares")

    for dtype in ("float32", "float64"):
        why = "The whole method from a key: draw k has the key fold_in(key, k), a sample its own part of the draws."
        name = f"estimator_from_key_{dtype}"
        key = np.array([7, 11], dtype=np.uint32)
        inputs = {"activity": numbers(f"{name} x", 2, 5), "basis": orthonormal(name, 5, 2), **dense(name, 5, 4, 3)}
        draft = Draft(name, why, precision=dtype, key=key, **inputs)
        yield draft.stage("estimated_jacobian", layer=0, activation="tanh", sigma=0.25, draws=3)
