"""The reference passes its own golden vectors on every library, in both modes and both precisions."""

from __future__ import annotations

import pytest
from conftest import BACKENDS, library

from nmnc_ref.oracle.vectors import adapter, pack
from nmnc_ref.oracle.vectors.check import MODES, check
from nmnc_ref.oracle.vectors.implementation import implemented

PACK = pack.read_pack()
SAMPLES = {"float32": slice(0, None, 6), "float64": slice(3, None, 6)}
"""The cases for JAX without jit, which compiles operations one by one; the command checks all, and jit optimised."""


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", adapter.LIBRARIES)
def test_the_reference_passes_in_both_modes(name, precision):
    library(name.removeprefix("on_").removesuffix("_jit"))
    chosen = PACK.cases[SAMPLES[precision]] if name == "on_jax" else PACK.cases
    own = implemented(getattr(adapter, name))  # for both modes, as it keeps what it has compiled
    for mode in MODES:
        results = check(chosen, own, precision=precision, mode=mode)
        failed = [(r.case.name, r.stage.name, r.note, r.error, r.tolerance) for r in results if r.status == "failed"]
        assert not failed
        other = {"float32": "float64", "float64": "float32"}[precision]
        assert all(r.case.precision == other for r in results if r.status == "skipped")
        assert max(r.error / r.tolerance for r in results if r.tolerance) < 0.5


def test_every_library_has_an_adapter():
    assert {name.removeprefix("on_").removesuffix("_jit") for name in adapter.LIBRARIES} == set(BACKENDS)
