"""Closed forms for learned feedback, credit assignment and step sizes (F1–F7)."""

from __future__ import annotations

from typing import Annotated

from nmnc_ref.arrays import Array, Basis, Float, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.numerics import scaled
from nmnc_ref.scalars import Choice, Count, Fraction, Index, NonNegative, Positive


@checked
def mean_feedback(
    initial: Float[Array, "o n"], target: Float[Array, "o n"], rate: Fraction, steps: Index
) -> Float[Array, "o n"]:
    """E[B_t] = (1 − η)ᵗ B_0 + [1 − (1 − η)ᵗ] T (F1, F2) [derived].

    Args:
        initial: B_0.
        target: T = JP or mean(J_i) P.
        rate: η, per step.
        steps: t.
    """
    left = (1 - rate) ** steps
    return left * initial + (1 - left) * target


@checked
def averaging_gain(rate: Fraction, steps: Index | None = None) -> float:
    """Var[B_t]/Var[Ĵ] = η/(2 − η) · (1 − (1 − η)²ᵗ); without `steps`, its limit η/(2 − η) (F1) [derived]."""
    remaining = 0.0 if steps is None else (1 - rate) ** (2 * steps)
    return rate / (2 - rate) * (1 - remaining)


@checked
def feedback_variance(rate: Fraction, dimension: Count, energy: NonNegative, steps: Index | None = None) -> float:
    """E‖B_t − E B_t‖² = η/(2 − η) · (d + 1)‖JP‖², Gaussian z, one draw per step, B_0 fixed (F1) [derived].

    Args:
        rate: η.
        dimension: d.
        energy: ‖JP‖²_F.
        steps: t; None for the stationary value.
    """
    return averaging_gain(rate, steps) * (dimension + 1) * energy


@checked
def feedback_variance_over_inputs(
    rate: Fraction, dimension: Count, mean_energy: NonNegative, energy_of_mean: NonNegative, steps: Index | None = None
) -> float:
    """η/(2 − η) · [(d + 2)·E‖J_iP‖² − ‖J̄P‖²], one draw on one random sample per step (F2) [derived].

    Args:
        rate: η.
        dimension: d.
        mean_energy: E‖J_iP‖²_F over samples.
        energy_of_mean: ‖mean(J_i) P‖²_F.
        steps: t; None for the stationary value.
    """
    return averaging_gain(rate, steps) * ((dimension + 2) * mean_energy - energy_of_mean)


@checked
def projected_progress(gradient: Float[Array, "*batch n"], projector: Float[Array, "n n"]) -> Float[Array, "*batch"]:
    """α_g = ‖gP‖²/‖g‖², the share of a gradient step's progress that −gP makes in activity space (F5) [derived].

    Args:
        gradient: g, none zero.
        projector: P.
    """
    xp, gradient = namespace(gradient), scaled(gradient, -1)
    whole = xp.sum(gradient**2, axis=-1)
    expect(xp.all(whole > 0), "gradient: expected a non-zero norm, got 0")
    return xp.sum((gradient @ projector) ** 2, axis=-1) / whole


@checked
def student_error_factor(
    rule: Annotated[str, Choice("gradient descent", "node perturbation", "weight perturbation")],
    learning_rate: Positive,
    inputs: Count,
    outputs: Count,
) -> float:
    """1 − 2ε + ε² c (N + 2): the expected factor on ‖W − W*‖² per step of a linear student, x ~ N(0, I) (F6).

    c = 1 (gradient descent), M + 2 (node perturbation), M N + 2 (weight perturbation), for one Gaussian perturbation
    per step and σ → 0 or antithetic [literature: Werfel, Xie and Seung 2003].

    Args:
        rule: of the step.
        learning_rate: ε.
        inputs: N.
        outputs: M.
    """
    factors = {
        "gradient descent": 1,
        "node perturbation": outputs + 2,
        "weight perturbation": outputs * inputs + 2,
    }
    return 1 - 2 * learning_rate + learning_rate**2 * factors[rule] * (inputs + 2)


@checked
def weight_gradient_variance(
    slope: Float[Array, "B n"],
    gradient: Float[Array, "B n"],
    activity: Float[Array, "B m"],
    basis: Basis[Array, "n d"],
    draws: Count,
) -> Float[Array, ""]:
    """(1/(B²K)) Σ_i ‖x_i‖² [‖D_iPg_i‖² + ‖D_iU‖²_F ‖Pg_i‖²]: the variance of mean_i outer(D_i ĝ_i, x_i) (F7) [derived].

    Of a weight gradient from noisy ĝ_i, for Gaussian noise drawn afresh for each sample.

    Args:
        slope: the diagonals φ'(s_i) of D_i.
        gradient: g_i, of each sample's own loss.
        activity: x_i of the layer below.
        basis: U.
        draws: K.
    """
    xp = namespace(slope)
    coordinates = gradient @ basis  # [B, d]
    projected = coordinates @ basis.T  # [B, n]
    gated = xp.sum((slope * projected) ** 2, axis=1)
    gates = xp.sum((slope[:, :, None] * basis[None, :, :]) ** 2, axis=(1, 2))
    per_sample = gated + gates * xp.sum(coordinates**2, axis=1)
    return xp.sum(xp.sum(activity**2, axis=1) * per_sample) / (slope.shape[0] ** 2 * draws)
