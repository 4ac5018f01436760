"""What a stage computes: an operation, with its claim, its equation, its tolerance and the reference's function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nmnc_ref.arrays import Array


class Operation(NamedTuple):
    """What a stage computes.

    `claim`: the id of a claim of THEORY.md, or "" for what no claim is about; `equation`: in plain text; `kind`: its
    class of tolerance; `arrays` and `parameters` (plain numbers and strings, never traced): the names of its arguments,
    where `network` stands for the arrays weight_1, bias_1, weight_2, … of a network's layers; `function`: the
    reference's, which takes them by name; `condition`: the condition number of inputs and value, for the class
    "inverse"; `parts`: the parts of a flat answer, in order, with the shape of each, from the inputs; `loops`: whether
    it is many like steps, whose function takes a compiler too, `compile`, for one of them.
    """

    name: str
    claim: str
    equation: str
    kind: str
    arrays: tuple[str, ...]
    parameters: tuple[str, ...]
    function: Callable[..., Array]
    condition: Callable[[Mapping[str, Any], Any], float] | None = None
    parts: Callable[[Mapping[str, Any]], Mapping[str, tuple[int, ...]]] | None = None
    loops: bool = False


def operation(name: str, claim: str, equation: str, kind: str) -> Callable[..., Operation]:
    """Return what makes the operation: this call says what it is, a second one of what and how it is computed."""
    return functools.partial(Operation, name, claim, equation, kind)
