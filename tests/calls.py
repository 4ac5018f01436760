"""A valid call of every public function, made from its signature: what test_bad_input.py changes one argument of.

Annotations say kinds, shapes and ranges. What they cannot say is here: the numbers that must fit one another or that
are more than arbitrary, and networks with what fits their layers.
"""

from __future__ import annotations

import inspect
import itertools
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Annotated, Any

import numpy as np
from conftest import to_library

import nmnc_ref
from nmnc_ref import nn, random, theory, training
from nmnc_ref.arrays import Arrays, Parameters, word_dtype
from nmnc_ref.moments import Moments
from nmnc_ref.nn.activation import relu, tanh
from nmnc_ref.nn.convolution import Convolution, Geometry
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.initialisation import Kernel
from nmnc_ref.nn.recurrent import Cell
from nmnc_ref.route import Direct
from nmnc_ref.scalars import ArrayNamespace, Choice, FloatDtype, Fraction, Integer, Number, PositiveFraction, Some

LENGTHS = {"B": 5, "n": 4, "d": 2, "K": 6, "N": 8, "S": 9, "C": 4, "below": 4, "p": 4, "q": 2}
"""Lengths of axes by name; others are 3 long."""
LENGTHS |= {"*batch": (5,), "*draws": (5,), "*any": (5, 4), "*keys": (), "...": ()}


# What an argument is


@dataclass(frozen=True)
class Values:
    """An array of floats, a basis or words; `pad` is what a longer axis is filled with, None for arbitrary numbers."""

    values: np.ndarray
    shape: str
    kind: str = "float"
    pad: float | None = None
    valid: dict[str, str] = field(default_factory=dict)
    """Changes that are valid calls, each with the reason."""

    def to(self, xp: ModuleType, dtype: str, values: Any = None) -> Any:
        """Return the values, or others, in a library, and if they are no words in a dtype."""
        own = word_dtype(xp) if self.kind == "words" else dtype
        return to_library(self.values if values is None else values, xp, own)


@dataclass(frozen=True)
class Plain:
    """A plain value; `wrong` are others of its kind to refuse, as they do not fit the argument `against`."""

    value: Any
    kind: Any
    wrong: tuple = ()
    against: str = ""
    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """An argument that is not changed, made for a library and dtype."""

    make: Callable[[ModuleType, Any], Any]


def given(value: Any) -> Given:
    return Given(lambda xp, dtype: value)


def count(value: int, *wrong: int, against: str = "", least: int = 1) -> Plain:
    return Plain(value, Integer(least), wrong, against)


_rng = np.random.default_rng(0)


def floats(shape: str, kind: str = "float", **lengths: int) -> Values:
    """Return arbitrary numbers of a shape, of the lengths above unless other ones are given."""
    sizes: list[int] = []
    for name in shape.split():
        size = int(name) if name.isdigit() else lengths.get(name, LENGTHS.get(name.lstrip("?"), 3))
        sizes += size if isinstance(size, tuple) else [size]
    values = _rng.normal(size=sizes)
    return Values(np.linalg.qr(values)[0] if kind == "basis" else values, shape, kind)


def dense(*names: str) -> tuple[Dense, ...]:
    """Return layers with axes of these names, from below."""
    return tuple(Dense(floats(f"{above} {below}"), floats(above)) for below, above in itertools.pairwise(names))


def free(layers: tuple) -> tuple:
    """Return layers whose shapes need not fit one another."""
    return tuple(type(layer)(*(replace(each, shape="~") for each in layer)) for layer in layers)


# What annotations do not say

SPAN = floats("n d", "basis").values
SPECTRUM = np.array([[3.0, 2.0, 0.5]] * 5)
NETWORK = dense("m", "p", "q")
LAYER = dense("m", "n")[0]
RECURRENT = (Cell(floats("n n"), floats("n m"), floats("n")), *dense("n", "q"))
GEOMETRY = Geometry((2, 5, 6), size=3, stride=2, padding=1)  # 60 units to o·3·3
CONVOLUTION = Convolution(floats("o 2 3 3"), floats("o"), given({GEOMETRY: None}))
IMAGE = (count(2), count(5, 1), count(6, 1))
KERNEL = Kernel(count(3), count(3, 7), count(1), count(0, least=0), count(2, 6), count(1))
COVARIANCE = Values(np.diag([2.0, 1.5, 1.0, 0.5]) + 0.1, "n n")
LIKENESSES = [Values(each.values @ each.values.T, "N N") for each in (floats("N m"), floats("N m"))]
MOMENTS = Moments(Values(np.array(5.0), ""), floats("n"), COVARIANCE)
KEY = Values(np.array([3, 4000000000]), "2", "words")
SAMPLE = np.arange(5.0)[:, None] + np.eye(5, 3)
INPUTS = Given(lambda xp, dtype: to_library(SAMPLE, xp, dtype))
ROUTE, SETTINGS = Direct(tanh), training.Settings(dimension=2, samples=2)
STATE = training.init(
    random.key(2, np),
    nn.initialisation.dense_network(random.key(0, np), (3, 4, 2), np.float64),
    SAMPLE,
    route=ROUTE,
    settings=SETTINGS,
)


def _state(xp: ModuleType, dtype: Any) -> training.State:
    return of_library(STATE, xp, dtype)


def of_library(value: Any, xp: ModuleType, dtype: Any = None) -> Any:
    """Return what is NumPy's as what it is in a library: arrays, also those inside tuples, a dtype and NumPy itself.

    Floats have a dtype, or their own.
    """
    if isinstance(value, tuple):
        return _like(value, [of_library(item, xp, dtype) for item in value])
    if isinstance(value, np.ndarray):
        own = value.dtype.name if dtype is None else dtype
        return to_library(value, xp, word_dtype(xp) if value.dtype == np.uint32 else own)
    return xp.float32 if value is np.float32 else xp if value is np else value


def _tail(x: Any) -> Any:
    return x[..., :-1] * x[..., 1:]


ARGUMENTS: dict[str, Any] = {
    "network": NETWORK,
    "layer": LAYER,
    "self": LAYER,
    "moments": MOMENTS,
    "other": MOMENTS,
    "widths": (count(3), count(4), count(2)),
    "alignments": tuple(Plain(share, Fraction.__metadata__[0]) for share in (0.3, 0.5, 0.6)),
    "kernels": (KERNEL,),
    "image": IMAGE,
    "geometry": given(GEOMETRY),
    "state": Given(_state),
    "route": given(ROUTE),
    "settings": given(SETTINGS),
    "activation": given(relu),
    "loss": given(nn.loss.squared_error),
    "tail": given(_tail),
    "respond": given(nmnc_ref.estimator.one_sided_response),
    "scheme": given(nn.initialisation.glorot),
    "law": given(random.rademacher),
    "estimate": Given(lambda xp, dtype: lambda a, b: xp.full((2, 3), (a + b) / 2, dtype=dtype)),
    "batches": given([]),
    "fit": given(nmnc_ref.training.fit_manifolds),
    "advance": given(print),
    "annealing": given(lambda index: 1.0),
}
"""By name, the arguments whose annotations do not say what to make."""
ONE_FOR_ALL = {"too few axes": "one feedback for all inputs", "two more axes": ""}
LEADING = {"feedback": replace(floats("... o n"), valid={"two more axes": ""})}
EXPLAINED = {
    "dimension": given(None),
    "explained": Plain(0.9, PositiveFraction.__metadata__[0]),
    "centring": Plain("centred", Choice()),
}
FIXED = {"explained": given(None), "centring": Plain("mean-added", Choice())}
COUNTS = {"dimension": count(3, 11, against="width"), "width": count(10, 2, against="dimension")}
CALLS: dict[str, dict[str, Any]] = {
    "perturbation.matched_sigma": {
        "dimension": count(2, 5, against="width"),
        "width": count(4, 1, against="dimension"),
    },
    "perturbation.orthonormal_frame": {"coefficients": floats("K *batch d", K=2, d=4)},
    "estimator.least_squares": {"basis": replace(floats("n d", "basis", d=4), valid={"None": "isotropic noise"})},
    "estimator.in_chunks": {"draws": count(5), "chunk": count(2)},
    "noise_correlation.estimate_jacobian": {"chunk": count(2)},
    "credit.activity_gradient": LEADING,
    "credit.delta": LEADING,
    "credit.direct_deltas": {
        "feedbacks": (floats("o n"), replace(floats("B o p"), valid=ONE_FOR_ALL)),
        "slopes": (floats("B n"), floats("B p")),
    },
    "credit.layerwise_deltas": {
        "error": floats("B q"),
        "mirrors": dense("n", "p", "q"),
        "slopes": (floats("B n"), floats("B p")),
    },
    "credit.weight_gradients": {
        "activities": (floats("B m"), floats("B p")),
        "deltas": (floats("B p"), floats("B q")),
    },
    "credit.activity_gradients_by_lag": {"error": floats("B o"), "feedbacks": (floats("o n"), floats("o n"))},
    "feedback.by_lag": {"estimates": (floats("o n"), floats("o n"))},
    "feedback.mirror_estimate": {"layer": dense("n", "p")[0], "response": floats("N p"), "noise": floats("N n")},
    "nn.initialisation.convolutional_network": {"widths": (count(4), count(2))},
    "nn.convolution.Geometry": KERNEL._asdict(),
    "nn.convolution.layer": {"weight": CONVOLUTION.weight},
    "nn.convolution.Convolution.preactivation": {"self": CONVOLUTION, "activity": floats("*batch 60")},
    "nn.convolution.Convolution.pull_back": {"self": CONVOLUTION, "delta": floats("*batch 27")},
    "nn.convolution.Convolution.gradient": {
        "self": CONVOLUTION,
        "delta": floats("B 27"),
        "activity": floats("B 60"),
    },
    "nn.convolution.channel_vectors": {"activity": floats("*batch 8"), "channels": count(2, 3)},
    "nn.feedforward.tail": {"layer": count(0, 3, least=0)},
    "nn.feedforward.jacobian": {"layer": count(0, 3, least=0)},
    "nn.feedforward.backpropagation": {"target": floats("B q")},
    "nn.recurrent.Cell.drive": {"self": RECURRENT[0]},
    "nn.recurrent.forward": {"network": RECURRENT},
    "nn.recurrent.tail": {"network": RECURRENT, "step": count(2, 4)},
    "nn.recurrent.jacobian": {"network": RECURRENT, "step": count(2, 4)},
    "nn.recurrent.jacobians": {"network": RECURRENT},
    "nn.recurrent.backpropagation": {"network": RECURRENT, "target": floats("B q")},
    "nn.recurrent.weight_gradients": {
        "network": RECURRENT,
        "x": floats("B 3 m"),
        "activities": tuple(floats("B n") for _ in range(4)),
        "deltas": tuple(floats("B n") for _ in range(3)),
        "error": floats("B q"),
    },
    "nn.recurrent.by_step": {"error": floats("B 3")},
    "nn.sgd.zero_velocity": {"network": free(NETWORK)},
    "training.Settings": {"rule": Plain("nmnc", Choice()), "explained": given(None), "dimension": count(2)},
    "training.init": {"sample": floats("B m")},
    "training.fit_manifolds": {"sample": INPUTS},
    "training.learn_feedback": {"x": INPUTS},
    "training.step": {"x": floats("B 3"), "target": floats("B 2")},
    "training.train": {"sample": INPUTS},
    "manifold.fit": FIXED | {"activity": floats("B n", B=6), "dimension": count(2, 5, against="activity")},
    "manifold.from_moments": FIXED | {"covariance": COVARIANCE, "dimension": count(2, 5, against="covariance")},
    "dimension.participation_ratio": {"spectrum": Values(SPECTRUM, "*batch m", pad=0.0)},
    "dimension.explained_variance_dimension": {"spectrum": Values(SPECTRUM, "*batch m", pad=0.0)},
    "similarity.debiased_alignment": dict(zip(("gram", "other_gram"), LIKENESSES, strict=True)),
    "random.threefry2x32": {name: replace(KEY, shape="~") for name in ("key0", "key1", "counter0", "counter1")},
    "random.fold_in": {"data": count(3, 2**32, least=0)},
    "theory.dimension.expected_participation_ratio": {"spectrum": Values(SPECTRUM[0], "n", pad=0.0)},
    "theory.estimator.squared_cosine_variance": {"gram": Values(np.array([[0.3, 0.1], [0.1, 0.2]]), "d d")},
    "theory.estimator.frame_error": {
        "draws": count(2, 4, against="dimension"),
        "dimension": count(3, 1, against="draws"),
    },
    "theory.estimator.least_squares_error": {"dimension": count(3, 8, against="draws"), "draws": count(9, 4)},
    "theory.estimator.batch_variance": {"dimension": count(2, 5)},
}
for _name in ("error_crossover", "cosine_crossover", "cosine_threshold", "random_alignment"):
    CALLS[f"theory.estimator.{_name}"] = COUNTS
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "estimator.least_squares": {"isotropic": {"basis": given(None)}},
    "noise_correlation.estimate_jacobian": {"isotropic": {"basis": given(None)}},
    "credit.activity_gradient": {
        "one feedback for each input": {"feedback": replace(floats("B o n"), valid=ONE_FOR_ALL)}
    },
    "credit.direct_deltas": {"no hidden layer": {"feedbacks": (), "slopes": ()}},
    "credit.layerwise_deltas": {"no hidden layer": {"mirrors": (), "slopes": ()}},
    "credit.activity_gradients_by_lag": {
        "every step": {
            "error": floats("B 4"),
            "feedbacks": (floats("2 n"), floats("2 n")),
            "every": Plain(True, bool),
        }
    },
    "feedback.by_lag": {
        "every step": {"estimates": (floats("4 n"), floats("2 n")), "every": Plain(True, bool)},
    },
    "manifold.fit": {"explained": EXPLAINED},
    "manifold.from_moments": {"explained": EXPLAINED},
    "nn.feedforward.tail": {
        "identity": {
            "network": Given(lambda xp, dtype: _build(NETWORK, xp, dtype)),
            "layer": count(2, 3, least=0),
        }
    },
    "nn.recurrent.tail": {"every step": {"every": Plain(True, bool)}},
    "random.fold_in": {"array": {"data": Values(np.array([1, 2, 3]), "~", "words")}},
}
THEN: dict[str, dict[str, Any]] = {
    "nn.feedforward.tail": {"activity": floats("*batch m")},
    "nn.feedforward.tail(identity)": {"activity": floats("*batch q")},
    "nn.feedforward.injection": {"offset": replace(floats("K B p"), shape="... B p")},
    "nn.recurrent.tail": {"activity": replace(floats("B n"), shape="*draws B n")},
}
"""Arguments of what a function returns."""
UNTRACED = ("manifold.fit(explained)", "manifold.from_moments(explained)")
"""Calls that cannot be traced by jax.jit, as the number of components would depend on values."""


# From signatures to calls


def hints(function: Callable) -> dict[str, Any]:
    return typing.get_type_hints(function, include_extras=True)


def _node(name: str, annotation: Any) -> Any:
    """Return what an argument is, by its annotation."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if type(None) in parts:
        return replace(_node(name, parts[0]), valid={"None": "None is the documented default"})
    if annotation is bool:
        return Plain(False, bool)
    if origin is not Annotated or parts[1] is Some:
        return ARGUMENTS[name]
    kind = parts[1]
    if isinstance(kind, Parameters):
        return NETWORK
    if isinstance(kind, Arrays):
        shape = " ".join(kind.names)
        return replace(KEY, shape=shape) if kind.kind == "words" else floats(shape, kind.kind)
    if isinstance(kind, ArrayNamespace):
        return Given(lambda xp, dtype: xp)
    if isinstance(kind, Choice):
        return Plain(kind.options[0], kind)
    return Plain({Number: 0.3, Integer: 3, FloatDtype: None}.get(type(kind), (2, 3)), kind)


@dataclass(frozen=True, eq=False)
class Call:
    """A valid call of the public function `name`, and of what it returns with the arguments `then`."""

    name: str
    variant: str
    function: Callable
    arguments: dict[str, Any]
    then: dict[str, Any]

    def __str__(self) -> str:
        return self.name + (f"({self.variant})" if self.variant else "")

    @cached_property
    def leaves(self) -> dict[str, Any]:
        """Every argument by its path, such as `sigma` or `network[0].weight`."""
        return {path: leaf for name, node in (self.arguments | self.then).items() for path, leaf in _leaves(name, node)}

    @cached_property
    def arrays(self) -> dict[str, Values]:
        """The array arguments by path."""
        return {path: kind for path, kind in self.leaves.items() if isinstance(kind, Values)}

    @cached_property
    def floats(self) -> dict[str, Values]:
        """The arguments that are arrays of floats, by path."""
        return {path: kind for path, kind in self.arrays.items() if kind.kind != "words"}

    def build(self, xp: ModuleType, dtype: str) -> dict[str, Any]:
        """Return the arguments in a library and dtype."""
        return {name: _build(node, xp, dtype) for name, node in (self.arguments | self.then).items()}

    def __call__(self, arguments: dict[str, Any]) -> Any:
        """Call the function."""
        result = self.function(**{name: arguments[name] for name in self.arguments})
        return result(*(arguments[name] for name in self.then)) if self.then else result


def changed(arguments: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return arguments with other values at some paths."""
    return {name: _changed(name, value, changes) for name, value in arguments.items()}


def _changed(path: str, value: Any, changes: dict[str, Any]) -> Any:
    if path in changes:
        return changes[path]
    if not isinstance(value, tuple) or not any(each.startswith(path) for each in changes):
        return value
    return _like(value, [_changed(inner, item, changes) for inner, item in _items(path, value)])


def _like(node: tuple, items: list[Any]) -> tuple:
    return type(node)(*items) if hasattr(node, "_fields") else tuple(items)


def _items(path: str, node: tuple) -> list[tuple[str, Any]]:
    names = getattr(node, "_fields", None)
    return [(f"{path}.{names[i]}" if names else f"{path}[{i}]", item) for i, item in enumerate(node)]


def _leaves(path: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, tuple):
        for inner, item in _items(path, node):
            yield from _leaves(inner, item)
    else:
        yield path, node


def _build(node: Any, xp: ModuleType, dtype: str) -> Any:
    if isinstance(node, tuple):
        return _like(node, [_build(item, xp, dtype) for item in node])
    if isinstance(node, Values):
        return node.to(xp, dtype)
    if isinstance(node, Given):
        return node.make(xp, getattr(xp, dtype))
    return getattr(xp, dtype) if isinstance(node.kind, FloatDtype) else node.value


def public_functions() -> dict[str, Callable]:
    """Return every checked function, activation, loss and method of the library by name."""
    modules = {name: getattr(nmnc_ref, name) for name in nmnc_ref.__all__}
    modules |= {f"nn.{name}": getattr(nn, name) for name in nn.__all__}
    modules |= {f"theory.{name}": getattr(theory, name) for name in theory.__all__}
    found = {}
    for prefix, module in modules.items():
        if not isinstance(module, ModuleType) or prefix in ("oracle", "arrays", "checked", "scalars"):
            continue
        for name, value in vars(module).items():
            if name.startswith(("_", "expect_")) or getattr(value, "__module__", "") != module.__name__:
                continue
            if inspect.isfunction(value) or (is_dataclass(value) and hasattr(value, "__post_init__")):
                found[f"{prefix}.{name}"] = value
            elif isinstance(value, type) and name in ("Dense", "Convolution", "Cell"):
                methods = {n: f for n, f in vars(value).items() if inspect.isfunction(f) and n[0] != "_"}
                found |= {f"{prefix}.{name}.{n}": f for n, f in methods.items()}
        for name, value in vars(module).items():
            if isinstance(value, tuple) and hasattr(value, "_fields") and name[0] != "_":  # an activation or a loss
                found |= {f"{prefix}.{name}.{f}": item for f, item in value._asdict().items() if callable(item)}
    return found


def calls() -> Iterator[Call]:
    for name, function in public_functions().items():
        own = hints(function)
        for variant, changes in ({"": {}} | VARIANTS.get(name, {})).items():
            said = CALLS.get(name, {}) | changes
            arguments = {
                each: said[each] if each in said else _node(each, own.get(each))
                for each in inspect.signature(function).parameters
            }
            then = THEN.get(f"{name}({variant})", THEN.get(name, {}))
            yield Call(name, variant, function, arguments, then)
