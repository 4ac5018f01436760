"""Closed forms for learned feedback, credit assignment and step sizes (F1–F7).

Scalar functions raise TypeError for what is not a number and ValueError for a number out of its range, array
functions as `arrays.expect` does.
"""

from __future__ import annotations

from nmnc_ref.arrays import Array, choice, count, expect, expect_orthonormal, fraction, is_false, positive


def mean_feedback(initial: Array, target: Array, rate: float, steps: int) -> Array:
    """Return E[B_t] = T + (1 − η)ᵗ (B_0 − T), T = JP or mean(J_i) P (F1, F2) [derived].

    Args:
        initial: B_0 [n_o, n].
        target: T [n_o, n].
        rate: η in [0, 1], per step.
        steps: t.
    """
    expect(initial=(initial, "o n"), target=(target, "o n"))
    return target + (1 - fraction("rate", rate)) ** count("steps", steps, 0) * (initial - target)


def averaging_gain(rate: float, steps: int | None = None) -> float:
    """Return Var[B_t]/Var[Ĵ] = η/(2 − η) · (1 − (1 − η)²ᵗ); without `steps`, its limit η/(2 − η) (F1) [derived]."""
    rate = fraction("rate", rate)
    remaining = 0.0 if steps is None else (1 - rate) ** (2 * count("steps", steps, 0))
    return rate / (2 - rate) * (1 - remaining)


def feedback_variance(rate: float, dimension: int, signal: float, steps: int | None = None) -> float:
    """Return E‖B_t − E B_t‖² = η/(2 − η) · (d + 1)‖JP‖², Gaussian z, one draw per step, B_0 fixed (F1) [derived].

    Args:
        rate: η.
        dimension: d.
        signal: ‖JP‖²_F.
        steps: t; None for the stationary value.
    """
    signal = positive("signal", signal, zero=True)
    return averaging_gain(rate, steps) * (count("dimension", dimension) + 1) * signal


def feedback_variance_over_inputs(
    rate: float, dimension: int, mean_signal: float, signal_of_mean: float, steps: int | None = None
) -> float:
    """Return η/(2 − η) · [(d + 2)·E‖J_iP‖² − ‖J̄P‖²], one draw on one random sample per step (F2) [derived].

    Args:
        rate: η.
        dimension: d.
        mean_signal: E‖J_iP‖²_F over samples.
        signal_of_mean: ‖mean(J_i) P‖²_F.
        steps: t; None for the stationary value.
    """
    mean_signal = positive("mean_signal", mean_signal, zero=True)
    signal_of_mean = positive("signal_of_mean", signal_of_mean, zero=True)
    one_step = (count("dimension", dimension) + 2) * mean_signal - signal_of_mean
    return averaging_gain(rate, steps) * one_step


def projected_progress(gradient: Array, projector: Array) -> Array:
    """Return α_g = ‖gP‖²/‖g‖², the share of a gradient step's progress that −gP makes in activity space (F5).

    Args:
        gradient: g [..., n].
        projector: P [n, n].

    Returns:
        [...].
    """
    xp = expect(gradient=(gradient, "... n"), projector=(projector, "n n"))
    whole = xp.sum(gradient**2, axis=-1)
    if is_false(xp.all(whole > 0)):
        raise ValueError("gradient: expected a non-zero norm, got 0")
    return xp.sum((gradient @ projector) ** 2, axis=-1) / whole


def student_error_factor(rule: str, learning_rate: float, inputs: int, outputs: int) -> float:
    """Return the expected factor on ‖W − W*‖² per step of a linear student, inputs x ~ N(0, I) (F6).

    1 − 2ε + ε² c (N + 2) with c = 1 (gradient descent), M + 2 (node perturbation), M N + 2 (weight perturbation), for
    one Gaussian perturbation per step and σ → 0 or antithetic. From Werfel, Xie and Seung 2003.

    Args:
        rule: "gradient descent", "node perturbation" or "weight perturbation".
        learning_rate: ε.
        inputs: N.
        outputs: M.
    """
    outputs, inputs = count("outputs", outputs), count("inputs", inputs)
    factors = {
        "gradient descent": 1,
        "node perturbation": outputs + 2,
        "weight perturbation": outputs * inputs + 2,
    }
    rate = positive("learning_rate", learning_rate)
    return 1 - 2 * rate + rate**2 * factors[choice("rule", rule, tuple(factors))] * (inputs + 2)


def weight_gradient_variance(slope: Array, gradient: Array, activity: Array, basis: Array, draws: int) -> Array:
    """Return the variance of the weight gradient mean_i outer(D_i ĝ_i, x_i) from noisy ĝ_i (F7) [derived].

    (1/(B²K)) Σ_i ‖x_i‖² [‖D_iPg_i‖² + ‖D_iU‖²_F ‖Pg_i‖²], for Gaussian noise drawn afresh for each sample.

    Args:
        slope: the diagonals φ'(s_i) of D_i [B, n].
        gradient: g_i, of each sample's own loss [B, n].
        activity: x_i of the layer below [B, m].
        basis: U [n, d].
        draws: K.

    Returns:
        Scalar.
    """
    xp = expect(slope=(slope, "B n"), gradient=(gradient, "B n"), activity=(activity, "B m"), basis=(basis, "n d"))
    expect_orthonormal("basis", basis)
    coordinates = gradient @ basis  # [B, d]
    projected = coordinates @ basis.T  # [B, n]
    gated = xp.sum((slope * projected) ** 2, axis=1)
    gates = xp.sum((slope[:, :, None] * basis[None, :, :]) ** 2, axis=(1, 2))
    per_sample = gated + gates * xp.sum(coordinates**2, axis=1)
    return xp.sum(xp.sum(activity**2, axis=1) * per_sample) / (slope.shape[0] ** 2 * count("draws", draws))
