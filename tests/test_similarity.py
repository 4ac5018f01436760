"""Measures of similarity against other forms of the same, SciPy, and cases whose answer is known."""

from __future__ import annotations

import math
from fractions import Fraction

import brute_force
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


def test_debiased_cka_is_a_mean_over_quadruples_of_stimuli(lab):
    """No stimulus occurs twice in any product: what makes the estimate unbiased."""
    x, y = pair(lab)
    got = lab.jit(similarity.debiased_cka)(x, y)
    assert got.dtype == lab.dtype
    want = brute_force.debiased_cka(lab.numpy(x), lab.numpy(y))
    assert float(got) == pytest.approx(want, abs=rounding(lab))
    likenesses = (1 - similarity.dissimilarity(each) for each in (x, y))
    assert -1 <= float(similarity.debiased_alignment(*likenesses)) <= 1


@pytest.mark.parametrize("d", [1, 2, 3])
def test_debiased_cka_of_few_dimensions(d, lab):
    """Two read-outs of the same d latents; of two clusters, or of one direction, it is 1 to the last bit or less."""
    latent = lab.normal("latent", 30, d)
    first, second = (latent @ lab.normal(f"readout {k}", d, 50) for k in (0, 1))
    whole = float(similarity.debiased_cka(first, second))
    assert whole == pytest.approx(brute_force.debiased_cka(lab.numpy(first), lab.numpy(second)), abs=rounding(lab))
    assert 0.5 < whole <= 1
    clusters = lab.array(np.repeat([[1.0], [-1.0]], 4, axis=0))
    assert 1 - rounding(lab) <= float(similarity.debiased_cka(clusters, clusters)) <= 1
    blocks = lab.array(0.2 * np.kron(np.eye(2), np.ones((4, 4))))
    assert float(similarity.debiased_alignment(blocks, blocks)) == pytest.approx(1, abs=rounding(lab))


def test_debiased_cka_names_its_own_argument(lab):
    with pytest.raises(ValueError, match=r"^activity: expected at least N = 4 stimuli, got 3"):
        similarity.debiased_cka(lab.normal("one", 3, 5), lab.normal("other", 3, 6))
    simplex, others = lab.array(np.eye(5)), lab.normal("x", 5, 3)  # of which all are equally alike
    with pytest.raises(ValueError, match=r"^activity: expected likenesses that differ"):
        similarity.debiased_cka(simplex, others)
    with pytest.raises(ValueError, match=r"^other_activity: expected likenesses that differ"):
        similarity.debiased_cka(others, simplex)


def test_dissimilarities_that_only_rounding_tells_apart_share_their_ranks(lab):
    """Against exact fractions: r² with its sign orders as r does."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        patterns = [np.hstack([rng.integers(0, 2, (7, n)), [[0, 1]] * 7]) for n in (5, 8)]
        exact = []
        for pattern in patterns:
            sums, n = pattern.sum(axis=1), pattern.shape[1]
            cross, own = n * pattern @ pattern.T - np.outer(sums, sums), n * sums - sums**2
            pairs = zip(*np.triu_indices(7, 1), strict=True)
            exact.append([-Fraction(int(cross[i, j] * abs(cross[i, j])), int(own[i] * own[j])) for i, j in pairs])
        want = spearmanr(*([sorted(set(each)).index(value) for value in each] for each in exact)).statistic
        got = float(similarity.rsa(*(lab.array(each.astype(float)) for each in patterns)))
        assert got == pytest.approx(want, abs=rounding(lab, 21))


def test_dissimilarities_of_many_units_differ(lab):
    x = lab.normal("wide", 5, 100_000)
    assert float(similarity.rsa(x, x)) == pytest.approx(1, abs=rounding(lab, 10))


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


@pytest.mark.parametrize(
    ("compare", "name", "least"),
    [
        (similarity.debiased_cka, "activity", 4),
        (lambda x, y: similarity.debiased_alignment(x @ x.T, y @ y.T), "gram", 4),
        (similarity.rsa, "activity", 3),
    ],
)
def test_the_least_number_of_stimuli_is_enough(compare, name, least):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(least, 7)), rng.normal(size=(least, 5))
    assert -1 <= compare(x, y) <= 1
    with pytest.raises(ValueError, match=f"^{name}: expected at least N = {least} stimuli, got {least - 1}"):
        compare(x[1:], y[1:])
