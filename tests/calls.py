"""A valid call of every public function, made from its signature: what test_bad_input.py changes one argument of.

Annotations say kinds, shapes and ranges. What they cannot say is here: the numbers that must fit one another or that
are more than arbitrary, and networks with what fits their layers.
"""

from __future__ import annotations

import inspect
import itertools
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from types import ModuleType
from typing import Annotated, Any, NamedTuple

import numpy as np
from conftest import to_library

import nmnc_ref
from nmnc_ref import nn, random, theory, training
from nmnc_ref.arrays import Arrays, Parameters
from nmnc_ref.nn.activation import relu, tanh
from nmnc_ref.nn.convolution import Convolution, Geometry
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.initialisation import Kernel
from nmnc_ref.nn.recurrent import Cell
from nmnc_ref.route import Direct
from nmnc_ref.scalars import ArrayNamespace, Choice, FloatDtype, Integer, Number, Some

LENGTHS = {"B": 5, "n": 4, "d": 2, "o": 3, "K": 6, "m": 7, "N": 8, "S": 9, "C": 4, "c": 3, "above": 3, "below": 4}
LENGTHS |= {"*batch": (5,), "*draws": (5,), "*any": (5, 4), "*keys": (), "...": ()}


# What an argument is


@dataclass(frozen=True)
class Floats:
    """An array of float32 or float64; `pad` is what a longer axis is filled with, None for arbitrary numbers."""

    values: np.ndarray
    shape: str
    basis: bool = False
    pad: float | None = None
    valid: dict[str, str] = field(default_factory=dict)
    """Changes that are valid calls, each with the reason."""


@dataclass(frozen=True)
class Words:
    """An array of 32-bit words, such as a random key."""

    values: np.ndarray
    shape: str
    valid: dict[str, str] = field(default_factory=dict)


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


_rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape)


def floats(shape: str, basis: bool = False, **lengths: Any) -> Floats:
    """Return arbitrary numbers of a shape, of the lengths above unless other ones are given."""
    sizes: list[int] = []
    for name in shape.split():
        size = int(name) if name.isdigit() else lengths.get(name, LENGTHS.get(name.lstrip("?"), 3))
        sizes += size if isinstance(size, tuple) else [size]
    values = normal(*sizes)
    return Floats(np.linalg.qr(values)[0] if basis else values, shape, basis)


# What annotations do not say

SPAN = np.linalg.qr(normal(4, 2))[0]  # [n, d]
COVARIANCE = np.diag([2.0, 1.5, 1.0, 0.5]) + 0.1
SPECTRUM = np.array([[3.0, 2.0, 0.5]] * 5)


def dense(*names: str) -> tuple[Dense, ...]:
    """Return layers with axes of these names, from below: p, q, … have the lengths 4 and 2."""
    sizes = LENGTHS | {"m": 3, "p": 4, "q": 2}
    layers = []
    for below, above in itertools.pairwise(names):
        weight, bias = normal(sizes[above], sizes[below]), normal(sizes[above])
        layers.append(Dense(Floats(weight, f"{above} {below}"), Floats(bias, above)))
    return tuple(layers)


def free(layers: tuple) -> tuple:
    """Return layers whose shapes need not fit one another."""
    return tuple(type(layer)(*(replace(each, shape="~") for each in layer)) for layer in layers)


NETWORK = dense("m", "p", "q")  # 3 → 4 → 2
RECURRENT = (
    Cell(Floats(normal(4, 4), "n n"), Floats(normal(4, 3), "n m"), Floats(normal(4), "n")),
    *dense("n", "q"),
)
GEOMETRY = Geometry((2, 5, 6), size=3, stride=2, padding=1)  # 60 units to o·3·3
CONVOLUTION = Convolution(Floats(normal(3, 2, 3, 3), "o 2 3 3"), Floats(normal(3), "o"), given({GEOMETRY: None}))
SEQUENCE = Floats(normal(5, 3, 3), "B T m")
IMAGES = Floats(normal(5, 60), "*batch 60")
KEY = np.array([3, 4000000000])
TRAINING = {"route": given(Direct(tanh)), "settings": given(training.Settings(dimension=2, samples=2))}
SAMPLE = np.arange(5.0)[:, None] + np.eye(5, 3)
COUNTS = {"dimension": (3, (11,), "width"), "width": (10, (2,), "dimension")}


def _state(xp: ModuleType, dtype: Any) -> training.State:
    layers = nn.initialisation.dense_network(random.key(0, xp), (3, 4, 2), dtype)
    parts = {name: each.make(xp, dtype) for name, each in TRAINING.items()}
    return training.init(random.key(2, xp), layers, to_library(SAMPLE, xp, dtype), **parts)


STATE = Given(_state)
INPUTS = Given(lambda xp, dtype: to_library(SAMPLE, xp, dtype))


def _tail(x: Any) -> Any:
    return x[..., :-1] * x[..., 1:]


def _counts(*names: str, **numbers: tuple) -> dict[str, Plain]:
    """Return integers with those that do not fit another argument: (value, wrong values, the other argument)."""
    found = {name: COUNTS[name] for name in names} | numbers
    return {name: Plain(value, Integer(1), wrong, against) for name, (value, wrong, against) in found.items()}


ONE_FOR_ALL = {"too few axes": "one feedback for all inputs", "two more axes": ""}
CALLS: dict[str, dict[str, Any]] = {
    "perturbation.matched_sigma": _counts(dimension=(2, (5,), "width"), width=(4, (1,), "dimension")),
    "perturbation.orthonormal_frame": {"coefficients": floats("K *batch d", K=2, d=4)},
    "estimator.least_squares": {"basis": replace(floats("n d", basis=True, d=4), valid={"None": "isotropic noise"})},
    "estimator.in_chunks": {
        "estimate": Given(lambda xp, dtype: lambda a, b: xp.full((2, 3), (a + b) / 2, dtype=dtype)),
        "draws": Plain(5, Integer(1)),
        "chunk": Plain(2, Integer(1)),
    },
    "noise_correlation.estimate_jacobian": {"law": given(random.rademacher), "chunk": Plain(2, Integer(1))},
    "credit.activity_gradient": {"feedback": replace(floats("... o n"), valid={"two more axes": ""})},
    "credit.delta": {"feedback": replace(floats("... o n"), valid={"two more axes": ""})},
    "credit.direct_deltas": {
        "error": floats("B o"),
        "feedbacks": (floats("o n"), replace(floats("B o p"), valid=ONE_FOR_ALL)),
        "slopes": (floats("B n"), floats("B p")),
    },
    "credit.layerwise_deltas": {
        "error": floats("B q", q=2),
        "mirrors": dense("n", "p", "q"),
        "slopes": (floats("B n"), floats("B p", p=4)),
    },
    "credit.weight_gradients": {
        "network": NETWORK,
        "activities": (floats("B m", m=3), floats("B p", p=4)),
        "deltas": (floats("B p", p=4), floats("B q", q=2)),
    },
    "credit.activity_gradients_by_lag": {"error": floats("B o"), "feedbacks": (floats("o n"), floats("o n"))},
    "feedback.by_lag": {"estimates": (floats("o n"), floats("o n"))},
    "feedback.mirror_estimate": {
        "layer": dense("n", "p")[0],
        "response": floats("N p", p=4),
        "noise": floats("N n"),
    },
    "nn.initialisation.convolutional_network": {
        "image": tuple(Plain(*each) for each in ((2, Integer(1)), (5, Integer(1), (1,)), (6, Integer(1), (1,)))),
        "kernels": (
            Kernel(
                Plain(3, Integer(1)),
                Plain(3, Integer(1), (7,)),
                Plain(1, Integer(1)),
                Plain(0, Integer(0)),
                Plain(2, Integer(1), (6,)),
                Plain(1, Integer(1)),
            ),
        ),
        "widths": (Plain(4, Integer(1)), Plain(2, Integer(1))),
    },
    "nn.dense.Dense.preactivation": {"self": dense("m", "n")[0], "activity": floats("*batch m", m=3)},
    "nn.dense.Dense.pull_back": {"self": dense("m", "n")[0]},
    "nn.dense.Dense.gradient": {"self": dense("m", "n")[0], "activity": floats("B m", m=3)},
    "nn.convolution.Geometry": {
        "image": tuple(Plain(*each) for each in ((2, Integer(1)), (5, Integer(1), (1,)), (6, Integer(1), (1,)))),
        "size": Plain(3, Integer(1), (7,)),
        "stride": Plain(1, Integer(1)),
        "padding": Plain(0, Integer(0)),
        "pool": Plain(2, Integer(1), (6,)),
        "pool_stride": Plain(1, Integer(1)),
    },
    "nn.convolution.layer": {
        "weight": CONVOLUTION.weight,
        "bias": CONVOLUTION.bias,
        "geometry": given(GEOMETRY),
    },
    "nn.convolution.Convolution.preactivation": {"self": CONVOLUTION, "activity": IMAGES},
    "nn.convolution.Convolution.pull_back": {"self": CONVOLUTION, "delta": Floats(normal(5, 27), "*batch 27")},
    "nn.convolution.Convolution.gradient": {
        "self": CONVOLUTION,
        "delta": Floats(normal(5, 27), "B 27"),
        "activity": Floats(normal(5, 60), "B 60"),
    },
    "nn.convolution.channel_vectors": {"activity": Floats(normal(5, 8), "*batch 8"), **_counts(channels=(2, (3,), ""))},
    "nn.feedforward.forward": {"network": NETWORK, "x": floats("*batch m", m=3)},
    "nn.feedforward.tail": {"network": NETWORK, "layer": Plain(0, Integer(0), (3,))},
    "nn.feedforward.injection": {"network": NETWORK, "x": floats("B m", m=3)},
    "nn.feedforward.jacobian": {
        "network": NETWORK,
        "x": floats("*batch m", m=3),
        "layer": Plain(0, Integer(0), (3,)),
    },
    "nn.feedforward.backpropagation": {
        "network": NETWORK,
        "x": floats("B m", m=3),
        "target": floats("B q", q=2),
    },
    "nn.recurrent.forward": {"network": RECURRENT, "x": SEQUENCE},
    "nn.recurrent.tail": {"network": RECURRENT, "x": SEQUENCE, "step": Plain(2, Integer(1), (4,))},
    "nn.recurrent.jacobian": {"network": RECURRENT, "x": SEQUENCE, "step": Plain(2, Integer(1), (4,))},
    "nn.recurrent.backpropagation": {"network": RECURRENT, "x": SEQUENCE, "target": floats("B q", q=2)},
    "nn.recurrent.weight_gradients": {
        "network": RECURRENT,
        "x": Floats(normal(5, 3, 3), "B 3 m"),
        "activities": tuple(floats("B n") for _ in range(4)),
        "deltas": tuple(floats("B n") for _ in range(3)),
        "error": floats("B q", q=2),
    },
    "nn.recurrent.by_step": {"error": Floats(normal(5, 3), "B 3")},
    "nn.sgd.zero_velocity": {"network": free(NETWORK)},
    "nn.sgd.step": {"network": NETWORK, "gradient": NETWORK, "velocity": NETWORK},
    "training.Settings": {"rule": Plain("nmnc", Choice()), "explained": given(None), "dimension": Plain(2, Integer(1))},
    "training.init": {"network": NETWORK, "sample": floats("B m", m=3), **TRAINING},
    "training.fit_manifolds": {"state": STATE, "sample": INPUTS, **TRAINING},
    "training.learn_feedback": {"state": STATE, "x": INPUTS, **TRAINING},
    "training.step": {
        "state": STATE,
        "x": Floats(normal(5, 3), "B 3"),
        "target": Floats(normal(5, 2), "B 2"),
        **TRAINING,
    },
    "training.train": {
        "state": STATE,
        "batches": given([]),
        "sample": INPUTS,
        "advance": given(print),
        "annealing": given(lambda index: 1.0),
        **TRAINING,
    },
    "manifold.fit": {
        "activity": floats("B n", B=6),
        "explained": given(None),
        "centring": Plain("mean-added", Choice()),
        **_counts(dimension=(2, (5,), "activity")),
    },
    "manifold.from_moments": {
        "covariance": Floats(COVARIANCE, "n n"),
        "explained": given(None),
        "centring": Plain("mean-added", Choice()),
        **_counts(dimension=(2, (5,), "covariance")),
    },
    "moments.merge": {
        name: nmnc_ref.moments.Moments(Floats(np.array(5.0), ""), floats("n"), Floats(COVARIANCE, "n n"))
        for name in ("moments", "other")
    },
    "moments.covariance": {
        "moments": nmnc_ref.moments.Moments(Floats(np.array(5.0), ""), floats("n"), Floats(COVARIANCE, "n n"))
    },
    "dimension.participation_ratio": {"spectrum": Floats(SPECTRUM, "*batch m", pad=0.0)},
    "dimension.explained_variance_dimension": {"spectrum": Floats(SPECTRUM, "*batch m", pad=0.0)},
    "random.threefry2x32": {
        **{name: Words(np.array([5, 4000000000]), "~") for name in ("key0", "key1")},
        **{name: Words(np.array([7, 9]), "~") for name in ("counter0", "counter1")},
    },
    "random.fold_in": {"data": Plain(3, Integer(0), (2**32,))},
    "theory.dimension.expected_participation_ratio": {"spectrum": Floats(np.array([3.0, 2.0, 0.5]), "n", pad=0.0)},
    "theory.estimator.squared_cosine_variance": {"gram": Floats(np.array([[0.3, 0.1], [0.1, 0.2]]), "d d")},
    "theory.estimator.error_crossover": _counts("dimension", "width"),
    "theory.estimator.cosine_crossover": _counts("dimension", "width"),
    "theory.estimator.cosine_threshold": _counts("dimension", "width"),
    "theory.estimator.random_alignment": _counts("dimension", "width"),
    "theory.estimator.frame_error": _counts(draws=(2, (4,), "dimension"), dimension=(3, (1,), "draws")),
    "theory.estimator.least_squares_error": _counts(dimension=(3, (8,), "draws"), draws=(9, (4,), "")),
    "theory.estimator.batch_variance": _counts(dimension=(2, (5,), "")),
}
for _name in ("forget", "update"):
    CALLS[f"moments.{_name}"] = CALLS["moments.covariance"]
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
            "error": Floats(normal(5, 4), "B 4"),
            "feedbacks": (Floats(normal(2, 4), "2 n"), Floats(normal(2, 4), "2 n")),
            "every": Plain(True, bool),
        }
    },
    "feedback.by_lag": {
        "every step": {
            "estimates": (Floats(normal(4, 4), "4 n"), Floats(normal(2, 4), "2 n")),
            "every": Plain(True, bool),
        }
    },
    "manifold.fit": {
        "explained": {
            "dimension": given(None),
            "explained": Plain(0.9, nmnc_ref.scalars.PositiveFraction.__metadata__[0]),
            "centring": Plain("centred", Choice()),
        }
    },
    "manifold.from_moments": {
        "explained": {
            "dimension": given(None),
            "explained": Plain(0.9, nmnc_ref.scalars.PositiveFraction.__metadata__[0]),
            "centring": Plain("centred", Choice()),
        }
    },
    "nn.feedforward.tail": {
        "identity": {
            "network": Given(lambda xp, dtype: _build("", NETWORK, xp, dtype, {})),
            "layer": Plain(2, Integer(0), (3,)),
        }
    },
    "nn.recurrent.tail": {"every step": {"every": Plain(True, bool)}},
    "random.fold_in": {"array": {"data": Words(np.array([1, 2, 3]), "~")}},
}
THEN: dict[str, dict[str, Any]] = {
    "nn.feedforward.tail": {"activity": floats("*batch m", m=3)},
    "nn.feedforward.tail(identity)": {"activity": floats("*batch q", q=2)},
    "nn.feedforward.injection": {"offset": Floats(normal(6, 5, 4), "... B p")},
    "nn.recurrent.tail": {"activity": Floats(normal(5, 4), "*draws B n")},
}
"""Arguments of what a function returns."""
UNTRACED = ("manifold.fit(explained)", "manifold.from_moments(explained)")
"""Calls that cannot be traced by jax.jit, as the number of components would depend on values."""


# From signatures to calls


def hints(function: Callable) -> dict[str, Any]:
    return typing.get_type_hints(function, include_extras=True)


def _node(function: str, name: str, annotation: Any) -> Any:
    """Return what an argument is, by its annotation."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        inner = [part for part in parts if part is not type(None)]
        node = _node(function, name, inner[0])
        return node if len(inner) > 1 else replace(node, valid={"None": "None is the documented default"})
    if origin is Annotated:
        kind = parts[1]
        if kind is Some:
            return _node(function, name, parts[0])
        if isinstance(kind, Arrays) and kind.kind == "words":
            return Words(KEY, " ".join(kind.names))
        if isinstance(kind, Arrays):
            return floats(" ".join(kind.names), kind.kind == "basis")
        if isinstance(kind, ArrayNamespace):
            return Given(lambda xp, dtype: xp)
        if isinstance(kind, Parameters):
            return NETWORK
        return Plain(
            kind.options[0]
            if isinstance(kind, Choice)
            else {Number: 0.3, Integer: 3, FloatDtype: None}.get(type(kind), (2, 3)),
            kind,
        )
    if annotation is bool:
        return Plain(False, bool)
    if origin is Sequence or (origin is tuple and parts[-1] is ...):
        return tuple(replace(_node(function, name, parts[0]), value=value) for value in _TUPLES[name])
    if hasattr(annotation, "_fields"):
        return given({"activation": relu, "loss": nn.loss.squared_error}[name])
    if name == "tail":
        return given(_tail)
    return given({"respond": nmnc_ref.estimator.one_sided_response, "scheme": nn.initialisation.glorot}[name])


_TUPLES = {"widths": (3, 4, 2), "alignments": (0.3, 0.5, 0.6)}


class Call(NamedTuple):
    """A valid call of the public function `name`, and of what it returns with the arguments `then`."""

    name: str
    variant: str
    arguments: dict[str, Any]
    then: dict[str, Any]

    def __str__(self) -> str:
        return self.name + (f"({self.variant})" if self.variant else "")

    @property
    def function(self) -> Callable:
        """The public function."""
        found: Any = nmnc_ref
        for part in self.name.split("."):
            found = getattr(found, part)
        return found

    @property
    def leaves(self) -> dict[str, Any]:
        """Every argument by its path, such as `sigma` or `network[0].weight`."""
        return {path: leaf for name, node in (self.arguments | self.then).items() for path, leaf in _leaves(name, node)}

    @property
    def arrays(self) -> dict[str, Floats | Words]:
        """The array arguments by path."""
        return {path: kind for path, kind in self.leaves.items() if isinstance(kind, (Floats, Words))}

    def build(self, xp: ModuleType, dtype: str, changed: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the arguments in a library and dtype; `changed` holds other values, by path."""
        changed = changed or {}
        return {name: _build(name, node, xp, dtype, changed) for name, node in (self.arguments | self.then).items()}

    def __call__(self, arguments: dict[str, Any]) -> Any:
        """Call the function."""
        result = self.function(**{name: arguments[name] for name in self.arguments})
        return result(*(arguments[name] for name in self.then)) if self.then else result


def _items(name: str, node: tuple) -> list[tuple[str, Any]]:
    names = getattr(node, "_fields", None)
    return [(f"{name}.{names[i]}" if names else f"{name}[{i}]", item) for i, item in enumerate(node)]


def _leaves(name: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, tuple):
        for path, item in _items(name, node):
            yield from _leaves(path, item)
    else:
        yield name, node


def _build(name: str, node: Any, xp: ModuleType, dtype: str, changed: dict[str, Any]) -> Any:
    if name in changed:
        return changed[name]
    if isinstance(node, tuple):
        items = [_build(path, item, xp, dtype, changed) for path, item in _items(name, node)]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
    if isinstance(node, Floats):
        return to_library(node.values, xp, dtype)
    if isinstance(node, Words):
        return to_library(node.values, xp, nmnc_ref.arrays.word_dtype(xp))
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
            elif isinstance(value, type) and name in ("Dense", "Convolution"):
                methods = {n: f for n, f in vars(value).items() if inspect.isfunction(f) and n[0] != "_"}
                found |= {f"{prefix}.{name}.{n}": f for n, f in methods.items()}
        for name, value in vars(module).items():
            if isinstance(value, tuple) and hasattr(value, "_fields") and name[0] != "_":  # an activation or a loss
                found |= {f"{prefix}.{name}.{f}": item for f, item in value._asdict().items() if callable(item)}
    return found


def _calls() -> Iterator[Call]:
    for name, function in public_functions().items():
        own = hints(function)
        for variant, changes in ({"": {}} | VARIANTS.get(name, {})).items():
            said = CALLS.get(name, {}) | changes
            arguments = {
                each: said[each] if each in said else _node(name, each, own[each])
                for each in inspect.signature(function).parameters
            }
            then = THEN.get(f"{name}({variant})", THEN.get(name, {}))
            yield Call(name, variant, arguments, then)
