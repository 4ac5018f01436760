"""Arguments: which array library they belong to, and whether they are what a function expects.

Every public function states its arguments once, in the notation of its docstring:

    xp = expect(jacobian=(jacobian, "... o n"), basis=(basis, "n d"))

Equal letters must be equal lengths, also across arguments. What is static (library, dtype, shape) is checked
always, also while JAX traces; values are checked only where they are known.
"""

from __future__ import annotations

import math
import numbers
import operator
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from array_api_compat import array_namespace, device

Array = Any
"""An array of any library that conforms to the Python Array API (2024.12)."""


def is_concrete(array: Array) -> bool:
    """Tell whether the values of `array` are known; under `jax.jit` and its like they are not."""
    jax = sys.modules.get("jax")
    return jax is None or not isinstance(array, jax.core.Tracer)


def is_false(condition: Array) -> bool:
    """Tell whether a condition, a boolean scalar, is known and false.

    Conditions are to be computed first and asked afterwards: while JAX traces, what is computed is unknown even if
    all that it is computed from is known.
    """
    return is_concrete(condition) and not bool(condition)


def library(name: str, array: Array) -> ModuleType:
    """Return the Array API namespace of `array`.

    Raises:
        TypeError: `array` is not an array.
    """
    try:
        return array_namespace(array)
    except TypeError:
        raise TypeError(f"{name}: expected an array, got {type(array).__name__}") from None


def expect(**arguments: tuple[Array, str]) -> ModuleType:
    """Check array arguments and return the namespace that they share.

    Args:
        **arguments: by name, the array and its shape as space-separated letters, one for each axis; `...` stands
            for any number of axes, `**` for the same where they need not agree between arguments, and `*` for one axis
            of any length.

    Returns:
        The Array API namespace of all of them.

    Raises:
        TypeError: not an array, arrays of two libraries, not float32 or float64, or two different dtypes.
        ValueError: wrong number of axes, lengths that disagree, an empty array, NaN or infinity.
    """
    xp, first = None, ""
    lengths: dict[str, tuple[Any, str]] = {}
    for name, (array, shape) in arguments.items():
        own = library(name, array)
        if xp is None:
            xp, first, dtype = own, name, array.dtype
        if own is not xp:
            raise TypeError(f"{name}: expected an array of {xp.__name__} like {first}, got one of {own.__name__}")
        if array.dtype not in (xp.float32, xp.float64):
            raise TypeError(f"{name}: expected float32 or float64, got {array.dtype}")
        if array.dtype != dtype:
            raise TypeError(f"{name}: expected {dtype} like {first}, got {array.dtype}")
        _expect_shape(name, tuple(array.shape), shape.split(), lengths)
        expect_finite(name, array)
    if xp is None:
        raise TypeError("expected at least one array")
    return xp


def _expect_shape(name: str, got: tuple, axes: list[str], lengths: dict[str, tuple[Any, str]]) -> None:
    wanted = f"shape [{', '.join(axes)}]"
    several = next((axis for axis in axes if axis in ("...", "**")), None)
    lead = axes.index(several) if several else len(axes)
    spread = len(got) - len(axes) + 1 if several else 0
    if spread < 0 or (several is None and len(got) != len(axes)):
        raise ValueError(f"{name}: expected {wanted}, got shape {list(got)}")
    if 0 in got:
        raise ValueError(f"{name}: expected a non-empty array, got shape {list(got)}")
    sizes: list[tuple[str, Any]] = list(zip(axes[:lead], got[:lead], strict=True))
    if several:
        sizes.append((several, got[lead : lead + spread]))
        sizes += zip(axes[lead + 1 :], got[lead + spread :], strict=True)
    for axis, size in sizes:
        known, origin = lengths.setdefault(axis, (size, name))
        if axis not in ("*", "**") and known != size:
            known = list(known) if axis == "..." else known
            raise ValueError(f"{name}: expected {wanted} with {axis} = {known} (as in {origin}), got shape {list(got)}")


def expect_finite(name: str, array: Array) -> None:
    """Raise ValueError if the values of `array` are known and one is NaN or infinite."""
    xp = array_namespace(array)
    if is_false(xp.all(xp.isfinite(array))):
        kind = "NaN" if bool(xp.any(xp.isnan(array))) else "infinity"
        raise ValueError(f"{name}: expected finite values, got {kind}")


def expect_orthonormal(name: str, basis: Array) -> None:
    """Raise ValueError unless the columns of `basis` [n, d] are orthonormal (where its values are known).

    The tolerance √eps admits rounding by any method that computes a basis, and none of the usual slips.
    """
    xp = array_namespace(basis)
    n, d = basis.shape
    if d > n:
        raise ValueError(f"{name}: expected at most n = {n} columns, got d = {d}")
    error = xp.max(xp.abs(basis.T @ basis - xp.eye(d, dtype=basis.dtype, device=device(basis))))
    if is_false(error <= math.sqrt(xp.finfo(basis.dtype).eps)):
        raise ValueError(f"{name}: expected orthonormal columns, got max |UᵀU − I| = {float(error):.2g}")


def number(name: str, value: Any, like: Array | None = None) -> Any:
    """Return a real number as a finite float, or while it is traced as a scalar array, in the dtype of `like` if given.

    Raises:
        TypeError: not a number: of another type, complex, boolean, or an array with axes.
        ValueError: NaN, infinity, or beyond the range of floats.
    """
    if hasattr(value, "dtype"):
        xp = library(name, value)
        if value.ndim:
            raise TypeError(f"{name}: expected a number, got an array of shape {list(value.shape)}")
        if not xp.isdtype(value.dtype, ("real floating", "integral")):
            raise TypeError(f"{name}: expected a real number, got {value.dtype}")
        if not is_concrete(value):
            return value if like is None else xp.astype(value, like.dtype)
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise ValueError(f"{name}: expected a finite number, got {result}")
    return result


def positive(name: str, value: Any, like: Array | None = None, zero: bool = False) -> Any:
    """Return `value` as `number` does, after checking that it is positive, or not negative where `zero` is allowed."""
    result = number(name, value, like)
    if is_concrete(result) and (result < 0 or (result == 0 and not zero)):
        raise ValueError(f"{name}: expected a {'non-negative' if zero else 'positive'} number, got {result:g}")
    return result


def fraction(name: str, value: Any, like: Array | None = None) -> Any:
    """Return `value` as `number` does, after checking that it is from 0 to 1; rounding beyond is clipped."""
    result = number(name, value, like)
    if is_concrete(result) and not -1e-6 <= result <= 1 + 1e-6:
        raise ValueError(f"{name}: expected a number from 0 to 1, got {result:g}")
    return min(max(result, 0.0), 1.0) if is_concrete(result) else result


def count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return `value` as an int between `least` and `most`, or raise TypeError or ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got bool")
    if number < least or (most is not None and number > most):
        upper = "" if most is None else f" and at most {most}"
        raise ValueError(f"{name}: expected an integer of at least {least}{upper}, got {number}")
    return number


def flag(name: str, value: bool) -> bool:
    """Return `value` if it is True or False, or raise TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {type(value).__name__}")
    return value


def choice(name: str, value: str, options: tuple[str, ...]) -> str:
    """Return `value` if it is one of `options`, or raise ValueError."""
    if value not in options:
        raise ValueError(f"{name}: expected one of {', '.join(options)}, got {value!r}")
    return value


def expect_tuple(name: str, value: Any, length: int | None = None, of: str = "items", filled: bool = False) -> None:
    """Raise TypeError unless `value` is a tuple or list, ValueError unless it has `length` items (any if `filled`)."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name}: expected a tuple of {of}, got {type(value).__name__}")
    if length is not None and len(value) != length:
        raise ValueError(f"{name}: expected {length} {of}, got {len(value)}")
    if filled and not value:
        raise ValueError(f"{name}: expected one or more {of}, got none")


def validate(**arguments: Any) -> None:
    """Check the values of arguments before they enter a jitted function, where values cannot be checked.

    Args:
        **arguments: by name, arrays or nested tuples and lists of arrays (a network, say). What is named `basis`
            or `bases`, also inside (`manifold.basis`) or after an underscore, must have orthonormal columns.

    Raises:
        TypeError: not an array, not float32 or float64, or two dtypes or libraries among all arguments.
        ValueError: an empty array, NaN, infinity, or a basis that is not orthonormal.
    """
    found = [leaf for name, value in arguments.items() for leaf in leaves(name, value)]
    expect(**{name: (array, "**") for name, array in found})
    for name, array in found:
        if name.split(".")[-1].split("[")[0].split("_")[-1] in ("basis", "bases"):
            expect(**{name: (array, "n d")})
            expect_orthonormal(name, array)


def leaves(name: str, value: Any) -> Iterator[tuple[str, Array]]:
    """Yield what is inside of nested tuples, lists and NamedTuples, each with its path, such as `network[0].weight`."""
    if isinstance(value, (tuple, list)):
        if not value:
            raise ValueError(f"{name}: expected at least one array, got an empty {type(value).__name__}")
        fields = getattr(value, "_fields", None)
        for index, item in enumerate(value):
            yield from leaves(f"{name}.{fields[index]}" if fields else f"{name}[{index}]", item)
    else:
        yield name, value
