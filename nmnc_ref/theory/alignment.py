"""Closed forms for the alignment of Jacobian and manifold (A2, A4, A5)."""

from __future__ import annotations

from nmnc_ref.arrays import Array, Float, namespace
from nmnc_ref.checked import checked
from nmnc_ref.scalars import Fraction, Index, NonNegative, Positive


@checked
def off_manifold_factor(learning_rate: Positive, decay: NonNegative, momentum: Fraction, steps: Index) -> float:
    """The factor f with W_t P_⊥ = f · W_0 P_⊥ under SGD: the (1, 1) entry of [[1 − ηλ, −ημ], [λ, μ]]ᵗ (A2) [derived].

    (1 − ηλ)ᵗ without momentum.

    Args:
        learning_rate: η.
        decay: λ.
        momentum: μ, heavy ball.
        steps: t.
    """
    weight, velocity = 1.0, 0.0
    for _ in range(steps):
        velocity = momentum * velocity + decay * weight
        weight = weight - learning_rate * velocity
    return weight


@checked
def missed_by_centring(
    delta: Float[Array, "B n"], mean: Float[Array, "m"], projector: Float[Array, "m m"]
) -> Float[Array, "n m"]:
    """∂W (I − P_c) = (Σ_i δ_i) mᵀ(I − P_c): the update's part off the centred span (A4) [derived].

    Args:
        delta: δ_i.
        mean: m of the activity below.
        projector: P_c on the whole span of the centred activity.
    """
    return namespace(delta).sum(delta, axis=0)[:, None] * (mean - projector @ mean)[None, :]


@checked
def off_manifold_edit(
    weight: Float[Array, "n m"],
    bias: Float[Array, "n"],
    edit: Float[Array, "n m"],
    projector: Float[Array, "m m"],
    mean: Float[Array, "m"],
) -> tuple[Float[Array, "n m"], Float[Array, "n"]]:
    """(W + A(I − P), b − A(I − P) m), which computes the same on the manifold m + span P (A5) [derived].

    For P on the uncentred span give the mean m = 0 (any m inside the span does).

    Args:
        weight: W.
        bias: b.
        edit: A, anything.
        projector: P.
        mean: m.
    """
    outside = edit - edit @ projector
    return weight + outside, bias - outside @ mean
