"""What the runner checks: answers to stages, from an object with functions or from files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from nmnc_ref.oracle.vectors.operations import OPERATIONS
from nmnc_ref.oracle.vectors.pack import Case, Stage

NEARLY = 0.8
"""How alike, to `difflib`, a function's name is to that of an operation that it must have been meant for."""


class Missing(Exception):
    """There is no answer to a stage: the message says why; `what` is missing, an operation, a stage or a case."""

    def __init__(self, why: str, what: str) -> None:
        super().__init__(why)
        self.what = what


class UnknownOperation(ValueError):
    """An implementation has a function of a name that no operation has; the message is one line."""


Answer = Callable[[Case, Stage, dict[str, Any]], Any]
"""An implementation: the answer to a stage from its inputs, arrays and parameters by name. May raise Missing."""


def recorded(answers: Mapping[str, Mapping[str, np.ndarray]]) -> Answer:
    """Return the implementation that gives recorded answers, by case and stage, whatever the inputs."""

    def answer(case: Case, stage: Stage, inputs: dict[str, Any]) -> np.ndarray:
        if case.name not in answers:
            raise Missing("no file of answers", case.name)
        if stage.name not in answers[case.name]:
            raise Missing("no answer in the file", f"{case.name} · {stage.name}")
        return answers[case.name][stage.name]

    return answer


def implemented(implementation: Any) -> Answer:
    """Return the implementation that an object is: its item or attribute of the name of a stage or its operation.

    Raises:
        UnknownOperation: an item of another name, or a function whose name is nearly that of an operation that is not
            there: misspelt, it would never be called.
    """
    _expect_known(implementation)

    def answer(case: Case, stage: Stage, inputs: dict[str, Any]) -> Any:
        for name in (stage.name, stage.operation):
            if (function := _function(implementation, name)) is not None:
                return function(inputs)
        raise Missing("not implemented", stage.operation)

    return answer


def _function(implementation: Any, name: str) -> Any:
    """Return the item or attribute of a name, or None where looking it up fails, in whatever way."""
    try:
        return implementation[name] if isinstance(implementation, Mapping) else getattr(implementation, name)
    except Exception:
        return None


def _expect_known(implementation: Any) -> None:
    items = isinstance(implementation, Mapping)
    names = set(implementation) if items else {name for name in dir(implementation) if _is_own(implementation, name)}
    missing = [name for name in OPERATIONS if _function(implementation, name) is None]
    for name in sorted(map(str, names)):
        near = difflib.get_close_matches(name, missing, 1, NEARLY)
        if re.sub(r"_\d+$", "", name) not in OPERATIONS and (items or near):
            meant = f"; did you mean {near[0]}?" if near else ""
            own = "" if items else " (a function that is no operation may begin with _)"
            raise UnknownOperation(f"{name!a}: expected the name of an operation or stage{meant}{own}")


def _is_own(implementation: Any, name: str) -> bool:
    """Tell whether an attribute is a public function, no class, and in a module one that was not imported."""
    function = _function(implementation, name)
    home = getattr(function, "__module__", None)
    imported = isinstance(implementation, ModuleType) and home != implementation.__name__
    return callable(function) and not isinstance(function, type) and not name.startswith("_") and not imported
