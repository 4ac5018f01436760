"""Hints: which common slip explains a wrong answer.

For each slip there is the value that the reference would give, from the same inputs, had it made that slip. A hint is
given where the answer agrees with such a value as closely as it should have agreed with the right one, so it is a
computed fact and no guess. Of the slips that give the same value on a stage those are named that explain all stages of
the operation that failed.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from nmnc_ref import random
from nmnc_ref.manifold import CENTRINGS
from nmnc_ref.oracle.vectors.operations import OPERATIONS
from nmnc_ref.oracle.vectors.pack import Case, Stage

CLEARLY = 4.0
"""How many tolerances a slip's value must be away from the right one, and from the answer at most one."""
FEWEST = 4
"""Digits of text that a number may have by chance."""
WORD = 7
"""Digits of text that few words of 32 bits have by chance."""
MEANS = {
    "loss_value": ("output", "sum for mean"),
    "error": ("output", "sum for mean"),
    "loss_gradient": ("x", "sum for mean"),
    "recurrent_loss_gradient": ("x", "sum for mean"),
    "spectrum": ("activity", "sum for mean"),
    "unnormalised_correlation": ("noise", "sum for mean"),
    "correlation": ("noise", "sum for mean"),
    "batch_correlation": ("noise", "÷ B but not ÷ K", "÷ K but not ÷ B"),
    "convolution_mirror": ("noise", "sum for mean"),
}
"""Operations that are a mean over the first axes of an argument, and the slips that are a sum over one of these."""
SUMS = ("weight_gradient", "bias_gradient", "convolution_weight_gradient", "convolution_bias_gradient")
"""Operations that are a sum over the batch, the first axis of `delta`."""

Inputs = Mapping[str, Any]
Slip = Callable[[Inputs], Any]


def reference(stage: Stage, inputs: Inputs) -> np.ndarray | None:
    """Return the right answer to a stage from these inputs, or None if there is none."""
    try:
        return np.asarray(OPERATIONS[stage.operation].function(**inputs))
    except (ValueError, TypeError):
        return None


def agree(got: np.ndarray, value: np.ndarray, relative: float) -> bool:
    """Tell whether an answer is a value, up to a tolerance as a share of its largest element."""
    value = value.astype(np.float64)
    tolerance = relative * np.max(np.abs(value))
    return got.shape == value.shape and bool(np.all(np.abs(got.astype(np.float64) - value) <= tolerance))


def hints(
    case: Case, stage: Stage, inputs: Inputs, right: np.ndarray | None, got: np.ndarray, relative: float
) -> tuple[str, ...]:
    """Return the slips that explain the answer `got`, none if none does.

    Args:
        case: that the stage is of.
        stage: whose answer is wrong.
        inputs: what the stage was computed from, by argument, and its parameters.
        right: the reference's answer from these inputs.
        got: the answer, of any shape.
        relative: tolerance as a share of the largest value.
    """
    if right is None:
        return ()
    found = dict.fromkeys(
        name
        for name, value in _slips(case, stage, inputs, right)
        if agree(got, value, relative) and not agree(right, value, CLEARLY * relative)
    )
    return (*found, *(["digits lost in text"] if _digits_lost(right, got) else []))


def _slips(case: Case, stage: Stage, inputs: Inputs, right: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each slip: its name, and the value that it gives."""
    yield from _layouts(right)
    if OPERATIONS[stage.operation].kind != "exact":
        yield from _factors(stage.operation, inputs, right.astype(np.float64))
    for name, slip in _variants(case, stage, inputs):
        with contextlib.suppress(ValueError, TypeError):  # where the slip is not possible with these inputs
            yield name, np.asarray(slip(inputs))


def _layouts(right: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if right.ndim >= 2:
        for transposed in (np.swapaxes(right, -1, -2), right.T):
            yield "transposed", transposed
            yield "transposed", transposed.reshape(right.shape)  # ξᵀδy for δyᵀξ, written with the shape that is wanted
        yield "column-major", _as_column_major(right)


def _digits_lost(right: np.ndarray, got: np.ndarray) -> bool:
    """Tell whether an answer has few digits, or few decimals, and is as near as these and rounding before allow."""
    if got.shape != right.shape or np.array_equal(got, right):
        return False
    texts = [np.format_float_positional(number, trim="-") for number in got.ravel()]
    digits = max(len(text.lstrip("-0.").replace(".", "").rstrip("0")) for text in texts)
    decimals = max(len(text.partition(".")[2]) for text in texts)
    error, largest = np.max(np.abs(got.astype(np.float64) - right)), np.max(np.abs(right))
    most = np.finfo(got.dtype).precision if np.issubdtype(got.dtype, np.floating) else WORD
    return bool(
        (FEWEST < digits <= most and error <= 10.0 ** (2 - digits) * largest)
        or (FEWEST <= decimals <= most and error <= 10.0 ** (1 - decimals))
    )


def _factors(operation: str, inputs: Inputs, right: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the slips that scale the whole answer."""
    yield "sign", -right
    yield "factor 2", 2 * right
    yield "factor 2", right / 2
    if operation in MEANS:
        argument, *names = MEANS[operation]
        lengths = inputs[argument].shape[: len(names)]
        for name, length in zip(names, lengths, strict=True):
            yield name, length * right
        yield "sum for mean", math.prod(lengths) * right
        yield "mean for sum", right / math.prod(lengths)
    if operation == "convolution_mirror":  # a mean over places too
        rows, places = inputs["noise"].shape[0], inputs["response"].shape[1] // inputs["weight"].shape[0]
        yield "sum for mean", places * right
        yield "sum for mean", rows * places * right
    if operation == "estimated_jacobian":
        yield "sum for mean", inputs["draws"] * right
    if operation in SUMS:
        yield "mean for sum", right / inputs["delta"].shape[0]
    if operation in ("loss_value", "error"):
        elements = inputs["output"].shape[1]
        yield "mean over elements", right / elements
        yield "mean over elements, without the half", 2 * right / elements
    if (sigma := inputs.get("sigma")) is not None:
        if operation.endswith("_noise"):
            yield "missing σ", right / sigma
            yield "σ² for σ", right * sigma
        else:
            yield "missing 1/σ", right * sigma
            yield "missing 1/σ²", right * sigma**2


def _computed(operation: str, **replaced: Slip) -> Slip:
    """Return the slip that is an operation, of inputs some of which are replaced."""
    return lambda inputs: OPERATIONS[operation].function(
        **{**inputs, **{name: replace(inputs) for name, replace in replaced.items()}}
    )


def _given(operation: str, **replaced: Any) -> Slip:
    """Return the slip that is an operation, given other values for some inputs, such as no check would let pass."""
    return lambda inputs: inspect.unwrap(OPERATIONS[operation].function)(**{**inputs, **replaced})


def _centred(inputs: Inputs) -> np.ndarray:
    return inputs["noise"] - np.mean(inputs["noise"], axis=0)


def _keys_from_one(inputs: Inputs) -> Any:
    """Return the estimate from draws of the keys fold_in(key, 1) … fold_in(key, K)."""
    activity, basis = inputs["activity"], inputs["basis"]
    keys = random.fold_in(inputs["key"], np.arange(1, inputs["draws"] + 1, dtype=inputs["key"].dtype))
    z = random.normal(keys, (activity.shape[0], basis.shape[1]), activity.dtype)
    noise = OPERATIONS["manifold_noise"].function(z, basis, inputs["sigma"])
    network = {name: array for name, array in inputs.items() if name.startswith(("weight_", "bias_"))}
    response = OPERATIONS["antithetic_response"].function(
        activity, noise, layer=inputs["layer"], activation=inputs["activation"], **network
    )
    return OPERATIONS["correlation"].function(response, noise, inputs["sigma"])


def _next_neighbours(inputs: Inputs) -> Any:
    """Return TwoNN of the second and the third neighbour."""
    points = np.unique(inputs["points"], axis=0)
    distances = np.sort(np.linalg.norm(points[:, None] - points, axis=-1))
    return 1 / np.mean(np.log(distances[:, 3] / distances[:, 2]))


SLIPS: dict[str, tuple[tuple[str, Slip], ...]] = {
    "activity": (("pre- for post-activation", lambda inputs: inputs["preactivation"]),),
    "slope": (
        ("post- for pre-activation", _computed("slope", preactivation=_computed("activity"))),
        # the next number is positive for 0 alone
        ("ReLU'(0) = 1", _computed("slope", preactivation=lambda i: np.nextafter(i["preactivation"], np.inf))),
    ),
    "manifold_noise": (("projector left out", lambda inputs: inputs["sigma"] * inputs["coefficients"]),),
    "projected_jacobian": (("projector left out", lambda inputs: inputs["jacobian"]),),
    "alignment": (("projector left out", lambda inputs: np.ones(inputs["jacobian"].shape[:-2])),),
    "pooled_alignment": (("projector left out", lambda inputs: np.ones(())),),
    "two_nearest_neighbours": (("one neighbour off", _next_neighbours),),
    "antithetic_response": (("one-sided for antithetic", _computed("one_sided_response")),),
    "one_sided_response": (("antithetic for one-sided", _computed("antithetic_response")),),
    "estimated_jacobian": (("fold_in from 1", _keys_from_one),),
    "running_average": (("η for 1 − η", _computed("running_average", rate=lambda inputs: 1 - inputs["rate"])),),
} | {
    name: (("centred over the draws", _computed(name, noise=_centred)),)
    for name in ("unnormalised_correlation", "correlation", "batch_correlation")
}
"""Slips of one operation that compute something else."""
CENTRED = {"spectrum": CENTRINGS[:2], "manifold_projector": CENTRINGS}
"""The centrings of an operation that differ in its value: a spectrum is the same where the mean is added."""


def _variants(case: Case, stage: Stage, inputs: Inputs) -> Iterator[tuple[str, Slip]]:
    """Yield the slips that compute something else: name, and a function of the inputs that computes it."""
    yield from SLIPS.get(stage.operation, ())
    for centring in CENTRED.get(stage.operation, ()):
        yield f"{centring} whatever is asked", _given(stage.operation, centring=centring)
    preactivations = {
        each.name.replace("preactivation_", "activity_"): each.value
        for each in case.stages
        if each.name.startswith("preactivation_")
    }
    for argument, source in stage.inputs.items():
        if source in preactivations:
            value = preactivations[source].astype(inputs[argument].dtype)
            yield "pre- for post-activation", _given(stage.operation, **{argument: value})
    arrays = {name: array for name, array in inputs.items() if isinstance(array, np.ndarray)}
    misread = _given(stage.operation, **{name: a.ravel().reshape(a.shape, order="F") for name, a in arrays.items()})
    yield "column-major", misread
    yield "column-major", lambda inputs: _as_column_major(np.asarray(misread(inputs)))


def _as_column_major(array: np.ndarray) -> np.ndarray:
    return array.ravel(order="F").reshape(array.shape)
