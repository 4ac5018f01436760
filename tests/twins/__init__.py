"""Wrong twins of every operation of the golden vectors: slips that ports make, each of which the pack has to catch."""

from __future__ import annotations

from nmnc_ref.oracle.vectors.operations import OPERATIONS
from twins import convolution, credit, estimator, manifold, network, random, recurrent, trajectory
from twins.slip import Slip

TWINS = {
    operation: {
        name: twin.of(OPERATIONS[operation].function) if isinstance(twin, Slip) else twin
        for name, twin in twins.items()
    }
    for module in (random, network, manifold, estimator, credit, convolution, recurrent, trajectory)
    for operation, twins in module.TWINS.items()
}
"""By operation and by what is wrong; to be called with the inputs of a stage by name."""
