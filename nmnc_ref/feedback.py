"""Learning feedback weights from noise-correlation estimates.

Feedback is direct (B_l, a running estimate of E[J_l] P_l, carries the output error to layer l) or layer-wise
(M_l ≈ W_{l+1} P_l carries the delta one layer down). A mirror M_l is itself a layer, of the kind of the layer whose
weights it estimates from noise in the activity below: the weight mirror (F3; Akrout et al. 2019). In a recurrent
network there is one B for each lag between activity and output.
"""

from __future__ import annotations

from typing import Annotated

from nmnc_ref.arrays import Array, Float, expect_length
from nmnc_ref.checked import checked
from nmnc_ref.nn.layer import Layer
from nmnc_ref.scalars import Fraction, Positive, Some


@checked
def running_average(
    feedback: Float[Array, "*batch o n"], estimate: Float[Array, "*batch o n"], rate: Fraction
) -> Float[Array, "*batch o n"]:
    """B ← (1 − η) B + η Ĵ (F1, F2) [choice; same form as Bacho and Chu 2022].

    Args:
        feedback: B.
        estimate: Ĵ.
        rate: η, per step.
    """
    return (1 - rate) * feedback + rate * estimate


@checked
def mirror_estimate(
    layer: Layer, response: Float[Array, "N above"], noise: Float[Array, "N below"], sigma: Positive
) -> Layer:
    """M̂ = (1/N) Σ δs ξᵀ/σ², with mean W P: the estimate of a layer's own weights from its preactivation (F3) [choice].

    Convolution: the same with patches, and the mean over positions, with mean W · mean_p Cov(patch_p(ξ))/σ², which is
    W itself only for isotropic noise without padding or pooling. The mirror M_l is that of layer l + 1.

    Args:
        layer: of which only kind and shapes are used.
        response: δs of the layer's preactivation, one row for each draw and each element of the batch.
        noise: ξ of the activity below.
        sigma: σ that the noise was made with, in units of activity.

    Returns:
        A layer of the same kind with the estimate as weight, and zero bias.
    """
    expect_length("noise", noise, 1, layer.inputs, "layer")
    expect_length("response", response, 1, layer.outputs, "layer")
    found = layer.gradient(response, noise / sigma)  # σ² may be out of range where the estimate is not
    return found._replace(weight=found.weight / (noise.shape[0] * layer.positions * sigma), bias=0 * found.bias)


@checked
def by_lag(
    estimates: Annotated[tuple[Float[Array, "_ n"], ...], Some], *, every: bool = False
) -> tuple[Float[Array, "o n"], ...]:
    """B̂_lag = mean_t ∂y_{t+lag}/∂h_t, or ∂y_T/∂h_{T−lag} if only the last step is read out: an estimate for each lag.

    Args:
        estimates: (Ĵ_1, …, Ĵ_T), of the Jacobians ∂y/∂h_t, with n_o rows, or (T − t + 1)·n_o if `every`.
        every: read out at every step, not at the last alone.
    """
    steps, o = len(estimates), estimates[-1].shape[0]
    for t, each in enumerate(estimates):
        expect_length(f"estimates[{t}]", each, 0, (steps - t) * o if every else o, "the outputs read out")
    if not every:
        return tuple(reversed(estimates))
    found = []
    for lag in range(steps):
        parts = [each[lag * o : (lag + 1) * o, :] for each in estimates[: steps - lag]]
        found.append(sum(parts[1:], parts[0]) / len(parts))
    return tuple(found)
