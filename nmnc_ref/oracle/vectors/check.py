"""The runner: compare an implementation's answers with the pack, stage by stage.

In isolated mode every stage is computed from the reference's inputs, so one wrong stage fails alone. In chained mode a
stage is computed from the implementation's own earlier answers; its tolerance then grows by what these may be off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref.oracle.command_line import finite, in_one_line
from nmnc_ref.oracle.vectors.hints import agree, hints, reference
from nmnc_ref.oracle.vectors.implementation import Answer, Missing
from nmnc_ref.oracle.vectors.operations import OPERATIONS
from nmnc_ref.oracle.vectors.pack import Case, Stage
from nmnc_ref.oracle.vectors.tolerance import COARSE, PRECISIONS, Precision

MODES = {"isolated": False, "chained": True}
"""By name, whether a stage is computed from the implementation's own earlier answers."""


class Result(NamedTuple):
    """What became of a stage: `status` is "passed", "failed", "unanswered" or "skipped".

    `note`: why it was not compared, or what is to be known besides; `missing`: what has no answer;
    `follows`: the operation is right for the inputs that it was given, which are wrong;
    `element`, `got`, `want`, `error`: index and values of the first element beyond `tolerance`, or of the worst
    where all are within; `part`: the element in the part of the answer that it is in, where the answer has parts;
    `differ`, `agree`: the parts that have an element beyond tolerance, and that have none;
    `ulps`: the error in units of the last place of `want`; `hints`: slips that explain the answer.
    """

    case: Case
    stage: Stage
    status: str
    note: str = ""
    missing: str = ""
    follows: bool = False
    element: tuple[int, ...] | None = None
    part: str = ""
    differ: tuple[str, ...] = ()
    agree: tuple[str, ...] = ()
    got: float | None = None
    want: float | None = None
    error: float | None = None
    tolerance: float | None = None
    ulps: float | None = None
    hints: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the stage failed."""
        return self.status == "failed"


def check(cases: Iterable[Case], answer: Answer, *, precision: str = "float64", mode: str = "isolated") -> list[Result]:
    """Check an implementation on cases.

    Args:
        cases: of a pack.
        answer: the implementation; what it raises fails the stage, but for `Missing`, which leaves it unanswered.
        precision: one of `PRECISIONS`.
        mode: one of `MODES`.

    Returns:
        The result of every stage, in order.

    Raises:
        ValueError: a precision or mode that there is not.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    if mode not in MODES:
        raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    results = [result for case in cases for result in _check_case(case, answer, PRECISIONS[precision], MODES[mode])]
    return _common_hints(results)


def _common_hints(results: list[Result]) -> list[Result]:
    """Return results with the hints alone that explain all stages of their operation that failed."""
    common: dict[str, set[str]] = {}
    for result in results:
        if result.failed and not result.follows:
            common.setdefault(result.stage.operation, set(result.hints)).intersection_update(result.hints)
    return [
        result._replace(hints=tuple(hint for hint in result.hints if hint in common[result.stage.operation]))
        for result in results
    ]


def _check_case(case: Case, answer: Answer, precision: Precision, chained: bool) -> list[Result]:
    if case.precision not in ("any", precision.dtype):
        return [Result(case, stage, "skipped", f"exists in {case.precision} only") for stage in case.stages]
    values = {name: _cast(array, precision) for name, array in case.inputs.items()}
    reached: dict[str, float] = {}  # relative tolerance of each stage
    results = []
    for stage in case.stages:
        inputs = {argument: values[source] for argument, source in stage.inputs.items()} | stage.parameters
        carried = max((reached.get(source, 0.0) for source in stage.inputs.values()), default=0.0)
        relative = stage.tolerance.relative(precision.eps, carried if chained else 0.0)
        result, own = _check_stage(case, stage, answer, inputs, relative, precision)
        results.append(_explained(result, inputs, own, relative, chained) if result.failed else result)
        reached[stage.name] = relative
        want = _cast(stage.value, precision)
        usable = chained and own is not None and not _problem(stage, own, precision)
        values[stage.name] = np.array(own, want.dtype) if usable else want  # a port may use its memory again
    return results


def _cast(array: np.ndarray, precision: Precision) -> np.ndarray:
    return array.astype(precision.dtype) if _is_real(array) else array


def _is_real(array: np.ndarray) -> bool:
    return np.issubdtype(array.dtype, np.floating)


def _check_stage(
    case: Case, stage: Stage, answer: Answer, inputs: dict[str, Any], relative: float, precision: Precision
) -> tuple[Result, np.ndarray | None]:
    """Return the result of a stage, and the answer if there is one."""
    if relative > COARSE:
        return Result(case, stage, "skipped", f"a pass at a tolerance beyond {COARSE:.0%} is uninformative"), None
    try:
        own = {name: each.copy() if isinstance(each, np.ndarray) else each for name, each in inputs.items()}
        got = answer(case, stage, own)
        got = _cast(np.asarray(got), precision) if isinstance(got, (int, float)) else np.asarray(got)
    except Missing as missing:
        return Result(case, stage, "unanswered", str(missing), missing.what), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of other languages' runtimes, too
        return Result(case, stage, "failed", f"raised {in_one_line(error)}"), None
    if problem := _problem(stage, got, precision):
        return Result(case, stage, "failed", problem), got
    return _compare(case, stage, inputs, got, relative, precision), got


def _problem(stage: Stage, got: np.ndarray, precision: Precision) -> str:
    """Say why an answer cannot be compared, if so."""
    real = _is_real(stage.value)
    if (real and got.dtype != precision.dtype) or (not real and got.dtype.kind not in "iu"):
        return f"wrong dtype: expected {precision.dtype if real else stage.value.dtype}, got {got.dtype}"
    if got.shape != stage.value.shape:
        return f"wrong shape: expected {list(stage.value.shape)}, got {list(got.shape)}"
    if not np.all(np.isfinite(got)):
        index = np.unravel_index(int(np.argmin(np.isfinite(got))), got.shape)
        return f"{'NaN' if np.isnan(got[index]) else 'infinity'} at index {list(map(int, index))}"
    return ""


def _compare(
    case: Case, stage: Stage, inputs: dict[str, Any], got: np.ndarray, relative: float, precision: Precision
) -> Result:
    want = stage.value.astype(np.float64)
    with np.errstate(over="ignore"):
        error = np.minimum(np.abs(got.astype(np.float64) - want), np.finfo(np.float64).max)
    tolerance = relative * float(np.max(np.abs(want)))
    beyond = error > tolerance
    failed = bool(np.any(beyond))
    index = tuple(map(int, np.unravel_index(int(np.argmax(beyond if failed else error)), want.shape)))
    first = want[index]
    place = precision.eps * 2.0 ** math.floor(math.log2(abs(first))) if first else 0.0
    ulps = finite(float(error[index]) / place) if place and _is_real(stage.value) else None
    result = Result(case, stage, "failed" if failed else "passed", element=index, tolerance=tolerance, ulps=ulps)
    result = result._replace(got=got[index].item(), want=stage.value[index].item(), error=float(error[index]))
    parts = OPERATIONS[stage.operation].parts
    return result._replace(**_parts(parts(inputs), beyond)) if parts and failed else result


def _parts(shapes: Mapping[str, tuple[int, ...]], beyond: np.ndarray) -> dict[str, Any]:
    """Say of the parts of a flat answer which one the first element beyond the tolerance is in, and which agree."""
    first: dict[str, list[int]] = {}  # of these elements in each part that has any
    for name, shape in shapes.items():
        inside, beyond = np.split(beyond, [math.prod(shape)])
        if np.any(inside):
            first[name] = [int(place) for place in np.unravel_index(int(np.argmax(inside)), shape)]
    part = next(f"{name}{element}" for name, element in first.items())
    return {"part": part, "differ": tuple(first), "agree": tuple(name for name in shapes if name not in first)}


def _explained(
    result: Result, inputs: dict[str, Any], got: np.ndarray | None, relative: float, chained: bool
) -> Result:
    """Return a failure with what explains it: inputs that were wrong before, or slips."""
    if got is None or got.dtype.kind not in "fiu":
        return result
    right = reference(result.stage, inputs)
    if chained and not result.note and right is not None and agree(got, right, relative):
        return result._replace(follows=True, note="right for its own inputs, which are wrong")
    return result._replace(hints=hints(result.case, result.stage, inputs, right, got, relative))
