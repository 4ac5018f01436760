"""Closed forms for the alignment of Jacobian and manifold (A2, A4, A5).

Scalar functions raise TypeError for what is not a number and ValueError for a number out of its range, array
functions as `arrays.expect` does.
"""

from __future__ import annotations

from nmnc_ref.arrays import Array, count, expect, fraction, positive


def off_manifold_factor(learning_rate: float, decay: float, momentum: float, steps: int) -> float:
    """Return the factor f with W_t P_⊥ = f · W_0 P_⊥ under SGD (A2) [derived].

    The (1, 1) entry of [[1 − ηλ, −ημ], [λ, μ]]ᵗ; (1 − ηλ)ᵗ without momentum.

    Args:
        learning_rate: η > 0.
        decay: λ ≥ 0.
        momentum: μ in [0, 1], heavy ball.
        steps: t.
    """
    rate, decay = positive("learning_rate", learning_rate), positive("decay", decay, zero=True)
    momentum = fraction("momentum", momentum)
    weight, velocity = 1.0, 0.0
    for _ in range(count("steps", steps, 0)):
        velocity = momentum * velocity + decay * weight
        weight = weight - rate * velocity
    return weight


def missed_by_centring(delta: Array, mean: Array, projector: Array) -> Array:
    """Return ∂W (I − P_c) = (Σ_i δ_i) mᵀ(I − P_c): the update's part off the centred span (A4) [derived].

    Args:
        delta: δ_i [B, n_l].
        mean: m of the activity below [n_{l−1}].
        projector: P_c on the whole span of the centred activity [n_{l−1}, n_{l−1}].

    Returns:
        [n_l, n_{l−1}].
    """
    xp = expect(delta=(delta, "B n"), mean=(mean, "m"), projector=(projector, "m m"))
    return xp.sum(delta, axis=0)[:, None] * (mean - projector @ mean)[None, :]


def off_manifold_edit(weight: Array, bias: Array, edit: Array, projector: Array, mean: Array) -> tuple[Array, Array]:
    """Return (W + A(I − P), b − A(I − P) m), which computes the same on the manifold m + span P (A5) [derived].

    For P on the uncentred span give the mean m = 0 (any m inside the span does).

    Args:
        weight: W [n_l, n_{l−1}].
        bias: b [n_l].
        edit: A [n_l, n_{l−1}], anything.
        projector: P [n_{l−1}, n_{l−1}].
        mean: m [n_{l−1}].
    """
    expect(weight=(weight, "n m"), bias=(bias, "n"), edit=(edit, "n m"), projector=(projector, "m m"), mean=(mean, "m"))
    outside = edit - edit @ projector
    return weight + outside, bias - outside @ mean
