"""Credit assignment by neural manifold noise correlation, as pure functions on any Array API library."""

from nmnc_ref import (
    activation,
    arrays,
    convolution,
    credit,
    dense,
    dimension,
    estimator,
    feedback,
    initialisation,
    loss,
    manifold,
    network,
    noise_correlation,
    perturbation,
    random,
    recurrent,
    sgd,
    theory,
    training,
)
from nmnc_ref.arrays import validate

__version__ = "0.1.0"
__all__ = [
    "activation",
    "arrays",
    "convolution",
    "credit",
    "dense",
    "dimension",
    "estimator",
    "feedback",
    "initialisation",
    "loss",
    "manifold",
    "network",
    "noise_correlation",
    "perturbation",
    "random",
    "recurrent",
    "sgd",
    "theory",
    "training",
    "validate",
]
