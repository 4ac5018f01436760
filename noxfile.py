"""Oldest and newest supported versions of everything: `pip install 'nox[uv]' && nox`.

The oldest are the lower bounds in pyproject.toml, the newest what the running Python gets today. In each environment: a
sample of the tests, the golden vectors on every library in both precisions, at every level of the Array API standard
that there is from 2024.12 on, and on JAX with and without its 64-bit types.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"

SAMPLE = [
    "random",
    "estimator",
    "manifold",
    "moments",
    "similarity",
    "dimension",
    "feedforward",
    "recurrent",
    "convolution",
]
SAMPLE += ["training", "devices", "host_modes"]
DEVICES = "--xla_force_host_platform_device_count=2"
"""Two, so that one is not the default."""


@nox.session
@nox.parametrize("resolution", ["lowest-direct", "highest"], ids=["oldest", "newest"])
def versions(session: nox.Session, resolution: str) -> None:
    """Run a sample of the checks with the oldest or the newest versions."""
    session.install(f"--resolution={resolution}", ".[test,torch]")
    session.run("uv", "pip", "list", external=True)
    session.env.update({"XLA_FLAGS": DEVICES, "OMP_NUM_THREADS": "1", "PYTHONPATH": "."})
    # old releases use what newer ones of the packages below them call deprecated
    tests = [f"tests/test_{name}.py" for name in SAMPLE]
    session.run("pytest", "-q", "-W", "ignore::DeprecationWarning", *(session.posargs or tests))

    def vectors(library: str, **environment: str) -> None:
        for dtype in ["float32"] if environment.get("JAX_ENABLE_X64") == "0" else ["float32", "float64"]:
            options = ["--impl", f"nmnc_ref.oracle.vectors.adapter:{library}", "--dtype", dtype]
            session.run("python", "-m", "nmnc_ref", "vectors", "check", *options, env=environment)

    vectors("on_numpy")
    vectors("on_torch")
    vectors("on_jax_jit")
    vectors("on_jax_jit", JAX_ENABLE_X64="0")
    vectors("on_strict", ARRAY_API_STRICT_API_VERSION="2024.12")
    if resolution == "highest":
        vectors("on_strict", ARRAY_API_STRICT_API_VERSION="2025.12")
