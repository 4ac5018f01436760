"""Perturbations: the noise of each method from coefficients given as data."""

from __future__ import annotations

from collections.abc import Iterator

from nmnc_ref.oracle.vectors.cases.draft import Draft, near_dependent, numbers, orthonormal


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    sizes = {
        "": (5, 3, 7, 3, 0.375, "Unequal K, B, n and d: an axis swapped, Uᵀ for U, σ² for σ."),
        "_one_draw": (1, 2, 5, 2, 0.375, "One perturbation: its axis squeezed."),
        "_all_dimensions": (2, 2, 5, 5, 0.375, "d = n: U z is not z, though the law is that of isotropic noise."),
        "_one_dimension": (3, 2, 5, 1, 0.375, "d = 1: noise along a line."),
        "_tiny_sigma": (3, 1, 5, 2, 2.0**-20, "σ of a millionth: an absolute threshold."),
        "_large_sigma": (3, 1, 5, 2, 1024.0, "σ of a thousand: a clipped perturbation."),
    }
    for suffix, (draws, batch, n, d, sigma, why) in sizes.items():
        name = f"perturbation_manifold{suffix}"
        draft = Draft(name, why, coefficients=numbers(name, draws, batch, d), basis=orthonormal(name, n, d))
        yield draft.stage("manifold_noise", sigma=sigma)
    why = "Isotropic noise: σ z, and the σ that gives it the energy of noise on a manifold."
    draft = Draft("perturbation_isotropic", why, coefficients=numbers("isotropic", 3, 2, 5)).stage(
        "isotropic_noise", sigma=0.375
    )
    yield draft.stage("matched_sigma", sigma=0.375, dimension=3, width=7)
    why = "A factor of the covariance with fewer columns than rows: Fᵀ for F, C for F."
    inputs = {"coefficients": numbers("shaped", 3, 2, 4), "factor": numbers("factor", 7, 4)}
    yield Draft("perturbation_covariance", why, **inputs).stage("covariance_noise")
    why = "Norm √d for each draw: norm 1, or one norm for all draws together."
    yield Draft("perturbation_fixed_norm", why, coefficients=numbers("norm", 3, 2, 5)).stage("fixed_norm")
    why = "A frame for each sample: columns whose sign the library chose, samples in place of draws, norm 1 for √d."
    draft = Draft("perturbation_frame", why, coefficients=numbers("frame", 3, 2, 5))
    yield draft.stage("orthonormal_frame").stage("isotropic_noise", coefficients="orthonormal_frame", sigma=0.375)
    why = "Draws that nearly depend on one another: Gram–Schmidt done once, a factor of the Gram matrix."
    yield Draft("perturbation_frame_near_dependent", why, coefficients=near_dependent("dependent", 3, 2, 5)).stage(
        "orthonormal_frame"
    )
    why = "As many draws as dimensions: the frame is complete."
    yield Draft("perturbation_frame_complete", why, coefficients=numbers("complete", 4, 4)).stage("orthonormal_frame")
