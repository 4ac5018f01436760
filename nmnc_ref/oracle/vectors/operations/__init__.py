"""The stages of the golden vectors: each of the reference's equations as an operation on arrays and parameters.

The table of each module states claim, equation, class of tolerance and arguments. What a function computes is its
equation, and it does so by public functions of `nmnc_ref`, which stand in the table themselves where they take the
same arguments.
"""

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

OPERATIONS = {
    each.name: each
    for module in (convolution, credit, network, estimator, manifold, random, recurrent, trajectory)
    for each in module.OPERATIONS
}
"""All operations by name."""

__all__ = ["OPERATIONS"]
