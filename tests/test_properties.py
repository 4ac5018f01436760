"""Arbitrary numbers, from hypothesis: every public function answers with finite numbers, or refuses by name."""

from __future__ import annotations

import re

import numpy as np
import pytest
from calls import calls, changed
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

FLOATS = [call for call in calls() if any(kind.kind == "float" for kind in call.floats.values())]
MAGNITUDES = (0.0, 1e-30, 1e-12, 1e-3, 0.5, 1.0, 2.0, 1e3, 1e4)
"""Zeros, ties, and squares that nothing of the others is seen beside."""


@st.composite
def numbers(draw, shape):
    """Draw an array, of few magnitudes or of any number in their range."""
    element = draw(st.sampled_from(["few", "any"]))
    few = st.sampled_from([sign * value for value in MAGNITUDES for sign in (1, -1)])
    return draw(hnp.arrays(np.float32, shape, elements=few if element == "few" else st.floats(-1e4, 1e4, width=32)))


def found(value):
    """Return all numbers inside of tuples."""
    if isinstance(value, (tuple, list)):
        return [number for item in value for number in found(item)]
    return [np.asarray(value)] if hasattr(value, "dtype") or isinstance(value, (int, float)) else []


@pytest.mark.parametrize("call", FLOATS, ids=str)
@given(dtype=st.sampled_from(["float32", "float64"]), data=st.data())
def test_finite_or_refused(call, dtype, data):
    free = {path: kind for path, kind in call.floats.items() if kind.kind == "float"}
    arrays = {path: data.draw(numbers(kind.values.shape), path).astype(dtype) for path, kind in free.items()}
    before = {path: array.copy() for path, array in arrays.items()}
    with np.errstate(all="ignore"):
        try:
            result, refusal = call(changed(call.build(np, dtype), arrays)), None
        except ValueError as error:
            result, refusal = (), str(error)
    assert refusal is None or re.match(r"[\w.\[\]]+: expected .*, got ", refusal), refusal
    for number in found(result):
        assert np.all(np.isfinite(number))
        assert number.dtype.kind != "f" or number.dtype == dtype or not number.ndim
    for path, array in arrays.items():
        np.testing.assert_array_equal(array, before[path])
