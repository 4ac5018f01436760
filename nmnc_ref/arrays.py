"""What functions take: annotations that say library, dtype, shape and range, and the decorator that checks them.

A signature is the only statement of what its function takes, in the notation of jaxtyping:

    @checked
    def on_manifold(
        coefficients: Float[Array, "*draws d"], basis: Basis[Array, "n d"], sigma: Positive
    ) -> Float[Array, "*draws n"]:

All arrays of a call share one library, and those of floats one dtype, float32 or float64, which is that of the result;
none is empty. Equal names of axes are equal lengths, a number is that length, and `_` is any axis. `*name` stands for
any number of axes, `...` for any that need not be the same elsewhere. `?name` may differ between the items of a tuple,
but not between the items of two tuples that have the same place.

What is static (library, dtype, shape) is checked at every call, also while JAX traces. Values (finite, orthonormal) are
checked where they are known, once: at the outermost checked call, each array once. What a callable returns is checked
where it comes back, unless the callable is checked itself.

What is not of the right kind (library, dtype, type) is refused with TypeError, a wrong shape or value with ValueError;
the message names the argument, what was expected and what came.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from array_api_compat import array_namespace, device, is_torch_namespace

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

    def remembered(self, arrays: list[Array]) -> Scope | None:
        """Return what a later call with arrays of the same form has in common, each array as its place in the list.

        None if one array stands in two places: the later call may have two.
        """
        places = {id(array): place for place, array in enumerate(arrays)}
        if len(places) < len(arrays):
            return None
        kept = Scope()
        kept.xp, kept.dtype = self.xp, self.dtype
        kept.found = [(path, places[id(array)], orthonormal) for path, array, orthonormal in self.found]
        return kept

    def recalled(self, arrays: list[Array], values: bool) -> Scope:
        """Return the scope of a call from what was remembered of one, with the arrays found if values matter."""
        scope = Scope()
        scope.xp, scope.dtype = self.xp, self.dtype
        if values:
            scope.found = [(path, arrays[place], orthonormal) for path, place, orthonormal in self.found]
        return scope

    def expect_values(self) -> None:
        """Raise ValueError if a value of the arrays found is known and NaN or infinite, or a basis not orthonormal."""
        seen = set()
        for path, array, orthonormal in self.found:
            if id(array) not in seen:
                seen.add(id(array))
                _expect_finite(self.xp, path, array)
            if orthonormal and is_concrete(array):
                _expect_orthonormal(self.xp, path, array)


def is_concrete(array: Array) -> bool:
    """Tell whether the values of `array` are known; under `jax.jit`, `torch.func.vmap` and their like they are not."""
    if isinstance(array, (np.ndarray, np.generic)):
        return True
    jax, torch = sys.modules.get("jax"), sys.modules.get("torch")
    if jax is not None and isinstance(array, jax.core.Tracer):
        return False
    return torch is None or not (
        isinstance(array, torch.Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(array)
    )


def expect(condition: Array, message: str, *values: Array) -> None:
    """Raise ValueError if a condition, True, False or a boolean scalar, is known and false.

    Args:
        condition: to be computed before it is asked about: while JAX traces, what is computed is unknown even if all
            that it is computed from is known.
        message: with a place `{}` for each of the values.
        values: scalars, in the message.
    """
    if is_concrete(condition) and not bool(condition):
        raise ValueError(message.format(*map(float, values)) if values else message)


def at_most(name: str, value: int, most: int, what: str) -> None:
    """Raise ValueError if an integer is larger than `most`, which is `what`."""
    expect(value <= most, f"{name}: expected an integer of at most {what} = {most}, got {value}")


def expect_number(name: str, items: tuple, number: int, like: str) -> None:
    """Raise ValueError unless there are as many items as another argument has."""
    expect(len(items) == number, f"{name}: expected {number} as in {like}, got {len(items)}")


def expect_length(name: str, array: Array, axis: int, length: int, like: str) -> None:
    """Raise ValueError unless an axis of an array has a length, which is that of something else."""
    shape = list(array.shape)
    expect(shape[axis] == length, f"{name}: expected length {length} of axis {axis} as in {like}, got shape {shape}")


def _expect_finite(xp: ModuleType, path: str, array: Array) -> None:
    if isinstance(array, np.ndarray) and math.isfinite(np.vdot(array, array)):
        return  # one pass without an array of booleans; where squares overflow it tells nothing
    finite = xp.all(xp.isfinite(array)) if is_concrete(array) else array
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
OTHER_MEANING = (np.matrix, np.ma.MaskedArray)
"""Subclasses of NumPy's arrays that are none: `*` of matrices is their product, and masked values count as none."""


def namespace(array: Array) -> ModuleType:
    """Return the Array API namespace of an array, which is looked up once for its type."""
    kind = type(array)
    if kind not in _NAMESPACES:
        if issubclass(kind, OTHER_MEANING):
            raise TypeError(f"expected an array, got {kind.__name__}, in which operators mean something else")
        _NAMESPACES[kind] = array_namespace(array)
    return _NAMESPACES[kind]


def library(path: str, array: Array) -> ModuleType:
    """Return the namespace of an argument, or raise TypeError if it is no array."""
    try:
        return namespace(array)
    except TypeError:
        raise TypeError(f"{path}: expected an array, got {type(array).__name__}") from None


class Arrays:
    """Arrays of some shape: the check behind `Float`, `Basis` and `Words`."""

    def __init__(self, shape: str, kind: str) -> None:
        self.kind = kind
        self.names = shape.split()
        self.several = next((i for i, name in enumerate(self.names) if name == "..." or name[0] == "*"), None)
        self.wanted = f"shape [{', '.join(self.names)}]"

    def __call__(self, path: str, array: Array, scope: Scope) -> Array:
        """Check an array of a call."""
        xp = library(path, array)
        if scope.xp is None:
            scope.xp, scope.xp_from = xp, path
        elif xp is not scope.xp:
            raise TypeError(
                f"{path}: expected an array of {scope.xp.__name__} like {scope.xp_from}, got one of {xp.__name__}"
            )
        if self.kind == "words":
            if array.dtype != word_dtype(xp):
                raise TypeError(f"{path}: expected an array of words, {word_dtype(xp)}, got {array.dtype}")
        elif scope.dtype is None:
            if array.dtype not in (xp.float32, xp.float64):
                raise TypeError(f"{path}: expected float32 or float64, got {array.dtype}")
            scope.dtype, scope.dtype_from = array.dtype, path
        elif array.dtype != scope.dtype:
            raise TypeError(f"{path}: expected {scope.dtype} like {scope.dtype_from}, got {array.dtype}")
        shape, lengths = array.shape, scope.lengths
        named = _axes(self, shape)
        if isinstance(named, str):
            raise ValueError(f"{path}: expected {named}, got shape {list(shape)}")
        for name, length in named:
            if name[0] == "?":
                name += str(scope.item)
            known = lengths.setdefault(name, (length, path))
            if known[0] != length:
                raise ValueError(f"{path}: expected {_wanted(self, name, known)}, got shape {list(shape)}")
        if self.kind != "words":
            scope.found.append((path, array, self.kind == "basis"))
        return array


@functools.lru_cache(maxsize=4096)
def _axes(arrays: Arrays, shape: tuple[int, ...]) -> tuple[tuple[str, Any], ...] | str:
    """Return the lengths of named axes, or in words what was expected of the shape alone."""
    names, several, spread = arrays.names, arrays.several, len(shape) - len(arrays.names)
    if spread if several is None else spread < -1:
        return arrays.wanted
    if 0 in shape:
        return "a non-empty array"
    if arrays.kind == "basis" and shape[1] > shape[0]:
        return f"at most n = {shape[0]} columns"
    lengths: Any = shape
    if several is not None:
        stop = several + spread + 1
        lengths = (*shape[:several], tuple(shape[several:stop]), *shape[stop:])
    found = dict(zip(names, lengths, strict=True))
    if any(found[name] != length for name, length in zip(names, lengths, strict=True) if name not in ("_", "...")):
        return arrays.wanted
    if any(name.isdigit() and int(name) != length for name, length in found.items()):
        return arrays.wanted
    return tuple((name, length) for name, length in found.items() if name not in ("_", "...") and not name.isdigit())


def _wanted(arrays: Arrays, name: str, known: tuple[Any, str]) -> str:
    length, origin = known
    return f"{arrays.wanted} with {name} = {list(length) if isinstance(length, tuple) else length} (as in {origin})"


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
    """Tell whether a field of a layer is known while JAX traces: a dictionary of keys alone, with None for values."""
    return isinstance(field, dict) and all(value is None for value in field.values())


class Parameters:
    """Layers, each a NamedTuple of `Float` arrays of any shapes, and of what is static."""

    array = Arrays("...", "float")

    def __call__(self, path: str, value: Any, scope: Scope) -> Any:
        """Check layers of a call."""
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
