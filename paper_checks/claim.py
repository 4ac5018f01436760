"""What a claim is, how it is run, and the register of all claims.

A claim is a generator of comparisons. Its keyword arguments are the parts that it tests: estimators and predictions.
A wrong twin replaces some of these parts by broken ones and runs the very same comparisons, at least one of which
must then fail. A claim about training compares what experiments, long ones, have found; its twins look at the same
experiments in a wrong way, or at those of a control.
"""

from __future__ import annotations

import inspect
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from nmnc_ref.oracle.command_line import in_full
from paper_checks.comparison import Comparison
from paper_checks.data.supplied import SOURCES as DATA
from paper_checks.data.supplied import Supplied
from paper_checks.lab import Lab

FAMILIES = ("estimator", "feedback", "alignment", "dimension", "learning")
TIERS = ("theory", "training")
RUNGS = ("identity", "enumeration", "convergence", "Monte Carlo", "trained networks")
SOURCES = ("abstract", "summary", "derived", "literature", "choice", "exact")
Measure = Callable[..., Iterator[Comparison]]
Experiments = Callable[..., Sequence[Any]]
Results = Mapping[Any, Mapping[str, Any]]
"""What was found, by experiment."""
NOTHING = Supplied()
ID = re.compile(r"[A-Z]\d+(-\w+)?")


def _place(name: str, line: int | None) -> str:
    """Return file and line, from the folder that holds the package."""
    file, root = Path(name), Path(__file__).parents[1]
    return f"{file.relative_to(root) if file.is_relative_to(root) else file}:{line}"


class Claim(NamedTuple):
    """A statement of the theory and the measurement that asserts it.

    `source`: where the statement comes from; `rung`: the weakest kind of evidence it needs; `twins`: by name, the parts
    that a broken variant replaces; `float64_only`: why it cannot be resolved in float32, or an empty string;
    `experiments`: what has to be run before, by `notebook`, for a claim about training; `needs`: data that the user may
    supply, fields of `Supplied`, on which they depend; `formula`: the statement in LaTeX, a formula a line.
    """

    id: str
    family: str
    statement: str
    source: str
    rung: str
    measure: Measure
    twins: Mapping[str, Mapping[str, Any]]
    float64_only: str
    experiments: Experiments | None = None
    needs: tuple[str, ...] = ()
    formula: str = ""

    def wanted(self, supplied: Supplied = NOTHING) -> Sequence[Any]:
        """Return the experiments that it needs, on the data that were supplied; none for the theory or without data."""
        if self.experiments is None or self.lacking(supplied):
            return ()
        return self.experiments(supplied) if self.needs else self.experiments()

    def lacking(self, supplied: Supplied = NOTHING) -> list[str]:
        """Return the data that it needs and that were not supplied."""
        return [name for name in self.needs if getattr(supplied, name) is None]

    @property
    def tier(self) -> str:
        """Tell whether it is about the theory or about training."""
        return "training" if self.experiments else "theory"

    @property
    def function(self) -> str:
        """The name of the function that measures it."""
        return f"{self.measure.__module__}.{self.measure.__qualname__}"

    @property
    def notes(self) -> str:
        """How the claim is measured: the docstring of its function."""
        return " ".join((self.measure.__doc__ or "").split())

    @property
    def place(self) -> str:
        """File and line of the function that asserts it."""
        code = inspect.unwrap(self.measure).__code__
        return _place(code.co_filename, code.co_firstlineno)


class Twin(NamedTuple):
    """A wrong twin and whether the comparisons rejected it."""

    name: str
    caught: bool


class Outcome(NamedTuple):
    """What running a claim on a lab gave; `status` is "pass", "fail", "skipped" or "needs-data".

    `seconds` are those of the comparisons; `results` are those of its experiments, if it has any.
    """

    claim: Claim
    lab: Lab
    status: str
    comparisons: tuple[Comparison, ...]
    twins: tuple[Twin, ...]
    seconds: float
    notes: tuple[str, ...]
    results: Results

    @property
    def tightest(self) -> Comparison | None:
        """The comparison that used most of its tolerance, among those that could have failed."""
        return max(
            (each for each in self.comparisons if each.asserted),
            key=lambda each: each.used if each.used == each.used else float("inf"),
            default=None,
        )


def in_training(outcomes: Sequence[Outcome]) -> float:
    """Return the seconds that all experiments of outcomes took, each counted once."""
    runs = {experiment: run for outcome in outcomes for experiment, run in outcome.results.items()}
    return sum(run.get("seconds", 0.0) for run in runs.values())


REGISTER: dict[str, Claim] = {}


def claim(
    id: str,
    statement: str,
    *,
    formula: str,
    source: str,
    rung: str,
    twins: Mapping[str, Mapping[str, Any]],
    float64_only: str = "",
    experiments: Experiments | None = None,
    needs: tuple[str, ...] = (),
) -> Callable[[Measure], Measure]:
    """Register the decorated generator as the measurement of a claim.

    `formula` may go on in lines that are indented further.

    Raises:
        ValueError: a field of the claim is not what it should be; the message says which, and what it may be.
    """

    def register(measure: Measure) -> Measure:
        family = measure.__module__.partition(".")[2].partition(".")[0]
        text = re.sub(r"\n +", " ", inspect.cleandoc(formula))
        new = Claim(id, family, statement, source, rung, measure, twins, float64_only, experiments, needs, text)
        if mistakes := list(_mistakes(new)):
            raise ValueError(f"claim {id}, {measure.__qualname__} at {new.place}: {'; '.join(mistakes)}")
        REGISTER[id] = new
        return measure

    return register


def _mistakes(new: Claim) -> Iterator[str]:
    """Say what is wrong with a claim, field by field."""
    if not ID.fullmatch(new.id):
        yield f"id: expected a letter and a number, such as E22 or L2-CIFAR, got {new.id!r}"
    if new.id in REGISTER:
        yield f"id: expected a new one, this is that of {REGISTER[new.id].place}"
    chosen: dict[str, tuple[Sequence[str], Sequence[str]]] = {
        "family, the module": ([new.family], FAMILIES),
        "source": (new.source.split(", "), SOURCES),
        "rung": ([new.rung], RUNGS),
        "needs": (new.needs, tuple(DATA)),
    }
    for field, (values, choices) in chosen.items():
        if unknown := [value for value in values if value not in choices]:
            yield f"{field}: expected one of {', '.join(choices)}, got {', '.join(unknown)!r}"
    if not inspect.isgeneratorfunction(new.measure):
        yield "expected a function that yields comparisons, got one that returns: yield each of them"
    if not new.formula:
        yield "formula: expected the statement in LaTeX, got nothing"
    if not new.notes:
        yield "expected a docstring that says how the claim is measured"
    if not new.twins:
        yield "twins: expected at least one"
    parts = [name for name, each in inspect.signature(new.measure).parameters.items() if each.default is not each.empty]
    for name, replaced in new.twins.items():
        if unknown := [part for part in replaced if part not in parts] or [""] * (not replaced):
            known = ", ".join(parts) or "none"
            yield f"twins: {name!r} replaces {unknown[0] or 'nothing'}; the parts of {new.measure.__name__} are {known}"


def run(
    claim: Claim,
    lab: Lab,
    results: Results | None = None,
    failures: Mapping[Any, str] | None = None,
    supplied: Supplied = NOTHING,
) -> Outcome:
    """Measure a claim and its twins. It passes if every comparison holds, could have failed, and rejects every twin.

    A claim about training takes the `results` of its experiments; it fails if one of them is not there, and says why
    where `failures` does. One that needs data that were not `supplied` is not measured.
    """
    lacking = tuple(f"needs {DATA[name].what}" for name in claim.lacking(supplied))
    if lacking:
        return Outcome(claim, lab, "needs-data", (), (), 0.0, lacking, {})
    wanted, results, failures = claim.wanted(supplied), results or {}, failures or {}
    missing = [each for each in wanted if each not in results]
    if missing:
        notes = tuple(f"{each} has no result: {failures.get(each, 'it was not run')}" for each in missing)
        return Outcome(claim, lab, "fail", (), (), 0.0, notes, {})
    found = {each: results[each] for each in wanted}
    with threadpool_limits(1):  # the arrays are small: threads would cost more than they save
        outcome = _run(claim, lab, (found,) if claim.experiments else ())
    return outcome._replace(results=found)


def _run(claim: Claim, lab: Lab, given: tuple[Results, ...]) -> Outcome:
    start = time.perf_counter()
    if claim.float64_only and lab.dtype_name != "float64":
        return Outcome(claim, lab, "skipped", (), (), 0.0, (f"needs float64: {claim.float64_only}",), {})
    notes: list[str] = []
    try:
        comparisons = tuple(_comparisons(claim.measure(lab, *given)))
    except Exception as error:
        comparisons = ()
        notes.append(f"raised {in_full(error)} ({_line(error, claim)})")
    notes += [
        f"{each.name}: an error of {each.detectable:.1%} could go unseen" for each in comparisons if each.underpowered
    ]
    twins = tuple(Twin(name, _is_caught(claim, lab, given, parts, notes, name)) for name, parts in claim.twins.items())
    asserted = any(each.asserted for each in comparisons)
    sound = asserted and all(each.held and not each.underpowered for each in comparisons)
    status = "pass" if sound and all(twin.caught for twin in twins) else "fail"
    return Outcome(claim, lab, status, comparisons, twins, time.perf_counter() - start, tuple(notes), {})


def _line(error: Exception, claim: Claim) -> str:
    """Return file and line of what raised, in the file of the claim if it passed there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == inspect.unwrap(claim.measure).__code__.co_filename]
    return _place((own or frames)[-1].filename, (own or frames)[-1].lineno)


def _comparisons(found: Any) -> Iterator[Comparison]:
    """Yield what a claim yields, or raise TypeError if it is something else."""
    if isinstance(found, Comparison) or not isinstance(found, Iterator):
        raise TypeError(f"expected comparisons, each yielded, got {type(found).__name__} returned")
    for each in found:
        if not isinstance(each, Comparison):
            raise TypeError(f"expected comparisons, got {type(each).__name__} {each!r}")
        yield each


def _is_caught(
    claim: Claim, lab: Lab, given: tuple[Results, ...], parts: Mapping[str, Any], notes: list[str], name: str
) -> bool:
    try:
        return not all(each.held for each in _comparisons(claim.measure(lab, *given, **parts)))
    except Exception as error:
        notes.append(f"twin {name} raised {in_full(error)}")
        return False
