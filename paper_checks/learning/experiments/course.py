"""The course of one training: a state after every refresh of the manifold, on any data, by any rule."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from nmnc_ref import manifold, random, training
from nmnc_ref.arrays import Array
from nmnc_ref.fast import gram
from nmnc_ref.fast import training as fast_training
from nmnc_ref.nn import loss
from nmnc_ref.route import Route
from paper_checks.data.dataset import Dataset, batches
from paper_checks.lab import Lab

SAMPLE = 500
"""Inputs whose activity gives the manifold."""
Control = Callable[[Array, Array], Array]
"""From a random key and the basis of a manifold, the basis that is used in its place."""


def random_subspace(key: Array, basis: Array) -> Array:
    """Return a random orthonormal basis of the same shape: the null control of a manifold."""
    return array_namespace(basis).linalg.qr(random.normal(key, basis.shape, basis.dtype))[0]


def complement(key: Array, basis: Array) -> Array:
    """Return a random orthonormal basis of the same shape, orthogonal to the manifold: the other null control."""
    drawn = random_subspace(key, basis)
    for _ in range(2):  # once more, as the first projection leaves rounding errors inside the manifold
        drawn = array_namespace(basis).linalg.qr(drawn - basis @ (basis.T @ drawn))[0]
    return drawn


def fitted(lab: Lab, activity: Array, dimension: int, centring: str = "uncentred") -> manifold.Manifold:
    """Return the manifold of activity as `gram.fit` finds it in NumPy: in float64, which JAX has not by default."""
    found = gram.fit(np.asarray(activity), dimension=dimension, centring=centring)
    return manifold.Manifold(*map(lab.array, found))


def fit_manifolds(
    lab: Lab, state: training.State, sample: Array, *, route: Any, settings: training.Settings
) -> training.State:
    """Return the state with manifolds that are `fitted` to the activities at a sample, for the rules that use them."""
    if settings.rule not in training.PERTURBING:
        return state
    dimension = settings.dimension
    assert dimension is not None  # as in all experiments
    passed = route.forward(state.network, sample)
    return state._replace(bases=route.bases(passed, lambda activity: fitted(lab, activity, dimension).basis))


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
    control: Control | None = None,
    annealed: bool = False,
) -> Iterator[training.State]:
    """Yield the state before training and after every `settings.fit_every` steps.

    A `control` replaces the manifolds after each fit, those of all sites with the same key. If `annealed`, the learning
    rate falls in a straight line, to zero after the last step.

    Raises:
        training.Divergence: the loss became infinite.
        manifold.RankError: units died until the manifold was lost.
    """
    sample = data.train.inputs[:SAMPLE, ...]
    bound: dict[str, Any] = {"route": route, "loss": loss.softmax_cross_entropy, "settings": settings}
    advance = lab.jit(functools.partial(fast_training.step, **bound))
    steps = itertools.chain.from_iterable(
        batches(data.train, random.fold_in(key, 1 + epoch), batch) for epoch in range(epochs)
    )
    total = epochs * (data.train.inputs.shape[0] // batch)
    control_key = random.fold_in(key, 1 + epochs)

    def controlled(state: training.State, index: int) -> training.State:
        if control is None:
            return state
        fresh = random.fold_in(control_key, index)
        return state._replace(bases=tuple(control(fresh, basis) for basis in state.bases))

    given: dict[str, Any] = {"route": route, "settings": settings}
    fit = functools.partial(fit_manifolds, lab)
    state = training.init(random.fold_in(key, 0), layers, sample, fit=fit, **given)
    yield state
    for index in itertools.count():
        chunk = list(itertools.islice(steps, settings.fit_every))
        if not chunk:
            return
        if index:
            state = fit(state, sample, **given)
        start = index * settings.fit_every
        annealing = functools.partial(_factor, start=start, total=total if annealed else None)
        try:
            state = training.train(
                controlled(state, index), chunk, sample, advance=advance, annealing=annealing, **given
            )
        except training.Divergence as error:
            raise training.Divergence(start + error.step, error.what) from error
        yield state


def _factor(index: int, start: int, total: int | None) -> float:
    """Return the factor of the learning rate at a step after `start` of `total` steps; 1 if they are not counted."""
    return 1.0 if total is None else 1 - (start + index) / total
