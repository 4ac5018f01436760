"""The reference passes its own golden vectors on every library, in both modes and both precisions."""

from __future__ import annotations

import pytest
from conftest import BACKENDS, library

from nmnc_ref.oracle.vectors import adapter, pack
from nmnc_ref.oracle.vectors.check import MODES, check
from nmnc_ref.oracle.vectors.implementation import implemented

PACK = pack.read_pack()
SAMPLES = {
    ("on_jax", "float32"): slice(0, None, 12),
    ("on_jax", "float64"): slice(3, None, 6),
    ("on_jax_jit", "float32"): slice(1, None, 3),
}
"""The cases for JAX, where not all are checked: it compiles each function for each shape; without jit, each operation.
`.ci/run` has the command check all in float32 with jit, optimised as for users."""


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", adapter.LIBRARIES)
def test_the_reference_passes_in_both_modes(name, precision):
    library(name.removeprefix("on_").removesuffix("_jit"))
    chosen = PACK.cases[SAMPLES.get((name, precision), slice(None))]
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
