"""Regenerate the pack that ships in the package: `python -m nmnc_ref.oracle.vectors.generate`."""

from __future__ import annotations

import platform

import numpy as np

import nmnc_ref
from nmnc_ref.oracle import files
from nmnc_ref.oracle.vectors import cases, pack
from nmnc_ref.oracle.vectors.check import check
from nmnc_ref.oracle.vectors.implementation import recorded
from nmnc_ref.oracle.vectors.operations import OPERATIONS

VERSION = "2.1.1"
"""Major: an expected value or the meaning of a stage changed. Minor: cases or stages are new. Patch: words alone."""
COMMAND = "python -m nmnc_ref.oracle.vectors.generate"


def alike(old: pack.Case, new: pack.Case) -> bool:
    """Tell whether two versions of a case differ in no more than the rounding of another machine."""

    def labels(case: pack.Case) -> bytes:
        stages = (
            each._replace(value=np.zeros_like(each.value), tolerance=each.tolerance._replace(condition=1.0))
            for each in case.stages
        )
        return pack.case_document(case._replace(stages=tuple(stages)))

    before, after = ([stage.tolerance.condition for stage in case.stages] for case in (old, new))
    if labels(old) != labels(new) or not np.allclose(before, after, rtol=0.01):
        return False
    values = recorded({new.name: {stage.name: stage.value for stage in new.stages}})
    precision = {"any": "float64"}.get(old.precision, old.precision)
    return all(result.status == "passed" for result in check([old], values, precision=precision))


def write(folder=pack.SHIPPED) -> None:
    """Compute all cases and write them, the manifest last; what differs by rounding stays, what is no more goes."""
    content = {pack.CASE_SCHEMA: (pack.SHIPPED / pack.CASE_SCHEMA).read_bytes()}
    shipped = {case.name: case for case in pack.read_pack().cases}
    used = set()
    for case in cases.all_cases():
        old = shipped.get(case.name)
        content[f"{case.name}.json"] = pack.case_document(old if old and alike(old, case) else case)
        used |= {stage.operation for stage in case.stages}
    operations = {
        each.name: {"claim": each.claim, "equation": each.equation, "class": each.kind}
        | {"arrays": each.arrays, "parameters": each.parameters}
        for each in OPERATIONS.values()
        if each.name in used
    }
    generator = {"nmnc_ref": nmnc_ref.__version__, "numpy": np.__version__, "python": platform.python_version()}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        if old.name not in content:
            old.unlink()
    content[pack.MANIFEST] = pack.seal(VERSION, generator, operations, content)
    for name in content:
        files.write(folder / name, content[name])


if __name__ == "__main__":
    write()
