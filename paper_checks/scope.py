"""With what parameters a comparison was made: what the function of a claim had in scope when it yielded."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FrameType, GeneratorType
from typing import Any

from paper_checks.comparison import Comparison

Parameters = dict[str, str]
DIGITS = 6
"""A float of more digits is likely to have been measured, not chosen."""


def parameters(generator: Any, compared: Comparison) -> Parameters:
    """Return the numbers, words and sizes of a problem in scope where a generator, or one within it, has yielded.

    Constants of the module count where the function mentions them. Of the arrays of a NamedTuple there is the shape.
    The coordinates of what it has yielded come last.
    """
    found: Parameters = {}
    while isinstance(generator, GeneratorType) and generator.gi_frame is not None:
        for name, value in _names(generator.gi_frame):
            found |= dict(_told(name, value))
        generator = generator.gi_yieldfrom
    return found | {name: str(value) for name, value in compared.coordinates.items()}


def _names(frame: FrameType) -> Iterator[tuple[str, Any]]:
    mentioned = dict.fromkeys(_mentioned(frame.f_code))
    yield from ((name, frame.f_globals[name]) for name in mentioned if name.isupper() and name in frame.f_globals)
    yield from frame.f_locals.items()


def _mentioned(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):  # of a comprehension or a function within
            yield from _mentioned(constant)


def _told(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if name.startswith("_") or isinstance(value, bool | Comparison):
        return
    if isinstance(value, int | str) or (isinstance(value, float) and len(repr(value)) <= DIGITS):
        yield name, str(value)
    elif hasattr(value, "_fields"):
        for field, part in zip(value._fields, value, strict=True):
            told = (
                [(f"{name}.{field}", str(list(part.shape)))]
                if hasattr(part, "shape")
                else _told(f"{name}.{field}", part)
            )
            yield from told
