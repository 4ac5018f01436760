"""Credit assignment by neural manifold noise correlation, as pure functions on any Array API library."""

from nmnc_ref import (
    alignment,
    arrays,
    checked,
    credit,
    dimension,
    estimator,
    feedback,
    hebbian,
    manifold,
    moments,
    nn,
    noise_correlation,
    perturbation,
    random,
    route,
    scalars,
    similarity,
    theory,
    training,
)
from nmnc_ref.checked import validate

__version__ = "0.1.0"
__all__ = [
    "alignment",
    "arrays",
    "checked",
    "credit",
    "dimension",
    "estimator",
    "feedback",
    "hebbian",
    "manifold",
    "moments",
    "nn",
    "noise_correlation",
    "perturbation",
    "random",
    "route",
    "scalars",
    "similarity",
    "theory",
    "training",
    "validate",
]
