"""Finished experiments on disk: what has been run once is not run again, an interrupted run continues.

An experiment is a frozen dataclass of parameters with a method `perform`, whose result is a dictionary for JSON; the
time that it took, "seconds", is added. The name of its file is a digest of everything that determines the result: kind,
parameters, seed of the run, array library, dtype, versions, and the sources of the library, of the data and of the
experiments. A file that is damaged, changed or of another experiment is ignored: its experiment is run again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import platform
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import metadata
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from nmnc_ref.oracle import files
from paper_checks.lab import BACKENDS, Lab

SOURCES = ("nmnc_ref", "paper_checks.lab", "paper_checks.data", "paper_checks.learning.experiments")
APART = ("nmnc_ref.oracle", "nmnc_ref.bench")
"""Of the sources, what judges and times the rest and is used by no experiment."""
Result = dict[str, Any]


class Notebook:
    """The results in a directory, which is made if need be.

    Raises:
        OSError: the directory cannot be made, or nothing can be written in it.
    """

    def __init__(self, directory: Path, lab: Lab) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):  # before the first run, not after it
            pass
        self.directory = directory
        self.lab = lab

    def results(self, experiments: Iterable[Any]) -> dict[Any, Result]:
        """Return the results of the experiments that have been run, by experiment."""
        found = {each: self._read(each) for each in experiments}
        return {each: result for each, result in found.items() if result is not None}

    def run(self, experiments: Sequence[Any], processes: int, done: Callable[[Any], Any]) -> dict[Any, str]:
        """Perform experiments side by side, keep each result as soon as it is there, and call `done` with each.

        What measures the peak of its memory has a process of its own: a class with `alone` true. Others go by seed, so
        that those that compile the same are not begun together: what one has compiled serves the next. Ctrl-C ends the
        run at once; finished results stay. A process that is killed takes those that wait with it.

        Returns:
            What experiments raised, in words, by experiment.

        Raises:
            ModuleNotFoundError: an experiment needs what is not installed.
        """
        alone = [each for each in experiments if getattr(each, "alone", False)]
        others = (each for each in experiments if each not in alone)
        together = sorted(others, key=lambda each: getattr(each, "seed", 0))
        failures: dict[Any, str] = {}
        for group in (*([each] for each in alone), together):
            with _workers(processes) as pool:
                running = {pool.submit(_perform, each, self._place): each for each in group}
                for future in as_completed(running):
                    experiment = running[future]
                    try:
                        self._write(experiment, future.result())
                    except (ModuleNotFoundError, OSError):
                        raise
                    except Exception as error:
                        failures[experiment] = f"{type(error).__name__}: {error}"
                    done(experiment)
        return failures

    @property
    def _place(self) -> tuple[str, str, int]:
        return self.lab.backend, self.lab.dtype_name, self.lab.seed

    def _file(self, experiment: Any) -> Path:
        determines = [
            description(experiment),
            self._place,
            _software(self.lab.backend),
        ]
        return self.directory / f"{type(experiment).__name__.lower()}-{_digest(determines)[:20]}.json"

    def _read(self, experiment: Any) -> Result | None:
        try:
            document = json.loads(self._file(experiment).read_text())
            genuine = document["digest"] == _digest([description(experiment), document["result"]])
            return document["result"] if genuine else None
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _write(self, experiment: Any, result: Result) -> None:
        result = json.loads(json.dumps(result))  # what is read later
        about = description(experiment)
        document = about | {"result": result, "digest": _digest([about, result])}
        files.write(self._file(experiment), json.dumps(document))


def description(experiment: Any) -> dict[str, Any]:
    """Return kind and parameters of an experiment, for JSON; not those in which equal ones may differ, as folders."""
    return {"experiment": type(experiment).__name__, "parameters": _compared(experiment)}


def _compared(value: Any) -> Any:
    if not dataclasses.is_dataclass(value):
        return value
    return {each.name: _compared(getattr(value, each.name)) for each in dataclasses.fields(value) if each.compare}


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def _workers(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Have up to so many new processes for a block, and end them at once where it raises, as on Ctrl-C."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as compiled,
        ProcessPoolExecutor(processes, get_context("spawn"), _begin, (compiled,)) as pool,
    ):
        try:
            yield pool
        except BaseException:
            for worker in active_children():
                worker.terminate()
            raise


def _begin(compiled: str) -> None:
    """Prepare a process: Ctrl-C is answered by the parent alone, and JAX keeps what it compiles in a directory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", compiled)
    # of a file that another process is still writing: it is compiled once more
    warnings.filterwarnings("ignore", "Error reading persistent compilation cache", UserWarning)


def _perform(experiment: Any, place: tuple[str, str, int]) -> Result:
    lab, begun = Lab(*place), time.perf_counter()
    with threadpool_limits(1):  # one process for each core; only now, as it reaches no library that is loaded later
        result = experiment.perform(lab)
    return result | {"seconds": round(time.perf_counter() - begun, 1)}


@functools.cache
def _software(backend: str) -> str:
    """Return a digest of versions and sources."""
    packages = dict.fromkeys(("numpy", "array-api-compat", "scikit-learn", "mlxtend", BACKENDS[backend].package))
    digest = hashlib.sha256(platform.python_version().encode())
    for package in packages:
        digest.update(_version(package).encode())
    apart = {source for name in APART for source in _sources(name)}
    for name in SOURCES:
        for source in _sources(name):
            if source not in apart:
                digest.update(source.read_bytes())
    return digest.hexdigest()


def _sources(name: str) -> list[Path]:
    """Return the files of a package or module; both packages lie side by side, in a checkout and installed."""
    place = Path(__file__).parents[2].joinpath(*name.split("."))
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"  # what needs it says how to install it
