"""Closed forms for the estimators of the Jacobian (E1–E17).

Unless said otherwise: linear response, K independent draws with E[z zᵀ] = I. A dimension is d for NMNC and n for VNC;
an alignment is α for NMNC and 1 for VNC. Errors are relative, E‖Ĵ − J‖²/‖J‖², if nothing else is said. `law` is that
of the coefficients: "gaussian", or "rademacher" or "fixed-norm", both with ‖z‖² = d.

Scalar functions raise TypeError for what is not a number and ValueError for a number out of its range, array
functions as `arrays.expect` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nmnc_ref.arrays import Array, choice, count, expect, flag, fraction, positive

LAWS = ("gaussian", "rademacher", "fixed-norm")


def spread(dimension: int, law: str = "gaussian") -> int:
    """Return E‖A z zᵀ − A‖²/‖A‖² for any matrix A: d + 1, or d − 1 where ‖z‖² = d (E3) [derived]."""
    return count("dimension", dimension) + (1 if choice("law", law, LAWS) == "gaussian" else -1)


def expected_estimate(jacobian: Array, projector: Array) -> Array:
    """Return E[Ĵ] = J P of `jacobian` J [..., n_o, n] and `projector` P [n, n]; for VNC P = I (E1, E2) [derived]."""
    expect(jacobian=(jacobian, "... o n"), projector=(projector, "n n"))
    return jacobian @ projector


def variance(draws: int, dimension: int, law: str = "gaussian") -> float:
    """Return E‖Ĵ − JP‖²/‖JP‖² = (d + 1)/K, whatever n and n_o (E3) [derived]."""
    return spread(dimension, law) / count("draws", draws)


def relative_error(alignment: float, draws: int, dimension: int, law: str = "gaussian") -> float:
    """Return E‖Ĵ − J‖²/‖J‖² = (1 − α) + α (d + 1)/K (E4) [derived]."""
    alignment = fraction("alignment", alignment)
    return 1 - alignment + alignment * variance(draws, dimension, law)


def error_crossover(alignment: float, dimension: int, width: int, law: str = "gaussian") -> float:
    """Return K* = [(n + 1) − α (d + 1)]/(1 − α): below it NMNC has the smaller error (E4); ∞ for α = 1 [derived]."""
    alignment, (inside, whole) = fraction("alignment", alignment), _spreads(dimension, width, law)
    if alignment >= 1:
        return math.inf
    return (whole - alignment * inside) / (1 - alignment)


def _spreads(dimension: int, width: int, law: str) -> tuple[int, int]:
    """Return the `spread` of d ≤ n dimensions and of n."""
    width = count("width", width)
    return spread(count("dimension", dimension, 1, width), law), spread(width, law)


def expected_squared_cosine(alignment: float, dimension: int) -> float:
    """Return E[cos²(Ĵ, J)] = α/d for one draw with uniform direction or Rademacher signs (E5) [derived]."""
    return fraction("alignment", alignment) / count("dimension", dimension)


def squared_cosine_variance(gram: Array) -> Array:
    """Return Var[cos²(Ĵ, J)] for one draw with uniform direction (E5) [derived].

    [2 tr M² + (tr M)²]/(d(d + 2)) − (tr M/d)² with M = (JU)ᵀ(JU)/‖J‖², whose trace is α.

    Args:
        gram: M [d, d].
    """
    xp = expect(gram=(gram, "d d"))
    d = gram.shape[0]
    trace, square = xp.linalg.trace(gram), xp.sum(gram * gram.T)
    return (2 * square + trace**2) / (d * (d + 2)) - (trace / d) ** 2


def random_alignment(dimension: int, width: int) -> float:
    """Return E[α] = d/n of a random d-dimensional subspace; NMNC needs α > d/n to win in cosine (E5) [derived]."""
    width = count("width", width)
    return count("dimension", dimension, 1, width) / width


def cosine_ratio(alignment: float, draws: int, dimension: int, law: str = "gaussian") -> float:
    """Return ⟨E Ĵ, J⟩/√(‖J‖² E‖Ĵ‖²) = √(α K/(K + d + 1)), which saturates at √α (E6) [derived]."""
    return math.sqrt(fraction("alignment", alignment) / (1 + variance(draws, dimension, law)))


def cosine_threshold(draws: int, dimension: int, width: int, law: str = "gaussian") -> float:
    """Return the α = (K + d + 1)/(K + n + 1) above which NMNC has the larger ratio of E6 [derived]."""
    inside, whole = _spreads(dimension, width, law)
    draws = count("draws", draws)
    return (draws + inside) / (draws + whole)


def cosine_crossover(alignment: float, dimension: int, width: int, law: str = "gaussian") -> float:
    """Return K† = [α (n + 1) − (d + 1)]/(1 − α): beyond it VNC has the larger ratio (E6); ∞ for α = 1 [derived].

    Below 1 where VNC has the larger ratio for every K.
    """
    alignment, (inside, whole) = fraction("alignment", alignment), _spreads(dimension, width, law)
    if alignment >= 1:
        return math.inf
    return (alignment * whole - inside) / (1 - alignment)


def unnormalised_progress(alignment: float, sigma: float) -> float:
    """Return ⟨E ΔB, J⟩/‖J‖² = α σ² for ΔB = δy ξᵀ; VNC: α = 1 and its own σ (E7) [derived]."""
    return fraction("alignment", alignment) * positive("sigma", sigma) ** 2


def smoothed_jacobian(jacobians: Array, probabilities: Array, projector: Array) -> Array:
    """Return E[J(x + ξ)] P, the mean estimate on a non-linear tail under Gaussian noise (E8, Stein) [derived].

    Args:
        jacobians: J(x + ξ_s) [S, n_o, n] at points of the noise's law.
        probabilities: of the points [S].
        projector: P [n, n].

    Returns:
        [n_o, n].
    """
    xp = expect(jacobians=(jacobians, "S o n"), probabilities=(probabilities, "S"), projector=(projector, "n n"))
    return xp.tensordot(probabilities, jacobians, axes=([0], [0])) @ projector


def curvature_variance(hessians: Array, sigma: float, draws: int) -> Array:
    """Return what one-sided Gaussian noise adds to E‖Ĵ − JP‖² on a quadratic tail (E9) [derived].

    σ²(d + 4)/(4K) Σ_o [(tr M_o)² + 2 tr M_o²]; antithetic pairs add nothing.

    Args:
        hessians: M_o = Uᵀ H_o U [n_o, d, d], symmetric, with y_o(x + ξ) = y_o + J_o ξ + ½ ξᵀ H_o ξ.
        sigma: σ > 0.
        draws: K.
    """
    xp = expect(hessians=(hessians, "o d d"))
    d = hessians.shape[-1]
    traces = xp.linalg.trace(hessians)
    total = xp.sum(traces**2) + 2 * xp.sum(hessians**2)
    return positive("sigma", sigma, like=hessians) ** 2 * (d + 4) / (4 * count("draws", draws)) * total


def one_sided_to_antithetic(pairs: int) -> float:
    """Return the variance ratio one-sided : antithetic, K/(2K − 1), at 2K passes on a linear tail (E9) [derived].

    Args:
        pairs: K.
    """
    pairs = count("pairs", pairs)
    return pairs / (2 * pairs - 1)


def frame_error(alignment: float, draws: int, dimension: int) -> float:
    """Return the error (1 − α) + α (d − K)/K of K ≤ d draws from an orthonormal frame (E10) [derived]."""
    alignment = fraction("alignment", alignment)
    draws = count("draws", draws, 1, count("dimension", dimension))
    return 1 - alignment + alignment * (dimension - draws) / draws


def covariance_shaped_variance(jacobian: Array, covariance: Array, draws: int) -> Array:
    """Return E‖Ĝ − JC‖² = [tr(JCJᵀ) tr C + ‖JC‖²]/K of Ĝ = (1/K) Σ δy ξᵀ, ξ ~ N(0, C) (E11) [derived].

    Args:
        jacobian: J [n_o, n].
        covariance: C [n, n].
        draws: K.
    """
    xp = expect(jacobian=(jacobian, "o n"), covariance=(covariance, "n n"))
    mean = jacobian @ covariance
    energy = xp.sum(mean * jacobian) * xp.linalg.trace(covariance)
    return (energy + xp.sum(mean**2)) / count("draws", draws)


def response_noise_error(deviation: float, outputs: int, dimension: int, draws: int, sigma: float) -> float:
    """Return what response noise adds to E‖Ĵ − JP‖²: n_o · dim · τ²/(K σ²) (E12) [derived].

    Args:
        deviation: τ of each component of δy, independent between draws.
        outputs: n_o.
        dimension: d, or n for VNC.
        draws: K.
        sigma: σ of the perturbation.
    """
    noise = (positive("deviation", deviation, zero=True) / positive("sigma", sigma)) ** 2
    return count("outputs", outputs) * count("dimension", dimension) * noise / count("draws", draws)


def response_noise_variance(output_deviation: float, antithetic: bool) -> float:
    """Return the τ² of the response if each output carries noise τ: 2τ² one-sided, τ²/2 antithetic (E12) [derived]."""
    pair = flag("antithetic", antithetic)
    return positive("output_deviation", output_deviation, zero=True) ** 2 * (0.5 if pair else 2)


def least_squares_error(deviation: float, outputs: int, dimension: int, draws: int, sigma: float) -> float:
    """Return E‖Ĵ − JP‖² = τ² n_o d/(σ² (K − d − 1)) of least squares, K > d + 1, Gaussian z (E13) [derived].

    Arguments are those of `response_noise_error`; zero response noise gives 0.
    """
    draws = count("draws", draws, count("dimension", dimension) + 2)
    noise = (positive("deviation", deviation, zero=True) / positive("sigma", sigma)) ** 2
    return noise * count("outputs", outputs) * dimension / (draws - dimension - 1)


def batch_mean(jacobians: Array, projector: Array) -> Array:
    """Return mean_i(J_i) P of `jacobians` [B, n_o, n] and `projector` [n, n] (E14, F2) [derived]."""
    xp = expect(jacobians=(jacobians, "B o n"), projector=(projector, "n n"))
    return xp.mean(jacobians, axis=0) @ projector


def batch_variance(jacobians: Array, projector: Array, draws: int, dimension: int, law: str = "gaussian") -> Array:
    """Return (1/(BK)) (d + 1) mean_i ‖J_i P‖², one fresh noise for each sample and draw (E14) [derived]."""
    xp = expect(jacobians=(jacobians, "B o n"), projector=(projector, "n n"))
    dimension = count("dimension", dimension, 1, projector.shape[0])
    return xp.sum((jacobians @ projector) ** 2) * variance(draws, dimension, law) / jacobians.shape[0] ** 2


def shared_noise_weight_gradient(delta: Array, activity: Array) -> Array:
    """Return outer(mean δ, mean x): what noise shared over the batch yields for a batch-mean loss (E14) [derived].

    Args:
        delta: δ_i of each sample's own loss [B, n_l].
        activity: x_i of the layer below [B, n_{l−1}].

    Returns:
        [n_l, n_{l−1}], which is not the gradient mean_i outer(δ_i, x_i).
    """
    xp = expect(delta=(delta, "B n"), activity=(activity, "B m"))
    return xp.mean(delta, axis=0)[:, None] * xp.mean(activity, axis=0)[None, :]


def crosstalk(dimension: int, sigma: float, draws: int, other_sigma: float, other_signal: float) -> float:
    """Return d_l σ_k² ‖J_kP_k‖²/(K σ_l²): what perturbing layer k too adds to layer l's error (E15) [derived].

    Args:
        dimension: d_l.
        sigma: σ_l.
        draws: K.
        other_sigma: σ_k.
        other_signal: ‖J_kP_k‖²_F.
    """
    ratio = (positive("other_sigma", other_sigma) / positive("sigma", sigma)) ** 2
    signal = positive("other_signal", other_signal, zero=True)
    return count("dimension", dimension) * ratio * signal / count("draws", draws)


def best_scaling(draws: int, dimension: int, law: str = "gaussian") -> float:
    """Return c* = 1/(1 + (d + 1)/K), the multiple of Ĵ with the least error (E16) [derived]."""
    return 1 / (1 + variance(draws, dimension, law))


def best_scaled_error(alignment: float, draws: int, dimension: int, law: str = "gaussian") -> float:
    """Return the error 1 − α/(1 + (d + 1)/K) of c* Ĵ (E16) [derived]."""
    return 1 - fraction("alignment", alignment) * best_scaling(draws, dimension, law)


def best_dimension_for_error(alignments: Sequence[float], draws: int, law: str = "gaussian") -> int:
    """Return argmin_d 1 − A(d) + A(d)(d + 1)/K (E17) [derived].

    Args:
        alignments: A(1), A(2), …, the alignment with the first d components.
        draws: K.
        law: of the coefficients.
    """
    errors = [relative_error(a, draws, d, law) for d, a in enumerate(_sequence(alignments), start=1)]
    return 1 + errors.index(min(errors))


def best_dimension_for_cosine(alignments: Sequence[float], draws: int, law: str = "gaussian") -> int:
    """Return argmax_d A(d)/(K + d + 1) (E17) [derived]; arguments as `best_dimension_for_error`."""
    ratios = [cosine_ratio(a, draws, d, law) for d, a in enumerate(_sequence(alignments), start=1)]
    return 1 + ratios.index(max(ratios))


def _sequence(alignments: Sequence[float]) -> list[float]:
    try:
        values = list(alignments)
    except TypeError:
        raise TypeError(f"alignments: expected a sequence of numbers, got {type(alignments).__name__}") from None
    if not values:
        raise ValueError("alignments: expected at least one number, got none")
    return [fraction(f"alignments[{index}]", value) for index, value in enumerate(values)]
