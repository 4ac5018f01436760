"""The cases of the pack, one module for each family, each after those that it builds on."""

from collections.abc import Iterator

from nmnc_ref.oracle.vectors.cases import (
    convolution,
    credit,
    estimator,
    feedback,
    manifold,
    network,
    perturbation,
    random,
    recurrent,
    training,
    trajectory,
)
from nmnc_ref.oracle.vectors.pack import Case

FAMILIES = {
    "random": random,
    "network": network,
    "manifold": manifold,
    "perturbation": perturbation,
    "estimator": estimator,
    "feedback": feedback,
    "credit": credit,
    "training": training,
    "convolution": convolution,
    "recurrent": recurrent,
    "trajectory": trajectory,
}


def all_cases() -> Iterator[Case]:
    """Compute every case with the reference on NumPy."""
    for family, module in FAMILIES.items():
        for draft in module.drafts():
            yield draft.case(family)
