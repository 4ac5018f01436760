"""Hints: which common slip explains a wrong answer.

For each slip there is the value that the reference would have given had it made that slip. A hint is given where the
answer agrees with such a value as closely as it should have agreed with the right one, so it is a computed fact and no
guess; slips that give the same value on a stage are all named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from nmnc_ref.manifold import CENTRINGS
from nmnc_ref.oracle.vectors.operations import OPERATIONS
from nmnc_ref.oracle.vectors.pack import Case, Stage

CLEARLY = 4.0
"""How many tolerances a slip's value must be away from the right one, and from the answer at most one."""


def hints(case: Case, stage: Stage, inputs: Mapping[str, Any], got: np.ndarray, relative: float) -> tuple[str, ...]:
    """Return the slips that explain the answer `got`, none if none does.

    Args:
        case: that the stage is of.
        stage: whose answer is wrong.
        inputs: what the stage was computed from, by argument, and its parameters.
        got: the answer, of any shape.
        relative: tolerance as a share of the largest value.
    """
    found: dict[str, None] = {}
    for name, value in _slips(case, stage, inputs):
        tolerance = relative * float(np.max(np.abs(value), initial=0.0))
        apart = value.shape != stage.value.shape or np.max(np.abs(value - stage.value)) > CLEARLY * tolerance
        if apart and value.shape == got.shape and np.all(np.abs(got.astype(np.float64) - value) <= tolerance):
            found[name] = None
    return tuple(found)


def _slips(case: Case, stage: Stage, inputs: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    want = stage.value.astype(np.float64)
    if want.ndim >= 2:
        for value in (np.swapaxes(want, -1, -2), want.T, want.T.reshape(want.shape)):
            yield "transposed", value
    if OPERATIONS[stage.operation].kind != "exact":
        yield from _factors(stage, inputs, want)
    inputs = {key: np.asarray(each, np.float64) if _is_real(each) else each for key, each in inputs.items()}
    for name, slip in _variants(case, stage, inputs):
        try:
            yield name, np.asarray(slip(), dtype=np.float64)
        except (ValueError, TypeError):
            continue  # the slip is not possible with these inputs


def _is_real(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _factors(stage: Stage, inputs: Mapping[str, Any], want: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the slips that scale the whole answer."""
    yield "sign", -want
    yield "factor 2", 2 * want
    yield "factor 2", want / 2
    shapes = [value.shape for value in inputs.values() if isinstance(value, np.ndarray) and value.ndim >= 2]
    for length in sorted({shape[0] for shape in shapes} | {shape[0] * shape[1] for shape in shapes} - {1}):
        yield "sum for mean", want * length
        yield "mean for sum", want / length
    if (sigma := inputs.get("sigma")) is not None:
        if stage.operation.endswith("_noise"):
            yield "missing σ", want / sigma
            yield "σ² for σ", want * sigma
        else:
            yield "missing 1/σ", want * sigma
            yield "missing 1/σ²", want * sigma**2


def _variants(case: Case, stage: Stage, inputs: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the slips that compute something else: name, and a function that computes it."""

    def computed(operation: str, **replaced: Any) -> Callable[[], Any]:
        return lambda: OPERATIONS[operation].function(**{**inputs, **replaced})

    if "centring" in inputs:
        spectral = stage.operation == "spectrum"  # where the mean is added, it is that of the centred activity
        for other in CENTRINGS[:2] if spectral else CENTRINGS:
            if other != inputs["centring"]:
                yield f"{other} for {inputs['centring']}", computed(stage.operation, centring=other)
    if stage.operation == "antithetic_response":
        yield "one-sided for antithetic", computed("one_sided_response")
    elif stage.operation == "one_sided_response":
        yield "antithetic for one-sided", computed("antithetic_response")
    elif stage.operation == "activity":
        yield "pre- for post-activation", lambda: inputs["preactivation"]
    elif stage.operation == "slope":
        activity = OPERATIONS["activity"].function(**inputs)
        yield "post- for pre-activation", computed("slope", preactivation=activity)
    elif stage.operation == "projected_jacobian":
        yield "projector left out", lambda: inputs["jacobian"]
    elif stage.operation in ("alignment", "pooled_alignment"):
        yield "projector left out", lambda: np.ones_like(stage.value)
    elif stage.operation == "manifold_noise":
        yield "projector left out", lambda: inputs["sigma"] * inputs["coefficients"]
    preactivations = {each.name: each.value for each in case.stages if each.operation == "preactivation"}
    for argument, source in stage.inputs.items():
        before = source.replace("activity_", "preactivation_", 1)
        if source.startswith("activity_") and before in preactivations:
            yield "pre- for post-activation", computed(stage.operation, **{argument: preactivations[before]})
