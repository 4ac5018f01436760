"""The method in one call: draw noise, perturb, respond, correlate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_api_compat import device

from nmnc_ref import estimator, perturbation, random
from nmnc_ref.arrays import Array, Basis, Float, Key, Tail, Words, namespace
from nmnc_ref.checked import checked
from nmnc_ref.scalars import Count, Positive

Law = Callable[[Words[Array, "K 2"], tuple[int, ...], Any], Float[Array, "K ..."]]
Respond = Callable[[Tail, Float[Array, "*batch n"], Float[Array, "K *batch n"]], Float[Array, "K *batch o"]]


@checked
def estimate_jacobian(
    key: Key,
    tail: Tail,
    activity: Float[Array, "*batch n"],
    *,
    sigma: Positive,
    draws: Count,
    basis: Basis[Array, "n d"] | None = None,
    law: Law = random.normal,
    respond: Respond = estimator.antithetic_response,
    chunk: Count = 256,
) -> Float[Array, "*batch o n"]:
    """Ĵ with mean J P, up to the O(σ²) of E8: noise correlation, NMNC with a basis, VNC without (E1–E3) [abstract].

    Draw k is made with the key `fold_in(key, k)`, so the noise does not depend on `chunk`.

    Args:
        key: random key.
        tail: f.
        activity: x; each element of the batch gets noise of its own.
        sigma: σ, in units of activity. For equal energies give VNC `perturbation.matched_sigma`.
        draws: K.
        basis: U, or None for isotropic noise.
        law: of the coefficients: `random.normal`, `random.rademacher` or another function of the same arguments that
            draws each key on its own with mean 0 and E[z zᵀ] = I, which is not checked. (Orthonormal frames join draws,
            so they are no such law: use `perturbation.orthonormal_frame` and `estimator.correlation`.)
        respond: `estimator.antithetic_response` (2K forward passes) or `estimator.one_sided_response` (K + 1 for each
            chunk).
        chunk: draws in memory at a time.
    """
    xp = namespace(key)
    dimension = (activity if basis is None else basis).shape[-1]

    def estimate(start: int, stop: int) -> Array:
        keys = random.fold_in(key, xp.arange(start, stop, dtype=key.dtype, device=device(key)))
        z = law(keys, (*activity.shape[:-1], dimension), activity.dtype)
        noise = perturbation.isotropic(z, sigma) if basis is None else perturbation.on_manifold(z, basis, sigma)
        return estimator.correlation(respond(tail, activity, noise), noise, sigma)

    return estimator.in_chunks(estimate, draws, chunk)
