"""Feedback: running averages of estimates, and mirrors of the next layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nmnc_ref.oracle.vectors.cases.draft import Draft, numbers, orthonormal


def drafts() -> Iterator[Draft]:
    """Yield the cases of the family."""
    arrays = {"feedback": numbers("feedback B", 4, 7), "estimate": numbers("feedback J", 4, 7)}
    signal = numbers("feedback e", 3, 4)
    why = "η for 1 − η; the feedback transposed."
    draft = Draft("feedback_direct", why, **arrays, signal=signal).stage("running_average", rate=0.125)
    yield draft.stage("activity_gradient", feedback="running_average")
    why = "The first step from zero feedback: η Ĵ, without correction of the start."
    draft = Draft("feedback_from_zero", why, **(arrays | {"feedback": np.zeros((4, 7))}), signal=signal)
    yield draft.stage("running_average", rate=0.125)
    why = "η = 1: the feedback is the last estimate."
    yield Draft("feedback_rate_one", why, **arrays).stage("running_average", rate=1.0)
    why = "One output, one sample: an outer product taken for an inner one."
    arrays = {"feedback": numbers("narrow B", 1, 5), "estimate": numbers("narrow J", 1, 5)}
    draft = Draft("feedback_one_output", why, **arrays, signal=numbers("narrow e", 1, 1))
    yield draft.stage("running_average", rate=0.25).stage("activity_gradient", feedback="running_average")
    why = "The mirror of a layer: the response of its preactivation, with the bias, and not of its activity."
    draft = Draft(
        "feedback_mirror",
        why,
        activity=numbers("mirror x", 2, 5),
        coefficients=numbers("mirror z", 3, 2, 2),
        basis=orthonormal("mirror U", 5, 2),
        weight=numbers("mirror W", 4, 5),
        bias=numbers("mirror b", 4),
        mirror=numbers("mirror M", 4, 5),
    )
    draft.stage("manifold_noise", sigma=0.375).stage("mirror_response", noise="manifold_noise")
    draft.stage("batch_correlation", response="mirror_response", noise="manifold_noise", sigma=0.375)
    yield draft.stage("running_average", feedback="mirror", estimate="batch_correlation", rate=0.125)
