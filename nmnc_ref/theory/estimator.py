"""Closed forms for the estimators of the Jacobian (E1–E21).

Unless said otherwise: linear response, K independent draws with E[z zᵀ] = I. A dimension is d for NMNC and n for VNC;
an alignment is α for NMNC and 1 for VNC. Errors are relative, E‖Ĵ − J‖²/‖J‖², if nothing else is said. `law` is that
of the coefficients: "gaussian"; "rademacher" or "fixed-norm", both with ‖z‖² = d; or "uniform", entries from −√3 to √3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from array_api_compat import device

from nmnc_ref.arrays import Array, Float, at_most, expect, namespace
from nmnc_ref.checked import checked
from nmnc_ref.scalars import Choice, Count, Fraction, NonNegative, Positive, Some

LAWS = ("gaussian", "rademacher", "fixed-norm", "uniform")
Law = Annotated[str, Choice(*LAWS)]
Alignments = Annotated[Sequence[Fraction], Some]


@checked
def spread(dimension: Count, law: Law = "gaussian") -> float:
    """E‖A z zᵀ − A‖²/‖A‖² = d + 1 for any matrix A, d − 1 where ‖z‖² = d, d − 0.2 if uniform (E3) [derived]."""
    return dimension + {"gaussian": 1.0, "uniform": -0.2}.get(law, -1.0)


@checked
def expected_estimate(
    jacobian: Float[Array, "*batch o n"], projector: Float[Array, "n n"]
) -> Float[Array, "*batch o n"]:
    """E[Ĵ] = J P; for VNC P = I (E1, E2) [derived]."""
    return jacobian @ projector


@checked
def variance(draws: Count, dimension: Count, law: Law = "gaussian") -> float:
    """E‖Ĵ − JP‖²/‖JP‖² = (d + 1)/K, whatever n and n_o (E3) [derived]."""
    return spread(dimension, law) / draws


@checked
def relative_error(alignment: Fraction, draws: Count, dimension: Count, law: Law = "gaussian") -> float:
    """E‖Ĵ − J‖²/‖J‖² = (1 − α) + α (d + 1)/K (E4) [derived]."""
    return 1 - alignment + alignment * variance(draws, dimension, law)


@checked
def error_crossover(alignment: Fraction, dimension: Count, width: Count, law: Law = "gaussian") -> float:
    """K* = [(n + 1) − α (d + 1)]/(1 − α): below it NMNC has the smaller error (E4); ∞ for α = 1 [derived]."""
    at_most("dimension", dimension, width, "width")
    if alignment >= 1:
        return math.inf
    return (spread(width, law) - alignment * spread(dimension, law)) / (1 - alignment)


@checked
def expected_squared_cosine(alignment: Fraction, dimension: Count) -> float:
    """E[cos²(Ĵ, J)] = α/d for one draw with uniform direction or Rademacher signs (E5) [derived]."""
    return alignment / dimension


@checked
def squared_cosine_variance(gram: Float[Array, "d d"]) -> Float[Array, ""]:
    """Var[cos²(Ĵ, J)] = 2‖M − (tr M/d) I‖²/(d(d + 2)) for one draw with uniform direction (E5) [derived].

    Args:
        gram: M = (JU)ᵀ(JU)/‖J‖², whose trace is α.
    """
    xp, d = namespace(gram), gram.shape[0]
    identity = xp.eye(d, dtype=gram.dtype, device=device(gram))
    deviation = gram - xp.linalg.trace(gram) / d * identity
    return 2 * xp.sum(deviation * deviation.T) / (d * (d + 2))


@checked
def random_alignment(dimension: Count, width: Count) -> float:
    """E[α] = d/n of a random d-dimensional subspace; NMNC needs α > d/n to win in cosine (E5) [derived]."""
    at_most("dimension", dimension, width, "width")
    return dimension / width


@checked
def cosine_ratio(alignment: Fraction, draws: Count, dimension: Count, law: Law = "gaussian") -> float:
    """⟨E Ĵ, J⟩/√(‖J‖² E‖Ĵ‖²) = √(α K/(K + d + 1)), which saturates at √α (E6) [derived]."""
    return math.sqrt(alignment / (1 + variance(draws, dimension, law)))


@checked
def cosine_threshold(draws: Count, dimension: Count, width: Count, law: Law = "gaussian") -> float:
    """α = (K + d + 1)/(K + n + 1), above which NMNC has the larger ratio of E6 [derived]."""
    at_most("dimension", dimension, width, "width")
    return (draws + spread(dimension, law)) / (draws + spread(width, law))


@checked
def cosine_crossover(alignment: Fraction, dimension: Count, width: Count, law: Law = "gaussian") -> float:
    """K† = [α (n + 1) − (d + 1)]/(1 − α): beyond it VNC has the larger ratio (E6); ∞ for α = 1 [derived].

    Below 1 where VNC has the larger ratio for every K.
    """
    at_most("dimension", dimension, width, "width")
    if alignment >= 1:
        return math.inf
    return (alignment * spread(width, law) - spread(dimension, law)) / (1 - alignment)


@checked
def unnormalised_progress(alignment: Fraction, sigma: Positive) -> float:
    """⟨E ΔB, J⟩/‖J‖² = α σ² for ΔB = δy ξᵀ; VNC: α = 1 and its own σ (E7) [derived]."""
    return alignment * sigma**2


@checked
def smoothed_jacobian(
    jacobians: Float[Array, "S o n"], probabilities: Float[Array, "S"], projector: Float[Array, "n n"]
) -> Float[Array, "o n"]:
    """E[J(x + ξ)] P, the mean estimate on a non-linear tail under Gaussian noise (E8, Stein) [derived].

    Args:
        jacobians: J(x + ξ_s) at points of the noise's law.
        probabilities: of the points.
        projector: P.
    """
    return namespace(jacobians).tensordot(probabilities, jacobians, axes=([0], [0])) @ projector


@checked
def curvature_variance(hessians: Float[Array, "o d d"], sigma: Positive, draws: Count) -> Float[Array, ""]:
    """σ²(d + 4)/(4K) Σ_o [(tr M_o)² + 2 tr M_o²]: what one-sided noise adds to E‖Ĵ − JP‖² (E9) [derived].

    On a quadratic tail under Gaussian noise; antithetic pairs add nothing.

    Args:
        hessians: M_o = Uᵀ H_o U, symmetric, with y_o(x + ξ) = y_o + J_o ξ + ½ ξᵀ H_o ξ.
        sigma: σ.
        draws: K.
    """
    xp, d = namespace(hessians), hessians.shape[-1]
    traces = xp.linalg.trace(hessians)
    total = xp.sum(traces**2) + 2 * xp.sum(hessians**2)
    return sigma**2 * (d + 4) / (4 * draws) * total


@checked
def one_sided_to_antithetic(pairs: Count) -> float:
    """K/(2K − 1): the variance ratio one-sided : antithetic at 2K passes on a linear tail (E9) [derived]."""
    return pairs / (2 * pairs - 1)


@checked
def frame_error(alignment: Fraction, draws: Count, dimension: Count) -> float:
    """(1 − α) + α (d − K)/K: the error of K ≤ d draws from an orthonormal frame (E10) [derived]."""
    at_most("draws", draws, dimension, "dimension")
    return 1 - alignment + alignment * (dimension - draws) / draws


@checked
def covariance_shaped_variance(
    jacobian: Float[Array, "o n"], covariance: Float[Array, "n n"], draws: Count
) -> Float[Array, ""]:
    """E‖Ĝ − JC‖² = [tr(JCJᵀ) tr C + ‖JC‖²]/K of Ĝ = (1/K) Σ δy ξᵀ, ξ ~ N(0, C) (E11) [derived]."""
    xp, mean = namespace(jacobian), jacobian @ covariance
    energy = xp.sum(mean * jacobian) * xp.linalg.trace(covariance)
    return (energy + xp.sum(mean**2)) / draws


@checked
def response_noise_error(
    response_noise: NonNegative, outputs: Count, dimension: Count, draws: Count, sigma: Positive
) -> float:
    """n_o · dim · τ²/(K σ²): what response noise adds to E‖Ĵ − JP‖² (E12) [derived].

    Args:
        response_noise: τ, the standard deviation of each component of δy, independent between draws.
        outputs: n_o.
        dimension: d, or n for VNC.
        draws: K.
        sigma: σ of the perturbation.
    """
    return outputs * dimension * (response_noise / sigma) ** 2 / draws


@checked
def response_noise_variance(output_noise: NonNegative, antithetic: bool) -> float:
    """τ² of the response if each output carries noise of standard deviation s: 2s² one-sided, s²/2 antithetic (E12).

    [derived]
    """
    return output_noise**2 * (0.5 if antithetic else 2)


@checked
def least_squares_error(
    response_noise: NonNegative, outputs: Count, dimension: Count, draws: Count, sigma: Positive
) -> float:
    """E‖Ĵ − JP‖² = τ² n_o d/(σ² (K − d − 1)) of least squares, K > d + 1, Gaussian z (E13) [derived].

    Arguments are those of `response_noise_error`; zero response noise gives 0.
    """
    expect(draws > dimension + 1, f"draws: expected at least {dimension + 2} for dimension = {dimension}, got {draws}")
    return (response_noise / sigma) ** 2 * outputs * dimension / (draws - dimension - 1)


@checked
def batch_mean(jacobians: Float[Array, "B o n"], projector: Float[Array, "n n"]) -> Float[Array, "o n"]:
    """mean_i(J_i) P (E14, F2) [derived]."""
    return namespace(jacobians).mean(jacobians, axis=0) @ projector


@checked
def batch_variance(
    jacobians: Float[Array, "B o n"],
    projector: Float[Array, "n n"],
    draws: Count,
    dimension: Count,
    law: Law = "gaussian",
) -> Float[Array, ""]:
    """(1/(BK)) (d + 1) mean_i ‖J_i P‖², one fresh noise for each sample and draw (E14) [derived]."""
    at_most("dimension", dimension, projector.shape[0], "the width of projector")
    energy = namespace(jacobians).sum((jacobians @ projector) ** 2)
    return energy * variance(draws, dimension, law) / jacobians.shape[0] ** 2


@checked
def shared_noise_weight_gradient(delta: Float[Array, "B n"], activity: Float[Array, "B m"]) -> Float[Array, "n m"]:
    """outer(mean δ, mean x): what noise shared over the batch yields for a batch-mean loss (E14) [derived].

    It is not the gradient mean_i outer(δ_i, x_i).

    Args:
        delta: δ_i of each sample's own loss.
        activity: x_i of the layer below.
    """
    xp = namespace(delta)
    return xp.mean(delta, axis=0)[:, None] * xp.mean(activity, axis=0)[None, :]


@checked
def crosstalk(
    dimension: Count, sigma: Positive, draws: Count, other_sigma: Positive, other_energy: NonNegative
) -> float:
    """d_l σ_k² ‖J_kP_k‖²/(K σ_l²): what perturbing layer k too adds to layer l's error (E15) [derived].

    Args:
        dimension: d_l.
        sigma: σ_l.
        draws: K.
        other_sigma: σ_k.
        other_energy: ‖J_kP_k‖²_F.
    """
    return dimension * (other_sigma / sigma) ** 2 * other_energy / draws


@checked
def best_scaling(draws: Count, dimension: Count, law: Law = "gaussian") -> float:
    """c* = 1/(1 + (d + 1)/K), the multiple of Ĵ with the least error (E16) [derived]."""
    return 1 / (1 + variance(draws, dimension, law))


@checked
def best_scaled_error(alignment: Fraction, draws: Count, dimension: Count, law: Law = "gaussian") -> float:
    """1 − α/(1 + (d + 1)/K): the error of c* Ĵ (E16) [derived]."""
    return 1 - alignment * best_scaling(draws, dimension, law)


@checked
def best_dimension_for_error(alignments: Alignments, draws: Count, law: Law = "gaussian") -> int:
    """argmin_d 1 − A(d) + A(d)(d + 1)/K (E17) [derived].

    Args:
        alignments: A(1), A(2), …, the alignment with the first d components.
        draws: K.
        law: of the coefficients.
    """
    errors = [relative_error(a, draws, d, law) for d, a in enumerate(alignments, start=1)]
    return 1 + errors.index(min(errors))


@checked
def best_dimension_for_cosine(alignments: Alignments, draws: Count, law: Law = "gaussian") -> int:
    """argmax_d A(d)/(K + d + 1) (E17) [derived].

    Args:
        alignments: A(1), A(2), …, the alignment with the first d components.
        draws: K.
        law: of the coefficients.
    """
    ratios = [cosine_ratio(a, draws, d, law) for d, a in enumerate(alignments, start=1)]
    return 1 + ratios.index(max(ratios))


@checked
def array_variance(
    energy: NonNegative,
    array_energy: NonNegative,
    parameters: Count,
    entries: Count,
    draws: Count,
    law: Law = "gaussian",
) -> float:
    """(N_a ‖G‖² + ‖G_a‖²)/K: E‖Ĝ_a − G_a‖² of one array when all N parameters are perturbed at once (E18) [derived].

    Args:
        energy: ‖G‖² of the whole gradient.
        array_energy: ‖G_a‖² of the array's part.
        parameters: N.
        entries: N_a ≤ N.
        draws: K.
        law: of the noise; of fixed norm as one vector of all parameters.
    """
    at_most("entries", entries, parameters, "parameters")
    if law == "fixed-norm":
        moment = parameters / (parameters + 2) * (entries * energy + 2 * array_energy)
        return (moment - array_energy) / draws
    return (entries * energy + (spread(1, law) - 1) * array_energy) / draws


@checked
def batch_loss_variance(
    gradients: Float[Array, "B n"],
    projector: Float[Array, "n n"],
    draws: Count,
    dimension: Count,
    law: Law = "gaussian",
) -> Float[Array, "B"]:
    """[(d + 1)‖g_iP‖² + d Σ_{j≠i} ‖g_jP‖²]/K: of each sample's estimate from one loss of the batch (E19) [derived].

    Args:
        gradients: g_i of the batch's loss.
        projector: P.
        draws: K.
        dimension: d, or n for VNC.
        law: of the coefficients.
    """
    own = namespace(gradients).sum((gradients @ projector) ** 2, axis=1)
    return (dimension * namespace(gradients).sum(own) + (spread(dimension, law) - dimension) * own) / draws


@checked
def baseline_energy(value: Float[Array, "o"], dimension: Count, draws: Count, sigma: Positive) -> Float[Array, ""]:
    """d ‖f‖²/(K σ²): what leaving out the baseline f = y(x) adds to E‖Ĵ − JP‖² (E20) [derived]."""
    return dimension * namespace(value).sum(value**2) / (draws * sigma**2)
