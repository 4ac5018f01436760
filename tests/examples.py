"""One valid call of every public function, and what each of its arguments is: the table behind test_bad_input.py.

An argument is a `Floats` or `Words` array with its shape in the notation of `nmnc_ref.arrays.expect`, a `Number`, a
`Count`, …, or a tuple or NamedTuple of these. Equal letters in shapes are lengths that must agree; a letter that
occurs once may have any length, and `~` stands for any shape that does for the call (the arrays broadcast, or are
independent of one another). What no mutation applies to is `Given`, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

import nmnc_ref
from nmnc_ref.moments import Moments
from nmnc_ref.nn.convolution import Geometry
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.initialisation import Stage
from nmnc_ref.nn.recurrent import Cell
from nmnc_ref.training import Settings, State


@dataclass(frozen=True)
class Floats:
    """An array of float32 or float64."""

    values: np.ndarray
    shape: str
    basis: bool = False
    """Columns are orthonormal."""
    pad: float | None = None
    """What a longer axis is filled with; None for arbitrary numbers."""
    valid: dict[str, str] = field(default_factory=dict)
    """Mutations that are valid calls, each with the reason."""


@dataclass(frozen=True)
class Words:
    """An array of 32-bit words, such as a random key."""

    values: np.ndarray
    shape: str
    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Number:
    """A real number above 0, or from 0 where `zero`; at most `most`."""

    value: float
    zero: bool = False
    most: float | None = None
    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Count:
    """An integer of at least `least`; `wrong` are other values to refuse, as they do not fit the argument `against`."""

    value: int
    least: int = 1
    wrong: tuple[int, ...] = ()
    against: str = ""
    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """One of some strings."""

    value: str
    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Flag:
    """True or False."""

    value: bool
    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """The shape of random draws."""

    value: tuple[int, ...]
    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Widths:
    """The widths of a network."""

    value: tuple[int, ...]
    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Numbers:
    """A sequence of numbers from 0 to 1."""

    value: tuple[float, ...]
    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dtype:
    """The dtype of the call."""

    valid: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """An argument that is not mutated, made for a library and dtype; `reason` says why."""

    make: Callable[[ModuleType, Any], Any]
    reason: str


KINDS = (Floats, Words, Number, Count, Choice, Flag, Shape, Widths, Numbers, Dtype, Given)


@dataclass(frozen=True)
class Example:
    """A valid call of the public function `name`, and of what it returns with the arguments `then`."""

    name: str
    arguments: dict[str, Any]
    variant: str = ""
    then: dict[str, Any] = field(default_factory=dict)
    returns: str = "floats"  # "floats", "integers", "words": arrays of them; "number": a float or an int
    same_number: tuple[str, ...] = ()
    """Tuples that need as many items as another argument."""
    untraced: str = ""
    """Why the call cannot be traced by jax.jit."""

    def __str__(self) -> str:
        return self.name + (f"({self.variant})" if self.variant else "")

    @property
    def function(self) -> Callable:
        """The public function."""
        found = nmnc_ref
        for part in self.name.split("."):
            found = getattr(found, part)
        return found

    def leaves(self) -> dict[str, Any]:
        """Return every argument by its path, such as `sigma` or `network[0].weight`."""
        found = {}
        for name, node in (self.arguments | self.then).items():
            found.update(_leaves(name, node))
        return found

    def arrays(self) -> dict[str, Floats | Words]:
        """Return the array arguments by path."""
        return {path: kind for path, kind in self.leaves().items() if isinstance(kind, (Floats, Words))}

    def build(self, xp: ModuleType, dtype: str, changed: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the arguments in a library and dtype; `changed` holds other values, by path."""
        changed = changed or {}
        return {name: _build(name, node, xp, dtype, changed) for name, node in (self.arguments | self.then).items()}

    def call(self, arguments: dict[str, Any]) -> Any:
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
        return to_library(node.values, xp, nmnc_ref.random.word_dtype(xp))
    if isinstance(node, Dtype):
        return getattr(xp, dtype)
    return node.make(xp, getattr(xp, dtype)) if isinstance(node, Given) else node.value


def to_library(values: np.ndarray, xp: ModuleType, dtype: Any) -> Any:
    """Return NumPy data as a fresh array of a library, whatever its shape."""
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    return xp.reshape(xp.asarray(np.ravel(values).tolist(), dtype=dtype), values.shape)


_rng = np.random.default_rng(0)


def _normal(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape)


_FREE = {"None": "None is the documented default"}
_ONE_FEEDBACK = {"too few axes": "one feedback for all inputs"}
_CALLABLE = "a callable, which is only called; what it returns is checked in tests of its own"
_MODULE = "a namespace: that it lacks an attribute is said by Python"
_UNREAD = "not read by this function"

SPAN = np.linalg.qr(_normal(4, 2))[0]  # [n, d]
BASIS = Floats(SPAN, "n d", basis=True)
PROJECTOR = Floats(SPAN @ SPAN.T, "n n")
COVARIANCE = np.diag([2.0, 1.5, 1.0, 0.5]) + 0.1
KEY = Words(np.array([3, 4000000000]), "... 2")
ONE_KEY = Words(np.array([3, 4000000000]), "2")
NOISE = Floats(_normal(6, 2, 4), "K ... n")
RESPONSE = Floats(_normal(6, 2, 3), "K ... o")
POSITIVE = Number(0.3)
SHARE = Number(0.3, zero=True, most=1.0)
NON_NEGATIVE = Number(0.3, zero=True)
LAW = Choice("rademacher")
RELU = Given(lambda xp, dtype: nmnc_ref.activation.relu, "an Activation: any object with value and slope")
SQUARED_ERROR = Given(lambda xp, dtype: nmnc_ref.loss.squared_error, "a Loss: any object with value and error")


def _tail(x: Any) -> Any:
    return x[..., :-1] * x[..., 1:]


TAIL = Given(lambda xp, dtype: _tail, _CALLABLE)


def _network(bias: bool = True, read: bool = True, fixed: bool = True) -> tuple[Dense, ...]:
    """Return a network 3 → 4 → 2 with letters m, p and q, or of any shapes where they are not `fixed`."""
    layers = []
    for outputs, inputs, shape in ((4, 3, "p m"), (2, 4, "q p")):
        weight, offset = _normal(outputs, inputs), _normal(outputs)
        layers.append(
            Dense(
                Floats(weight, shape if fixed else "~") if read else _unread(weight),
                Floats(offset, shape[0] if fixed else "~") if bias and read else _unread(offset),
            )
        )
    return tuple(layers)


def _unread(values: np.ndarray) -> Given:
    return Given(lambda xp, dtype: to_library(values, xp, dtype), _UNREAD)


def _layer(bias: bool = True) -> Dense:
    offset = _normal(3)
    return Dense(Floats(_normal(3, 4), "n m"), Floats(offset, "n") if bias else _unread(offset))


CONVOLUTION = nmnc_ref.convolution.of(Geometry((2, 5, 6), size=3, stride=2, padding=1))  # 60 units to o·3·3


def _convolution(bias: bool = True) -> Any:
    weight, offset = Floats(_normal(3, 2, 3, 3), "o 2 3 3"), _normal(3)
    return CONVOLUTION(weight, Floats(offset, "o") if bias else _unread(offset))


def _recurrent(bias: bool = True, read_out_bias: bool = True) -> tuple[Cell, Dense]:
    """Return a recurrent network 3 → 4 → 2 with letters m, n and q."""
    offset = _normal(4)
    cell = Cell(
        Floats(_normal(4, 4), "n n"), Floats(_normal(4, 3), "n m"), Floats(offset, "n") if bias else _unread(offset)
    )
    offset = _normal(2)
    return cell, Dense(Floats(_normal(2, 4), "q n"), Floats(offset, "q") if read_out_bias else _unread(offset))


SEQUENCE = Floats(_normal(5, 3, 3), "B T m")
LEAK = Number(0.3, most=1.0)
LAST = Flag(False)
ROUTE = Given(lambda xp, dtype: nmnc_ref.credit.direct(nmnc_ref.activation.tanh), "a Route: a record of functions")
SETTINGS = Settings(
    rule=Choice("nmnc"),
    learning_rate=POSITIVE,
    momentum=SHARE,
    decay=NON_NEGATIVE,
    feedback_rate=SHARE,
    sigma=POSITIVE,
    draws=Count(2),
    samples=Count(2),
    interval=Count(1),
    refresh=Count(5),
    dimension=Count(2),
    explained=Given(lambda xp, dtype: None, "given instead of dimension"),
    centring=Choice("uncentred"),
    antithetic=Flag(True),
)


GIVEN_SETTINGS = Given(lambda xp, dtype: nmnc_ref.training.Settings(dimension=2), "replaced in training.step")


def _state(xp: ModuleType, dtype: Any) -> State:
    network = nmnc_ref.initialisation.dense_network(nmnc_ref.random.key(0, xp), (3, 4, 2), dtype)
    sample = nmnc_ref.random.normal(nmnc_ref.random.key(1, xp), (5, 3), dtype)
    parts = {"route": ROUTE.make(xp, dtype), "settings": GIVEN_SETTINGS.make(xp, dtype)}
    return nmnc_ref.training.init(nmnc_ref.random.key(2, xp), network, sample, **parts)


INPUTS = Given(
    lambda xp, dtype: (
        to_library(np.ones((5, 3)), xp, dtype) * xp.arange(5, dtype=dtype)[:, None] + xp.eye(5, dtype=dtype)[:, :3]
    ),
    "replaced in training.step and with training",
)
STATE = Given(_state, "what init returns; others are tested with training")


def _moments() -> Moments:
    return Moments(Floats(np.array(5.0), ""), Floats(_normal(4), "n"), Floats(COVARIANCE, "n n"))


def _full(xp: ModuleType, dtype: Any) -> Callable:
    return lambda start, stop: xp.full((2, 3), (start + stop) / 2, dtype=dtype)


def _e(name: str, /, variant: str = "", **arguments: Any) -> Example:
    own = {key: arguments.pop(key) for key in ("then", "returns", "same_number", "untraced") if key in arguments}
    return Example(name, arguments, variant, **own)


EXAMPLES = [
    # perturbation
    _e("perturbation.isotropic", coefficients=Floats(_normal(5, 4), "... n"), sigma=POSITIVE),
    _e("perturbation.on_manifold", coefficients=Floats(_normal(5, 2), "... d"), basis=BASIS, sigma=POSITIVE),
    _e(
        "perturbation.covariance_shaped",
        coefficients=Floats(_normal(5, 3), "... m"),
        factor=Floats(_normal(4, 3), "n m"),
    ),
    _e("perturbation.fixed_norm", coefficients=Floats(_normal(5, 4), "... d")),
    _e("perturbation.orthonormal_frame", coefficients=Floats(_normal(2, 5, 4), "K ... d")),
    _e(
        "perturbation.matched_sigma",
        sigma=POSITIVE,
        dimension=Count(2, wrong=(5,)),
        width=Count(4, wrong=(1,), against="dimension"),
        returns="number",
    ),
    # estimator
    _e(
        "estimator.one_sided_response",
        tail=TAIL,
        activity=Floats(_normal(2, 4), "... n"),
        noise=Floats(_normal(6, 2, 4), "K ... n"),
    ),
    _e(
        "estimator.antithetic_response",
        tail=TAIL,
        activity=Floats(_normal(2, 4), "... n"),
        noise=Floats(_normal(6, 2, 4), "K ... n"),
    ),
    _e("estimator.unnormalised_correlation", response=RESPONSE, noise=NOISE),
    _e("estimator.correlation", response=RESPONSE, noise=NOISE, sigma=POSITIVE),
    _e(
        "estimator.batch_correlation",
        response=Floats(_normal(6, 2, 3), "K B ... o"),
        noise=Floats(_normal(6, 2, 4), "K B ... n"),
        sigma=POSITIVE,
    ),
    _e(
        "estimator.least_squares",
        response=Floats(_normal(6, 2, 3), "K ... o"),
        noise=NOISE,
        basis=Floats(np.linalg.qr(_normal(4, 4))[0], "n d", basis=True, valid={"None": "isotropic noise"}),
    ),
    _e(
        "estimator.least_squares",
        "isotropic",
        response=RESPONSE,
        noise=NOISE,
        basis=Given(lambda xp, dtype: None, "None: isotropic noise"),
    ),
    _e("estimator.shrunk", estimate=Floats(_normal(2, 3, 4), "... o n"), scaling=POSITIVE),
    _e("estimator.in_chunks", estimate=Given(_full, _CALLABLE), draws=Count(5), chunk=Count(2)),
    _e(
        "noise_correlation.estimate_jacobian",
        key=ONE_KEY,
        tail=TAIL,
        activity=Floats(_normal(2, 4), "... n"),
        sigma=POSITIVE,
        draws=Count(5),
        basis=Floats(SPAN, "n d", basis=True, valid=_FREE),
        law=Given(lambda xp, dtype: nmnc_ref.random.rademacher, _CALLABLE),
        respond=Given(lambda xp, dtype: nmnc_ref.estimator.one_sided_response, _CALLABLE),
        chunk=Count(2),
    ),
    _e(
        "noise_correlation.estimate_jacobian",
        "isotropic",
        key=ONE_KEY,
        tail=TAIL,
        activity=Floats(_normal(2, 4), "... n"),
        sigma=POSITIVE,
        draws=Count(5),
        basis=Given(lambda xp, dtype: None, "None: isotropic noise"),
        law=Given(lambda xp, dtype: nmnc_ref.random.normal, _CALLABLE),
        respond=Given(lambda xp, dtype: nmnc_ref.estimator.antithetic_response, _CALLABLE),
        chunk=Count(256),
    ),
    # feedback
    _e(
        "feedback.running_average",
        feedback=Floats(_normal(3, 4), "... o n"),
        estimate=Floats(_normal(3, 4), "... o n"),
        rate=SHARE,
    ),
    _e("feedback.activity_gradient", signal=Floats(_normal(5, 3), "B o"), feedback=Floats(_normal(3, 4), "o n")),
    _e(
        "feedback.activity_gradient",
        "one feedback for each input",
        signal=Floats(_normal(5, 3), "B o"),
        feedback=Floats(_normal(5, 3, 4), "B o n", valid=_ONE_FEEDBACK),
    ),
    _e(
        "feedback.delta",
        signal=Floats(_normal(5, 3), "B o"),
        feedback=Floats(_normal(3, 4), "o n"),
        slope=Floats(_normal(5, 4), "B n"),
    ),
    _e(
        "feedback.direct_deltas",
        error=Floats(_normal(5, 2), "B o"),
        feedbacks=(Floats(_normal(2, 4), "o n"), Floats(_normal(5, 2, 3), "B o p", valid=_ONE_FEEDBACK)),
        slopes=(Floats(_normal(5, 4), "B n"), Floats(_normal(5, 3), "B p")),
        same_number=("feedbacks", "slopes"),
    ),
    _e(
        "feedback.direct_deltas",
        "no hidden layer",
        error=Floats(_normal(5, 2), "B o"),
        feedbacks=(),
        slopes=(),
    ),
    _e(
        "feedback.layerwise_deltas",
        error=Floats(_normal(5, 2), "B o"),
        mirrors=(
            Dense(Floats(_normal(3, 4), "p n"), _unread(_normal(3))),
            Dense(Floats(_normal(2, 3), "o p"), _unread(_normal(2))),
        ),
        slopes=(Floats(_normal(5, 4), "B n"), Floats(_normal(5, 3), "B p")),
        same_number=("mirrors", "slopes"),
    ),
    _e(
        "feedback.layerwise_deltas",
        "no hidden layer",
        error=Floats(_normal(5, 2), "B o"),
        mirrors=(),
        slopes=(),
    ),
    _e(
        "feedback.mirror_estimate",
        layer=_layer(bias=False),
        response=Floats(_normal(5, 3), "N n"),
        noise=Floats(_normal(5, 4), "N m"),
        sigma=POSITIVE,
    ),
    _e(
        "feedback.weight_gradients",
        network=_network(bias=False),
        activities=(Floats(_normal(5, 3), "B m"), Floats(_normal(5, 4), "B p")),
        deltas=(Floats(_normal(5, 4), "B p"), Floats(_normal(5, 2), "B q")),
        same_number=("network", "activities", "deltas"),
    ),
    # initialisation
    _e("initialisation.he", inputs=Count(3), outputs=Given(lambda xp, dtype: 4, _UNREAD), returns="number"),
    _e("initialisation.glorot", inputs=Count(3), outputs=Count(4), returns="number"),
    _e("initialisation.lecun", inputs=Count(3), outputs=Given(lambda xp, dtype: 4, _UNREAD), returns="number"),
    _e(
        "initialisation.dense_network",
        key=ONE_KEY,
        widths=Widths((3, 4, 2)),
        dtype=Dtype(),
        scheme=Given(lambda xp, dtype: nmnc_ref.initialisation.glorot, _CALLABLE),
    ),
    _e(
        "initialisation.convolutional_network",
        key=ONE_KEY,
        image=(Count(2), Count(5, wrong=(1,)), Count(6, wrong=(1,))),
        stages=(Stage(Count(3), Count(3, wrong=(7,)), Count(1), Count(0, least=0), Count(2, wrong=(6,)), Count(1)),),
        widths=(Count(4), Count(2)),
        dtype=Dtype(),
        scheme=Given(lambda xp, dtype: nmnc_ref.initialisation.glorot, _CALLABLE),
    ),
    _e(
        "initialisation.recurrent_network",
        key=ONE_KEY,
        inputs=Count(3),
        units=Count(4),
        outputs=Count(2),
        dtype=Dtype(),
        scheme=Given(lambda xp, dtype: nmnc_ref.initialisation.glorot, _CALLABLE),
    ),
    # activation and loss
    *(
        _e(f"activation.{name}.{part}", preactivation=Floats(_normal(5, 4), "..."))
        for name in ("identity", "relu", "tanh", "softplus")
        for part in ("value", "slope")
    ),
    *(
        _e(f"loss.{name}.{part}", output=Floats(_normal(5, 3), "B o"), target=Floats(_normal(5, 3), "B o"))
        for name in ("squared_error", "softmax_cross_entropy")
        for part in ("value", "error")
    ),
    *(
        _e(f"loss.{name}.each", output=Floats(_normal(2, 5, 3), "... B o"), target=Floats(_normal(5, 3), "B o"))
        for name in ("squared_error", "softmax_cross_entropy")
    ),
    # network
    _e("dense.Dense.preactivation", self=_layer(), activity=Floats(_normal(5, 4), "... m")),
    _e("dense.Dense.pull_back", self=_layer(bias=False), delta=Floats(_normal(5, 3), "... n")),
    _e(
        "dense.Dense.gradient",
        self=_layer(bias=False),
        delta=Floats(_normal(5, 3), "B n"),
        activity=Floats(_normal(5, 4), "B m"),
    ),
    _e(
        "convolution.of",
        geometry=Geometry(
            image=(Count(2), Count(5, wrong=(1,)), Count(6, wrong=(1,))),
            size=Count(3, wrong=(7,)),
            stride=Count(1),
            padding=Count(0, least=0),
            pool=Count(2, wrong=(6,)),
            pool_stride=Count(1),
        ),
        returns="anything",
    ),
    _e("convolution.channel_vectors", activity=Floats(_normal(5, 8), "... 8"), channels=Count(2, wrong=(3,))),
    _e("convolution.shared_basis", basis=BASIS, positions=Count(3)),
    _e("convolution.Convolution.preactivation", self=_convolution(), activity=Floats(_normal(5, 60), "... 60")),
    _e("convolution.Convolution.pull_back", self=_convolution(), delta=Floats(_normal(5, 27), "... 27")),
    _e(
        "convolution.Convolution.gradient",
        self=_convolution(),
        delta=Floats(_normal(5, 27), "B 27"),
        activity=Floats(_normal(5, 60), "B 60"),
    ),
    _e("network.forward", network=_network(), x=Floats(_normal(5, 3), "... m"), activation=RELU),
    _e(
        "network.tail",
        network=_network(),
        layer=Count(0, least=0, wrong=(3,)),
        activation=RELU,
        then={"activity": Floats(_normal(5, 3), "... m")},
    ),
    _e(
        "network.tail",
        "identity",
        network=_network(read=False),
        layer=Count(2, least=0, wrong=(3,)),
        activation=RELU,
        then={"activity": Floats(_normal(5, 2), "... q")},
    ),
    _e(
        "network.injection",
        network=_network(),
        x=Floats(_normal(5, 3), "B m"),
        activation=RELU,
        then={"offset": Floats(_normal(6, 5, 4), "... B p")},
    ),
    _e(
        "network.jacobian",
        network=_network(),
        x=Floats(_normal(5, 3), "... m"),
        layer=Count(0, least=0, wrong=(3,)),
        activation=RELU,
    ),
    _e(
        "network.backpropagation",
        network=_network(),
        x=Floats(_normal(5, 3), "B m"),
        target=Floats(_normal(5, 2), "B q"),
        activation=RELU,
        loss=SQUARED_ERROR,
    ),
    # recurrent
    _e("recurrent.forward", network=_recurrent(), x=SEQUENCE, activation=RELU, leak=LEAK, every=LAST),
    _e(
        "recurrent.tail",
        network=_recurrent(),
        x=SEQUENCE,
        step=Count(2, wrong=(4,)),
        activation=RELU,
        leak=LEAK,
        every=Flag(True),
        then={"activity": Floats(_normal(5, 4), "... B n")},
    ),
    _e(
        "recurrent.jacobian",
        network=_recurrent(),
        x=SEQUENCE,
        step=Count(2, wrong=(4,)),
        activation=RELU,
        leak=LEAK,
        every=Flag(True),
    ),
    _e(
        "recurrent.backpropagation",
        network=_recurrent(),
        x=SEQUENCE,
        target=Floats(_normal(5, 2), "B q"),
        activation=RELU,
        loss=SQUARED_ERROR,
        leak=LEAK,
        every=LAST,
    ),
    _e(
        "recurrent.delta",
        activity_gradient=Floats(_normal(5, 4), "B n"),
        preactivation=Floats(_normal(5, 4), "B n"),
        activation=RELU,
        leak=LEAK,
    ),
    _e(
        "recurrent.weight_gradients",
        network=_recurrent(),
        x=Floats(_normal(5, 3, 3), "B 3 m"),
        activities=tuple(Floats(_normal(5, 4), "B n") for _ in range(4)),
        deltas=tuple(Floats(_normal(5, 4), "B n") for _ in range(3)),
        error=Floats(_normal(5, 2), "B q"),
        every=LAST,
        same_number=("activities", "deltas"),
    ),
    _e(
        "recurrent.by_lag",
        estimates=(Floats(_normal(2, 4), "o n"), Floats(_normal(2, 4), "o n")),
        every=LAST,
    ),
    _e(
        "recurrent.by_lag",
        "every step",
        estimates=(Floats(_normal(4, 4), "4 n"), Floats(_normal(2, 4), "2 n")),
        every=Flag(True),
    ),
    _e(
        "recurrent.activity_gradients",
        error=Floats(_normal(5, 2), "B o"),
        feedbacks=(Floats(_normal(2, 4), "o n"), Floats(_normal(2, 4), "o n")),
        every=LAST,
    ),
    _e(
        "recurrent.activity_gradients",
        "every step",
        error=Floats(_normal(5, 4), "B 4"),
        feedbacks=(Floats(_normal(2, 4), "2 n"), Floats(_normal(2, 4), "2 n")),
        every=Flag(True),
    ),
    # credit and training
    _e("route.direct", activation=RELU, returns="anything"),
    _e("route.layerwise", activation=RELU, returns="anything"),
    _e("route.through_time", activation=RELU, leak=LEAK, every=LAST, returns="anything"),
    _e(
        "training.init",
        key=ONE_KEY,
        network=_network(),
        sample=Floats(_normal(5, 3), "B m"),
        route=ROUTE,
        settings=GIVEN_SETTINGS,
        returns="anything",
    ),
    _e(
        "training.refresh",
        state=STATE,
        sample=INPUTS,
        route=ROUTE,
        settings=GIVEN_SETTINGS,
        returns="anything",
    ),
    _e(
        "training.observe",
        state=STATE,
        x=INPUTS,
        route=ROUTE,
        settings=GIVEN_SETTINGS,
        returns="anything",
    ),
    _e(
        "training.step",
        state=STATE,
        x=Floats(_normal(5, 3), "B 3"),
        target=Floats(_normal(5, 2), "B 2"),
        route=ROUTE,
        loss=SQUARED_ERROR,
        settings=SETTINGS,
        perturb=Flag(True),
        annealing=POSITIVE,
        returns="anything",
    ),
    _e(
        "training.train",
        state=STATE,
        batches=Given(lambda xp, dtype: [], "any iterable, whose items `advance` checks"),
        sample=INPUTS,
        route=ROUTE,
        settings=GIVEN_SETTINGS,
        advance=Given(lambda xp, dtype: None, _CALLABLE),
        annealing=Given(lambda xp, dtype: lambda index: 1.0, _CALLABLE),
        returns="anything",
    ),
    # manifold
    _e(
        "manifold.fit",
        activity=Floats(_normal(6, 4), "B n"),
        dimension=Count(2, wrong=(5,), against="activity"),
        explained=Given(lambda xp, dtype: None, "given instead of dimension"),
        centring=Choice("mean-added"),
    ),
    _e(
        "manifold.fit",
        "explained",
        activity=Floats(_normal(6, 4), "B n"),
        dimension=Given(lambda xp, dtype: None, "given instead of explained"),
        explained=Number(0.9, most=1.0),
        centring=Choice("centred"),
        untraced="the number of components would depend on values",
    ),
    _e("manifold.projector", basis=BASIS),
    _e("alignment.alignment", jacobian=Floats(_normal(5, 3, 4), "... o n"), basis=BASIS),
    _e("alignment.pooled_alignment", jacobian=Floats(_normal(5, 3, 4), "... o n"), basis=BASIS),
    _e(
        "alignment.principal_angles",
        basis=BASIS,
        other_basis=Floats(np.linalg.qr(_normal(4, 3))[0], "n c", basis=True),
    ),
    _e(
        "manifold.from_moments",
        mean=Floats(_normal(4), "n"),
        covariance=Floats(COVARIANCE, "n n"),
        dimension=Count(2, wrong=(5,), against="covariance"),
        explained=Given(lambda xp, dtype: None, "None: the dimension is given"),
        centring=Choice("mean-added"),
    ),
    _e(
        "manifold.from_moments",
        "explained",
        mean=Floats(_normal(4), "n"),
        covariance=Floats(COVARIANCE, "n n"),
        dimension=Given(lambda xp, dtype: None, "given instead of explained"),
        explained=Number(0.9, most=1.0),
        centring=Choice("centred"),
        untraced="the number of components would depend on values",
    ),
    # moments
    _e("moments.empty", activity=Floats(_normal(5, 4), "B n")),
    _e("moments.of", activity=Floats(_normal(5, 4), "B n")),
    _e("moments.merge", moments=_moments(), other=_moments()),
    _e("moments.forget", moments=_moments(), rate=SHARE),
    _e("moments.update", moments=_moments(), activity=Floats(_normal(5, 4), "B n"), rate=SHARE),
    _e("moments.covariance", moments=_moments()),
    # hebbian
    *(
        _e(
            f"hebbian.{rule}",
            weight=Floats(_normal(2, 4), "d n"),
            activity=Floats(_normal(5, 4), "B n"),
            rate=POSITIVE,
        )
        for rule in ("oja_step", "sanger_step")
    ),
    _e("hebbian.basis", weight=Floats(_normal(2, 4), "d n")),
    # similarity
    _e("similarity.linear_cka", activity=Floats(_normal(5, 4), "N n"), other_activity=Floats(_normal(5, 3), "N m")),
    _e("similarity.dissimilarity", activity=Floats(_normal(5, 4), "N n")),
    _e("similarity.rsa", activity=Floats(_normal(5, 4), "N n"), other_activity=Floats(_normal(5, 3), "N m")),
    # dimension
    _e("dimension.participation_ratio", spectrum=Floats(np.array([[3.0, 2.0, 0.5]] * 2), "... m", pad=0.0)),
    _e(
        "dimension.explained_variance_dimension",
        spectrum=Floats(np.array([[3.0, 2.0, 0.5]] * 2), "... m", pad=0.0),
        explained=Number(0.9, most=1.0),
        returns="integers",
    ),
    _e("dimension.two_nearest_neighbours", points=Floats(_normal(7, 3), "... N n")),
    # random
    _e("random.word_dtype", xp=Given(lambda xp, dtype: xp, _MODULE), returns="anything"),
    _e(
        "random.threefry2x32",
        **{name: Words(np.array([5, 4000000000]), "~") for name in ("key0", "key1")},
        **{name: Words(np.array([7, 9]), "~") for name in ("counter0", "counter1")},
        returns="words",
    ),
    _e(
        "random.key",
        seed=Count(7, least=0, wrong=(2**64,)),
        xp=Given(lambda xp, dtype: xp, _MODULE),
        returns="words",
    ),
    _e("random.expect_key", key=KEY, returns="anything", untraced="it returns a module"),
    _e(
        "random.expect_one_key",
        key=ONE_KEY,
        like=Floats(
            _normal(3),
            "~",
            valid=dict.fromkeys(
                ("empty", "int32", "bool", "complex128", "nan", "inf", "-inf"), "its library alone is asked"
            ),
        ),
        returns="anything",
        untraced="it returns a module",
    ),
    _e("random.fold_in", key=KEY, data=Count(3, least=0, wrong=(2**32,)), returns="words"),
    _e("random.fold_in", "array", key=KEY, data=Words(np.array([1, 2, 3]), "~"), returns="words"),
    _e("random.split", key=KEY, number=Count(3), returns="words"),
    _e("random.words", key=KEY, shape=Shape((2, 3)), returns="words"),
    _e("random.bits", key=KEY, shape=Shape((2, 3)), returns="words"),
    *(_e(f"random.{law}", key=KEY, shape=Shape((2, 3)), dtype=Dtype()) for law in ("uniform", "normal", "rademacher")),
    # sgd
    _e("sgd.zero_velocity", network=_network(fixed=False)),
    _e(
        "sgd.step",
        network=_network(),
        gradient=_network(),
        velocity=_network(),
        learning_rate=POSITIVE,
        momentum=SHARE,
        decay=NON_NEGATIVE,
        same_number=("network", "gradient", "velocity"),
    ),
    # theory.alignment
    _e(
        "theory.alignment.off_manifold_factor",
        learning_rate=POSITIVE,
        decay=NON_NEGATIVE,
        momentum=SHARE,
        steps=Count(3, least=0),
        returns="number",
    ),
    _e(
        "theory.alignment.missed_by_centring",
        delta=Floats(_normal(5, 3), "B k"),
        mean=Floats(_normal(4), "n"),
        projector=PROJECTOR,
    ),
    _e(
        "theory.alignment.off_manifold_edit",
        weight=Floats(_normal(3, 4), "k n"),
        bias=Floats(_normal(3), "k"),
        edit=Floats(_normal(3, 4), "k n"),
        projector=PROJECTOR,
        mean=Floats(_normal(4), "n"),
    ),
    # theory.dimension
    _e(
        "theory.dimension.expected_participation_ratio",
        spectrum=Floats(np.array([3.0, 2.0, 0.5]), "n", pad=0.0),
        samples=Count(10),
    ),
    # theory.estimator
    _e("theory.estimator.spread", dimension=Count(3), law=LAW, returns="number"),
    _e(
        "theory.estimator.expected_estimate",
        jacobian=Floats(_normal(5, 3, 4), "... o n"),
        projector=PROJECTOR,
    ),
    _e("theory.estimator.variance", draws=Count(5), dimension=Count(3), law=LAW, returns="number"),
    _e(
        "theory.estimator.relative_error",
        alignment=SHARE,
        draws=Count(5),
        dimension=Count(3),
        law=LAW,
        returns="number",
    ),
    *(
        _e(
            f"theory.estimator.{name}",
            variant,
            alignment=Number(alignment, zero=True, most=1.0),
            dimension=Count(3, wrong=(11,)),
            width=Count(10, wrong=(2,), against="dimension"),
            law=LAW,
            returns="number",
        )
        for name in ("error_crossover", "cosine_crossover")
        for variant, alignment in (("", 0.5), ("alignment 1", 1.0))
    ),
    _e("theory.estimator.expected_squared_cosine", alignment=SHARE, dimension=Count(3), returns="number"),
    _e(
        "theory.estimator.squared_cosine_variance",
        gram=Floats(np.array([[0.3, 0.1], [0.1, 0.2]]), "d d"),
    ),
    _e(
        "theory.estimator.random_alignment",
        dimension=Count(3, wrong=(11,)),
        width=Count(10, wrong=(2,), against="dimension"),
        returns="number",
    ),
    _e("theory.estimator.cosine_ratio", alignment=SHARE, draws=Count(5), dimension=Count(3), law=LAW, returns="number"),
    _e(
        "theory.estimator.cosine_threshold",
        draws=Count(5),
        dimension=Count(3, wrong=(11,)),
        width=Count(10, wrong=(2,), against="dimension"),
        law=LAW,
        returns="number",
    ),
    _e("theory.estimator.unnormalised_progress", alignment=SHARE, sigma=POSITIVE, returns="number"),
    _e(
        "theory.estimator.smoothed_jacobian",
        jacobians=Floats(_normal(5, 3, 4), "S o n"),
        probabilities=Floats(np.full(5, 0.2), "S"),
        projector=PROJECTOR,
    ),
    _e(
        "theory.estimator.curvature_variance",
        hessians=Floats(_normal(3, 2, 2), "o d d"),
        sigma=POSITIVE,
        draws=Count(5),
    ),
    _e("theory.estimator.one_sided_to_antithetic", pairs=Count(5), returns="number"),
    _e(
        "theory.estimator.frame_error",
        alignment=SHARE,
        draws=Count(2, wrong=(4,)),
        dimension=Count(3, wrong=(1,), against="draws"),
        returns="number",
    ),
    _e(
        "theory.estimator.covariance_shaped_variance",
        jacobian=Floats(_normal(3, 4), "o n"),
        covariance=PROJECTOR,
        draws=Count(5),
    ),
    _e(
        "theory.estimator.response_noise_error",
        deviation=NON_NEGATIVE,
        outputs=Count(2),
        dimension=Count(3),
        draws=Count(5),
        sigma=POSITIVE,
        returns="number",
    ),
    _e(
        "theory.estimator.response_noise_variance",
        output_deviation=NON_NEGATIVE,
        antithetic=Flag(True),
        returns="number",
    ),
    _e(
        "theory.estimator.least_squares_error",
        deviation=NON_NEGATIVE,
        outputs=Count(2),
        dimension=Count(3, wrong=(8,), against="draws"),
        draws=Count(9, wrong=(4,)),
        sigma=POSITIVE,
        returns="number",
    ),
    _e("theory.estimator.batch_mean", jacobians=Floats(_normal(5, 3, 4), "B o n"), projector=PROJECTOR),
    _e(
        "theory.estimator.batch_variance",
        jacobians=Floats(_normal(5, 3, 4), "B o n"),
        projector=PROJECTOR,
        draws=Count(5),
        dimension=Count(2, wrong=(5,)),
        law=LAW,
    ),
    _e(
        "theory.estimator.shared_noise_weight_gradient",
        delta=Floats(_normal(5, 3), "B n"),
        activity=Floats(_normal(5, 4), "B m"),
    ),
    _e(
        "theory.estimator.crosstalk",
        dimension=Count(3),
        sigma=POSITIVE,
        draws=Count(5),
        other_sigma=POSITIVE,
        other_signal=NON_NEGATIVE,
        returns="number",
    ),
    _e("theory.estimator.best_scaling", draws=Count(5), dimension=Count(3), law=LAW, returns="number"),
    _e(
        "theory.estimator.best_scaled_error",
        alignment=SHARE,
        draws=Count(5),
        dimension=Count(3),
        law=LAW,
        returns="number",
    ),
    *(
        _e(
            f"theory.estimator.best_dimension_for_{aim}",
            alignments=Numbers((0.3, 0.5, 0.6)),
            draws=Count(5),
            law=LAW,
            returns="number",
        )
        for aim in ("error", "cosine")
    ),
    # theory.feedback
    _e(
        "theory.feedback.mean_feedback",
        initial=Floats(_normal(3, 4), "o n"),
        target=Floats(_normal(3, 4), "o n"),
        rate=SHARE,
        steps=Count(3, least=0),
    ),
    _e("theory.feedback.averaging_gain", rate=SHARE, steps=Count(3, least=0, valid=_FREE), returns="number"),
    _e(
        "theory.feedback.feedback_variance",
        rate=SHARE,
        dimension=Count(3),
        signal=NON_NEGATIVE,
        steps=Count(3, least=0, valid=_FREE),
        returns="number",
    ),
    _e(
        "theory.feedback.feedback_variance_over_inputs",
        rate=SHARE,
        dimension=Count(3),
        mean_signal=NON_NEGATIVE,
        signal_of_mean=NON_NEGATIVE,
        steps=Count(3, least=0, valid=_FREE),
        returns="number",
    ),
    _e("theory.feedback.projected_progress", gradient=Floats(_normal(5, 4), "... n"), projector=PROJECTOR),
    _e(
        "theory.feedback.student_error_factor",
        rule=Choice("node perturbation"),
        learning_rate=POSITIVE,
        inputs=Count(3),
        outputs=Count(2),
        returns="number",
    ),
    _e(
        "theory.feedback.weight_gradient_variance",
        slope=Floats(_normal(5, 4), "B n"),
        gradient=Floats(_normal(5, 4), "B n"),
        activity=Floats(_normal(5, 3), "B m"),
        basis=BASIS,
        draws=Count(5),
    ),
]
