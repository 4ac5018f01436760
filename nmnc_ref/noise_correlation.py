"""The method in one call: draw noise, perturb, respond, correlate."""

from __future__ import annotations

from collections.abc import Callable

from array_api_compat import device

from nmnc_ref import estimator, perturbation, random
from nmnc_ref.arrays import Array, count, expect


def estimate_jacobian(
    key: Array,
    tail: Callable[[Array], Array],
    activity: Array,
    *,
    sigma: float,
    draws: int,
    basis: Array | None = None,
    law: Callable[..., Array] = random.normal,
    respond: Callable[..., Array] = estimator.antithetic_response,
    chunk: int = 256,
) -> Array:
    """Estimate the Jacobian of a tail by noise correlation: NMNC with a basis, VNC without (E1–E3).

    Draw k is made with the key `fold_in(key, k)`, so the noise does not depend on `chunk`.

    Args:
        key: random key [2]. tail: f, [..., n] → [..., n_o]. activity: x [..., n]; each element of the batch gets
        noise of its own. sigma: σ > 0, in units of activity. For equal energies give VNC
        `perturbation.matched_sigma`. draws: K. basis: U [n, d], or None for isotropic noise. law: of the
        coefficients: `random.normal`, `random.rademacher` or another function of the same arguments that draws
            each key on its own with mean 0 and E[z zᵀ] = I, which is not checked. (Orthonormal frames join draws, so
            they are no such law: use `perturbation.orthonormal_frame` and `estimator.correlation`.)
        respond: `estimator.antithetic_response` (2K forward passes) or `estimator.one_sided_response` (K + 1 for
            each chunk).
        chunk: draws in memory at a time.

    Returns:
        Ĵ [..., n_o, n], with mean J P (J for VNC) up to the O(σ²) of E8.

    Raises:
        TypeError, ValueError: as the functions that it composes; ValueError also for draws or chunk below 1.
    """
    expect(activity=(activity, "... n"))
    if basis is not None:
        expect(activity=(activity, "... n"), basis=(basis, "n d"))
    xp = random.expect_one_key(key, activity=activity)
    lead = activity.shape[:-1]
    dimension = (activity if basis is None else basis).shape[-1]

    def estimate(start: int, stop: int) -> Array:
        keys = random.fold_in(key, xp.arange(start, stop, dtype=key.dtype, device=device(key)))
        z = law(keys, (*lead, dimension), activity.dtype)
        noise = perturbation.isotropic(z, sigma) if basis is None else perturbation.on_manifold(z, basis, sigma)
        return estimator.correlation(respond(tail, activity, noise), noise, sigma)

    return estimator.in_chunks(estimate, count("draws", draws), count("chunk", chunk))
