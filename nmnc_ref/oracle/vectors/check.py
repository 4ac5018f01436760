"""The runner: compare an implementation's answers with the pack, stage by stage.

In isolated mode every stage is computed from the reference's inputs, so one wrong stage fails alone. In chained mode a
stage is computed from the implementation's own earlier answers; its tolerance then grows by what these may be off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref.oracle.command_line import in_one_line
from nmnc_ref.oracle.vectors.hints import hints
from nmnc_ref.oracle.vectors.pack import Case, Stage
from nmnc_ref.oracle.vectors.tolerance import COARSE, PRECISIONS, Precision

MODES = ("isolated", "chained")


class Missing(Exception):
    """There is no answer to a stage; it is skipped, and the message says why."""


Answer = Callable[[Case, Stage, dict[str, Any]], Any]
"""An implementation: the answer to a stage from its inputs, arrays and parameters by name. May raise Missing."""


class Result(NamedTuple):
    """What became of a stage: `status` is "passed", "failed" or "skipped", `note` says why it was not compared.

    `element`, `got`, `want`, `error`: index and values of the first element beyond `tolerance`, or of the worst
    where all are within;
    `ulps`: the error in units of the last place of `want`; `hints`: slips that explain the answer.
    """

    case: Case
    stage: Stage
    status: str
    note: str = ""
    element: tuple[int, ...] | None = None
    got: float | None = None
    want: float | None = None
    error: float | None = None
    tolerance: float | None = None
    ulps: float | None = None
    hints: tuple[str, ...] = ()


def check(cases: Iterable[Case], answer: Answer, *, precision: str = "float64", mode: str = "isolated") -> list[Result]:
    """Check an implementation on cases.

    Args:
        cases: of a pack.
        answer: the implementation; what it raises fails the stage, but for `Missing`, which skips it.
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
    return [result for case in cases for result in _check_case(case, answer, PRECISIONS[precision], mode == "chained")]


def _check_case(case: Case, answer: Answer, precision: Precision, chained: bool) -> list[Result]:
    if case.precision not in ("any", precision.dtype):
        return [Result(case, stage, "skipped", f"exists in {case.precision} only") for stage in case.stages]
    values = {name: _cast(array, precision) for name, array in case.inputs.items()}
    reached: dict[str, float] = {}  # relative tolerance of each stage
    results = []
    for stage in case.stages:
        inputs = {argument: values[source].copy() for argument, source in stage.inputs.items()} | stage.parameters
        carried = max((reached.get(source, 0.0) for source in stage.inputs.values()), default=0.0)
        relative = stage.tolerance.relative(precision.eps, carried if chained else 0.0)
        result, own = _check_stage(case, stage, answer, inputs, relative, precision)
        results.append(result)
        reached[stage.name] = relative
        values[stage.name] = own if chained and own is not None else _cast(stage.value, precision)
    return results


def _cast(array: np.ndarray, precision: Precision) -> np.ndarray:
    return array.astype(precision.dtype) if array.dtype.kind == "f" else array


def _check_stage(
    case: Case, stage: Stage, answer: Answer, inputs: dict[str, Any], relative: float, precision: Precision
) -> tuple[Result, np.ndarray | None]:
    """Return the result of a stage, and the answer if later stages can be computed from it."""
    if relative > COARSE:
        return Result(case, stage, "skipped", f"passing within {relative:.0%} would say little"), None
    try:
        got = answer(case, stage, dict(inputs))
        got = _cast(np.asarray(got), precision) if isinstance(got, (int, float)) else np.asarray(got)
    except Missing as missing:
        return Result(case, stage, "skipped", str(missing)), None
    except (Exception, SystemExit) as error:
        return Result(case, stage, "failed", f"raised {in_one_line(error)}"), None
    if problem := _problem(stage, got, precision):
        found = hints(case, stage, inputs, got, relative) if got.dtype.kind in "fiu" else ()
        return Result(case, stage, "failed", problem, hints=found), None
    return _compare(case, stage, inputs, got, relative, precision), got.astype(_cast(stage.value, precision).dtype)


def _problem(stage: Stage, got: np.ndarray, precision: Precision) -> str:
    """Say why an answer cannot be compared, if so."""
    real = stage.value.dtype.kind == "f"
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
    error = np.abs(got.astype(np.float64) - want)
    tolerance = relative * float(np.max(np.abs(want)))
    beyond = error > tolerance
    failed = bool(np.any(beyond))
    index = tuple(map(int, np.unravel_index(int(np.argmax(beyond if failed else error)), want.shape)))
    first = float(want[index])
    ulps = float(error[index]) / (precision.eps * 2.0 ** math.floor(math.log2(abs(first)))) if first else None
    found = hints(case, stage, inputs, got, relative) if failed else ()
    status = "failed" if failed else "passed"
    return Result(case, stage, status, "", index, float(got[index]), first, float(error[index]), tolerance, ulps, found)


def recorded(answers: Mapping[str, Mapping[str, np.ndarray]]) -> Answer:
    """Return the implementation that gives recorded answers, by case and stage, whatever the inputs."""

    def answer(case: Case, stage: Stage, inputs: dict[str, Any]) -> np.ndarray:
        if case.name not in answers:
            raise Missing("no file of answers")
        if stage.name not in answers[case.name]:
            raise Missing("no answer in the file")
        return answers[case.name][stage.name]

    return answer


def implemented(implementation: Any) -> Answer:
    """Return the implementation that an object is: its item or attribute of the name of a stage or its operation."""

    def answer(case: Case, stage: Stage, inputs: dict[str, Any]) -> Any:
        for name in (stage.name, stage.operation):
            if isinstance(implementation, Mapping):
                function = implementation.get(name)
            else:
                function = getattr(implementation, name, None)
            if function is not None:
                return function(inputs)
        raise Missing("not implemented")

    return answer
