"""Credit assignment: from the output error, through feedback, to the gradients of activities and weights.

With s_l = x_{l−1} W_lᵀ + b_l, x_l = φ(s_l) and a linear output layer, e = ∂loss/∂y is the delta of the output layer,
with the 1/B of the batch mean inside. Gradients, like activities, are rows.
"""

from __future__ import annotations

from typing import Annotated

from nmnc_ref.arrays import Array, Float, expect, expect_length, expect_number
from nmnc_ref.checked import checked
from nmnc_ref.nn.layer import Layer
from nmnc_ref.nn.recurrent import by_step
from nmnc_ref.scalars import Some


@checked
def activity_gradient(signal: Float[Array, "B o"], feedback: Float[Array, "... o n"]) -> Float[Array, "B n"]:
    """e B (direct) or δ_{l+1} M (layer-wise): the activity gradient that feedback delivers (F5) [choice].

    Args:
        signal: e or δ_{l+1}.
        feedback: B or M, one for all inputs, or one for each.
    """
    if feedback.ndim == 2:
        return signal @ feedback
    batch, shape = signal.shape[0], list(feedback.shape)
    expect(shape[:-2] == [batch], f"feedback: expected one, or one for each of {batch} of signal, got shape {shape}")
    return (signal[:, None, :] @ feedback)[:, 0, :]


@checked
def delta(
    signal: Float[Array, "B o"], feedback: Float[Array, "... o n"], slope: Float[Array, "B n"]
) -> Float[Array, "B n"]:
    """δ_l = φ'(s_l) ⊙ (signal · feedback) (F4) [choice].

    Args:
        signal: e for direct feedback, δ_{l+1} for layer-wise.
        feedback: as in `activity_gradient`.
        slope: φ'(s_l).
    """
    return slope * activity_gradient(signal, feedback)


@checked
def direct_deltas(
    error: Float[Array, "B o"],
    feedbacks: tuple[Float[Array, "... o ?n"], ...],
    slopes: tuple[Float[Array, "B ?n"], ...],
) -> tuple[Float[Array, "B _"], ...]:
    """(δ_1, …, δ_L) with δ_l = φ'(s_l) ⊙ (e B_l) in hidden layers, and e itself in the output layer (F4).

    Args:
        error: e.
        feedbacks: (B_1, …, B_{L−1}), each one for all inputs, or one for each.
        slopes: (φ'(s_1), …, φ'(s_{L−1})).
    """
    expect_number("slopes", slopes, len(feedbacks), "feedbacks")
    return (*(delta(error, feedback, slope) for feedback, slope in zip(feedbacks, slopes, strict=True)), error)


@checked
def layerwise_deltas(
    error: Float[Array, "B o"], mirrors: tuple[Layer, ...], slopes: tuple[Float[Array, "B ?n"], ...]
) -> tuple[Float[Array, "B _"], ...]:
    """(δ_1, …, δ_L) with δ_L = e and δ_l = φ'(s_l) ⊙ (δ_{l+1} M_l), by the mirrors' `pull_back` (F3) [choice].

    Args:
        error: e.
        mirrors: (M_1, …, M_{L−1}), layers of the kinds of the layers 2 … L, with mirror estimates as weights.
        slopes: (φ'(s_1), …, φ'(s_{L−1})).
    """
    _expect_chain(error, mirrors, slopes)
    deltas = [error]
    for mirror, slope in zip(reversed(mirrors), reversed(slopes), strict=True):
        deltas.append(slope * mirror.pull_back(deltas[-1]))
    return tuple(reversed(deltas))


def _expect_chain(error: Array, mirrors: tuple[Layer, ...], slopes: tuple[Array, ...]) -> None:
    """Refuse slopes and an error that do not have the units of the mirrors below and above them."""
    expect_number("slopes", slopes, len(mirrors), "mirrors")
    signals = [*((f"slopes[{l}]", slope) for l, slope in enumerate(slopes)), ("error", error)]
    for l, mirror in enumerate(mirrors):
        expect_length(*signals[l], 1, mirror.inputs, f"mirrors[{l}]")
        expect_length(*signals[l + 1], 1, mirror.outputs, f"mirrors[{l}]")


@checked
def activity_gradients_by_lag(
    error: Float[Array, "B _"], feedbacks: Annotated[tuple[Float[Array, "o n"], ...], Some], *, every: bool = False
) -> tuple[Float[Array, "B n"], ...]:
    """(g_1, …, g_T) with g_t = Σ_lag e_{t+lag} B_lag, e_T B_{T−t} if only the last step is read out (F5) [choice].

    Args:
        error: e of the last step, or of all steps side by side if `every`.
        feedbacks: (B_0, …, B_{T−1}), by lag.
        every: read out at every step, not at the last alone.
    """
    steps = len(feedbacks)
    errors = by_step(error, steps, feedbacks[0].shape[0], every)
    gradients = []
    for t in range(steps):
        parts = [errors[t + lag] @ feedbacks[lag] for lag in range(steps - t) if errors[t + lag] is not None]
        gradients.append(sum(parts[1:], parts[0]))
    return tuple(gradients)


@checked
def weight_gradients(
    network: tuple[Layer, ...], activities: tuple[Float[Array, "B _"], ...], deltas: tuple[Float[Array, "B _"], ...]
) -> tuple[Layer, ...]:
    """∂W_l = δ_lᵀ x_{l−1} = Σ_i δ_li x_{l−1,i}ᵀ, ∂b_l = Σ_i δ_li, in layers, by each layer's `gradient` (F4).

    Args:
        network: its layers.
        activities: (x_0, …, x_{L−1}); a last x_L is ignored.
        deltas: (δ_1, …, δ_L), with the 1/B of the batch mean inside.
    """
    expect_number("deltas", deltas, len(network), "network")
    if len(activities) != len(network) + 1:  # which x_L makes
        expect_number("activities", activities, len(network), "network")
    return tuple(
        layer.gradient(delta, activity) for layer, delta, activity in zip(network, deltas, activities, strict=False)
    )
