"""The stages of the golden vectors: each of the reference's equations as an operation on arrays and parameters.

The table of each module states claim, equation, class of tolerance and arguments. What a function computes is its
equation, and it does so by public functions of `nmnc_ref`, which stand in the table themselves where they take the
same arguments. They are in the order in which they build on one another, those that contain others after these.
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
    for table in (
        *(module.ELEMENTARY for module in (random, network, manifold, estimator, credit, convolution, recurrent)),
        *(module.COMPOSITE for module in (network, estimator, recurrent, trajectory)),
    )
    for each in table
}
"""All operations by name."""

__all__ = ["OPERATIONS"]
