"""The course of one training: a state after every refresh of the manifold, on any data, by any rule."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

from array_api_compat import array_namespace

from nmnc_ref import loss, random, training
from nmnc_ref.arrays import Array
from nmnc_ref.credit import Route
from paper_checks.data.dataset import Dataset, batches
from paper_checks.lab import Lab

SAMPLE = 500
"""Inputs whose activity gives the manifold."""


def random_subspace(key: Array, basis: Array) -> Array:
    """Return a random orthonormal basis of the same shape: the null control of a manifold."""
    return array_namespace(basis).linalg.qr(random.normal(key, basis.shape, basis.dtype))[0]


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
) -> Iterator[training.State]:
    """Yield the state before training and after every `settings.refresh` steps.

    Raises:
        ValueError: weights or activities became infinite, or units died until the manifold was lost.
    """
    sample = data.train.inputs[:SAMPLE, ...]
    state = training.init(random.fold_in(key, 0), layers, sample, route=route, settings=settings)
    advance = lab.jit(functools.partial(training.step, route=route, loss=loss.softmax_cross_entropy, settings=settings))
    steps = itertools.chain.from_iterable(
        batches(data.train, random.fold_in(key, 1 + epoch), batch) for epoch in range(epochs)
    )
    yield state
    for index in itertools.count():
        chunk = list(itertools.islice(steps, settings.refresh))
        if not chunk:
            return
        if index:
            state = training.refresh(state, sample, route=route, settings=settings)
        state = training.train(state, chunk, sample, route=route, settings=settings, advance=advance)
        yield state
