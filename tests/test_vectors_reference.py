"""The reference passes its own golden vectors on every library, in both modes and both precisions."""

from __future__ import annotations

import contextlib

import pytest

from nmnc_ref.oracle.vectors import pack
from nmnc_ref.oracle.vectors.adapter import Reference
from nmnc_ref.oracle.vectors.check import MODES, check, implemented
from tests.conftest import library

PACK = pack.read_pack()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_reference_passes_on_every_library(xp, precision, mode):
    passes(Reference(xp) if "jax" not in xp.__name__ else jax_reference(compiled=False), precision, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_reference_passes_under_jit(precision, mode):
    library("jax")
    passes(jax_reference(compiled=True), precision, mode)


REFERENCES: dict[bool, Reference] = {}


def jax_reference(compiled: bool) -> Reference:
    """Return the reference on JAX, one for all tests, as compiling takes most of their time."""
    import jax

    if compiled not in REFERENCES:
        REFERENCES[compiled] = Reference(jax.numpy, jax.jit if compiled else None)
    return REFERENCES[compiled]


def passes(implementation: Reference, precision: str, mode: str) -> None:
    """Assert that every stage passes but for those of the other precision, with room to the tolerance."""
    eager = implementation.compile is None and "jax" in implementation.xp.__name__
    chosen = PACK.cases[::3] if eager and precision == "float32" else PACK.cases  # each new shape takes long to compile
    with unoptimised() if eager else contextlib.nullcontext():
        results = check(chosen, implemented(implementation), precision=precision, mode=mode)
    failed = [(r.case.name, r.stage.name, r.note, r.error, r.tolerance) for r in results if r.status == "failed"]
    assert not failed
    other = {"float32": "float64", "float64": "float32"}[precision]
    assert all(r.case.precision == other for r in results if r.status == "skipped")
    assert max(r.error / r.tolerance for r in results if r.tolerance) < 0.5


@contextlib.contextmanager
def unoptimised():
    """Spare the compiler its optimisations, of which operations that run one by one have none."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
