"""Bad input: what every public function says of every argument that it cannot take, and that it takes good ones.

`calls.py` makes one valid call of each public function from its signature. Here each argument in turn is replaced by
values that the function must refuse, with TypeError or ValueError and a message that names the argument, what was
expected and what came. Replacements that are valid calls too are tested to be so.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from calls import SPAN, UNTRACED, Call, Given, Plain, Values, calls, changed, hints, of_library, public_functions
from conftest import library, to_library

import nmnc_ref
from nmnc_ref import (
    alignment,
    credit,
    dimension,
    estimator,
    hebbian,
    manifold,
    moments,
    noise_correlation,
    perturbation,
    random,
    similarity,
    theory,
    training,
)
from nmnc_ref import feedback as feedbacks
from nmnc_ref.arrays import Scope, namespace
from nmnc_ref.checked import _check
from nmnc_ref.nn import activation, feedforward, initialisation, sgd
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.initialisation import Kernel
from nmnc_ref.random import Lengths
from nmnc_ref.scalars import Choice, FloatDtype, Integer, Number
from nmnc_ref.training import State
from paper_checks.lab import BACKENDS

SINGULAR = {
    "feedbacks": "feedback",
    "mirrors": "mirror",
    "slopes": "slope",
    "activities": "activity",
    "deltas": "delta",
    "alignments": "alignment",
}
INSIDE = {
    "network": ("weight", "bias", "network", "activity", "gradient", "velocity"),
    "self": ("weight", "bias", "activity"),
    "mirrors": ("weight",),
    "layer": ("weight",),
    "image": ("geometry",),
    "kernels": ("channels", "size", "pool", "padding"),
    "sample": ("x", "activity"),
    "x": ("activities", "drive"),
    "activities": ("deltas",),
}
CALLS = list(calls())
REFUSED = json.loads((Path(__file__).parent / "refused.json").read_text(encoding="utf-8"))
"""By function and argument, the replacements that have always been refused; they must not become fewer."""


def test_every_refusal_is_still_asked_for():
    asked: dict[tuple[str, str], set[str]] = {}
    for case in BAD:
        asked.setdefault((case.call.name, _root(case.path)), set()).add(case.mutation)
    missing = {
        f"{function}: {argument}": lost
        for function, arguments in REFUSED.items()
        for argument, replacements in arguments.items()
        if (lost := set(replacements) - asked.get((function, argument), set()))
    }
    assert missing == {}


def test_every_module_is_listed():
    modules = {n for n, v in vars(nmnc_ref).items() if isinstance(v, ModuleType) and v.__name__.startswith("nmnc_ref.")}
    assert modules - {"__main__", "bench", "fast", "numerics"} | {"validate"} == set(nmnc_ref.__all__)
    assert {n for n, v in vars(theory).items() if isinstance(v, ModuleType) and n[0] != "_"} == set(theory.__all__)


def test_every_function_is_checked_and_its_annotations_name_all_arguments():
    for name, function in public_functions().items():
        assert is_dataclass(function) or function.is_checked, name
        parameters = set(inspect.signature(function).parameters) - {"self"}
        assert parameters == set(hints(function)) - {"return"}, name
        assert is_dataclass(function) or "return" in hints(function), name


# --- replacements ---


class Case(NamedTuple):
    """A call with one argument replaced; `valid` says why the call must succeed, or is empty if it must fail."""

    call: Call
    path: str
    mutation: str
    make: Callable[[ModuleType, str], dict[str, Any]]
    names: frozenset[str]
    valid: str
    static: bool

    def __str__(self) -> str:
        return f"{self.call}-{self.path}-{self.mutation}"


def _case(call, path, mutation, make, valid="", static=False, names=()) -> Case:
    """Return the call with what `make` returns as one argument; `names` are others that may be named in its place."""
    valid = getattr(call.leaves.get(path), "valid", {}).get(mutation, valid)
    return Case(call, path, mutation, lambda xp, dtype: {path: make(xp, dtype)}, _names(path, *names), valid, static)


def _always(value: Any) -> Callable[[ModuleType, str], Any]:
    return lambda xp, dtype: value


def _root(path: str) -> str:
    return re.split(r"[.\[]", path)[0]


def _names(*paths: str) -> frozenset[str]:
    found = set()
    for root in map(_root, paths):
        found |= {root, SINGULAR.get(root, root), *INSIDE.get(root, ())}
    return frozenset(found)


def _longer(kind: Values, axis: int, by: int = 1) -> np.ndarray:
    """Return the values with a longer axis; those of a basis stay orthonormal as long as there is room."""
    values = kind.values
    shape = [by if i == axis else size for i, size in enumerate(values.shape)]
    if kind.kind == "basis":
        whole = np.linalg.svd(values)[0]
        more = whole[:, values.shape[1] : values.shape[1] + by] if axis else np.zeros(shape)
    elif kind.kind == "words":
        more = np.ones(shape, dtype=np.int64)
    elif kind.pad is not None:
        more = np.full(shape, kind.pad)
    else:
        more = np.cos(np.arange(math.prod(shape)) + 0.5).reshape(shape)
    return np.concatenate([values, more], axis=axis)


def _several(letter: str) -> bool:
    return letter == "..." or letter.startswith("*")


def _axes(kind: Values) -> list[tuple[int, str]]:
    """Return the position, counted from the front, and the letter of each axis but the leading ones."""
    letters, ndim = kind.shape.split(), kind.values.ndim
    if letters == ["~"]:
        return []
    lead = next((i for i, letter in enumerate(letters) if _several(letter)), len(letters))
    after = letters[lead + 1 :]
    return list(enumerate(letters[:lead])) + [(ndim - len(after) + i, letter) for i, letter in enumerate(after)]


def _foreign(xp: ModuleType) -> ModuleType:
    return library("strict") if "numpy" in xp.__name__ and "jax" not in xp.__name__ else library("numpy")


def _spoilt(kind: Values, value: float) -> np.ndarray:
    """Return the values with another in the last place."""
    bad = kind.values.copy()
    bad[(-1,) * bad.ndim] = value
    return bad


def _array_cases(call: Call, path: str, kind: Values) -> Iterator[Case]:
    letters = Counter(letter for other in call.arrays.values() for letter in other.shape.split())
    values, floating, axes = kind.values, path in call.floats, _axes(kind)
    case = partial(_case, call, path)

    def reshaped(mutation: str, changed: np.ndarray, valid: str = "") -> Case:
        return case(mutation, partial(kind.to, values=changed), valid, static=True)

    batch = values.shape[: values.ndim - len(axes)]
    scalar = not kind.shape
    any_shape = "any shape" if not axes and not scalar else ""
    several = next(filter(_several, kind.shape.split()), "")
    sole = several == "..." or (several and letters[several] == 1)
    yield reshaped("two more axes", values[None, None], any_shape or ("any leading axes" if sole else ""))
    yield reshaped("0-d", values[(0,) * values.ndim], "a scalar" if scalar else any_shape)
    if len(axes) > 1:
        yield reshaped("too few axes", values[(0,) * (values.ndim - len(axes) + 1)])
    for axis, letter in axes:
        free = "" if letters[letter] > 1 or letter.isdigit() else "nothing else has this length"
        yield reshaped(f"axis {axis} longer", _longer(kind, axis), free)
    if axes and batch and not sole:
        yield reshaped("batch longer", _longer(kind, 0 if _several(kind.shape.split()[0]) else axes[0][0] + 1))
    if values.ndim:
        yield reshaped("empty", values[:0])
    for name in ("int32", "bool", "complex128", *(() if floating else ("float64",))):
        yield case(
            name, partial(lambda name, xp, dtype: to_library(np.ones(values.shape), xp, name), name), static=True
        )
    bound = any(isinstance(other, Plain) and isinstance(other.kind, FloatDtype) for other in call.leaves.values())
    alone = "" if len(call.arrays) > 1 or bound else "no other array"
    names = ["dtype"] if bound else []
    yield case("other library", lambda xp, dtype: kind.to(_foreign(xp), dtype), alone, static=True, names=names)
    for name, value in (("None", None), ("list", values.tolist()), ("text", "text"), ("number", 0.5)):
        yield case(name, _always(value))
    if floating:
        other_dtype = {"float32": "float64", "float64": "float32"}
        alone = "" if len(call.floats) > 1 else "no other floating array"
        yield case("other dtype", lambda xp, dtype: kind.to(xp, other_dtype[dtype]), alone, static=True)
        for name in ("nan", "inf", "-inf"):
            yield case(name, partial(kind.to, values=_spoilt(kind, float(name))))
    if kind.kind == "basis":
        yield case("scaled", partial(kind.to, values=2 * values))
        yield case("repeated column", partial(kind.to, values=values[:, [0] * values.shape[1]]))
        yield _more_columns_than_rows(call, path, kind)


def _arrays_case(call: Call, path: str, mutation: str, arrays: dict[str, np.ndarray]) -> Case:
    """Return the call with several arrays of other shapes."""

    def make(xp: ModuleType, dtype: str) -> dict[str, Any]:
        return {each: call.arrays[each].to(xp, dtype, values) for each, values in arrays.items()}

    return Case(call, path, mutation, make, _names(*arrays), "", static=True)


def _more_columns_than_rows(call: Call, path: str, kind: Values) -> Case:
    """Return d > n, with every array that has d components made to fit."""
    n, d = kind.values.shape
    letter = kind.shape.split()[1]
    arrays = {path: np.eye(n, n + 1)}
    for other_path, other in call.arrays.items():
        for axis, other_letter in _axes(other):
            if other_path != path and other_letter == letter:
                arrays[other_path] = _longer(other, axis, by=n + 1 - d)
    return _arrays_case(call, path, "d > n", arrays)


def _empty_cases(call: Call) -> Iterator[Case]:
    """Yield the call with one length set to zero wherever it occurs: K = 0, an empty batch, no units."""
    axes = {path: _axes(kind) for path, kind in call.arrays.items()}
    for letter in sorted({letter for own in axes.values() for _, letter in own if not letter.isdigit()}):
        arrays = {}
        for path, kind in call.arrays.items():
            for axis, own in axes[path]:
                if own == letter:
                    arrays[path] = np.take(arrays.get(path, kind.values), [], axis=axis)
        yield _arrays_case(call, letter, "= 0 everywhere", arrays)


def _wrong_values(kind: Any) -> list[Any]:
    if isinstance(kind, Number):
        wrong = [math.nan, math.inf, -0.5, "0.5", None, True, 0.5j, np.array([0.5, 0.5])]
        return wrong + [value for value in (0.0, 1.5) if not kind.accepts(value)]
    if isinstance(kind, Integer):
        wrong = [-1, 2.5, math.nan, math.inf, None, "2", True, [2], *range(kind.least)]
        return wrong if kind.most == math.inf else [*wrong, kind.most + 1]
    if isinstance(kind, Lengths):
        return [None, 3, (0,), (2, -1), (2.5,), ("a",), (True,), "text", (2**16, 2**16)]
    if isinstance(kind, Choice):
        return ["unknown", None, 3]
    return ["no", None] if kind is bool else []


def _written(value: Any) -> str:
    return re.sub(r"\s+", "", repr(value))


def _value_cases(call: Call, path: str, kind: Plain) -> Iterator[Case]:
    for value in _wrong_values(kind.kind):
        yield _case(call, path, _written(value), _always(value))
    for value in kind.wrong:
        yield _case(call, path, _written(value), _always(value), names=[kind.against] if kind.against else [])
    if isinstance(kind.kind, FloatDtype):
        yield _case(call, path, "integer", lambda xp, dtype: xp.int32)
        yield _case(call, path, "complex", lambda xp, dtype: xp.complex64)
        for mutation, value in (("None", None), ("unknown", "unknown"), ("list", ["float64"])):
            yield _case(call, path, mutation, _always(value))


WIDTHS = [None, 3, (), (3,), (3, 0), (3, -1), (3, 2.5), (3, None), (3, True), "text"]
SHARES = [None, 0.5, (), (0.5, math.nan), (0.5, 2.0), (-0.5, 0.5), (0.5, None), ("a", 0.5), "text"]
WHOLE = {"nn.initialisation.dense_network": ("widths", WIDTHS)}
WHOLE |= {f"theory.estimator.best_dimension_for_{aim}": ("alignments", SHARES) for aim in ("error", "cosine")}
"""Tuples of plain values that are refused as a whole."""


def _tuple_cases(call: Call) -> Iterator[Case]:
    nodes = call.arguments | call.then
    tuples = {name for name, node in nodes.items() if isinstance(node, tuple) and not hasattr(node, "_fields")}
    for name in tuples:
        first = nodes[name][0] if nodes[name] else None
        wrong: dict[str, Callable[[ModuleType, tuple], Any]] = {
            "None": lambda xp, made: None,
            "a number": lambda xp, made: 0.5,
        }
        if first is not None:
            wrong["text"] = lambda xp, made: "text"
            wrong["array"] = lambda xp, made: xp.ones((2, 2), dtype=xp.float64)
        several = len(tuples) > 1 and first is not None and not isinstance(first, (Plain, Kernel))
        if several:
            wrong["fewer"] = lambda xp, made: made[:-1]
            wrong["more"] = lambda xp, made: made + (2 * made)[-2:]
            wrong["none at all"] = lambda xp, made: ()
        if hasattr(first, "_fields"):
            wrong["none at all"] = lambda xp, made: ()
            wrong["a layer"] = lambda xp, made: made[0]
            wrong["None as layer"] = lambda xp, made: (*made[:-1], None)
        if hasattr(first, "weight"):
            wrong["array as layer"] = lambda xp, made: (*made[:-1], made[-1].weight)
        for mutation, change in wrong.items():
            differ = several and mutation in ("text", "fewer", "more", "none at all")  # in number, from another tuple
            make = partial(lambda name, change, xp, dtype: change(xp, call.build(xp, dtype)[name]), name, change)
            yield _case(call, name, f"tuple: {mutation}", make, names=tuples if differ else ())
    name, values = WHOLE.get(call.name, ("", ()))
    for value in values:
        yield _case(call, name, _written(value), _always(value))


def _all_cases() -> Iterator[Case]:
    for call in CALLS:
        for path, kind in call.leaves.items():
            if isinstance(kind, Values):
                yield from _array_cases(call, path, kind)
            elif isinstance(kind, Plain):
                yield from _value_cases(call, path, kind)
        yield from _empty_cases(call)
        yield from _tuple_cases(call)


CASES = list(_all_cases())
BAD = [case for case in CASES if not case.valid]


def _complaint(call: Callable[[], Any], names: frozenset[str]) -> str:
    """Return what is wrong with the refusal of a call, or nothing."""
    try:
        with warnings.catch_warnings():  # array-api-strict warns where its dtypes meet those of NumPy; others do not
            warnings.filterwarnings("ignore", "You are comparing a array_api_strict dtype", UserWarning)
            call()
    except (TypeError, ValueError) as error:
        message = str(error)
        named = any(re.search(rf"\b{name}\b", message) for name in names)
        clear = named and "expected" in message and re.search(r"\bgot\b", message)
        return "" if clear else f"unclear {type(error).__name__}, which is to name {sorted(names)}: {message}"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}".splitlines()[0]
    return "did not raise"


def _by_call(calls: Iterable[Call]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", list(calls), ids=str)


def _dtype(xp: ModuleType) -> str:
    """Return float32, where it is no slower: JAX has compiled the operations of other tests for float64."""
    return "float64" if xp.__name__ in ("jax.numpy", "array_api_strict") else "float32"


WITH_ARRAYS = [each for each in CALLS if each.arrays]


@_by_call(CALLS)
def test_valid_arguments(call):
    xp = library("strict")
    arguments = call.build(xp, "float64")
    for case in CASES:
        if case.call is call and case.valid:
            call(changed(arguments, case.make(xp, "float64")))


@_by_call(CALLS)
def test_bad_arguments(call, backend):
    xp = library(backend)
    dtype = _dtype(xp)
    arguments, complaints = call.build(xp, dtype), {}
    for case in BAD:
        if case.call is not call or (backend == "jax" and (case.static or case.path not in call.arrays)):
            continue  # what is static is tested while tracing, below, and numbers and names are not JAX's
        complaints[str(case)] = _complaint(partial(call, changed(arguments, case.make(xp, dtype))), case.names)
    assert not any(complaints.values()), {case: complaint for case, complaint in complaints.items() if complaint}


# --- under jax.jit ---


@_by_call(WITH_ARRAYS)
def test_static_errors_while_tracing(call):
    jax, xp = pytest.importorskip("jax"), library("jax")
    arguments, complaints = call.build(xp, "float64"), {}
    made = {path: kind.to(xp, "float64") for path, kind in call.arrays.items()}
    for case in BAD:
        if case.call is not call or not case.static:
            continue
        arrays = made | case.make(xp, "float64")
        traced = {path: value for path, value in arrays.items() if isinstance(value, jax.Array)}
        constants = changed(arguments, arrays)

        def function(traced, constants=constants):
            return call(changed(constants, traced))

        if traced:
            complaints[str(case)] = _complaint(partial(jax.jit(function).eval_shape, traced), case.names)
    assert not any(complaints.values()), {case: complaint for case, complaint in complaints.items() if complaint}


def _jitted(call: Call, dtype: str) -> tuple[Callable, dict[str, Any], dict[str, Any]]:
    """Return the call, compiled, as a function of values by path; its array arguments by path, and all arguments.

    Arrays that are made inside an argument, such as a state of training, are traced with it.
    """
    jax, xp = pytest.importorskip("jax"), library("jax")
    arguments = call.build(xp, dtype)
    arrays = {path: kind.to(xp, dtype) for path, kind in call.arrays.items()}
    for name, value in arguments.items():
        leaves = jax.tree.leaves(value)
        if isinstance(call.leaves.get(name), Given) and leaves and all(isinstance(leaf, jax.Array) for leaf in leaves):
            arrays[name] = value
    return jax.jit(lambda values: call(changed(arguments, values))), arrays, arguments


@_by_call(each for each in WITH_ARRAYS if str(each) not in UNTRACED)
def test_jit_computes_what_numpy_does_and_accepts_unknown_values(call):
    """Without jit JAX compiles the same operations one by one: the golden vectors and the claims have it do so."""
    jax, xp = pytest.importorskip("jax"), library("jax")
    function, arrays, _ = _jitted(call, "float64")
    jitted, want = function(arrays), call(call.build(library("numpy"), "float64"))
    assert jax.tree.structure(jitted) == jax.tree.structure(want)
    for one, other in zip(jax.tree.leaves(jitted), jax.tree.leaves(want), strict=True):
        assert one.dtype == np.asarray(other).dtype
        scale = float(np.max(np.abs(np.asarray(other, dtype=np.float64))))
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * scale)
    for path, kind in call.floats.items():
        function(arrays | {path: kind.to(xp, "float64", _spoilt(kind, math.nan))})  # values are unknown: no error


@_by_call(each for each in CALLS if str(each) in UNTRACED)
def test_what_cannot_be_traced_says_so(call):
    function, arrays, _ = _jitted(call, "float64")
    _refused(lambda: function(arrays), "explained")


@_by_call(each for each in CALLS if any(_root(path) in each.arguments for path in each.floats))
def test_validate_beforehand(call, xp_or_jax):
    dtype = _dtype(xp_or_jax)
    floats = {path: kind for path, kind in call.floats.items() if _root(path) in call.arguments}
    made = {name: value for name, value in call.build(xp_or_jax, dtype).items() if name in map(_root, floats)}

    def checked(changes: dict[str, Any]) -> None:
        nmnc_ref.validate(call.function, **changed(made, changes))

    checked({})
    for path, kind in floats.items():
        for value in (math.nan, math.inf):
            with pytest.raises(ValueError, match=rf"^{re.escape(path)}: expected finite values, got"):
                checked({path: kind.to(xp_or_jax, dtype, _spoilt(kind, value))})
        if kind.kind == "basis":
            with pytest.raises(ValueError, match=f"{path}: expected orthonormal columns, got"):
                checked({path: kind.to(xp_or_jax, dtype, 2 * kind.values)})


TRACED_NUMBERS = [
    pytest.param(each, path, id=f"{each}-{path}")
    for each in CALLS
    if each.floats and not each.variant and not each.name.startswith("training")
    for path, kind in each.leaves.items()
    if isinstance(kind, Plain) and isinstance(kind.kind, Number) and path != "explained"
]


@pytest.mark.parametrize(("call", "number"), TRACED_NUMBERS)
def test_traced_numbers(call, number):
    """σ and rates may be traced: they do not promote the arrays, whatever their dtype, and are scalars."""
    jax, xp = pytest.importorskip("jax"), library("jax")
    value = call.leaves[number].value
    function, _, _ = _jitted(call, "float32")
    for traced in (value, xp.asarray(value, dtype="float32"), xp.asarray(value, dtype="float64")):
        for one in jax.tree.leaves(function.eval_shape({number: traced})):
            assert one.dtype == xp.float32
    for bad in (np.array([0.5, 0.5]), np.array(0.5j), np.array(True)):
        _refused(partial(function.eval_shape, {number: bad}), number)
    function, _, _ = _jitted(call, "float64")
    _expect_numpys(call, function({number: value}), "float64")


# --- valid calls ---


def _expect_as_said(call: Call, arguments: dict[str, Any], result: Any, xp: ModuleType, dtype: str) -> None:
    """Check what is returned against the signature."""
    if call.then:
        assert result.dtype == getattr(xp, dtype)
        return
    annotation, scope = hints(call.function).get("return"), Scope()
    for name, value in arguments.items():
        kind = hints(call.function).get(name)
        if kind is not None and _check(kind) and name != "data":
            _check(kind)(name, value, scope)
    if annotation is None:
        assert isinstance(result, call.function)
    elif annotation in (int, float):
        assert isinstance(result, annotation)
        assert math.isfinite(result)
    elif annotation is Any:  # the only integers that are returned
        assert xp.isdtype(result.dtype, "integral") or call.name == "estimator.in_chunks"
    elif _check(annotation) is not None:
        _check(annotation)("return", result, scope)
        scope.expect_values()
        assert scope.dtype in (None, getattr(xp, dtype))


def _numbers(value: Any) -> list[np.ndarray]:
    """Return all arrays and numbers inside of tuples."""
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    return [np.asarray(value)] if hasattr(value, "shape") or isinstance(value, (int, float)) else []


def _expect_numpys(call: Call, result: Any, dtype: str) -> None:
    """Check that what a library returns is what NumPy does, up to rounding."""
    tolerance = 1000 * np.finfo(dtype).eps
    want = _numbers(call(call.build(library("numpy"), dtype)))
    for one, other in zip(_numbers(result), want, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * float(np.max(np.abs(other))))


@_by_call(CALLS)
def test_what_is_returned_is_what_the_signature_says_and_numpy_computes(call, backend, dtype_name):
    xp = library(backend)
    made = call.build(xp, dtype_name)
    plain = {path: kind for path, kind in call.leaves.items() if isinstance(kind, Plain)}
    traced = backend == "jax" and call.arrays and str(call) not in UNTRACED  # values are looked at where jit is tested
    for scalar in (np.float64,) if traced else (np.float64, float):  # NumPy's promote where numbers would not
        numbers = {path: scalar(kind.value) for path, kind in plain.items() if isinstance(kind.kind, Number)}
        counts = {path: np.int64(kind.value) for path, kind in plain.items() if isinstance(kind.kind, Integer)}
        arguments = changed(made, numbers | counts)

        def run(arrays, arguments=arguments):
            given = changed(arguments, arrays)
            result = call(given)
            _expect_as_said(call, given, result, xp, dtype_name)
            return result

        if traced:
            _, arrays, _ = _jitted(call, dtype_name)
            pytest.importorskip("jax").eval_shape(run, arrays)
        else:
            _expect_numpys(call, run({}), dtype_name)


@_by_call(WITH_ARRAYS)
def test_inputs_are_not_changed(call, xp):
    """JAX has no array that could be."""
    made = {path: kind.to(xp, "float64") for path, kind in call.arrays.items()}
    if xp is library("numpy"):
        for array in made.values():
            array.setflags(write=False)
    call(changed(call.build(xp, "float64"), made))
    for path, kind in call.arrays.items():
        np.testing.assert_array_equal(np.asarray(made[path]), kind.values)


# --- values that a function cannot take, one by one ---


def _refused(call: Callable[[], Any], name: str) -> None:
    assert _complaint(call, frozenset({name})) == ""


ONES = np.ones((4, 4))
WAVES = np.cos(np.arange(20.0)).reshape(5, 4)
ALIKE = np.where(np.arange(5)[:, None] == 2, 1.7, WAVES)  # all units respond to one stimulus of five alike
RANK_ONE = np.outer(np.arange(1.0, 7.0), [1.0, 2.0, 3.0, 4.0])
CONSTANT = np.full((6, 4), 1.7)
DEPENDENT_ROWS = {
    "parallel": np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]),
    "one zero": np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]),
    "all zero": np.zeros((2, 2)),
    "zero": np.zeros((1, 3)),
    "more than dimensions": np.eye(3)[:, :2],
    "parallel, and with squares out of range": np.array([[1.0, 2.0, 3.0], [2e-200, 4e-200, 6e-200]]),
}
REPRESENTATIONS = {
    "the same for all stimuli": np.outer(np.ones(5), [1.7, 0.3, 2.1]),
    "all zero": np.zeros((5, 3)),
    "one stimulus": np.ones((1, 3)),
}
SPECTRA = {
    "negative": np.array([2.0, 1.0, -0.1]),
    "all zero": np.zeros(3),
    "one of two all zero": np.array([[1.0, 0.5, 0.1], [0.0, 0.0, 0.0]]),
}
POINTS = {
    "all equal": np.ones((5, 3)),
    "two points": np.eye(3)[:2],
    "one point": np.eye(3)[:1],
    "two distinct points": np.eye(3)[[0, 0, 1, 1]],
    "square": np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]),
}
TAILS = {
    "returns no array": lambda y: None,
    "returns no batch axis": lambda y: y[0, 0, :] if y.ndim == 3 else y[0, :],
    "returns NaN": lambda y: y * math.nan,
    "returns infinity": lambda y: y * math.inf,
    "returns nothing": lambda y: y[..., :0],
    "returns another dtype": lambda y: namespace(y).astype(y, namespace(y).float32),
}
KEYS = {
    "another dtype": np.array([0, 1], dtype=np.int32),
    "floats": np.array([0.0, 1.0]),
    "three words": np.array([0, 1, 2], dtype=np.uint32),
    "one word": np.array([0], dtype=np.uint32),
    "0-d": np.array(0, dtype=np.uint32),
    "no keys": np.zeros((0, 2), dtype=np.uint32),
    "a seed": 0,
}
KEY = np.array([0, 1], dtype=np.uint32)
NUMBER_LIKE = {
    "huge": 10**400,
    "NumPy bool": np.bool_(True),
    "bytes": b"1",
    "complex": np.complex128(1.0),
    "bool array": np.array(True),
}


def _manifolds() -> Iterator[tuple[str, str, partial]]:
    """Yield the argument that a call is to be refused for, why, and the call."""
    fit, from_moments = partial(partial, manifold.fit), partial(partial, manifold.from_moments)
    yield "activity", "rank 1, two components", fit(RANK_ONE, dimension=2)
    yield "activity", "rank 1, two centred components", fit(RANK_ONE, dimension=2, centring="centred")
    yield "activity", "constant, centred", fit(CONSTANT, dimension=1, centring="centred")
    yield "activity", "constant, centred, explained", fit(CONSTANT, explained=0.9, centring="centred")
    yield "activity", "constant, mean added", fit(CONSTANT, dimension=1, centring="mean-added")
    yield "activity", "all zero", fit(0 * CONSTANT, dimension=1)
    yield "activity", "all zero, explained", fit(0 * CONSTANT, explained=0.5)
    yield "activity", "too few samples", fit(RANK_ONE[:2], dimension=3)
    yield "activity", "too few samples once centred", fit(np.eye(4)[:2], dimension=2, centring="centred")
    yield "activity", "one sample, centred", fit(np.eye(4)[:1], explained=0.5, centring="centred")
    yield "dimension", "d > n", fit(np.cos(np.arange(40.0)).reshape(10, 4), dimension=5)
    yield "activity", "mean inside the span", fit(RANK_ONE, dimension=1, centring="mean-added")
    yield "dimension", "both", fit(np.eye(4), dimension=1, explained=0.5)
    yield "dimension", "neither", fit(np.eye(4))
    for explained in (0, 1.1, -0.1, math.nan):
        yield "explained", str(explained), fit(np.eye(4), explained=explained)
    yield "centring", "unknown", fit(np.eye(4), dimension=1, centring="center")
    one, zero = np.ones(4), np.zeros(4)
    yield "covariance", "rank 1, two components", from_moments(one, ONES, dimension=2, centring="centred")
    yield "covariance", "rank 1 and a mean", from_moments(np.arange(4.0), ONES, dimension=3)
    yield "covariance", "constant, centred", from_moments(one, 0 * ONES, dimension=1, centring="centred")
    yield "covariance", "to rounding", from_moments(1.7 * one, 1e-32 * ONES, dimension=1, centring="centred")
    yield "covariance", "all zero, explained", from_moments(zero, 0 * ONES, explained=0.5)
    yield "mean", "inside the span", from_moments(one, ONES, dimension=1, centring="mean-added")
    yield "mean", "none to add", from_moments(zero, ONES, dimension=1, centring="mean-added")
    yield "covariance", "not symmetric", from_moments(one, np.triu(ONES), dimension=1)
    yield "covariance", "negative variance", from_moments(one, -np.eye(4), dimension=1)
    yield "dimension", "d > n", from_moments(one, np.eye(4), dimension=5)
    yield "dimension", "both", from_moments(one, np.eye(4), dimension=1, explained=0.5)
    yield "dimension", "neither", from_moments(one, np.eye(4))


def _moments() -> Iterator[tuple[str, str, partial]]:
    yield "moments", "of nothing", partial(moments.covariance, moments.empty(np.eye(4)))
    good, x = moments.Moments(np.array(4.0), np.full(4, 0.25), np.eye(4) - 0.25), np.eye(4)
    negative = good._replace(count=-good.count)
    for bad in (negative, None, 0.5, (), "text", (1.0, 2.0, 3.0), tuple(good)):
        why = "negative count" if bad is negative else str(bad)
        yield "moments", why, partial(moments.merge, bad, good)
        yield "other", why, partial(moments.merge, good, bad)
        yield "moments", why, partial(moments.forget, bad, 0.1)
        yield "moments", why, partial(moments.covariance, bad)
        if bad is not negative:
            yield "moments", why, partial(moments.update, bad, x, 0.1)


def _measures() -> Iterator[tuple[str, str, partial]]:
    for measure in (similarity.linear_cka, similarity.debiased_cka, similarity.rsa):
        for why, bad in REPRESENTATIONS.items():
            good = np.cos(np.arange(4.0 * len(bad))).reshape(-1, 4)
            yield "activity", why, partial(measure, bad, good)
            if len(bad) > 1:
                yield "other_activity", why, partial(measure, good, bad)
    yield "gram", "three stimuli", partial(similarity.debiased_alignment, np.eye(3), np.eye(3))
    likenesses, sums = WAVES @ WAVES.T, np.add.outer(np.arange(len(WAVES)), np.arange(len(WAVES)))
    for why, bad in {"not symmetric": np.triu(likenesses), "all alike": 0 * sums + 1e-3, "of sums": sums / 3}.items():
        yield "gram", why, partial(similarity.debiased_alignment, bad, likenesses)
        yield "other_gram", why, partial(similarity.debiased_alignment, likenesses, bad)
    yield "activity", "all units alike", partial(similarity.dissimilarity, ALIKE)
    yield "activity", "all units alike", partial(similarity.rsa, ALIKE, WAVES)
    yield "other_activity", "all units alike", partial(similarity.rsa, WAVES, ALIKE)
    yield "activity", "two stimuli have one dissimilarity", partial(similarity.rsa, np.eye(3)[:2], np.eye(3)[:2])
    for why, spectrum in SPECTRA.items():
        yield "spectrum", why, partial(dimension.participation_ratio, spectrum)
        yield "spectrum", why, partial(dimension.explained_variance_dimension, spectrum, 0.9)
        if spectrum.ndim == 1:
            yield "spectrum", why, partial(theory.dimension.expected_participation_ratio, spectrum, 10)
    yield "spectrum", "increasing", partial(dimension.explained_variance_dimension, np.array([1.0, 2.0]), 0.9)
    for why, points in POINTS.items():
        yield "points", why, partial(dimension.two_nearest_neighbours, points)
    for measure in (alignment.alignment, alignment.pooled_alignment):
        yield "jacobian", "zero", partial(measure, np.zeros((3, 4)), SPAN)
    yield "jacobian", "one zero", partial(alignment.alignment, np.stack([np.zeros((3, 4)), np.ones((3, 4))]), SPAN)
    yield "gradient", "zero", partial(theory.feedback.projected_progress, np.zeros((2, 4)), SPAN @ SPAN.T)


def _estimates() -> Iterator[tuple[str, str, partial]]:
    for why, rows in DEPENDENT_ROWS.items():
        yield "weight", why, partial(hebbian.basis, rows)
        yield "coefficients", why, partial(perturbation.orthonormal_frame, rows)
    yield "weight", "more rows than units", partial(hebbian.oja_step, np.eye(3)[:, :2], np.eye(3)[:, :2], 0.1)
    yield "coefficients", "zero has no norm", partial(perturbation.fixed_norm, np.array([[1.0, 2.0], [0.0, 0.0]]))
    for why, sigma in NUMBER_LIKE.items():
        yield "sigma", why, partial(perturbation.isotropic, np.ones(1), sigma)
    noise, response = np.eye(4), np.ones((4, 3))
    yield "noise", "too few draws", partial(estimator.least_squares, response[:3], noise[:3])
    yield "noise", "fewer draws than components", partial(estimator.least_squares, response[:1], noise[:1], SPAN)
    outside = noise - noise @ SPAN @ SPAN.T
    yield "noise", "none in the span", partial(estimator.least_squares, response, 0 * outside, SPAN)
    yield "noise", "dependent draws", partial(estimator.least_squares, response, ONES)
    for respond in (estimator.one_sided_response, estimator.antithetic_response):
        for why, wrong in TAILS.items():
            tail = partial(lambda wrong, x: wrong(x[..., :3] + 1), wrong)
            yield "tail", why, partial(respond, tail, np.ones((2, 4)), np.full((3, 2, 4), 0.5))


def _keys() -> Iterator[tuple[str, str, partial]]:
    for why, key in KEYS.items():
        yield "key", why, partial(random.fold_in, key, 0)
        yield "key", why, partial(random.split, key, 2)
        for draw in (random.words, random.bits):
            yield "key", why, partial(draw, key, (2,))
        for draw in (random.uniform, random.normal, random.rademacher):
            yield "key", why, partial(draw, key, (2,), np.float32)
        yield "key", why, partial(initialisation.dense_network, key, (3, 2), np.float32)
        estimate = partial(noise_correlation.estimate_jacobian, sigma=0.1, draws=2)
        yield "key", why, partial(estimate, key, lambda x: x, np.ones((2, 3)))
    yield "key", "one makes one network", partial(initialisation.dense_network, np.stack([KEY] * 3), (3, 2), np.float32)
    for seed in (-1, 2**64, 1.0, True, None, "1"):
        yield "seed", repr(seed), partial(random.key, seed, np)
    for data in (-1, 2**32, 2.0, True, None, "1"):
        yield "data", repr(data), partial(random.fold_in, KEY, data)


def _networks() -> Iterator[tuple[str, str, partial]]:
    layer, x = Dense(np.ones((2, 3)), np.ones(2)), np.ones((5, 3))
    yield "feedback", "for another batch", partial(credit.activity_gradient, x, np.ones((4, 3, 2)))
    yield "network", "no hidden layer", partial(feedforward.injection, (layer,), x, activation.relu)
    for why, other in (("no bias", (layer.weight,)), ("two biases", (*layer, layer.bias))):
        yield "gradient", why, partial(sgd.step, (layer,), (other,), (layer,), learning_rate=0.1)
        yield "velocity", why, partial(sgd.step, (layer,), (layer,), (other,), learning_rate=0.1)


ONE_BY_ONE = [*_manifolds(), *_moments(), *_measures(), *_estimates(), *_keys(), *_networks()]


FIRST = {(call.func, name): why for name, why, call in reversed(ONE_BY_ONE)}


@pytest.mark.parametrize(
    ("name", "call", "backend"),
    [
        pytest.param(name, call, each, id=f"{each}-{call.func.__name__}-{name}-{why}")
        for name, why, call in ONE_BY_ONE
        for each in BACKENDS
        if each != "jax" or FIRST[call.func, name] == why  # one of each argument: JAX compiles what it refuses by
    ],
)
def test_value_that_a_function_cannot_take(name, call, backend):
    xp = library(backend)
    arguments = of_library(call.args, xp)
    options = dict(zip(call.keywords, of_library(tuple(call.keywords.values()), xp), strict=True))
    _refused(lambda: call.func(*arguments, **options), name)


@pytest.mark.parametrize("kind", [np.matrix, np.ma.MaskedArray])
def test_arrays_whose_operators_mean_something_else_are_refused(kind):
    values = np.random.default_rng(0).normal(size=(5, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        other = kind(values)
    for call in (moments.of, manifold.projector, dimension.two_nearest_neighbours):
        with pytest.raises(TypeError, match=f": expected an array, got {kind.__name__}"):
            call(other)


def test_one_jacobian_of_several_may_be_zero(xp_or_jax):
    one = np.stack([np.zeros((3, 4)), np.ones((3, 4))])
    assert 0 <= float(alignment.pooled_alignment(of_library(one, xp_or_jax), of_library(SPAN, xp_or_jax))) <= 1


def test_basis_is_checked_by_every_function_that_takes_one():
    taking = {name for name, f in public_functions().items() if "basis" in inspect.signature(f).parameters}
    tested = {case.call.name for case in BAD if case.mutation == "repeated column" and case.path == "basis"}
    assert taking == tested


def test_rounded_fractions_are_fractions():
    """A share is a sum of squares, so it may miss [0, 1] by a rounding error; then it counts as 0 or 1."""
    assert theory.estimator.cosine_ratio(-1e-7, 5, 3) == pytest.approx(0, abs=1e-3)
    assert theory.estimator.cosine_ratio(1 + 1e-7, 5, 3) == pytest.approx(math.sqrt(5 / 9), rel=1e-6)
    assert theory.estimator.best_dimension_for_cosine((-1e-7, 0.5), 5) == 2
    assert theory.estimator.expected_squared_cosine(-1e-7, 3) == pytest.approx(0, abs=1e-6)


# --- validate ---

LEAVES = {
    "list": [1.0, 2.0],
    "None": None,
    "text": "text",
    "number": 1.0,
    "dict": {"a": np.ones(2)},
    "integers": np.array([1, 2]),
    "bool": np.array([True]),
    "complex": np.array([1j]),
    "empty": np.zeros((0, 3)),
    "NaN": np.array([0.0, math.nan], dtype=np.float32),
    "infinity": np.array([math.inf], dtype=np.float32),
    "no array": (),
}
GOOD = np.ones((2, 3), dtype=np.float32)


@pytest.mark.parametrize("leaf", LEAVES.values(), ids=LEAVES)
def test_validate_refuses(leaf, xp_or_jax):
    network = of_library((Dense(GOOD, GOOD[:, 0]), Dense(GOOD, leaf)), xp_or_jax)
    _refused(lambda: nmnc_ref.validate(feedforward.forward, x=of_library(leaf, xp_or_jax)), "x")
    _refused(lambda: nmnc_ref.validate(feedforward.forward, network=network), "bias")
    _refused(lambda: nmnc_ref.validate(sgd.zero_velocity, network=network), "bias")


def test_validate_names_the_leaf(xp_or_jax):
    network = of_library((Dense(GOOD, GOOD[:, 0]), Dense(GOOD, np.full(2, math.nan, dtype=np.float32))), xp_or_jax)
    with pytest.raises(ValueError, match=r"^network\[1\]\.bias: expected finite values, got NaN$"):
        nmnc_ref.validate(feedforward.forward, network=network)


def test_validate_refuses_mixtures(xp_or_jax):
    one = of_library(GOOD, xp_or_jax)
    nmnc_ref.validate(feedbacks.running_average, feedback=one, estimate=one)
    for other in (
        of_library(GOOD.astype(np.float64), xp_or_jax),
        of_library(GOOD, _foreign(xp_or_jax)),
        of_library(np.ones((2, 4), np.float32), xp_or_jax),
    ):
        wrong = partial(nmnc_ref.validate, feedbacks.running_average, feedback=one, estimate=other)
        _refused(wrong, "estimate")


def test_validate_knows_bases_by_their_annotation(xp_or_jax):
    good = of_library(SPAN, xp_or_jax)
    state = State(*(((Dense(good, good[:, 0]),),) * 2), (good,), (good,), None)
    nmnc_ref.validate(alignment.principal_angles, other_basis=good)
    nmnc_ref.validate(training.fit_manifolds, state=state)
    for bad in (2 * good, good[:, 0], good[:1, :], good[None, ...]):
        wrong = state._replace(bases=(good, bad))
        _refused(partial(nmnc_ref.validate, alignment.principal_angles, other_basis=bad), "other_basis")
        _refused(partial(nmnc_ref.validate, training.fit_manifolds, state=wrong), "bases")


def test_validate_needs_a_checked_function_and_arguments_of_it():
    _refused(lambda: nmnc_ref.validate(alignment.principal_angles), "arguments")
    _refused(lambda: nmnc_ref.validate(alignment.principal_angles, projector=SPAN), "projector")
    _refused(lambda: nmnc_ref.validate(math.sqrt, x=1.0), "function")


def test_backends_are_tested():
    assert set(BACKENDS) == {"numpy", "jax", "torch", "strict"}
