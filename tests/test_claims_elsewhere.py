"""The exact claims of the theory on PyTorch, through the same code as the command.

Elsewhere the command checks all of them, as `.ci/run` has it do: in float32 on NumPy, PyTorch and JAX, which compiles
each operation for each shape, and on array-api-strict.
"""

from __future__ import annotations

import functools

import pytest
from conftest import library
from test_claims import SEED, assert_holds

from paper_checks import catalogue
from paper_checks.claim import run
from paper_checks.lab import Lab

pytestmark = pytest.mark.xdist_group("claims elsewhere")
EXACT = [claim for claim in catalogue.claims(tier="theory") if claim.rung != "Monte Carlo"]


@functools.cache
def lab() -> Lab:
    """Return the one lab, so that its trained networks are shared."""
    library("torch")
    return Lab("torch", "float64", SEED)


@pytest.mark.parametrize("claim", EXACT, ids=lambda claim: claim.id)
def test_exact_claim_on_pytorch(claim):
    assert_holds(run(claim, lab()))
