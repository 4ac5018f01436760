"""What a stage computes: an operation, with its claim, its equation, its tolerance and the reference's function.

An operation is a function of arrays (positional) and parameters (keyword-only; plain numbers and strings, never
traced). The argument `network` stands for the arrays weight_1, bias_1, weight_2, … of a network's layers, and one of
`GROUPS` for what always comes together. An operation of many like steps has an argument `compile` and compiles the
step alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from nmnc_ref.arrays import Array
from nmnc_ref.nn.dense import Dense

GROUPS = {
    "recurrent_network": ("weight", "input_weight", "bias", "read_weight", "read_bias"),
    "geometry": ("height", "width", "stride", "padding", "pool"),
    "rates": ("learning_rate", "momentum", "decay", "feedback_rate", "sigma", "draws"),
}
"""Arguments that stand for several arrays or parameters: the function gets them in a dictionary."""

Condition = Callable[[Mapping[str, Any], Any], float]


class Operation(NamedTuple):
    """What a stage computes.

    `claim`: the id of a claim of THEORY.md, or "" for what no claim is about; `equation`: in plain text; `kind`: its
    class of tolerance; `function`: the reference's; `condition`: the condition number of inputs and value, for the
    class "inverse".
    """

    name: str
    claim: str
    equation: str
    kind: str
    function: Callable[..., Array]
    condition: Condition | None

    @property
    def arrays(self) -> tuple[str, ...]:
        """The names of its array arguments."""
        return _ungrouped(each.name for each in self._signature() if each.kind is not each.KEYWORD_ONLY)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of its parameters."""
        own = _ungrouped(each.name for each in self._signature() if each.kind is each.KEYWORD_ONLY)
        return tuple(name for name in own if name != "compile")

    @property
    def loops(self) -> bool:
        """Whether it is many like steps, of which it compiles one."""
        return any(each.name == "compile" for each in self._signature())

    def _signature(self) -> tuple[inspect.Parameter, ...]:
        return tuple(inspect.signature(self.function).parameters.values())

    def __call__(self, inputs: Mapping[str, Any], compile: Callable | None = None) -> Array:
        """Compute the stage from its inputs by name; arguments that have a default may be missing."""
        names = [each.name for each in self._signature()]
        arguments: dict[str, Any] = {name: inputs[name] for name in names if name in inputs}
        arguments |= {name: {each: inputs[each] for each in GROUPS[name]} for name in names if name in GROUPS}
        if "network" in names:
            arguments["network"] = layers(inputs)
        if self.loops:
            arguments["compile"] = compile
        return self.function(**arguments)


def _ungrouped(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(each for name in names for each in GROUPS.get(name, (name,)))


def layers(inputs: Mapping[str, Any]) -> tuple[Dense, ...]:
    """Return the network that the arrays weight_1, bias_1, weight_2, … make up."""
    depth = sum(name.startswith("weight_") for name in inputs)
    return tuple(Dense(inputs[f"weight_{l}"], inputs[f"bias_{l}"]) for l in range(1, depth + 1))


OPERATIONS: dict[str, Operation] = {}
"""All operations by name; `stages` registers them, and is where to import this from."""


def operation(claim: str, equation: str, kind: str, condition: Condition | None = None) -> Callable:
    """Register the decorated function as an operation under its own name."""

    def register(function: Callable[..., Array]) -> Callable[..., Array]:
        OPERATIONS[function.__name__] = Operation(function.__name__, claim, equation, kind, function, condition)
        return function

    return register
