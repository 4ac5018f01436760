"""Array libraries and dtypes that the tests run on. PyTorch takes part where it is installed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import tempfile

# before the array libraries are imported
os.environ.setdefault("OMP_NUM_THREADS", "1")  # every core has a worker: more threads wait for one another
os.environ["COLUMNS"] = "132"  # which pytest-xdist sets to 80
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"  # which users may ask of JAX
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiling small arrays takes longer than running them
with contextlib.suppress(importlib.metadata.PackageNotFoundError):
    if importlib.metadata.version("jaxlib").startswith(tuple(f"0.{minor}." for minor in range(6, 11))):
        # what takes half of the time of compiling; later ones know no such flag
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("JAX_TRACEBACK_FILTERING", "off")  # which takes most of the time of a refusal under jax.jit
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # all workers share that of the process that starts them
    COMPILED = tempfile.TemporaryDirectory(prefix="nmnc_ref-compiled-")  # for one run: it cannot be stale
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import functools
import importlib

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from paper_checks.lab import BACKENDS, DTYPES, THREADS, Lab

os.environ.setdefault("NPROC", THREADS)  # of XLA, read when JAX makes its first array
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=8, derandomize=True, database=None, **COMMON)
settings.register_profile("long", max_examples=2000, **COMMON)  # hours, with numbers that are new each time
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def library(backend: str):
    """Import the namespace of a backend, or skip."""
    pytest.importorskip(BACKENDS[backend].package, reason=f"{backend} is not installed: {BACKENDS[backend].install}")
    return importlib.import_module(BACKENDS[backend].namespace)


UNCOMPILED = [name for name in BACKENDS if name != "jax"]
"""The libraries that compute at once. JAX compiles each operation for each shape: it is held to what NumPy computes for
every function in test_bad_input.py, by the golden vectors, and by the claims."""


@pytest.fixture(params=UNCOMPILED)
def xp(request):
    """Return the Array API namespace of each library but JAX in turn."""
    return library(request.param)


@pytest.fixture(params=BACKENDS)
def xp_or_jax(request):
    """Return the Array API namespace of each library in turn."""
    return library(request.param)


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    """Return the name of each library in turn."""
    library(request.param)
    return request.param


@pytest.fixture(params=DTYPES)
def dtype_name(request) -> str:
    """Return "float32" and "float64" in turn."""
    return request.param


@pytest.fixture(params=UNCOMPILED)
def lab(request, dtype_name: str) -> Lab:
    """Return a lab for each library but JAX and each dtype."""
    library(request.param)
    return Lab(request.param, dtype_name, int(os.environ.get("NMNC_SEED", "0")))


@pytest.fixture(scope="session")
def packs_read_once():
    """Keep what was read of the golden vectors: reading and validating all takes most of the time of a check."""
    from nmnc_ref.oracle.vectors import pack

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "read_pack", functools.cache(pack.read_pack))
        yield


def to_library(values, xp, dtype):
    """Return NumPy data as a fresh array of a library, whatever its shape."""
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    if xp.__name__ == "jax.numpy":  # which would compile the reshaping
        return xp.asarray(np.asarray(values, dtype=dtype))
    return xp.reshape(xp.asarray(np.ravel(values).tolist(), dtype=dtype), np.shape(values))
