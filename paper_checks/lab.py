"""Where the checks run: array library, dtype and seed, and the finite laws that make expectations exact."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import os
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from nmnc_ref import random
from nmnc_ref.arrays import Array


class Backend(NamedTuple):
    """An array library: the package that must be installed, the namespace to import, and how to install it."""

    package: str
    namespace: str
    install: str


BACKENDS = {
    "numpy": Backend("numpy", "array_api_compat.numpy", "pip install numpy"),
    "jax": Backend("jax", "jax.numpy", "pip install jax"),
    "torch": Backend("torch", "array_api_compat.torch", "pip install torch"),
    "strict": Backend("array_api_strict", "array_api_strict", "pip install array-api-strict"),
}
DTYPES = ("float32", "float64")
THREADS = "16"
"""Of XLA on CPUs: decompositions of batches that run at once hold one each, and wait for ever where they hold all."""


class Lab:
    """One array library, one dtype, one seed.

    Raises:
        ModuleNotFoundError: the library is not installed; the message says how to install it.
    """

    def __init__(self, backend: str = "numpy", dtype: str = "float64", seed: int = 0) -> None:
        library = BACKENDS[backend]
        if importlib.util.find_spec(library.package) is None:
            raise ModuleNotFoundError(f"backend {backend} is not installed; install it with: {library.install}")
        if backend == "jax":
            os.environ.setdefault("NPROC", THREADS)  # read when JAX makes its first array
            if dtype == "float64":
                os.environ["JAX_ENABLE_X64"] = "1"  # read when JAX is imported
        self.backend = backend
        self.xp: ModuleType = importlib.import_module(library.namespace)
        if backend == "jax":
            import jax

            jax.config.update("jax_default_matmul_precision", "highest")  # no TF32 on GPUs
        self.dtype_name = dtype
        self.dtype: Any = getattr(self.xp, dtype)
        self.eps = float(np.finfo(dtype).eps)
        self.seed = seed
        self._key = random.key(seed, self.xp)
        self._drawn: dict[tuple[int, ...], Callable[[Array], Array]] = {}  # JAX compiles one for each shape

    def key(self, name: str) -> Array:
        """Return a random key for a named purpose, the same in any order of asking."""
        return random.fold_in(self._key, zlib.crc32(name.encode()))

    def normal(self, name: str, *shape: int) -> Array:
        """Draw standard normal numbers for a named purpose."""
        return self.draw(self.key(name), *shape)

    def draw(self, key: Array, *shape: int) -> Array:
        """Draw standard normal numbers."""
        if shape not in self._drawn:
            self._drawn[shape] = self.jit(functools.partial(random.normal, shape=shape, dtype=self.dtype))
        return self._drawn[shape](key)

    def orthonormal(self, name: str, n: int, d: int) -> Array:
        """Draw an orthonormal basis [n, d] for a named purpose."""
        return self.xp.linalg.qr(self.normal(name, n, d))[0]

    def array(self, values: Any) -> Array:
        """Bring NumPy data into the lab's library and dtype."""
        return self.xp.asarray(
            np.asarray(values).tolist() if self.backend == "strict" else np.array(values), dtype=self.dtype
        )

    def numpy(self, values: Any) -> np.ndarray:
        """Bring an array of any library, or a number, to NumPy in float64."""
        return np.asarray(values, dtype=np.float64)

    def jit(self, function: Callable) -> Callable:
        """Compile a function of arrays where the library can."""
        if self.backend != "jax":
            return function
        import jax

        return jax.jit(function)

    def signs(self, d: int) -> Array:
        """Return all 2ᵈ vectors of ±1, [2ᵈ, d]: the whole Rademacher law, each vector equally likely."""
        return self.array(list(itertools.product((-1.0, 1.0), repeat=d)))

    def gaussian(self, d: int, nodes: int = 3) -> tuple[Array, Array]:
        """Return points [nodesᵈ, d] and probabilities of a finite law with the moments of N(0, I_d).

        Gauss–Hermite quadrature: expectations of polynomials of degree below 2·nodes in each coordinate are exact.
        """
        points, weights = np.polynomial.hermite_e.hermegauss(nodes)
        weights = weights / weights.sum()
        grid = np.array(list(itertools.product(points, repeat=d)))
        probabilities = np.array([np.prod(row) for row in itertools.product(weights, repeat=d)])
        return self.array(grid), self.array(probabilities)

    def independent(self, *laws: tuple[Array, Array]) -> tuple[list[Array], Array]:
        """Return the joint law of independent finite laws: the points of each [S, d], and their probabilities [S]."""
        sizes = [probabilities.shape[0] for _, probabilities in laws]
        indices = np.indices(sizes).reshape(len(laws), -1)
        chosen = [self.xp.asarray(index.tolist()) for index in indices]
        points = [self.xp.take(law[0], index, axis=0) for law, index in zip(laws, chosen, strict=True)]
        probability = self.xp.ones(chosen[0].shape[0], dtype=self.dtype)
        for law, index in zip(laws, chosen, strict=True):
            probability = probability * self.xp.take(law[1], index, axis=0)
        return points, probability

    def mean(self, probabilities: Array, values: Array) -> Array:
        """Return the expectation Σ_s p_s v_s of `values` [S, ...]."""
        return self.xp.tensordot(probabilities, values, axes=([0], [0]))

    def squared_error(self, estimates: Array, target: Array) -> Array:
        """Return ‖Ĵ − target‖²_F for each of the estimates [..., n_o, n]."""
        return self.xp.sum((estimates - target) ** 2, axis=(-2, -1))
