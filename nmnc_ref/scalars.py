"""What functions take besides arrays, as annotations too: numbers with their ranges, words to choose from, dtypes."""

from __future__ import annotations

import math
import numbers
import operator
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any

from array_api_compat import is_jax_namespace

from nmnc_ref.arrays import Scope, expect, is_concrete, library


class Scalar:
    """What is checked after the arrays, as it takes after their library and dtype."""


class Number(Scalar):
    """A real number in a range: becomes a float, or while it is traced a scalar array, in the dtype of the call."""

    def __init__(self, wanted: str, accepts: Callable[[float], bool], share: bool = False, known: bool = False) -> None:
        self.wanted, self.accepts, self.share, self.known = wanted, accepts, share, known

    def __call__(self, path: str, value: Any, scope: Scope) -> Any:
        """Return a number of a call as a float, or in the call's dtype."""
        if type(value) is float and self.accepts(value) and value != math.inf:
            return value
        if hasattr(value, "dtype"):
            xp = library(path, value)
            if value.ndim:
                raise TypeError(f"{path}: expected a number, got an array of shape {list(value.shape)}")
            if not xp.isdtype(value.dtype, ("real floating", "integral")):
                raise TypeError(f"{path}: expected a real number, got {value.dtype}")
            if not is_concrete(value):
                expect(not self.known, f"{path}: expected a known number, got {value}")
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
Share = Annotated[float, Number("number above 0 and at most 1", lambda value: 0 < value <= 1, share=True, known=True)]
"""A share of the variance, which sets a shape and so must be known while JAX traces."""


class Integer(Scalar):
    """An integer from `least` to `most`."""

    def __init__(self, least: int, most: float = math.inf) -> None:
        self.least, self.most = least, most

    def __call__(self, path: str, value: Any, scope: Scope) -> int:
        """Return an integer of a call as an int."""
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


class Choice(Scalar):
    """One of some words."""

    def __init__(self, *options: str) -> None:
        self.options = options

    def __call__(self, path: str, value: Any, scope: Scope) -> str:
        """Check a word of a call."""
        if not isinstance(value, str) or value not in self.options:
            raise ValueError(f"{path}: expected one of {', '.join(self.options)}, got {value!r}")
        return value


class FloatDtype(Scalar):
    """float32 or float64 of the library of the call's arrays."""

    def __call__(self, path: str, value: Any, scope: Scope) -> Any:
        """Check a dtype of a call."""
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


class Some:
    """`Annotated[tuple[X, ...], Some]`: one or more items."""


class ArrayNamespace(Scalar):
    """An Array API namespace, such as `numpy`, `jax.numpy` or `array_api_compat.torch`."""

    def __call__(self, path: str, value: Any, scope: Scope) -> Any:
        """Check a namespace of a call."""
        if not all(hasattr(value, name) for name in ("asarray", "float32", "matmul")):
            raise TypeError(f"{path}: expected an array namespace, such as numpy or jax.numpy, got {value!r}")
        return value


Namespace = Annotated[ModuleType, ArrayNamespace()]
