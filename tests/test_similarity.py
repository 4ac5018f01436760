"""Measures of similarity against other forms of the same, SciPy, and cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from nmnc_ref import alignment, dimension, similarity
from paper_checks.lab import Lab

STIMULI = 30


def pair(lab):
    """Return two representations of 30 stimuli that have something in common."""
    x = lab.normal("one", STIMULI, 12) + 0.5
    return x, x[:, :7] + lab.normal("other", STIMULI, 7)


def rounding(lab, terms=STIMULI * 12):
    return 32 * lab.eps * math.sqrt(terms)


def brute_cka(x, y, centre=True):
    x, y = (each - centre * each.mean(axis=0) for each in (x, y))
    cross = np.sum((y.T @ x) ** 2)
    return cross / np.sqrt(np.sum((x.T @ x) ** 2) * np.sum((y.T @ y) ** 2))


def upper(matrix):
    return np.asarray(matrix, dtype=np.float64)[np.triu_indices(matrix.shape[0], 1)]


def test_cka_against_its_form_in_features(lab):
    x, y = pair(lab)
    got = lab.jit(similarity.linear_cka)(x, y)
    assert got.dtype == lab.dtype
    assert float(got) == pytest.approx(brute_cka(lab.numpy(x), lab.numpy(y)), abs=rounding(lab))
    assert abs(float(got) - brute_cka(lab.numpy(x), lab.numpy(y), centre=False)) > 10 * rounding(lab)


@pytest.mark.parametrize(("first", "second", "shared"), [(3, 3, 3), (2, 8, 2), (5, 4, 2), (3, 4, 0)])
def test_cka_of_orthonormal_features(first, second, shared, lab):
    """⟨K, L⟩ counts the shared features and ‖K‖² all of one's own, so CKA = shared / √(first · second)."""
    centred = lab.normal("features", STIMULI, first + second)
    features = lab.xp.linalg.qr(centred - lab.xp.mean(centred, axis=0))[0]
    x, y = features[:, :first], features[:, first - shared : first - shared + second]
    assert float(similarity.linear_cka(x, y)) == pytest.approx(shared / math.sqrt(first * second), abs=rounding(lab))


def test_invariances_of_cka(lab):
    x, y = pair(lab)
    want = float(similarity.linear_cka(x, y))
    rotation = lab.orthonormal("rotation", 12, 12)
    offset = lab.normal("offset", 12)
    for same in (x @ rotation, 100 * x, x / 100, x + offset, 1e-3 * x @ rotation + offset):
        # with the offset, deviations of 1e-3 are rounded like the offset is
        assert float(similarity.linear_cka(same, y)) == pytest.approx(want, abs=rounding(lab) * 1e3)
    stretched = x * lab.array(np.geomspace(1, 100, 12))
    assert abs(float(similarity.linear_cka(stretched, y)) - want) > 0.01
    assert float(similarity.linear_cka(x, x)) == pytest.approx(1, abs=rounding(lab))
    assert float(similarity.linear_cka(y, x)) == pytest.approx(want, abs=rounding(lab))


def test_dissimilarity_is_that_of_numpy(lab):
    x, _ = pair(lab)
    got = lab.numpy(lab.jit(similarity.dissimilarity)(x))
    assert np.max(np.abs(got - (1 - np.corrcoef(lab.numpy(x))))) <= rounding(lab, 12)


def test_stated_ranges_hold_to_the_last_bit(lab):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = lab.array(rng.normal(size=(int(rng.integers(4, 30)), int(rng.integers(2, 20)))))
        basis = lab.xp.linalg.qr(lab.array(rng.normal(size=(11, int(rng.integers(1, 11))))))[0]
        inside = lab.array(rng.normal(size=(5, basis.shape[1]))) @ basis.T
        equal = lab.array(np.full(7, rng.uniform(0.1, 9)))
        matrix = lab.numpy(similarity.dissimilarity(x))
        assert float(similarity.linear_cka(x, x)) <= 1
        assert float(similarity.rsa(x, x)) <= 1
        assert float(alignment.alignment(inside, basis)) <= 1
        assert float(alignment.pooled_alignment(inside, basis)) <= 1
        assert 1 <= float(dimension.participation_ratio(equal)) <= 7
        assert not np.any(np.diag(matrix))
        assert np.array_equal(matrix, matrix.T)


def test_cka_of_independent_units_is_biased_upwards(lab):
    """E of ⟨K, L⟩/(‖K‖ ‖L‖) for n ≫ N: both grams are nearly the centring matrix, of squared norm N − 1."""
    few, many = (similarity.linear_cka(lab.normal("one", 8, n), lab.normal("other", 8, n)) for n in (4, 1000))
    assert float(few) < 0.8 < 0.95 < float(many)


def test_debiased_cka_is_the_cosine_of_u_centred_grams(lab):
    """Székely and Rizzo 2014: ⟨K, L⟩ without bias is that of matrices centred without diagonals."""
    x, y = pair(lab)
    got = lab.jit(similarity.debiased_cka)(x, y)
    assert got.dtype == lab.dtype
    grams = []
    for each in (lab.numpy(x), lab.numpy(y)):
        gram = each @ each.T
        np.fill_diagonal(gram, 0.0)
        n, sums = gram.shape[0], gram.sum(axis=1) / (gram.shape[0] - 2)
        centred = gram - sums[:, None] - sums + gram.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(centred, 0.0)
        grams.append(centred / np.linalg.norm(centred))
    assert float(got) == pytest.approx(np.sum(grams[0] * grams[1]), abs=rounding(lab))
    likenesses = (1 - similarity.dissimilarity(each) for each in (x, y))
    assert -1 <= float(similarity.debiased_alignment(*likenesses)) <= 1


def test_debiased_cka_of_independent_units_is_near_zero(lab):
    """Where linear CKA is near 1."""
    found = [
        float(similarity.debiased_cka(lab.normal(f"one {k}", 8, 1000), lab.normal(f"other {k}", 8, 1000)))
        for k in range(30)
    ]
    assert abs(np.mean(found)) < 6 * np.std(found) / math.sqrt(30)


def test_rsa_is_spearmans_correlation_of_scipy(lab):
    x, y = pair(lab)
    got = lab.jit(similarity.rsa)(x, y)
    assert got.dtype == lab.dtype
    first, second = upper(similarity.dissimilarity(x)), upper(similarity.dissimilarity(y))
    want = spearmanr(first, second).statistic
    assert float(got) == pytest.approx(want, abs=rounding(lab, len(first)))


def test_equal_dissimilarities_share_their_ranks(lab):
    """Patterns of ±1 over four units with mean 0 correlate by −1, 0 or 1, exactly: most pairs are tied."""
    patterns = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    x = lab.array(np.concatenate([patterns, -patterns])[[0, 1, 2, 3, 4, 0, 1]])
    y = lab.array(np.cos(np.arange(35.0) ** 2).reshape(7, 5))
    ties = upper(similarity.dissimilarity(x))
    assert set(ties) == {0.0, 1.0, 2.0}
    want = spearmanr(ties, upper(similarity.dissimilarity(y))).statistic
    assert float(similarity.rsa(x, y)) == pytest.approx(want, abs=rounding(lab, len(ties)))
    # arbitrary ranks for ties would not do, nor Pearson's correlation
    ordinal = np.argsort(np.argsort(ties, kind="stable"))
    assert abs(spearmanr(ordinal, upper(similarity.dissimilarity(y))).statistic - want) > 0.01
    assert abs(np.corrcoef(ties, upper(similarity.dissimilarity(y)))[0, 1] - want) > 0.01


def test_invariances_of_rsa():
    lab = Lab()
    x, y = pair(lab)
    want = similarity.rsa(x, y)
    gain, offset = np.exp(lab.normal("gain", STIMULI, 1)), lab.normal("offset", STIMULI, 1)
    assert similarity.rsa(x[:, ::-1], y) == pytest.approx(want)
    assert similarity.rsa(3 * x, y) == pytest.approx(want)
    assert similarity.rsa(gain * x + offset, y) == pytest.approx(want)
    # a rotation that keeps the mean over units, and one that does not
    ones = np.full((12, 1), 12**-0.5)
    frame = np.linalg.qr(np.concatenate([ones, lab.normal("frame", 12, 11)], axis=1))[0]
    turn = np.eye(12)
    turn[1:, 1:] = lab.orthonormal("turn", 11, 11)
    assert similarity.rsa(x @ (frame @ turn @ frame.T), y) == pytest.approx(want)
    assert abs(similarity.rsa(x @ lab.orthonormal("rotation", 12, 12), y) - want) > 1e-3
    assert similarity.rsa(x, x) == pytest.approx(1)


def test_opposite_orders(lab):
    """Three stimuli on a circle of patterns, at angles whose differences are in opposite orders."""

    def circle(*angles):
        plane = np.linalg.qr(np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0]]).T)[0][:, 1:]  # orthogonal to the mean
        return lab.array(np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane.T)

    # differences 0.1, 0.4, 0.3 against 0.4, 0.1, 0.3: ranks 1, 3, 2 against 3, 1, 2
    assert float(similarity.rsa(circle(0, 0.1, 0.4), circle(0, 0.4, 0.1))) == pytest.approx(-1, abs=rounding(lab))


@pytest.mark.parametrize("measure", [similarity.linear_cka, similarity.rsa])
def test_constant_representations_are_refused_at_any_size(measure, lab):
    constant = lab.xp.ones((50, 1), dtype=lab.dtype) * lab.normal("constant", 64)
    with pytest.raises(ValueError, match=r"^activity: expected"):
        measure(constant, lab.normal("other", 50, 64))
