"""The exact claims of the theory on other libraries and dtypes, through the same code as the command."""

from __future__ import annotations

import pytest
from conftest import library
from test_claims import SEED, assert_holds

from paper_checks import catalogue
from paper_checks.claim import run
from paper_checks.lab import BACKENDS, Lab

pytestmark = pytest.mark.xdist_group("claims elsewhere")
OTHERS = [("numpy", "float32"), *((backend, "float64") for backend in BACKENDS if backend != "numpy")]
"""The command checks float32 on the others too: compiling each claim twice would double the time of the tests."""
_labs: dict[tuple[str, str], Lab] = {}


def lab(backend: str, dtype: str) -> Lab:
    """Return the one lab of a backend and dtype, so that its trained networks are shared."""
    library(backend)
    return _labs.setdefault((backend, dtype), Lab(backend, dtype, SEED))


@pytest.mark.parametrize(("backend", "dtype"), OTHERS)
@pytest.mark.parametrize(
    "claim", [each for each in catalogue.claims() if each.rung != "Monte Carlo"], ids=lambda claim: claim.id
)
def test_exact_claim_elsewhere(claim, backend, dtype):
    if claim.float64_only and dtype == "float32":
        outcome = run(claim, lab(backend, dtype))
        assert outcome.status == "skipped"
        pytest.skip(outcome.notes[0])
    assert_holds(run(claim, lab(backend, dtype)))
