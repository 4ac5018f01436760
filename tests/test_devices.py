"""Arrays on a device that is not the default one: what is computed is the same, and stays there.

array-api-strict has such devices and refuses to mix them. JAX takes part where it has two devices, as with
XLA_FLAGS=--xla_force_host_platform_device_count=2, and PyTorch where it has a GPU.
"""

from __future__ import annotations

import functools
import importlib.util

import numpy as np
import pytest
from array_api_compat import device, is_array_api_obj, to_device
from calls import calls
from conftest import library

from paper_checks.lab import BACKENDS

CALLS = [call for call in calls() if call.arrays]


@functools.cache
def devices(backend: str) -> tuple:
    """Return the default device of a library and another, if there is one."""
    if importlib.util.find_spec(BACKENDS[backend].package) is None:
        return ()
    if backend == "strict":
        xp = library(backend)
        return device(xp.ones(1)), xp.Device("device1")
    host = importlib.import_module(BACKENDS[backend].package)
    gpus = host.cuda.device_count() if backend == "torch" else 0
    return tuple(host.devices()[:2]) if backend == "jax" else ("cpu", *(f"cuda:{index}" for index in range(gpus)))[:2]


def cases():
    """Yield every call on every library with a second device, and why others are left out."""
    for backend in ("strict", "jax", "torch"):
        if len(devices(backend)) == 2:
            yield from (pytest.param(call, backend, id=f"{call}-{backend}") for call in CALLS)
        else:
            lacking = pytest.mark.skip(reason=f"{backend} is not installed, or has one device")
            yield pytest.param(None, backend, id=backend, marks=lacking)


def on(where, value):
    """Return a value, with all arrays inside of tuples on a device."""
    if isinstance(value, tuple):
        items = [on(where, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return to_device(value, where) if is_array_api_obj(value) else value


def arrays(value):
    """Return all arrays inside of tuples."""
    if isinstance(value, tuple):
        return [array for item in value for array in arrays(item)]
    return [value] if is_array_api_obj(value) else []


@pytest.mark.parametrize(("call", "backend"), list(cases()))
def test_results_stay_on_the_device_of_the_arguments(call, backend):
    default, other = devices(backend)
    arguments = call.build(library(backend), "float64")
    got, want = (
        arrays(call({name: on(where, value) for name, value in arguments.items()})) for where in (other, default)
    )
    assert [str(device(array)) for array in got] == [str(other)] * len(want)
    for one, same in zip(got, want, strict=True):
        np.testing.assert_allclose(np.asarray(to_device(one, default)), np.asarray(same), rtol=1e-12, atol=1e-12)
