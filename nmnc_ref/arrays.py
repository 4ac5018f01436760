"""What functions take: annotations that say library, dtype, shape and range, and the decorator that checks them.

A signature is the only statement of what its function takes, in the notation of jaxtyping:

    @checked
    def on_manifold(
        coefficients: Float[Array, "... d"], basis: Basis[Array, "n d"], sigma: Positive
    ) -> Float[Array, "... n"]:

All arrays of a call share one library, and those of floats one dtype, float32 or float64, which is that of the result;
none is empty. Equal names of axes are equal lengths, a number is that length, and `_` is any axis. `*name` stands for
any number of axes, `...` for any that need not be the same elsewhere. `?name` may differ between the items of a tuple,
but not between the items of two tuples that have the same place.

What is static (library, dtype, shape) is checked at every call, also while JAX traces. Values (finite, orthonormal) are
checked where they are known, once: at the outermost checked call, each array once. What a callable returns is checked
where it comes back, unless it is a checked function inside of a checked call.

What is not of the right kind (library, dtype, type) is refused with TypeError, a wrong shape or value with ValueError;
the message names the argument, what was expected and what came.
"""

from __future__ import annotations

import math
import numbers
import operator
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

from array_api_compat import array_namespace, device, is_jax_namespace, is_torch_namespace

Array = Any
"""An array of any library that conforms to the Python Array API (2024.12)."""


class Scope:
    """What the arguments of one call have in common, as far as they have been looked at.

    `xp`, `dtype`: of all arrays, and of those of floats, each with the path that it was first seen at; `lengths`: by
    name of axis, with the path too; `item`: the place in a tuple; `found`: the arrays whose values are to be checked,
    and whether as a basis.
    """

    __slots__ = ("dtype", "dtype_from", "found", "item", "lengths", "xp", "xp_from")

    def __init__(self) -> None:
        self.xp: Any = None
        self.dtype: Any = None
        self.xp_from = self.dtype_from = ""
        self.lengths: dict[Any, tuple[Any, str]] = {}
        self.item = 0
        self.found: list[tuple[str, Array, bool]] = []

    def expect_values(self) -> None:
        """Raise ValueError if a value of the arrays found is known and NaN or infinite, or a basis not orthonormal."""
        seen = set()
        for path, array, orthonormal in self.found:
            if (id(array), orthonormal) not in seen and is_concrete(array):
                seen.add((id(array), orthonormal))
                _expect_finite(self.xp, path, array)
                if orthonormal:
                    _expect_orthonormal(self.xp, path, array)


def is_concrete(array: Array) -> bool:
    """Tell whether the values of `array` are known; under `jax.jit` and its like they are not."""
    jax = sys.modules.get("jax")
    return jax is None or not isinstance(array, jax.core.Tracer)


def expect(condition: Array, message: str, *values: Array) -> None:
    """Raise ValueError if a condition, a boolean scalar, is known and false.

    Args:
        condition: to be computed before it is asked about: while JAX traces, what is computed is unknown even if all
            that it is computed from is known.
        message: with a place `{}` for each of the values.
        values: scalars, in the message.
    """
    if is_concrete(condition) and not bool(condition):
        raise ValueError(message.format(*map(float, values)))


def at_most(name: str, value: int, most: int, what: str) -> None:
    """Raise ValueError if an integer is larger than `most`, which is `what`."""
    if value > most:
        raise ValueError(f"{name}: expected an integer of at most {what} = {most}, got {value}")


def expect_number(name: str, items: tuple, number: int, like: str) -> None:
    """Raise ValueError unless there are as many items as another argument has."""
    if len(items) != number:
        raise ValueError(f"{name}: expected {number} as in {like}, got {len(items)}")


def expect_units(name: str, array: Array, units: int, layer: str) -> None:
    """Raise ValueError unless the last axis of an array is that of the units of a layer."""
    if array.shape[-1] != units:
        raise ValueError(f"{name}: expected {units} units as in {layer}, got shape {list(array.shape)}")


def _expect_finite(xp: ModuleType, path: str, array: Array) -> None:
    finite = xp.all(xp.isfinite(array))
    if is_concrete(finite) and not bool(finite):
        kind = "NaN" if bool(xp.any(xp.isnan(array))) else "infinity"
        raise ValueError(f"{path}: expected finite values, got {kind}")


def _expect_orthonormal(xp: ModuleType, path: str, basis: Array) -> None:
    """Refuse columns that are not orthonormal to √eps: rounding by any method is within, the usual slips are not."""
    error = xp.max(xp.abs(basis.T @ basis - xp.eye(basis.shape[1], dtype=basis.dtype, device=device(basis))))
    most = math.sqrt(xp.finfo(basis.dtype).eps)
    expect(error <= most, f"{path}: expected orthonormal columns, got max |UᵀU − I| = {{:.2g}}", error)


# Arrays

_NAMESPACES: dict[type, ModuleType] = {}


def library(path: str, array: Array) -> ModuleType:
    """Return the Array API namespace of `array`."""
    kind = type(array)
    if kind not in _NAMESPACES:
        try:
            _NAMESPACES[kind] = array_namespace(array)
        except TypeError:
            raise TypeError(f"{path}: expected an array, got {kind.__name__}") from None
    return _NAMESPACES[kind]


class Arrays:
    """Arrays of some shape: the check behind `Float`, `Basis` and `Words`."""

    def __init__(self, shape: str, kind: str) -> None:
        self.shape, self.kind = shape, kind
        names = shape.split()
        several = [index for index, name in enumerate(names) if name == "..." or name.startswith("*")]
        self.names = [int(name) if name.isdigit() else name for name in names]
        self.several = several[0] if several else None
        self.wanted = f"shape [{', '.join(names)}]"

    def __call__(self, path: str, array: Array, scope: Scope) -> Array:
        xp, dtype = library(path, array), array.dtype
        if scope.xp is None:
            scope.xp, scope.xp_from = xp, path
        elif xp is not scope.xp:
            raise TypeError(
                f"{path}: expected an array of {scope.xp.__name__} like {scope.xp_from}, got one of {xp.__name__}"
            )
        if self.kind == "words":
            if dtype != word_dtype(xp):
                raise TypeError(f"{path}: expected an array of words, {word_dtype(xp)}, got {dtype}")
        elif scope.dtype is None:
            if dtype != xp.float32 and dtype != xp.float64:
                raise TypeError(f"{path}: expected float32 or float64, got {dtype}")
            scope.dtype, scope.dtype_from = dtype, path
        elif dtype != scope.dtype:
            raise TypeError(f"{path}: expected {scope.dtype} like {scope.dtype_from}, got {dtype}")
        self._match(path, array.shape, scope)
        if self.kind == "basis" and array.shape[1] > array.shape[0]:
            raise ValueError(f"{path}: expected at most n = {array.shape[0]} columns, got d = {array.shape[1]}")
        if self.kind != "words":
            scope.found.append((path, array, self.kind == "basis"))
        return array

    def _match(self, path: str, shape: tuple[int, ...], scope: Scope) -> None:
        names, several, spread = self.names, self.several, len(shape) - len(self.names)
        if spread if several is None else spread < -1:
            raise ValueError(f"{path}: expected {self.wanted}, got shape {list(shape)}")
        if 0 in shape:
            raise ValueError(f"{path}: expected a non-empty array, got shape {list(shape)}")
        lengths: Any = shape
        if several is not None:
            stop = several + spread + 1
            lengths = (*shape[:several], tuple(shape[several:stop]), *shape[stop:])
        for name, length in zip(names, lengths, strict=True):
            if name == "..." or name == "_":
                continue
            if isinstance(name, int):
                known, origin = name, ""
            else:
                key = (name, scope.item) if name[0] == "?" else name
                known, origin = scope.lengths.setdefault(key, (length, path))
            if known != length:
                raise ValueError(_mismatch(path, self.wanted, name, known, origin, shape))


def _mismatch(path: str, wanted: str, name: Any, known: Any, origin: str, shape: tuple[int, ...]) -> str:
    if origin:
        wanted += f" with {name} = {list(known) if isinstance(known, tuple) else known} (as in {origin})"
    return f"{path}: expected {wanted}, got shape {list(shape)}"


def word_dtype(xp: ModuleType) -> Any:
    """Return the dtype that holds a 32-bit word: uint32, or int64 in PyTorch, which has no uint32 arithmetic."""
    return xp.int64 if is_torch_namespace(xp) else xp.uint32


if TYPE_CHECKING:
    from typing import Annotated as Basis
    from typing import Annotated as Float
    from typing import Annotated as Words
else:

    class Float:
        """`Float[Array, "B n"]`: an array of float32 or float64 of that shape, finite."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
            return Annotated[item[0], Arrays(item[1], cls.__name__.lower())]

    class Basis(Float):
        """`Basis[Array, "n d"]`: a `Float` with orthonormal columns."""

    class Words(Float):
        """`Words[Array, "... 2"]`: an array of 32-bit words."""


Key = Words[Array, "2"]
"""One random key."""
Tail = Callable[[Float[Array, "*rest n"]], Float[Array, "*rest o"]]
"""The part of a network above a layer: any function of its activity, of which the last axis is that of the units."""


def is_static(field: Any) -> bool:
    """Tell whether a field of a layer is known while JAX traces: a dictionary of keys alone, all with the value None."""
    return isinstance(field, dict) and all(value is None for value in field.values())


class Parameters:
    """Layers, each a NamedTuple of `Float` arrays of any shapes, and of what is static."""

    array = Arrays("...", "float")

    def __call__(self, path: str, value: Any, scope: Scope) -> Any:
        if not isinstance(value, (tuple, list)) or hasattr(value, "_fields"):
            raise TypeError(f"{path}: expected a tuple of layers, got {type(value).__name__}")
        if not value:
            raise ValueError(f"{path}: expected one or more layers, got none")
        for index, layer in enumerate(value):
            if not hasattr(layer, "_fields"):
                raise TypeError(f"{path}[{index}]: expected a layer, a NamedTuple, got {type(layer).__name__}")
            for name, field in zip(layer._fields, layer, strict=True):
                if not is_static(field):
                    self.array(f"{path}[{index}].{name}", field, scope)
        return value


Layers = Annotated[tuple[Any, ...], Parameters()]
"""The parameters of a network, or what has their shapes."""


# Numbers


class Scalar:
    """What is checked after the arrays, as it takes after their library and dtype."""


class Number(Scalar):
    """A real number in a range: becomes a float, or while it is traced a scalar array, in the dtype of the call."""

    def __init__(self, wanted: str, accepts: Callable[[float], bool], share: bool = False) -> None:
        self.wanted, self.accepts, self.share = wanted, accepts, share

    def __call__(self, path: str, value: Any, scope: Scope) -> Any:
        if hasattr(value, "dtype"):
            xp = library(path, value)
            if value.ndim:
                raise TypeError(f"{path}: expected a number, got an array of shape {list(value.shape)}")
            if not xp.isdtype(value.dtype, ("real floating", "integral")):
                raise TypeError(f"{path}: expected a real number, got {value.dtype}")
            if not is_concrete(value):
                return value if scope.dtype is None else xp.astype(value, scope.dtype)
        elif isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"{path}: expected a number, got {type(value).__name__}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ValueError(f"{path}: expected a finite number, got {number}")
        if self.share and -ROUNDING <= number <= 1 + ROUNDING:
            number = min(max(number, 0.0), 1.0)
        if not self.accepts(number):
            raise ValueError(f"{path}: expected a {self.wanted}, got {number:g}")
        return number


ROUNDING = 1e-6
"""How far a share, which is a quotient of sums, may miss [0, 1] and still count as 0 or 1."""
Positive = Annotated[float, Number("positive number", lambda value: value > 0)]
NonNegative = Annotated[float, Number("non-negative number", lambda value: value >= 0)]
Fraction = Annotated[float, Number("number from 0 to 1", lambda value: 0 <= value <= 1, share=True)]
PositiveFraction = Annotated[float, Number("number above 0 and at most 1", lambda value: 0 < value <= 1, share=True)]


class Integer(Scalar):
    """An integer from `least` to `most`."""

    def __init__(self, least: int, most: float = math.inf) -> None:
        self.least, self.most = least, most

    def __call__(self, path: str, value: Any, scope: Scope) -> int:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{path}: expected an integer, got {type(value).__name__}")
        try:
            integer = operator.index(value)
        except TypeError:
            raise TypeError(f"{path}: expected an integer, got {value!r}") from None
        if not self.least <= integer <= self.most:
            upper = "" if self.most == math.inf else f" and at most {self.most}"
            raise ValueError(f"{path}: expected an integer of at least {self.least}{upper}, got {integer}")
        return integer


Count = Annotated[int, Integer(1)]
"""1, 2, …"""
Index = Annotated[int, Integer(0)]
"""0, 1, 2, …"""


class FloatDtype(Scalar):
    """float32 or float64 of the library of the call's arrays."""

    def __call__(self, path: str, value: Any, scope: Scope) -> Any:
        xp = scope.xp
        if value not in (xp.float32, xp.float64):
            raise TypeError(f"{path}: expected float32 or float64 of {xp.__name__}, got {value}")
        if is_jax_namespace(xp):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # JAX warns here, and goes on in float32
                available = xp.empty(1, dtype=value).dtype == value
            if not available:
                raise TypeError(f"{path}: {xp.__name__} is not set up for {value}; expected JAX_ENABLE_X64=1, got none")
        return value


Dtype = Annotated[Any, FloatDtype()]


class ArrayNamespace(Scalar):
    """An Array API namespace, such as `numpy`, `jax.numpy` or `array_api_compat.torch`."""

    def __call__(self, path: str, value: Any, scope: Scope) -> Any:
        if not all(hasattr(value, name) for name in ("asarray", "float32", "matmul")):
            raise TypeError(f"{path}: expected an array namespace, such as numpy or jax.numpy, got {value!r}")
        return value


Namespace = Annotated[ModuleType, ArrayNamespace()]
