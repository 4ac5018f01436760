"""Moments of parts against those of the whole, and the manifolds that follow from them against PCA of the activity."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import pytest

from nmnc_ref import manifold, moments
from nmnc_ref.moments import Moments

SHARDS = (1, 20, 3, 40, 16)


def activity(lab, offset=0.7):
    """Return 80 samples of 6 units with variances that differ by factors of about 2."""
    mixing = lab.orthonormal("mixing", 6, 6) * lab.array([2.0 ** (-k / 2) for k in range(6)])
    return lab.normal("activity", 80, 6) @ mixing.T + offset


def shards(x):
    ends = np.cumsum(SHARDS)
    return [x[int(end - size) : int(end), :] for size, end in zip(SHARDS, ends, strict=True)]


def brute(lab, parts, weights):
    """Return the weighted moments of parts in float64."""
    parts = [lab.numpy(part) for part in parts]
    w = np.concatenate([np.full(len(part), weight) for part, weight in zip(parts, weights, strict=True)])
    x = np.concatenate(parts)
    mean = w @ x / w.sum()
    return Moments(w.sum(), mean, (w[:, None] * (x - mean)).T @ (x - mean))


def agree(lab, got, want, terms=80):
    """Tell whether moments agree to rounding in sums of that many terms."""
    pairs = [(lab.numpy(one), lab.numpy(other)) for one, other in zip(got, want, strict=True)]
    return all(
        np.max(np.abs(one - other)) <= 32 * lab.eps * math.sqrt(terms) * np.max(np.abs(other)) for one, other in pairs
    )


def test_moments_of_a_batch(lab):
    x = activity(lab)
    assert agree(lab, lab.jit(moments.of)(x), brute(lab, [x], [1]))
    assert moments.of(x).count.dtype == lab.dtype


def test_moments_of_shards_are_those_of_the_whole_in_any_order(lab):
    x = activity(lab)
    parts = [moments.of(part) for part in shards(x)]
    merge = lab.jit(moments.merge)
    whole = moments.of(x)
    assert agree(lab, reduce(merge, parts), whole)
    assert agree(lab, reduce(merge, parts[::-1]), whole)
    assert agree(lab, merge(merge(parts[0], parts[3]), merge(parts[4], merge(parts[2], parts[1]))), whole)


def without_term_between(one, other):
    return moments.merge(one, other)._replace(scatter=one.scatter + other.scatter)


def unweighted_mean(one, other):
    return moments.merge(one, other)._replace(mean=(one.mean + other.mean) / 2)


@pytest.mark.parametrize("wrong", [without_term_between, unweighted_mean])
def test_wrong_merges_are_rejected(wrong, lab):
    x = activity(lab)
    assert not agree(lab, reduce(wrong, [moments.of(part) for part in shards(x)]), moments.of(x))


def test_nothing_merged_changes_nothing(lab):
    some, none = moments.of(activity(lab)), moments.empty(activity(lab))
    for merged in (moments.merge(some, none), moments.merge(none, some)):
        assert all(np.array_equal(lab.numpy(a), lab.numpy(b)) for a, b in zip(merged, some, strict=True))
    assert all(np.all(lab.numpy(part) == 0) for part in moments.merge(none, none))


def test_the_covariance_of_nothing_is_nan_while_traced():
    jax = pytest.importorskip("jax")
    nothing = moments.empty(jax.numpy.ones((2, 3)))
    assert np.all(np.isnan(jax.jit(moments.covariance)(nothing)))


@pytest.mark.parametrize("rate", [0, 0.25, 1])
def test_forgetting_has_geometric_weights(rate, lab):
    parts = shards(activity(lab))
    update = lab.jit(moments.update)
    got = moments.empty(parts[0])
    for part in parts:
        got = update(got, part, rate)
    weights = [(1 - rate) ** (len(parts) - 1 - s) for s in range(len(parts))]
    assert agree(lab, got, brute(lab, parts, weights))
    slower = [(1 - rate) ** (len(parts) - s) for s in range(len(parts))]
    assert rate == 0 or rate == 1 or not agree(lab, got, brute(lab, parts, slower))


def test_what_is_forgotten_leaves_no_rounding_error(lab):
    x = activity(lab)
    past, want = moments.of(x + 1e6), moments.of(x)
    for got in (moments.update(past, x, 1.0), moments.merge(want, moments.forget(past, 1.0))):
        assert agree(lab, got, want)


def test_the_count_tends_to_the_batch_over_the_rate(lab):
    x = activity(lab)[:8, :]
    got = moments.empty(x)
    for _ in range(100):
        got = moments.update(got, x, 0.5)
    assert float(got.count) == pytest.approx(16, rel=8 * lab.eps)


def test_a_whole_stream_in_one_compiled_scan():
    jax = pytest.importorskip("jax")
    stream = np.random.default_rng(0).normal(size=(7, 4, 3))

    @jax.jit
    def scan(stream):
        def step(state, batch):
            return moments.update(state, batch, 0.1), None

        return jax.lax.scan(step, moments.empty(stream[0]), stream)[0]

    got, want = scan(stream), moments.empty(stream[0])
    for batch in stream:
        want = moments.update(want, batch, 0.1)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)


def test_a_large_mean_costs_no_digits(lab):
    """Deviations of order 1 around 1000: what the inputs have left of them is kept, where sums of products lose it."""
    x = activity(lab, offset=1000.0)
    want = brute(lab, [x], [1])
    merged = reduce(moments.merge, [moments.of(part) for part in shards(x)])
    # a mean of 1000 is rounded by 1000·eps, and so is the difference of two in the term between shards
    tolerance = (32 * lab.eps * math.sqrt(80) + 1000 * lab.eps) * np.max(np.abs(want.scatter))
    for got in (moments.of(x), merged):
        assert np.max(np.abs(lab.numpy(got.scatter) - want.scatter)) <= tolerance
    mean = lab.xp.mean(x, axis=0)
    from_products = lab.numpy(x.T @ x - 80 * mean[:, None] * mean)
    assert np.max(np.abs(from_products - want.scatter)) > 20 * tolerance


@pytest.mark.parametrize("centring", manifold.CENTRINGS)
def test_manifold_from_moments_is_that_of_the_activity(centring, lab):
    x = activity(lab)
    merged = reduce(moments.merge, [moments.of(part) for part in shards(x)])
    covariance = moments.covariance(merged)
    fit = lab.jit(lambda m, c: manifold.from_moments(m, c, dimension=3, centring=centring))
    got, want = fit(merged.mean, covariance), manifold.fit(x, dimension=3, centring=centring)
    assert got.basis.dtype == lab.dtype
    assert got.basis.shape == want.basis.shape
    spectrum = lab.numpy(want.spectrum)
    rounding = 32 * lab.eps * math.sqrt(80)
    assert np.max(np.abs(lab.numpy(got.spectrum) - spectrum)) <= rounding * spectrum[0]
    assert np.max(np.abs(lab.numpy(got.mean - want.mean))) <= rounding
    # a subspace turns by the error of the matrix over the gap of its spectrum (Davis and Kahan 1970)
    turn = rounding * spectrum[0] / (spectrum[2] - spectrum[3])
    difference = manifold.projector(got.basis) - manifold.projector(want.basis)
    assert np.max(np.abs(lab.numpy(difference))) <= turn
    other = manifold.fit(x, dimension=3, centring="centred" if centring == "uncentred" else "uncentred")
    if other.basis.shape == got.basis.shape:
        assert np.max(np.abs(lab.numpy(got.basis @ got.basis.T - other.basis @ other.basis.T))) > 10 * turn


@pytest.mark.parametrize("explained", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("centring", manifold.CENTRINGS)
def test_explained_variance_keeps_as_many_components(centring, explained, lab):
    x = activity(lab)
    found = moments.of(x)
    got = manifold.from_moments(found.mean, moments.covariance(found), explained=explained, centring=centring)
    assert got.basis.shape == manifold.fit(x, explained=explained, centring=centring).basis.shape


def test_constant_activity_has_no_centred_manifold(lab):
    """What rounding leaves of constants counts as nothing, however many batches it was summed over."""
    x = lab.xp.ones((500, 4), dtype=lab.dtype) * lab.array([1.7, -0.3, 12.9, 1e-3])
    state = moments.empty(x)
    for _ in range(50):
        state = moments.update(state, x, 0.01)
    with pytest.raises(ValueError, match="rank of at least d = 1"):
        manifold.from_moments(state.mean, moments.covariance(state), dimension=1, centring="centred")
    assert manifold.from_moments(state.mean, moments.covariance(state), dimension=1).basis.shape == (4, 1)


def test_fewer_samples_than_units_leave_no_negative_variance(lab):
    found = moments.of(activity(lab)[:3, :])
    fitted = manifold.from_moments(found.mean, moments.covariance(found), dimension=2, centring="centred")
    assert np.min(lab.numpy(fitted.spectrum)) >= 0
    with pytest.raises(ValueError, match="rank of at least d = 3"):
        manifold.from_moments(found.mean, moments.covariance(found), dimension=3, centring="centred")
