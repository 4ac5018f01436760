"""Manifolds: slips in spectra, projectors, alignment, angles and dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twins.slip import RIGHT, Twin, column_major, given, then


def of_components(columns: Callable[..., np.ndarray]) -> Twin:
    """The projector on columns made from all components V, the mean, and d."""

    def twin(activity, dimension, centring):
        mean = activity.mean(0)
        V = np.linalg.svd(activity if centring == "uncentred" else activity - mean)[2].T
        U = columns(V, mean if centring == "mean-added" else None, dimension)
        return U @ U.T

    return twin


def with_mean(U, mean):
    """Columns, and the direction of the mean where it is added."""
    return U if mean is None else np.linalg.qr(np.column_stack([U, mean]))[0]


def share_of(size: Callable[[np.ndarray], np.ndarray], of: Callable = lambda J, P: J @ P) -> Twin:
    return lambda jacobian, basis: size(of(jacobian, basis @ basis.T)) / size(jacobian)


def energy(J):
    return np.sum(J**2, axis=(-2, -1))


def spectral(J):
    return np.linalg.norm(J, 2, axis=(-2, -1)) ** 2


def angles(of: Callable[[np.ndarray], np.ndarray]) -> Twin:
    """Of the singular values of U₁ᵀU₂."""
    return lambda basis, other_basis: of(np.linalg.svd(basis.T @ other_basis, compute_uv=False))


def neighbours(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distances = np.sort(np.linalg.norm(points[:, None] - points, axis=-1), axis=-1)
    return distances[:, 1], distances[:, 2]


def two_nearest(of: Callable[[np.ndarray, np.ndarray], Any]) -> Twin:
    """Of the distances to the two nearest neighbours among distinct points."""
    return lambda points: of(*neighbours(np.unique(points, axis=0)))


TWINS = {
    "spectrum": {
        "singular values": then(lambda each, i: np.sqrt(each)),
        "divisor B − 1": then(lambda each, i: each * len(i.activity) / (len(i.activity) - 1)),
        "not divided by B": then(lambda each, i: each * len(i.activity)),
        "divided by n": then(lambda each, i: each * len(i.activity) / i.activity.shape[1]),
        "always centred": given(centring=lambda i: "centred"),
        "never centred": given(centring=lambda i: "uncentred"),
        "ascending": then(lambda each, i: each[::-1]),
        "the mean over units": given(activity=lambda i: i.activity - i.activity.mean(1, keepdims=True)),
        "standardised": given(activity=lambda i: i.activity / i.activity.std(0)),
        "shares": then(lambda each, i: each / each.sum()),
    },
    "manifold_projector": {
        "the last components": of_components(lambda V, mean, d: with_mean(V[:, -d:], mean)),
        "one component more": of_components(lambda V, mean, d: with_mean(V[:, : d + 1], mean)),
        "one component less": of_components(lambda V, mean, d: with_mean(V[:, : d - 1], mean)),
        "mean forgotten": of_components(lambda V, mean, d: V[:, :d]),
        "mean in place of a component": of_components(
            lambda V, mean, d: with_mean(V[:, : d - (mean is not None)], mean)
        ),
        "mean not orthogonal": of_components(
            lambda V, mean, d: V[:, :d] if mean is None else np.column_stack([V[:, :d], mean / np.linalg.norm(mean)])
        ),
        "mean not normalised": of_components(
            lambda V, mean, d: (
                V[:, :d] if mean is None else np.column_stack([V[:, :d], mean - V[:, :d] @ (mean @ V[:, :d])])
            )
        ),
        "always centred": given(centring=lambda i: "centred"),
        "never centred": given(centring=lambda i: "uncentred"),
        "complement": then(lambda P, i: np.eye(len(P)) - P),
        "in rows": of_components(lambda V, mean, d: with_mean(V.T[:, :d], mean)),
        "standardised": given(activity=lambda i: i.activity / i.activity.std(0)),
    },
    "projected_jacobian": {
        "projector left out": lambda jacobian, basis: jacobian,
        "off the manifold": lambda jacobian, basis: jacobian - jacobian @ basis @ basis.T,
        "coordinates": lambda jacobian, basis: jacobian @ basis,
        "basis column-major": lambda jacobian, basis: jacobian @ column_major(basis) @ column_major(basis).T,
        "Jacobian column-major": given(jacobian=lambda i: column_major(i.jacobian)),
    },
    "alignment": {
        "no squares": share_of(lambda J: np.sqrt(energy(J))),
        "spectral norm": share_of(spectral),
        "off the manifold": then(lambda share, i: 1 - share),
        "projector left out": then(lambda share, i: np.ones_like(share)),
        "pooled over the batch": lambda jacobian, basis: np.broadcast_to(
            RIGHT.pooled_alignment(jacobian, basis), jacobian.shape[:-2]
        ),
    },
    "pooled_alignment": {
        "mean of the samples' own": lambda jacobian, basis: np.mean(RIGHT.alignment(jacobian, basis)),
        "of the mean Jacobian": lambda jacobian, basis: RIGHT.alignment(jacobian.mean(0), basis),
        "no squares": share_of(lambda J: np.sum(np.sqrt(energy(J)))),
        "root": share_of(lambda J: np.sqrt(np.sum(energy(J)))),
        "off the manifold": then(lambda share, i: 1 - share),
        "projector left out": lambda jacobian, basis: np.ones(()),
    },
    "principal_angles": {
        "cosines": angles(lambda cosines: cosines),
        "degrees": then(lambda each, i: np.degrees(each)),
        "descending": then(lambda each, i: each[::-1]),
        "arc cosine without a clip, or of few digits": angles(np.arccos),
        "sines": then(lambda each, i: np.sin(each)),
        "complements": angles(lambda cosines: np.arcsin(np.clip(cosines, 0, 1))),
    },
    "participation_ratio": {
        "no squares above": lambda spectrum: spectrum.sum() / np.sum(spectrum**2),
        "of the largest": lambda spectrum: spectrum.sum() / spectrum.max(),
        "inverse": then(lambda each, i: 1 / each),
        "of singular values": given(spectrum=lambda i: np.sqrt(i.spectrum)),
        "of squares": given(spectrum=lambda i: i.spectrum**2),
        "share of the units": then(lambda each, i: each / len(i.spectrum)),
    },
    "explained_dimension": {
        "index from 0": then(lambda each, i: each - 1),
        "one more": then(lambda each, i: each + 1),
        "more than the threshold": lambda spectrum, explained: (
            1 + np.sum(np.cumsum(spectrum) / spectrum.sum() <= explained)
        ),
        "of singular values": given(spectrum=lambda i: np.sqrt(i.spectrum)),
        "of squares": given(spectrum=lambda i: i.spectrum**2),
        "share of each": lambda spectrum, explained: np.sum(spectrum / spectrum.sum() >= explained),
        "share of the largest": lambda spectrum, explained: np.sum(spectrum >= (1 - explained) * spectrum[0]),
    },
    "two_nearest_neighbours": {
        "one neighbour off": lambda points: 1 / np.mean(np.log(np.divide(*third_and_second(points)))),
        "repeated points kept": lambda points: (
            1 / np.mean(quietly(lambda: np.log(np.divide(*neighbours(points)[::-1]))))
        ),
        "mean of ratios": two_nearest(lambda first, second: 1 / np.log(np.mean(second / first))),
        "inverse": then(lambda each, i: 1 / each),
        "log10": two_nearest(lambda first, second: 1 / np.mean(np.log10(second / first))),
        "squared distances": two_nearest(lambda first, second: 1 / np.mean(np.log(second**2 / first**2))),
        "median": two_nearest(lambda first, second: np.log(2) / np.median(np.log(second / first))),
        "without bias": two_nearest(lambda first, second: (len(first) - 1) / np.sum(np.log(second / first))),
    },
}


def quietly(compute: Callable[[], Any]) -> Any:
    with np.errstate(all="ignore"):
        return compute()


def third_and_second(points):
    distances = np.sort(
        np.linalg.norm(np.unique(points, axis=0)[:, None] - np.unique(points, axis=0), axis=-1), axis=-1
    )
    return distances[:, 3], distances[:, 2]
