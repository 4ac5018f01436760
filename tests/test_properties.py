"""Arbitrary numbers, from hypothesis: every public function gives the right, finite answer, or refuses by name."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from brute_force import ANSWERS
from calls import Plain, calls, changed
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nmnc_ref.scalars import Number

FLOATS = [call for call in calls() if call.floats]
MAGNITUDES = (0.0, 1e-30, 1e-12, 1e-3, 0.5, 1.0, 2.0, 1e3, 1e4)
"""Zeros, ties, and squares that nothing of the others is seen beside."""
SCALARS = (0.0, 1e-3, 0.25, 1.0, 30.0)
COARSE = 1024.0
"""Arguments of networks are multiples of 1/1024."""
BESIDES = {"training.init", "training.step"}
"""Functions that the trajectories of the golden vectors say in full."""
DIGITS = 32
"""What the inputs may differ by, in eps, for an answer to be right."""
WOBBLES = 12
ROUNDING = 16
"""By how many eps answers of the following may be off besides, of 1 or of the largest number of their array."""
OF_ONE = {
    "alignment.principal_angles",
    "similarity.linear_cka",
    "similarity.debiased_cka",
    "similarity.debiased_alignment",
    "similarity.dissimilarity",
    "similarity.rsa",
}
OF_THE_LARGEST = {
    "hebbian.basis": -1,
    "perturbation.orthonormal_frame": -1,
    "manifold.fit": None,
    "manifold.from_moments": None,
    "estimator.least_squares": (0, -1),
    "moments.of": 0,
    "moments.update": 0,
    "similarity.debiased_cka": None,
}
"""By decompositions and differences, which round numbers by a share of the largest of the array, or of an axis."""


def generator(draw):
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


@st.composite
def numbers(draw, shape):
    """Draw an array, of few magnitudes, of any number in their range, or of normal ones."""
    element = draw(st.sampled_from(["few", "any", "normal"]))
    if element == "normal":
        return draw(st.sampled_from(MAGNITUDES[1:])) * generator(draw).normal(size=shape).astype(np.float32)
    few = st.sampled_from([sign * value for value in MAGNITUDES for sign in (1, -1)])
    return draw(hnp.arrays(np.float32, shape, elements=few if element == "few" else st.floats(-1e4, 1e4, width=32)))


@st.composite
def bases(draw, shape):
    """Draw an orthonormal basis."""
    return np.linalg.qr(generator(draw).normal(size=shape))[0]


def fitting(path, array):
    """Return what a function takes in place of arbitrary numbers: variances, covariances, likenesses and counts."""
    name = path.split(".")[-1]
    if name == "spectrum":
        return -np.sort(-np.abs(array), axis=-1)
    if name in ("gram", "other_gram"):
        return (array + array.T) / 2
    if name in ("covariance", "scatter"):
        return array @ array.T
    return np.round(np.abs(array)) if name == "count" else array


def drawn(data, call, dtype):
    """Return arguments of a call in their places: arrays of floats, bases, and numbers."""
    own, fit = {"float": numbers, "basis": bases}, data.draw(st.booleans(), "fit")
    arrays = {path: data.draw(own[kind.kind](kind.values.shape), path) for path, kind in call.floats.items()}
    if fit:
        arrays = {path: fitting(path, array) for path, array in arrays.items()}
        if {"noise", "basis"} <= arrays.keys():
            arrays["noise"] = arrays["noise"] @ arrays["basis"] @ arrays["basis"].T
    if call.name.startswith(("nn.feedforward", "nn.recurrent")):  # lest what vanishes open a gate
        arrays = {path: np.round(array * COARSE) / COARSE for path, array in arrays.items()}
    arrays = {path: np.asarray(array, dtype) for path, array in arrays.items()}
    scalars = {
        path: data.draw(st.sampled_from([value for value in SCALARS if leaf.kind.accepts(value)]), path)
        for path, leaf in call.leaves.items()
        if isinstance(leaf, Plain) and isinstance(leaf.kind, Number)
    }
    return arrays | scalars


def found(value):
    """Return all numbers inside of tuples and lists."""
    if isinstance(value, (tuple, list)):
        return [number for item in value for number in found(item)]
    return [np.asarray(value)] if hasattr(value, "dtype") or isinstance(value, (int, float)) else []


def wobbled(value, change):
    """Return arguments in float64, each number changed, and those that a tail takes and gives."""
    if isinstance(value, tuple):
        items = [wobbled(item, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return change(np.asarray(value, dtype=np.float64))
    if inspect.isfunction(value) and value.__name__ == "_tail":
        return lambda x: wobbled(value(wobbled(x, change)), change)
    return value


def changer(name, size):
    """Return what changes numbers by random shares of themselves, or of the largest of the array."""
    rng = np.random.default_rng(0)

    def change(values):
        largest = np.max(np.abs(values), axis=OF_THE_LARGEST[name], keepdims=True) if name in OF_THE_LARGEST else values
        return values + size * largest * rng.uniform(-1, 1, values.shape)

    return change


def right(call, arguments, eps):
    """Return what brute force answers, each with how far an answer may be off, by what other last digits would change;
    None where these change how many numbers there are.
    """
    answer = ANSWERS[call.name]
    known = {"eps": eps} if "eps" in inspect.signature(answer).parameters else {}
    changes = [changer(call.name, 0.0)] + WOBBLES * [changer(call.name, DIGITS * eps)]
    expected, *others = (
        found(answer(**{name: wobbled(value, change) for name, value in arguments.items()}, **known))
        for change in changes
    )
    if any(list(map(np.shape, other)) != list(map(np.shape, expected)) for other in others):
        return None
    least = np.finfo(np.float32 if eps > 1e-10 else np.float64).smallest_normal * 1e15  # of squares that vanish
    return [
        (each, 4 * np.max(np.abs(np.stack(changed) - each), axis=0) + eps * rounding(call.name, np.abs(each)) + least)
        for each, *changed in zip(expected, *others, strict=True)
    ]


def rounding(name, sizes):
    """Return how many eps numbers of some sizes may be off."""
    scale = 1.0 if name in OF_ONE else np.max(sizes) if name in OF_THE_LARGEST else 0.0
    return DIGITS * sizes + ROUNDING * scale


def is_right(call, arguments, dtype, result):
    """Hold a result to brute force, and tell whether there was anything to hold it to but that it is finite."""
    assert all(np.all(np.isfinite(number)) for number in result)
    with np.errstate(all="ignore"):
        expected = right(call, arguments, float(np.finfo(dtype).eps)) if call.name in ANSWERS else None
    for number, (each, tolerance) in zip(result, expected, strict=True) if expected else ():
        assert number.shape == np.shape(each)
        assert not np.any(np.abs(number - each) > tolerance), (number, each, tolerance)
    return expected is not None


@pytest.mark.parametrize("call", FLOATS, ids=str)
@given(dtype=st.sampled_from(["float32", "float64"]), data=st.data())
def test_right_or_refused(call, dtype, data):
    changes = drawn(data, call, dtype)
    arguments, before = changed(call.build(np, dtype), changes), {path: np.copy(each) for path, each in changes.items()}
    with np.errstate(all="ignore"):
        try:
            result, refusal = found(call(arguments)), None
        except ValueError as error:
            result, refusal = [], str(error)
    assert refusal is None or re.match(r"[\w.\[\]]+: expected .*, got ", refusal), refusal
    for number in result:
        assert number.dtype.kind != "f" or number.dtype == dtype or not number.ndim
    for path, each in changes.items():
        np.testing.assert_array_equal(each, before[path])
    if refusal is None:
        is_right(call, arguments, dtype, result)


@pytest.mark.parametrize("call", [call for call in FLOATS if call.name in ANSWERS], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_valid_calls_are_right(call, dtype):
    """And not refused."""
    arguments = call.build(np, dtype)
    assert is_right(call, arguments, dtype, found(call(arguments)))


def test_every_function_has_an_answer():
    assert {call.name for call in FLOATS} == ANSWERS.keys() | BESIDES
