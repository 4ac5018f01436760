"""Learning feedback weights from noise-correlation estimates, and assigning credit through them.

Feedback is direct (B_l [n_o, n_l], a running estimate of E[J_l] P_l, carries the output error to layer l) or
layer-wise (M_l ≈ W_{l+1} P_l carries the delta one layer down). A mirror M_l is itself a layer, of the kind of the
layer whose weights it estimates from noise in the activity below: the weight mirror (F3; Akrout et al. 2019).
"""

from __future__ import annotations

from typing import Any

from nmnc_ref.arrays import Array, expect, expect_tuple, fraction, positive


def running_average(feedback: Array, estimate: Array, rate: float) -> Array:
    """Return B ← (1 − η) B + η Ĵ (F1, F2) [choice; same form as Bacho and Chu 2022].

    Args:
        feedback: B [..., n_o, n].
        estimate: Ĵ [..., n_o, n].
        rate: η in [0, 1], per step.

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64; η is not a number.
        ValueError: shapes that differ, empty, NaN, infinity; η outside [0, 1].
    """
    expect(feedback=(feedback, "... o n"), estimate=(estimate, "... o n"))
    rate = fraction("rate", rate, like=feedback)
    return (1 - rate) * feedback + rate * estimate


def activity_gradient(signal: Array, feedback: Array) -> Array:
    """Return the activity gradient that feedback delivers: e B (direct) or δ_{l+1} M (layer-wise) (F5) [choice].

    Args:
        signal: e [B, n_o] or δ_{l+1} [B, n_{l+1}].
        feedback: [n_o, n_l] or [n_{l+1}, n_l], or one for each input, [B, n_o, n_l].

    Returns:
        [B, n_l].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: shapes that do not fit, empty, NaN or infinity.
    """
    if getattr(feedback, "ndim", 2) == 3:
        expect(signal=(signal, "B o"), feedback=(feedback, "B o n"))
        return (signal[:, None, :] @ feedback)[:, 0, :]
    expect(signal=(signal, "B o"), feedback=(feedback, "o n"))
    return signal @ feedback


def delta(signal: Array, feedback: Array, slope: Array) -> Array:
    """Return δ_l = φ'(s_l) ⊙ (signal · feedback) [B, n_l] (F4) [choice].

    Args:
        signal: e [B, n_o] for direct feedback, δ_{l+1} [B, n_{l+1}] for layer-wise.
        feedback: as in `activity_gradient`.
        slope: φ'(s_l) [B, n_l].

    Raises:
        TypeError, ValueError: as `activity_gradient`; ValueError also for a slope that does not fit.
    """
    gradient = activity_gradient(signal, feedback)
    expect(feedback=(feedback, "... n"), signal=(signal, "B *"), slope=(slope, "B n"))
    return slope * gradient


def direct_deltas(error: Array, feedbacks: tuple[Array, ...], slopes: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return (δ_1, …, δ_L): δ_l = φ'(s_l) ⊙ (e B_l) for hidden layers, and e itself for the output layer.

    Args:
        error: e [B, n_o].
        feedbacks: (B_1, …, B_{L−1}), each [n_o, n_l] or [B, n_o, n_l].
        slopes: (φ'(s_1), …, φ'(s_{L−1})), each [B, n_l].

    Raises:
        TypeError, ValueError: as `delta`; ValueError also for unequal numbers of feedbacks and slopes.
    """
    expect_tuple("feedbacks", feedbacks, of="arrays")
    expect_tuple("slopes", slopes, len(feedbacks), of="arrays, one for each of feedbacks")
    shapes = {}
    for l, (feedback, slope) in enumerate(zip(feedbacks, slopes, strict=True), start=1):
        each = "B " if getattr(feedback, "ndim", 2) == 3 else ""
        shapes[f"feedbacks[{l - 1}]"] = (feedback, f"{each}o n{l}")
        shapes[f"slopes[{l - 1}]"] = (slope, f"B n{l}")
    expect(error=(error, "B o"), **shapes)
    hidden = [delta(error, feedback, slope) for feedback, slope in zip(feedbacks, slopes, strict=True)]
    return (*hidden, error)


def layerwise_deltas(error: Array, mirrors: tuple[Any, ...], slopes: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return (δ_1, …, δ_L) with δ_L = e and δ_l = φ'(s_l) ⊙ (δ_{l+1} M_l), by the mirrors' `pull_back` [choice].

    Args:
        error: e [B, n_o].
        mirrors: (M_1, …, M_{L−1}), layers of the kinds of the layers 2 … L, with `mirror_estimate`s as weights.
        slopes: (φ'(s_1), …, φ'(s_{L−1})), each [B, n_l].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64; a mirror that is not a layer.
        ValueError: unequal numbers of mirrors and slopes, shapes that do not fit, empty, NaN or infinity.
    """
    expect_tuple("mirrors", mirrors, of="layers")
    expect_tuple("slopes", slopes, len(mirrors), of="arrays, one for each of mirrors")
    weights = {f"mirrors[{l}].weight": (_weight(f"mirrors[{l}]", mirror), "**") for l, mirror in enumerate(mirrors)}
    shapes = {f"slopes[{l}]": (slope, "B *") for l, slope in enumerate(slopes)}
    expect(error=(error, "B *"), **shapes, **weights)
    signals = [*((f"slopes[{l}]", slope) for l, slope in enumerate(slopes)), ("error", error)]
    for l, mirror in enumerate(mirrors):
        _expect_units(*signals[l], mirror.inputs, f"mirrors[{l}]")
        _expect_units(*signals[l + 1], mirror.weight.shape[0] * mirror.positions, f"mirrors[{l}]")
    deltas = [error]
    for mirror, slope in zip(reversed(mirrors), reversed(slopes), strict=True):
        deltas.append(slope * mirror.pull_back(deltas[-1]))
    return tuple(reversed(deltas))


def mirror_estimate(layer: Any, response: Array, noise: Array, sigma: float) -> Any:
    """Return the estimate of a layer's own weights from the change of its preactivation (F3) [choice].

    Dense: (1/KB) Σ δs ξᵀ/σ², with mean W P. Convolution: the same with patches, and the mean over places, with
    mean W · mean_p Cov(patch_p(ξ))/σ², which is W itself only for isotropic noise without padding or pooling.

    Args:
        layer: of which only kind and shapes are used.
        response: δs [N, n_{l+1}], one row for each draw and each element of the batch.
        noise: ξ [N, n_l].
        sigma: σ > 0, the scale that the noise was made with, in units of activity.

    Returns:
        A layer of the same kind with the estimate as weight, and zero bias.

    Raises:
        TypeError, ValueError: as the layer's `gradient`; also for what is not a layer, and σ not positive.
    """
    expect(response=(response, "N *"), noise=(noise, "N *"), **{"layer.weight": (_weight("layer", layer), "**")})
    _expect_units("noise", noise, layer.inputs, "layer")
    _expect_units("response", response, layer.weight.shape[0] * layer.positions, "layer")
    sigma = positive("sigma", sigma, like=noise)
    found = layer.gradient(response, noise)
    return found._replace(weight=found.weight / (noise.shape[0] * layer.positions * sigma**2), bias=0 * found.bias)


def weight_gradients(network: tuple[Any, ...], activities: tuple[Array, ...], deltas: tuple[Array, ...]) -> tuple:
    """Return the gradients of all parameters, in layers: for a dense layer ∂W_l = δ_lᵀ x_{l−1}, ∂b_l = Σ_i δ_l (F4).

    Args:
        network: its layers.
        activities: (x_0, …, x_{L−1}), each [B, n_l]; a last x_L is ignored.
        deltas: (δ_1, …, δ_L), each [B, n_l], with the 1/B of the batch mean inside.

    Raises:
        TypeError, ValueError: as the layer's `gradient`; ValueError also for a wrong number of arrays.
    """
    expect_tuple("network", network, of="layers")
    expect_tuple("deltas", deltas, len(network), of="arrays, one for each layer")
    expect_tuple("activities", activities, of="arrays")
    if len(activities) not in (len(network), len(network) + 1):
        raise ValueError(f"activities: expected {len(network)} arrays, one for each layer, got {len(activities)}")
    for index, layer in enumerate(network):
        if not hasattr(layer, "gradient"):
            raise TypeError(f"network[{index}]: expected a layer, got {type(layer).__name__}")
    return tuple(
        layer.gradient(delta, activity) for layer, delta, activity in zip(network, deltas, activities, strict=False)
    )


def _weight(name: str, layer: Any) -> Array:
    if not all(hasattr(layer, part) for part in ("weight", "positions", "pull_back", "gradient")):
        raise TypeError(f"{name}: expected a layer, got {type(layer).__name__}")
    return layer.weight


def _expect_units(name: str, array: Array, units: int, layer: str) -> None:
    if array.shape[-1] != units:
        raise ValueError(f"{name}: expected {units} units as in {layer}, got shape {list(array.shape)}")
