"""Recurrent networks: s_t = h_{t−1} Wᵀ + x_t Vᵀ + b, h_t = (1 − a) h_{t−1} + a φ(s_t), h_0 = 0, y_t = h_t Oᵀ + c.

A network is a pair (cell, read-out). The perturbed activity is h_t, t = 1 … T, and its tail runs from step t to the
read-out: y_T, or if `every` is true all of y_1 … y_T side by side (from t on, for the tail), so that the output is one
vector in either case. Feedback has one matrix for each lag between activity and output [choice].

All functions take `leak`, a in (0, 1]: 1 for the vanilla network, dt/τ for leaky units of time constant τ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from array_api_compat import array_namespace, device

from nmnc_ref.arrays import Array, count, expect, expect_tuple, flag, fraction, is_concrete, leaves


class Cell(NamedTuple):
    """The recurrent weights: `weight` W [n, n], `input_weight` V [n, m], `bias` b [n]."""

    weight: Array
    input_weight: Array
    bias: Array


class ReadOut(Protocol):
    """The layer from h_t to y_t, such as `dense.Dense`."""

    def preactivation(self, activity: Array) -> Array: ...  # noqa: D102
    def pull_back(self, delta: Array) -> Array: ...  # noqa: D102
    def gradient(self, delta: Array, activity: Array) -> Any: ...  # noqa: D102


Network = tuple[Cell, Any]


class Forward(NamedTuple):
    """A forward pass: `activity` is (h_0, …, h_T), `preactivation` is (s_1, …, s_T), `output` is y."""

    activity: tuple[Array, ...]
    preactivation: tuple[Array, ...]
    output: Array


class Backpropagation(NamedTuple):
    """Everything that backpropagation through time computes.

    `forward`: the forward pass; `loss`: scalar; `error`: e = ∂loss/∂y; `activity_gradient`: (g_1, …, g_T) with
    g_t = ∂loss/∂h_t along all paths; `delta`: (∂loss/∂s_1, …, ∂loss/∂s_T); `gradient`: of the parameters, as a cell
    and a read-out.
    """

    forward: Forward
    loss: Array
    error: Array
    activity_gradient: tuple[Array, ...]
    delta: tuple[Array, ...]
    gradient: tuple[Any, ...]


def forward(network: Network, x: Array, activation: Any, *, leak: float = 1.0, every: bool = False) -> Forward:
    """Run the network on sequences `x` [B, T, m] and keep every activity [B, n].

    Returns:
        The pass, with output [B, n_o], or [B, T·n_o] if `every`.

    Raises:
        TypeError: not a pair of cell and read-out; not arrays of one library and one of the dtypes float32, float64.
        ValueError: shapes that do not fit, empty arrays, NaN or infinity; a leak that is not in (0, 1].
    """
    cell, read_out = _expect_network(network, x, every)
    drive = _drive(cell, x)
    activities, preactivations = _run(cell, drive, 0 * drive[:, 0, :], 0, activation, _leak(leak, x))
    output = _read(read_out, activities[1:], every)
    return Forward(tuple(activities), tuple(preactivations), output)


def tail(
    network: Network, x: Array, step: int, activation: Any, *, leak: float = 1.0, every: bool = False
) -> Callable[[Array], Array]:
    """Return the tail h_t ↦ y: [..., B, n] → [..., B, n_o], or [..., B, (T − t + 1)·n_o] if `every`.

    Args:
        network: cell and read-out.
        x: [B, T, m], the inputs, of which those after step t drive the tail.
        step: t, from 1 to T.
        activation: φ.
        leak: a.
        every: read out at every step, not at the last alone.

    Raises:
        TypeError, ValueError: as `forward`; also for a step that is not an integer from 1 to T.
    """
    cell, read_out = _expect_network(network, x, every)
    leak = _leak(leak, x)
    step = count("step", step, 1, x.shape[1])
    drive = _drive(cell, x)

    def output(activity: Array) -> Array:
        expect(x=(x, "B T m"), activity=(activity, "... B n"), bias=(cell.bias, "n"))
        return _read(read_out, _run(cell, drive, activity, step, activation, leak)[0], every)

    return output


def jacobian(
    network: Network, x: Array, step: int, activation: Any, *, leak: float = 1.0, every: bool = False
) -> Array:
    """Return the exact Jacobian ∂y/∂h_t of `tail`: O Π_τ [(1 − a) I + a diag φ'(s_τ) W], τ from T down to t + 1.

    Returns:
        [B, n_o, n], or [B, (T − t + 1)·n_o, n] if `every`.

    Raises:
        TypeError, ValueError: as `tail`.
    """
    cell, read_out = _expect_network(network, x, every)
    leak = _leak(leak, x)
    xp = array_namespace(x)
    step = count("step", step, 1, x.shape[1])
    passed = forward(network, x, activation, leak=leak, every=every)
    n_o = read_out.preactivation(passed.activity[0]).shape[-1]
    read = read_out.pull_back(xp.eye(n_o, dtype=x.dtype, device=device(x)))
    read = xp.broadcast_to(read, (x.shape[0], *read.shape))
    rows = read
    for index in reversed(range(step, x.shape[1])):  # from h_{index+1} to h_index, through s_{index+1}
        slope = activation.slope(passed.preactivation[index])[:, None, :]
        rows = (1 - leak) * rows + leak * (rows * slope) @ cell.weight
        if every:
            rows = xp.concat([read, rows], axis=1)
    return rows


def backpropagation(
    network: Network, x: Array, target: Array, activation: Any, loss: Any, *, leak: float = 1.0, every: bool = False
) -> Backpropagation:
    """Compute the exact gradients through time: g_t = e_t O + (1 − a) g_{t+1} + δ_{t+1} W, δ_t = a φ'(s_t) ⊙ g_t.

    Args:
        network: cell and read-out.
        x: [B, T, m].
        target: of the shape of the output.
        activation: φ.
        loss: of the output, with the batch mean inside.
        leak: a.
        every: read out at every step, not at the last alone.

    Raises:
        TypeError, ValueError: as `forward`; ValueError also for a target that does not fit the output.
    """
    cell, read_out = _expect_network(network, x, every)
    leak = _leak(leak, x)
    expect(x=(x, "B T m"), target=(target, "B o"))
    passed = forward(network, x, activation, leak=leak, every=every)
    error = loss.error(passed.output, target)
    errors = _split(error, x.shape[1], read_out.preactivation(passed.activity[0]).shape[-1], every)
    gradients: list[Array] = []
    deltas: list[Array] = []
    for index in reversed(range(x.shape[1])):
        g = 0 * passed.activity[0] if errors[index] is None else read_out.pull_back(errors[index])
        if gradients:
            g = g + (1 - leak) * gradients[-1] + deltas[-1] @ cell.weight
        gradients.append(g)
        deltas.append(delta(g, passed.preactivation[index], activation, leak=leak))
    gradients.reverse()
    deltas.reverse()
    value = loss.value(passed.output, target)
    gradient = weight_gradients(network, x, passed.activity, tuple(deltas), error, every=every)
    return Backpropagation(passed, value, error, tuple(gradients), tuple(deltas), gradient)


def delta(activity_gradient: Array, preactivation: Array, activation: Any, *, leak: float = 1.0) -> Array:
    """Return δ_t = a φ'(s_t) ⊙ g_t [B, n] of `activity_gradient` g_t [B, n] and `preactivation` s_t [B, n].

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: shapes that differ, empty, NaN or infinity; a leak that is not in (0, 1].
    """
    expect(activity_gradient=(activity_gradient, "B n"), preactivation=(preactivation, "B n"))
    return _leak(leak, preactivation) * activation.slope(preactivation) * activity_gradient


def weight_gradients(
    network: Network,
    x: Array,
    activities: tuple[Array, ...],
    deltas: tuple[Array, ...],
    error: Array,
    *,
    every: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients (∂W, ∂V, ∂b) = Σ_t (δ_tᵀ h_{t−1}, δ_tᵀ x_t, Σ_i δ_t) of the cell, and that of the read-out.

    Args:
        network: cell and read-out.
        x: [B, T, m].
        activities: (h_0, …, h_T), each [B, n].
        deltas: (δ_1, …, δ_T), each [B, n], with the 1/B of the batch mean inside.
        error: e [B, n_o], or [B, T·n_o] if `every`.
        every: read out at every step, not at the last alone.

    Raises:
        TypeError, ValueError: as `forward`; ValueError also for a wrong number of arrays.
    """
    cell, read_out = _expect_network(network, x, every)
    steps = x.shape[1]
    expect_tuple("activities", activities, steps + 1, of="arrays h_0 … h_T")
    expect_tuple("deltas", deltas, steps, of="arrays, one for each step")
    shapes = {f"activities[{t}]": (activity, "B n") for t, activity in enumerate(activities)}
    shapes |= {f"deltas[{t}]": (each, "B n") for t, each in enumerate(deltas)}
    xp = expect(x=(x, "B T m"), bias=(cell.bias, "n"), **shapes, error=(error, "B o"))
    slopes = xp.stack(list(deltas), axis=1)  # [B, T, n]
    below = xp.stack(list(activities[:-1]), axis=1)
    gradient = Cell(
        xp.tensordot(slopes, below, axes=([0, 1], [0, 1])),
        xp.tensordot(slopes, x, axes=([0, 1], [0, 1])),
        xp.sum(slopes, axis=(0, 1)),
    )
    errors = _split(error, steps, read_out.preactivation(activities[0]).shape[-1], every)
    read = [read_out.gradient(e, h) for e, h in zip(errors, activities[1:], strict=True) if e is not None]
    return gradient, type(read_out)(*(sum(parts[1:], parts[0]) for parts in zip(*read, strict=True)))


def by_lag(estimates: tuple[Array, ...], *, every: bool = False) -> tuple[Array, ...]:
    """Return one estimate for each lag 0 … T − 1 between activity and output, the mean over the steps that have it.

    Args:
        estimates: (Ĵ_1, …, Ĵ_T), each [n_o, n], or [(T − t + 1)·n_o, n] if `every`.
        every: read out at every step, not at the last alone.

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: no estimates, shapes that do not fit, empty, NaN or infinity.
    """
    flag("every", every)
    expect_tuple("estimates", estimates, of="arrays, one for each step", filled=True)
    steps = len(estimates)
    rows = "*" if every else "o"
    expect(**{f"estimates[{t}]": (each, f"{rows} n") for t, each in enumerate(estimates)})
    if not every:
        return tuple(reversed(estimates))
    n_o = estimates[-1].shape[0]
    for t, each in enumerate(estimates):
        if each.shape[0] != (steps - t) * n_o:
            raise ValueError(f"estimates[{t}]: expected {(steps - t) * n_o} rows, got shape {list(each.shape)}")
    found = []
    for lag in range(steps):
        parts = [each[lag * n_o : (lag + 1) * n_o, :] for each in estimates[: steps - lag]]
        found.append(sum(parts[1:], parts[0]) / len(parts))
    return tuple(found)


def activity_gradients(error: Array, feedbacks: tuple[Array, ...], *, every: bool = False) -> tuple[Array, ...]:
    """Return (g_1, …, g_T) that feedback delivers: g_t = Σ_lag e_{t+lag} B_lag, with e_T alone unless `every`.

    Args:
        error: e [B, n_o], or [B, T·n_o] if `every`.
        feedbacks: (B_0, …, B_{T−1}), each [n_o, n].
        every: read out at every step, not at the last alone.

    Raises:
        TypeError: mixed libraries or dtypes, or not float32 or float64.
        ValueError: no feedbacks, shapes that do not fit, empty, NaN or infinity.
    """
    flag("every", every)
    expect_tuple("feedbacks", feedbacks, of="arrays, one for each lag", filled=True)
    steps = len(feedbacks)
    shapes = {f"feedbacks[{lag}]": (each, "o n") for lag, each in enumerate(feedbacks)}
    expect(error=(error, "B *" if every else "B o"), **shapes)
    errors = _split(error, steps, feedbacks[0].shape[0], every)
    gradients = []
    for t in range(steps):
        parts = [errors[t + lag] @ feedbacks[lag] for lag in range(steps - t) if errors[t + lag] is not None]
        gradients.append(sum(parts[1:], parts[0]))
    return tuple(gradients)


def _expect_network(network: Network, x: Array, every: bool) -> tuple[Cell, Any]:
    """Return cell and read-out of a network that takes sequences such as `x`."""
    flag("every", every)
    expect_tuple("network", network, 2, of="parts, cell and read-out")
    cell, read_out = network
    if not isinstance(cell, Cell):
        raise TypeError(f"network[0]: expected a Cell, got {type(cell).__name__}")
    if not all(hasattr(read_out, method) for method in ("preactivation", "pull_back", "gradient")):
        raise TypeError(f"network[1]: expected a layer, got {type(read_out).__name__}")
    expect(**{name: (array, "**") for name, array in leaves("network", network)}, x=(x, "**"))
    shapes = zip(Cell._fields, cell, ("n n", "n m", "n"), strict=True)
    expect(**{f"network[0].{name}": (array, shape) for name, array, shape in shapes}, x=(x, "B T m"))
    return cell, read_out


def _drive(cell: Cell, x: Array) -> Array:
    """Return what the inputs add to s, x_t Vᵀ + b, [B, T, n]."""
    return x @ cell.input_weight.T + cell.bias


def _leak(leak: float, like: Array) -> Any:
    leak = fraction("leak", leak, like)
    if is_concrete(leak) and leak == 0:
        raise ValueError("leak: expected a number above 0, got 0")
    return leak


def _run(
    cell: Cell, drive: Array, activity: Array, step: int, activation: Any, leak: Any
) -> tuple[list[Array], list[Array]]:
    activities, preactivations = [activity], []
    for index in range(step, drive.shape[1]):
        s = activities[-1] @ cell.weight.T + drive[:, index, :]
        preactivations.append(s)
        activities.append((1 - leak) * activities[-1] + leak * activation.value(s))
    return activities, preactivations


def _read(read_out: Any, activities: list[Array], every: bool) -> Array:
    outputs = [read_out.preactivation(activity) for activity in (activities if every else activities[-1:])]
    return array_namespace(outputs[0]).concat(outputs, axis=-1)


def _split(error: Array, steps: int, outputs: int, every: bool) -> list[Array]:
    """Return the errors at steps 1 … T, None where nothing is read out."""
    columns = (steps if every else 1) * outputs
    if error.shape[1] != columns:
        raise ValueError(f"error: expected {columns} columns for {steps} steps, got shape {list(error.shape)}")
    if not every:
        return [None] * (steps - 1) + [error]
    return [error[:, t * outputs : (t + 1) * outputs] for t in range(steps)]
