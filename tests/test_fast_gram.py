"""Manifolds by the Gram matrix against `manifold.fit`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import library

from nmnc_ref import manifold, random
from nmnc_ref.fast import gram
from paper_checks.lab import BACKENDS

DIMENSION = 3


def activity_of(samples, n, xp, dtype, weakest=0.5):
    """Return activity with a spectrum from 1 to `weakest` in d components, and a hundredth of it elsewhere."""
    key, most = random.key(samples, np), min(samples, n)
    scale = np.concatenate([np.linspace(1, weakest, DIMENSION), np.full(most - DIMENSION, weakest / 10)])
    left, _ = np.linalg.qr(random.normal(key, (samples, most), np.float64))
    right, _ = np.linalg.qr(random.normal(random.fold_in(key, 1), (n, most), np.float64))
    return xp.asarray((math.sqrt(samples) * left * scale @ right.T).tolist(), dtype=dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("centring", ["uncentred", "centred"])
@pytest.mark.parametrize(("samples", "n"), [(40, 9), (9, 40), (12, 12)])
def test_the_same_manifold(backend, dtype_name, centring, samples, n):
    xp = library(backend)
    activity = activity_of(samples, n, xp, getattr(xp, dtype_name))
    want = manifold.fit(activity, dimension=DIMENSION, centring=centring)
    got = gram.fit(activity, dimension=DIMENSION, centring=centring)
    eps = np.finfo(dtype_name).eps
    projectors = (np.asarray(each.basis) @ np.asarray(each.basis).T for each in (got, want))
    # eigenvectors turn by rounding over the gap in the spectrum, of 1/4 − 1/400 here at the least
    assert np.abs(np.subtract(*projectors)).max() <= 16 * eps * math.sqrt(samples * n) / 0.2
    assert np.abs(np.asarray(got.basis) - np.asarray(want.basis)).max() <= 64 * eps * math.sqrt(samples * n) / 0.2
    assert np.abs(np.asarray(got.spectrum) - np.asarray(want.spectrum)).max() <= 16 * eps * math.sqrt(samples * n)
    assert np.abs(np.asarray(got.mean) - np.asarray(want.mean)).max() <= 16 * eps
    assert got.basis.shape == want.basis.shape
    assert got.spectrum.shape == want.spectrum.shape


@pytest.mark.parametrize(("samples", "n"), [(40, 9), (9, 40)])
def test_components_that_only_the_svd_resolves_are_refused(samples, n):
    weak = activity_of(samples, n, np, np.float64, weakest=1e-9)
    assert manifold.fit(weak, dimension=DIMENSION).basis.shape == (n, DIMENSION)
    with pytest.raises(manifold.RankError, match="expected rank of at least d = 3"):
        gram.fit(weak, dimension=DIMENSION)


def test_what_it_does_not_offer_is_refused():
    with pytest.raises(ValueError, match="centring: expected one of uncentred, centred, got 'mean-added'"):
        gram.fit(activity_of(9, 40, np, np.float64), dimension=2, centring="mean-added")
    with pytest.raises(ValueError, match="dimension: expected at most n = 9 units, got 10"):
        gram.fit(activity_of(40, 9, np, np.float64), dimension=10)
    for samples, centring in ((3, "uncentred"), (4, "centred")):
        with pytest.raises(ValueError, match=f"activity: expected enough samples for d = 4 {centring} components"):
            gram.fit(activity_of(samples, 9, np, np.float64), dimension=4, centring=centring)


def test_columns_beyond_the_rank_are_finite_under_jit():
    jax = pytest.importorskip("jax")
    flat = np.outer(np.arange(1.0, 5.0), np.ones(7))
    basis = np.asarray(jax.jit(lambda activity: gram.fit(activity, dimension=3))(flat).basis)
    np.testing.assert_allclose(basis.T @ basis, np.diag([1.0, 0.0, 0.0]), atol=1e-12)


def test_weak_components_are_orthonormal():
    weak = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0] * np.logspace(0, -6, 12)
    activity = weak @ np.linalg.qr(np.random.default_rng(1).normal(size=(50, 12)))[0].T
    basis = gram.fit(activity, dimension=12).basis
    assert np.max(np.abs(basis.T @ basis - np.eye(12))) <= 1e-14
    np.testing.assert_allclose(basis, manifold.fit(activity, dimension=12).basis, atol=1e-5)


def test_what_is_rounding_of_a_large_mean_is_refused():
    rng = np.random.default_rng(0)
    activity = (rng.normal(size=(40, 2)) @ rng.normal(size=(2, 6)) + 1e4).astype(np.float32)
    for fit in (manifold.fit, gram.fit):
        with pytest.raises(manifold.RankError, match=r"expected rank of at least d = 3 \(centred\), got (rank )?2"):
            fit(activity, dimension=3, centring="centred")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_deviations_from_a_large_mean_are_more_than_rounding(dtype):
    """Of 100 eps of the mean: of which the variance is below eps."""
    size = 100 * np.finfo(dtype).eps
    activity = (1 + size * activity_of(40, 9, np, np.float64)).astype(dtype)
    got, want = (fit(activity, dimension=DIMENSION, centring="centred") for fit in (gram.fit, manifold.fit))
    np.testing.assert_allclose(got.spectrum, want.spectrum, atol=1e-3 * float(want.spectrum[0]))
