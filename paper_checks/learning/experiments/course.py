"""The course of one training: a state after every refresh of the manifold, on any data, by any rule."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator

from array_api_compat import array_namespace

from nmnc_ref import loss, random, training
from nmnc_ref.arrays import Array
from nmnc_ref.credit import Route
from paper_checks.data.dataset import Dataset, Samples
from paper_checks.lab import Lab

SAMPLE = 500
"""Inputs whose activity gives the manifold."""
Control = Callable[[training.State, Array], training.State]


def manifold(state: training.State, key: Array) -> training.State:
    """Return the state as it is: noise on the manifold."""
    del key
    return state


def random_subspace(state: training.State, key: Array) -> training.State:
    """Replace the bases by random ones of the same dimensions: the null control of NMNC."""
    return _replaced(state, key, lambda draw, basis: draw)


def complement(state: training.State, key: Array) -> training.State:
    """Replace the bases by random ones of the same dimensions off the manifold."""
    return _replaced(state, key, lambda draw, basis: draw - basis @ (basis.T @ draw))


def _replaced(state: training.State, key: Array, project: Callable[[Array, Array], Array]) -> training.State:
    bases = []
    for index, basis in enumerate(state.bases):
        draw = random.normal(random.fold_in(key, index), basis.shape, basis.dtype)
        bases.append(array_namespace(basis).linalg.qr(project(draw, basis))[0])
    return state._replace(bases=tuple(bases))


def batches(lab: Lab, samples: Samples, key: Array, size: int) -> Iterator[tuple[Array, Array]]:
    """Yield the batches of one epoch in random order; what does not fill a batch is left out."""
    total = samples.inputs.shape[0]
    order = lab.xp.argsort(random.uniform(key, (total,), lab.dtype))
    for start in range(0, total - size + 1, size):
        chosen = order[start : start + size]
        yield lab.xp.take(samples.inputs, chosen, axis=0), lab.xp.take(samples.targets, chosen, axis=0)


def course(
    lab: Lab,
    key: Array,
    layers: tuple,
    data: Dataset,
    *,
    route: Route,
    settings: training.Settings,
    epochs: int,
    batch: int,
    control: Control = manifold,
) -> Iterator[training.State]:
    """Yield the state before training and after every `settings.refresh` steps.

    Raises:
        ValueError: weights or activities became infinite, or units died until the manifold was lost.
    """
    sample = data.train.inputs[:SAMPLE, ...]
    state = training.init(random.fold_in(key, 0), layers, sample, route=route, settings=settings)
    advance = lab.jit(functools.partial(training.step, route=route, loss=loss.softmax_cross_entropy, settings=settings))
    steps = itertools.chain.from_iterable(
        batches(lab, data.train, random.fold_in(key, 2 + 2 * epoch), batch) for epoch in range(epochs)
    )
    yield state
    for index in itertools.count():
        chunk = list(itertools.islice(steps, settings.refresh))
        if not chunk:
            return
        if index:
            state = training.refresh(state, sample, route=route, settings=settings)
        state = control(state, random.fold_in(key, 3 + 2 * index))
        state = training.train(state, chunk, sample, route=route, settings=settings, advance=advance)
        yield state
