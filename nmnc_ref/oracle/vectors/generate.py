"""Regenerate the pack that ships in the package: `python -m nmnc_ref.oracle.vectors.generate`."""

from __future__ import annotations

import platform

import numpy as np

import nmnc_ref
from nmnc_ref.oracle.vectors import cases, pack
from nmnc_ref.oracle.vectors.operations import OPERATIONS

VERSION = "1.0.0"
"""Major: an expected value or the meaning of a stage changed. Minor: cases or stages are new. Patch: words alone."""
COMMAND = "python -m nmnc_ref.oracle.vectors.generate"


def write(folder=pack.SHIPPED) -> None:
    """Compute all cases and write them, the manifest last; files of cases that are no more are removed."""
    files = {pack.CASE_SCHEMA: (pack.SHIPPED / pack.CASE_SCHEMA).read_bytes()}
    used = set()
    for case in cases.all_cases():
        files[f"{case.name}.json"] = pack.case_document(case)
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
        if old.name not in files:
            old.unlink()
    files[pack.MANIFEST] = pack.seal(VERSION, generator, operations, files)
    for name, content in files.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    write()
