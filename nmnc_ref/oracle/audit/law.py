"""The laws of the coefficients z: how to draw them, and what of their moments enters a variance."""

from __future__ import annotations

import math

import numpy as np

KURTOSIS = {"gaussian": 3.0, "rademacher": 1.0, "uniform": 1.8, "other": 3.0}
"""E[z⁴] of laws with independent entries; that of another law is not known, and nothing is judged by it."""
FIXED_NORM = ("fixed-norm", "sphere")
"""Laws of uniform direction, with ‖z‖² = d; on the sphere σ is the norm of the perturbation, not of its entries."""


def draw(generator: np.random.Generator, shape: tuple[int, ...], law: str) -> np.ndarray:
    """Draw z of a shape [..., d], with E[z zᵀ] = I; of laws of fixed norm, as one vector."""
    if law == "rademacher":
        return 2.0 * generator.integers(2, size=shape) - 1
    if law == "uniform":
        return generator.uniform(-math.sqrt(3), math.sqrt(3), size=shape)
    z = generator.normal(size=shape)
    if law in FIXED_NORM:
        z *= math.sqrt(shape[-1]) / np.linalg.norm(z, axis=-1, keepdims=True)
    return z
