"""The exact claims of the theory on other libraries and dtypes, through the same code as the command.

JAX compiles each operation for each shape, so here it gets a sample of the claims and the command checks all of them.
"""

from __future__ import annotations

import pytest
from conftest import library
from test_claims import SEED, assert_holds

from paper_checks import catalogue
from paper_checks.claim import run
from paper_checks.lab import BACKENDS, Lab

pytestmark = pytest.mark.xdist_group("claims elsewhere")
OTHERS = [("numpy", "float32"), *((backend, "float64") for backend in BACKENDS if backend != "numpy")]
EXACT = [claim for claim in catalogue.claims(tier="theory") if claim.rung != "Monte Carlo"]
ON_JAX = ("E4", "E6", "E11", "E12", "E15", "E16", "F3", "F5", "F6", "A1", "D1")
"""One claim of each module of claims, of those that compile fast."""
_labs: dict[tuple[str, str], Lab] = {}


def lab(backend: str, dtype: str) -> Lab:
    """Return the one lab of a backend and dtype, so that its trained networks are shared."""
    library(backend)
    return _labs.setdefault((backend, dtype), Lab(backend, dtype, SEED))


@pytest.mark.parametrize(
    ("claim", "backend", "dtype"),
    [
        pytest.param(claim, *other, id="-".join((claim.id, *other)))
        for claim in EXACT
        for other in OTHERS
        if other[0] != "jax" or claim.id in ON_JAX
    ],
)
def test_exact_claim_elsewhere(claim, backend, dtype):
    if claim.float64_only and dtype == "float32":
        outcome = run(claim, lab(backend, dtype))
        assert outcome.status == "skipped"
        pytest.skip(outcome.notes[0])
    assert_holds(run(claim, lab(backend, dtype)))


def test_jax_checks_a_claim_of_each_module():
    assert {claim.measure.__module__ for claim in EXACT if claim.id in ON_JAX} == {c.measure.__module__ for c in EXACT}
