"""The exact claims of the theory on other libraries and dtypes, through the same code as the command.

JAX compiles each operation for each shape, so there the command checks them: `python -m paper_checks --backend jax`.
"""

from __future__ import annotations

import pytest
from conftest import UNCOMPILED, library
from test_claims import SEED, assert_holds

from paper_checks import catalogue
from paper_checks.claim import run
from paper_checks.lab import Lab

pytestmark = pytest.mark.xdist_group("claims elsewhere")
OTHERS = [("numpy", "float32"), *((backend, "float64") for backend in UNCOMPILED if backend != "numpy")]
EXACT = [claim for claim in catalogue.claims(tier="theory") if claim.rung != "Monte Carlo"]
_labs: dict[tuple[str, str], Lab] = {}


def lab(backend: str, dtype: str) -> Lab:
    """Return the one lab of a backend and dtype, so that its trained networks are shared."""
    library(backend)
    return _labs.setdefault((backend, dtype), Lab(backend, dtype, SEED))


@pytest.mark.parametrize(
    ("claim", "backend", "dtype"),
    [pytest.param(claim, *other, id="-".join((claim.id, *other))) for claim in EXACT for other in OTHERS],
)
def test_exact_claim_elsewhere(claim, backend, dtype):
    if claim.float64_only and dtype == "float32":
        outcome = run(claim, lab(backend, dtype))
        assert outcome.status == "skipped"
        pytest.skip(outcome.notes[0])
    assert_holds(run(claim, lab(backend, dtype)))
