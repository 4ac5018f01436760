"""Manifolds against scikit-learn's PCA and against subspaces that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.decomposition import PCA

from nmnc_ref import alignment, manifold, random


def activity(xp=np, samples=60, n=9, rank=None):
    x = random.normal(random.key(1, xp), (samples, rank or n), xp.float64) + 0.7
    mixing = random.normal(random.key(2, xp), (rank or n, n), xp.float64)
    return x @ mixing


def test_centred_basis_is_that_of_scikit_learn():
    x = activity()
    fitted = manifold.fit(x, dimension=4, centring="centred")
    pca = PCA(4).fit(x)
    assert np.allclose(manifold.projector(fitted.basis), pca.components_.T @ pca.components_, atol=1e-12)
    assert np.allclose(fitted.spectrum[:4], pca.explained_variance_ * 59 / 60, rtol=1e-12)
    assert np.allclose(fitted.mean, pca.mean_)


def test_uncentred_basis_diagonalises_the_second_moment(xp):
    x = activity(xp)
    fitted = manifold.fit(x, dimension=9)
    moment = np.asarray(x.T @ x / 60)
    u, spectrum = np.asarray(fitted.basis), np.asarray(fitted.spectrum)
    assert np.allclose(u.T @ moment @ u, np.diag(spectrum), atol=1e-12 * spectrum[0])
    assert np.sum(spectrum) == pytest.approx(np.mean(np.sum(np.asarray(x) ** 2, axis=1)), rel=1e-13)


@pytest.mark.parametrize(("share", "dimension"), [(0.5, 1), (0.70, 1), (0.71, 2), (0.93, 2), (0.94, 3), (1.0, 3)])
def test_explained_variance_picks_the_fewest(share, dimension):
    # variances 0.7, 0.23, 0.07 of the total, in directions of the axes
    signs = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)], dtype=float)
    x = signs * np.sqrt([0.7, 0.23, 0.07])
    share = share - 1e-12 if share in (0.70, 0.93) else share
    assert manifold.fit(x, explained=share).basis.shape == (3, dimension)


def test_explained_variance_of_one_is_the_rank():
    for centring, columns in (("uncentred", 4), ("centred", 4), ("mean-added", 4)):
        x = activity(rank=4) if centring != "mean-added" else np.concat([activity(rank=3), np.ones((60, 1))], axis=1)
        assert manifold.fit(x, explained=1.0, centring=centring).basis.shape[1] == columns


def test_mean_added_contains_the_mean_and_the_centred_components(xp):
    x = activity(xp, n=9, rank=5)
    x = x + xp.asarray([[5.0] + [0.0] * 8], dtype=xp.float64)
    fitted = manifold.fit(x, dimension=3, centring="mean-added")
    centred = manifold.fit(x, dimension=3, centring="centred")
    assert fitted.basis.shape == (9, 4)
    p = np.asarray(manifold.projector(fitted.basis))
    assert np.allclose(p @ np.asarray(fitted.mean), np.asarray(fitted.mean), atol=1e-12)
    assert np.allclose(p @ np.asarray(centred.basis), np.asarray(centred.basis), atol=1e-12)


def test_tiny_and_large_activity_keep_their_rank(xp):
    for scale in (1e-120, 1e120):
        assert manifold.fit(scale * activity(xp, rank=4), dimension=4).basis.shape == (9, 4)
        with pytest.raises(ValueError, match="rank of at least d = 5"):
            manifold.fit(scale * activity(xp, rank=4), dimension=5)


def test_alignment_between_nothing_and_everything(xp):
    basis = manifold.fit(activity(xp), dimension=4).basis
    inside = random.normal(random.key(3, xp), (2, 3, 4), xp.float64) @ basis.T
    outside = random.normal(random.key(4, xp), (2, 3, 9), xp.float64)
    outside = outside - (outside @ basis) @ basis.T
    assert np.allclose(np.asarray(alignment.alignment(inside, basis)), 1)
    assert np.allclose(np.asarray(alignment.alignment(outside, basis)), 0, atol=1e-28)
    mixed = xp.stack([inside[0, ...], outside[0, ...]])
    energies = np.sum(np.asarray(mixed) ** 2, axis=(1, 2))
    assert float(alignment.pooled_alignment(mixed, basis)) == pytest.approx(energies[0] / energies.sum(), rel=1e-13)


@pytest.mark.parametrize("angle", [1e-10, 1e-4, 0.3, math.pi / 4, 1.2, math.pi / 2 - 1e-6])
def test_principal_angles_are_accurate_at_any_size(xp, angle):
    frame = np.linalg.qr(np.asarray(random.normal(random.key(5, np), (7, 7), np.float64)))[0]
    first = frame[:, :2]
    second = np.stack([frame[:, 1], math.cos(angle) * frame[:, 0] + math.sin(angle) * frame[:, 4], frame[:, 5]], axis=1)
    first, second = (xp.asarray(each.tolist(), dtype=xp.float64) for each in (first, second))
    for pair in ((first, second), (second, first)):
        got = np.asarray(alignment.principal_angles(*pair))
        assert got.shape == (2,)
        assert got[0] == pytest.approx(0, abs=1e-14)
        assert got[1] == pytest.approx(angle, rel=1e-5 if angle < 1e-8 else 1e-10)


def test_the_added_column_points_along_the_mean(lab):
    found = manifold.fit(lab.normal("activity", 60, 6) + 1.0, dimension=3, centring="mean-added")
    assert float(found.basis[:, -1] @ found.mean) > 0
