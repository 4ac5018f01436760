"""Manifolds: spectra, projectors, alignment, angles and dimensions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nmnc_ref.arrays import Array
from nmnc_ref.oracle.vectors.cases.draft import Draft, numbers, orthonormal


def _activity(label: str, samples: int, n: int) -> Array:
    """Return activity with well separated variances and a mean."""
    return numbers(label, samples, n) / 2.0 ** np.arange(n) + numbers(f"{label} mean", n)


def _fitted(name: str, why: str, activity: np.ndarray, dimension: int, centring: str) -> Draft:
    draft = Draft(name, why, activity=activity).stage("spectrum", centring=centring)
    return draft.stage("manifold_projector", dimension=dimension, centring=centring)


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    activity = _activity("manifold activity", 11, 5)
    why = "Activity with a mean: components that were centred, a divisor B − 1, samples taken for units."
    draft = _fitted("manifold_uncentred", why, activity, 2, "uncentred").stage("participation_ratio")
    yield draft.stage("explained_dimension", explained=0.9)
    why = "The mean is taken out first: components of the raw activity, a mean over units."
    yield _fitted("manifold_centred", why, activity, 2, "centred").stage("participation_ratio")
    why = "Two centred components and the direction of the mean: that column forgotten, or not orthogonalised."
    draft = Draft("manifold_mean_added", why, activity=activity)
    yield draft.stage("manifold_projector", dimension=2, centring="mean-added")
    why = "Activity of rank 2 in 6 units, kept whole: noise of rounding taken for a third component."
    factors = numbers("rank left", 7, 2) @ (numbers("rank right", 2, 6))
    yield _fitted("manifold_rank_deficient", why, factors, 2, "uncentred")
    why = "d = n: the projector is the identity."
    yield _fitted("manifold_all_dimensions", why, _activity("manifold whole", 7, 4), 4, "uncentred")
    why = "d = 1: one component, whose sign is free."
    yield _fitted("manifold_one_dimension", why, _activity("manifold single", 5, 3), 1, "uncentred")
    why = "Fewer samples than units: a spectrum of B variances, an n × n covariance not needed."
    yield _fitted("manifold_few_samples", why, _activity("manifold few", 3, 7), 2, "uncentred")

    why = "Jacobians of a batch: alignment without squares, a mean of ratios for the ratio of sums, P left out."
    draft = Draft(
        "alignment_batch", why, jacobian=numbers("alignment J", 3, 4, 7), basis=orthonormal("alignment U", 7, 3)
    )
    yield draft.stage("projected_jacobian").stage("alignment").stage("pooled_alignment")
    why = "One output and one component: shapes [1, n] and [n, 1]."
    draft = Draft("alignment_one", why, jacobian=numbers("one J", 1, 5), basis=orthonormal("one U", 5, 1))
    yield draft.stage("projected_jacobian").stage("alignment")
    why = "Subspaces of unequal dimension: angles in the wrong order, or cosines for angles."
    bases = {"basis": orthonormal("angles one", 7, 3), "other_basis": orthonormal("angles two", 7, 2)}
    yield Draft("principal_angles", why, **bases).stage("principal_angles")
    why = (
        "A direction that is shared and one that nearly is: the arc cosine of more than 1, or of 1 for its neighbours."
    )
    q = orthonormal("angles shared", 7, 7).T
    others = [(q[2] + q[3] + q[4] - q[5]) / 2, q[0], q[1] + 2.0**-16 * q[6]]
    bases = {"basis": q[:3].T, "other_basis": np.stack(others, axis=1)}
    yield Draft("principal_angles_shared", why, **bases).stage("principal_angles")

    why = "Points with a repeated one: it is its own neighbour at distance 0, or counts twice."
    points = numbers("points", 9, 3)
    points[5] = points[2]
    yield Draft("dimension_two_nearest_neighbours", why, points=points).stage("two_nearest_neighbours")
    why = "Equal variances have dimension m, and shares that just reach the threshold count."
    draft = Draft("dimension_equal_variances", why, spectrum=np.array([0.75, 0.75, 0.75, 0.75]))
    yield draft.stage("participation_ratio").stage("explained_dimension", explained=0.75)
