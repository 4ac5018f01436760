"""The declared laws of the coefficients z, each with E[z zᵀ] = I: how to draw them, and their fourth moments."""

from __future__ import annotations

import math

import numpy as np


def coefficients(generator: np.random.Generator, shape: tuple[int, ...], law: str) -> np.ndarray:
    """Draw z of a shape [..., d] from the law "gaussian", "rademacher" or "fixed-norm" (‖z‖ = √d)."""
    if law == "rademacher":
        return 2.0 * generator.integers(2, size=shape) - 1
    z = generator.normal(size=shape)
    if law == "fixed-norm":
        z *= math.sqrt(shape[-1]) / np.linalg.norm(z, axis=-1, keepdims=True)
    return z


def fourth_moment(A: np.ndarray, law: str) -> np.ndarray:
    """Return the covariance of A z zᵀ, Cov[oa, pb] = E[(Az)_o z_a (Az)_p z_b] − A_oa A_pb; its trace is E3's.

    Gaussian: (AAᵀ)_op δ_ab + A_ob A_pa. Rademacher: − 2 δ_ab A_oa A_pa more. Fixed norm: the Gaussian moment (not the
    covariance) times d/(d + 2).

    Args:
        A: [r, d].
        law: "gaussian", "rademacher" or "fixed-norm".

    Returns:
        [r, d, r, d].
    """
    d = A.shape[1]
    covariance = np.einsum("op,ab->oapb", A @ A.T, np.eye(d)) + np.einsum("ob,pa->oapb", A, A)
    product = np.einsum("oa,pb->oapb", A, A)
    if law == "rademacher":
        return covariance - 2 * np.einsum("ab,oa,pa->oapb", np.eye(d), A, A)
    if law == "fixed-norm":
        return d / (d + 2) * (covariance + product) - product
    return covariance
