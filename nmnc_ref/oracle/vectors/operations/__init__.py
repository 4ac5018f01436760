"""The stages of the golden vectors: each of the reference's equations as an operation on arrays and parameters.

The decorator of each states claim, equation and class of tolerance. What a function computes is its equation, and it
does so by public functions of `nmnc_ref`. To import this package is to register them all in `OPERATIONS`.
"""

from nmnc_ref.oracle.vectors.operation import OPERATIONS
from nmnc_ref.oracle.vectors.operations import (
    convolution,
    credit,
    estimator,
    manifold,
    network,
    random,
    recurrent,
    trajectory,
)

__all__ = [
    "OPERATIONS",
    "convolution",
    "credit",
    "estimator",
    "manifold",
    "network",
    "random",
    "recurrent",
    "trajectory",
]
