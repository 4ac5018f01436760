"""Every wrong twin of every operation fails at least one stage of the pack, by its numbers."""

from __future__ import annotations

import pytest
from twins import TWINS

from nmnc_ref.oracle.vectors import pack
from nmnc_ref.oracle.vectors.check import check, implemented
from nmnc_ref.oracle.vectors.operations import OPERATIONS

PACK = pack.read_pack()
ALL = [(operation, slip) for operation, twins in TWINS.items() for slip in twins]


def test_every_operation_has_wrong_twins():
    assert TWINS.keys() == OPERATIONS.keys()
    assert len(ALL) > 300


@pytest.mark.parametrize(("operation", "slip"), ALL, ids=lambda each: each.replace(" ", "_"))
def test_a_wrong_twin_fails(operation, slip):
    twin = implemented({operation: lambda inputs: TWINS[operation][slip](**inputs)})
    failed = []
    for case in PACK.cases:
        if any(stage.operation == operation for stage in case.stages):
            precision = "float64" if case.precision == "any" else case.precision
            failed += [each for each in check([case], twin, precision=precision) if each.status == "failed"]
        if any(not each.note.startswith("raised") for each in failed):
            return
    pytest.fail(f"survived; {len(failed)} raised: {failed[:1]}")
