"""The decorator that checks arguments against the signature, and `validate`, which does so before they are traced."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Annotated, Any, NamedTuple, TypeVar, Union

from nmnc_ref.arrays import Array, Arrays, Parameters, Scope, expect, is_static
from nmnc_ref.scalars import Scalar, Some

Function = TypeVar("Function", bound=Callable)
Check = Callable[[str, Any, Scope], Any]
"""Checks the argument at a path, such as `network[0].weight`, and returns it as the function is to get it."""


class _Thread(threading.local):
    """Whether a checked call of this thread is under way."""

    nested = False


_THREAD = _Thread()


class _Written(str):
    """An annotation as it is written in the source, for `help`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self).replace("'", '"')


_ABSENT = object()
_FORMS = 1000
"""How many forms of its arguments a function remembers, before it forgets them all."""


def checked(function: Function) -> Function:
    """Return a function that checks its arguments against its annotations, those of `arrays` and of `typing`.

    A tuple and a NamedTuple are checked inside, and an object for a Protocol has its members. The form of all arrays,
    which is what is static of them, is remembered once it has passed.
    """
    found: list[tuple[list[_Argument], list[_Argument]]] = []  # at the first call, when all names are known
    passed: dict[Any, Scope] = {}

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not found:
            every = _arguments(function)
            of_arrays = [argument for argument in every if _is_of_arrays(argument.check)]
            found.append((of_arrays, [argument for argument in every if argument not in of_arrays]))
        of_arrays, others = found[0]
        given: list[Any] = list(args)
        arrays: list[Array] = []
        form = _form_of_all(of_arrays, given, kwargs, arrays)
        known = passed.get(form)  # looked up once: another thread may forget it
        if known is not None:
            scope = known.recalled(arrays, values=not _THREAD.nested)
        else:
            scope = Scope()
            _check_all(of_arrays, given, kwargs, scope)
            if len(passed) >= _FORMS:
                passed.clear()
            kept = scope.remembered(arrays) if form is not None else None
            if kept is not None:
                passed[form] = kept
        _check_all(others, given, kwargs, scope)
        if _THREAD.nested:
            return function(*given, **kwargs)
        _THREAD.nested = True
        try:
            scope.expect_values()
            return function(*given, **kwargs)
        finally:
            _THREAD.nested = False

    signature = inspect.signature(function)
    shown = [each.replace(annotation=_Written(each.annotation)) for each in signature.parameters.values()]
    wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=shown, return_annotation=_Written(signature.return_annotation)
    )
    wrapper.is_checked = True  # type: ignore[attr-defined]
    return wrapper  # type: ignore[return-value]


def validate(function: Callable, **arguments: Any) -> None:
    """Check arguments, values included, as `function` does outside of `jax.jit`; under it values are unknown.

    Args:
        function: any checked function.
        **arguments: some of its arguments, by name.
    """
    if not is_checked(function):
        raise TypeError(f"function: expected a checked function, got {function!r}")
    plain = isinstance(function, types.FunctionType)  # and no object, which would be kept
    checks, known = (_checks if plain else _checks.__wrapped__)(function)
    if not arguments:
        raise TypeError(f"arguments: expected some of {', '.join(known)}, got none")
    scope = Scope()
    for name, value in arguments.items():
        if name not in known:
            raise TypeError(f"{name}: expected an argument among {', '.join(known)}, got another")
        if name in checks:
            checks[name](name, value, scope)
    scope.expect_values()


def check_fields(value: Any) -> None:
    """Check the fields of a frozen dataclass against their annotations; to be called when it is made."""
    kind: Any = type(value)
    for name, check in _fields(kind):
        object.__setattr__(value, name, check(name, getattr(value, name), Scope()))


def is_checked(function: Any) -> bool:
    """Tell whether a callable checks its arguments: a checked function, a partial of one, a method or an object."""
    if isinstance(function, functools.partial):
        return is_checked(function.func)
    return hasattr(function, "is_checked") or hasattr(type(function).__call__, "is_checked")


@functools.cache
def _checks(function: Callable) -> tuple[dict[str, Check], tuple[str, ...]]:
    """Return the checks of a function's arguments by name, and the names of all arguments."""
    return {name: check for _, name, check in _arguments(function)}, tuple(inspect.signature(function).parameters)


class _Argument(NamedTuple):
    """An argument of a function, with its position, beyond all that are given if it has none."""

    position: int
    name: str
    check: Check


def _arguments(function: Callable) -> list[_Argument]:
    """Return the arguments of a function that are checked, scalars last."""
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for position, each in enumerate(inspect.signature(function).parameters.values()):
        check = _own_fields if each.name == "self" else _check(hints.get(each.name, Any))
        if check is not None:
            place = position if each.kind is each.POSITIONAL_OR_KEYWORD else sys.maxsize
            found.append(_Argument(place, each.name, check))
    return sorted(found, key=lambda argument: isinstance(argument.check, Scalar))


def _check_all(arguments: list[_Argument], given: list, named: dict[str, Any], scope: Scope) -> None:
    """Check arguments, and put in their place what the function is to get."""
    for position, name, check in arguments:
        if position < len(given):
            given[position] = check(name, given[position], scope)
        elif name in named:
            named[name] = check(name, named[name], scope)


def _form_of_all(arguments: list[_Argument], given: list, named: dict[str, Any], arrays: list[Array]) -> Any:
    """Return the form of arguments, and add their arrays to a list; None if they are made of something else too."""
    try:
        form = []
        for position, name, _ in arguments:
            value = given[position] if position < len(given) else named.get(name, _ABSENT)
            form.append(_form(value, arrays))
        hash(found := tuple(form))
    except (AttributeError, TypeError):
        return None
    return found


def _form(value: Any, arrays: list[Array]) -> Any:
    if isinstance(value, tuple):
        return (type(value), *[_form(item, arrays) for item in value])
    if value is None or value is _ABSENT:
        return value
    if isinstance(value, dict):
        return tuple(value) if is_static(value) else None
    arrays.append(value)
    return type(value), value.dtype, value.shape


def _is_of_arrays(check: Check | None) -> bool:
    """Tell whether a check asks about the form of arrays alone, and returns what it was given."""
    if isinstance(check, functools.partial):
        if check.func is _tuple:
            return all(map(_is_of_arrays, check.args[0]))
        if check.func is _record:
            return all(_is_of_arrays(inner) for _, inner in _fields(check.args[0]))
        if check.func is _protocol:
            return hasattr(check.args[0], "_replace")  # one of NamedTuples
        return check.func in (_some, _optional) and _is_of_arrays(check.args[0])
    return check is None or check is _own_fields or isinstance(check, (Arrays, Parameters))


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, Check], ...]:
    """Return the checks of a NamedTuple or a dataclass by field."""
    names = getattr(kind, "_fields", None) or tuple(kind.__dataclass_fields__)
    hints = typing.get_type_hints(kind, include_extras=True)
    checks = ((name, _check(hints.get(name, Any))) for name in names)
    return tuple((name, check) for name, check in checks if check is not None)


def _own_fields(path: str, value: Any, scope: Scope) -> Any:
    """Check the fields of a NamedTuple or a dataclass by the annotations of its own type."""
    kind: Any = type(value)
    changed = {}
    for name, check in _fields(kind):
        field = getattr(value, name)
        found = check(f"{path}.{name}", field, scope)
        if found is not field:
            changed[name] = found
    if not changed:
        return value
    return replace(value, **changed) if is_dataclass(kind) else value._replace(**changed)


@functools.cache
def _check(annotation: Any) -> Check | None:
    """Return the check that an annotation asks for, or None if it asks for none."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return functools.partial(_some, _check(parts[0])) if parts[1] is Some else parts[1]
    if origin in (Union, types.UnionType):
        inner = [_check(part) for part in parts if part is not type(None)]
        return functools.partial(_optional, inner[0]) if len(inner) == 1 and inner[0] else None
    if origin is Sequence:
        return functools.partial(_sequence, (_check(parts[0]),))
    if origin is tuple:
        return functools.partial(_tuple, tuple(_check(part) for part in parts if part is not ...), parts[-1] is ...)
    if annotation is Callable:
        return functools.partial(_callable, (), None)
    if origin is Callable:
        return functools.partial(_callable, tuple(map(_check, parts[0])), _check(parts[1]))
    if annotation is bool:
        return _flag
    if getattr(annotation, "_is_protocol", False):
        return functools.partial(_protocol, annotation)
    if hasattr(annotation, "_fields"):
        return functools.partial(_record, annotation)
    return functools.partial(_instance, annotation) if is_dataclass(annotation) else None


def _optional(inner: Check, path: str, value: Any, scope: Scope) -> Any:
    return None if value is None else inner(path, value, scope)


def _flag(path: str, value: Any, scope: Scope) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{path}: expected True or False, got {type(value).__name__}")
    return value


def _instance(kind: Any, path: str, value: Any, scope: Scope) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{path}: expected {kind.__name__}, got {_kind(value)}")
    return value


def _record(kind: type, path: str, value: Any, scope: Scope) -> Any:
    return _own_fields(path, _instance(kind, path, value, scope), scope)


def _protocol(kind: Any, path: str, value: Any, scope: Scope) -> Any:
    """Check that an object has all members, and if it is a NamedTuple its fields, with axes of its own."""
    members = [name for name in vars(kind) if not name.startswith("_")]
    if not all(hasattr(type(value), name) for name in members):  # of the type: a property may fail on bad arrays
        raise TypeError(f"{path}: expected a {kind.__name__} ({', '.join(members)}), got {_kind(value)}")
    if not hasattr(value, "_fields"):
        return value
    outer, scope.lengths = scope.lengths, {}
    found = _own_fields(path, value, scope)
    scope.lengths = outer
    return found


def _tuple(checks: tuple[Check | None, ...], alike: bool, path: str, value: Any, scope: Scope) -> Any:
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{path}: expected a tuple, got {_kind(value)}")
    if alike:
        checks = checks * len(value)
    if len(value) != len(checks):
        raise ValueError(f"{path}: expected a tuple of {len(checks)}, got {len(value)}")
    outer, found = scope.item, []
    for index, (check, item) in enumerate(zip(checks, value, strict=True)):
        scope.item = index
        found.append(check(f"{path}[{index}]", item, scope) if check else item)
    scope.item = outer
    unchanged = isinstance(value, tuple) and all(map(lambda new, old: new is old, found, value))
    return value if unchanged else tuple(found)


def _some(inner: Check | None, path: str, value: Any, scope: Scope) -> Any:
    found = inner(path, value, scope) if inner else value
    expect(bool(found), f"{path}: expected one or more items, got none")
    return found


def _sequence(checks: tuple[Check | None], path: str, value: Any, scope: Scope) -> Any:
    try:
        items = tuple(value)
    except TypeError:
        raise TypeError(f"{path}: expected a sequence, got {_kind(value)}") from None
    return _tuple(checks, True, path, items, scope)


def _callable(
    arguments: tuple[Check | None, ...], result: Check | None, path: str, value: Any, scope: Scope
) -> Callable:
    """Check what a callable returns each time it does, unless it is checked itself."""
    if not callable(value):
        raise TypeError(f"{path}: expected a callable, got {_kind(value)}")
    if result is None or is_checked(value) or isinstance(value, _Guarded):
        return value
    return _Guarded(f"{path}()", value, arguments, result)


@dataclass(frozen=True)
class _Guarded:
    """A callable of the user's, whose result is checked, with the lengths of axes that its arguments have."""

    path: str
    function: Callable
    arguments: tuple[Check | None, ...]
    result: Check

    def __call__(self, *args: Any) -> Any:
        scope = Scope()
        for index, (check, value) in enumerate(zip(self.arguments, args, strict=False)):
            if isinstance(check, Arrays):
                check(f"argument {index} of {self.path}", value, scope)
        scope.found.clear()
        found = self.result(self.path, self.function(*args), scope)
        scope.expect_values()
        return found


def _kind(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
