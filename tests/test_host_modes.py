"""Modes of host libraries: PyTorch's vmap and derivatives. JAX's strict rank promotion is on in all tests."""

from __future__ import annotations

import numpy as np
import pytest
from calls import UNTRACED, calls, changed
from conftest import library

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
FLOATS = [call for call in calls() if call.floats and not call.name.startswith("training")]
MAPPED = [call for call in FLOATS if str(call) not in UNTRACED]
CONSTRAINED = {
    "manifold.from_moments": "a covariance stays symmetric",
    "manifold.from_moments(explained)": "a covariance stays symmetric",
    "similarity.debiased_alignment": "likenesses stay symmetric",
    "dimension.explained_variance_dimension": "an integer",
    "similarity.rsa": "ranks",
}
"""What a change of a single number makes invalid, or does not change; so are bases, which are held fixed."""
SMOOTH = [
    call
    for call in FLOATS
    if str(call) not in CONSTRAINED and any(kind.kind != "basis" for kind in call.floats.values())
]


def arrays(call):
    """Return the arguments of a call in PyTorch, and its arrays of floats by path."""
    xp = library("torch")
    return call.build(xp, "float64"), {path: kind.to(xp, "float64") for path, kind in call.floats.items()}


def tensors(result):
    """Return all tensors of floats inside of tuples."""
    if isinstance(result, tuple):
        return [tensor for item in result for tensor in tensors(item)]
    return [result] if isinstance(result, torch.Tensor) and result.is_floating_point() else []


@pytest.mark.parametrize("call", MAPPED, ids=str)
def test_vmap_is_a_loop(call):
    arguments, made = arrays(call)
    factors = torch.tensor([1.0, 1.25, 0.5], dtype=torch.float64)
    kinds = call.floats
    stacked = {
        path: torch.stack([array if kinds[path].kind == "basis" else factor * array for factor in factors])
        for path, array in made.items()
    }

    def run(values):
        return tuple(tensors(call(changed(arguments, values))))

    mapped = torch.func.vmap(run)(stacked)
    for index in range(len(factors)):
        for one, other in zip(mapped, run({path: array[index] for path, array in stacked.items()}), strict=True):
            np.testing.assert_allclose(one[index], other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("call", SMOOTH, ids=str)
def test_derivatives_are_those_of_differences(call):
    arguments, made = arrays(call)
    varied = {path: array for path, array in made.items() if call.floats[path].kind != "basis"}

    def run(*values):
        return tuple(tensors(call(changed(arguments, dict(zip(varied, values, strict=True))))))

    assert torch.autograd.gradcheck(run, tuple(array.requires_grad_() for array in varied.values()), atol=1e-6)
