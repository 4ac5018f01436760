"""What scale, offset and number of samples must not change: digits, ranks, signs, and shares that are just reached."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest

from nmnc_ref import (
    alignment,
    dimension,
    estimator,
    feedback,
    hebbian,
    manifold,
    moments,
    numerics,
    perturbation,
    similarity,
    theory,
)
from nmnc_ref.nn import dense, loss

INVARIANT = {
    "alignment": lambda x, basis, other: alignment.alignment(x, basis),
    "pooled_alignment": lambda x, basis, other: alignment.pooled_alignment(x[None, ...], basis),
    "projected_progress": lambda x, basis, other: theory.feedback.projected_progress(x, basis @ basis.T),
    "fixed_norm": lambda x, basis, other: perturbation.fixed_norm(x),
    "two_nearest_neighbours": lambda x, basis, other: dimension.two_nearest_neighbours(x),
    "participation_ratio": lambda x, basis, other: dimension.participation_ratio(abs(x)),
    "orthonormal_frame": lambda x, basis, other: perturbation.orthonormal_frame(x[:5, :]),
    "hebbian.basis": lambda x, basis, other: hebbian.basis(x[:5, :]),
    "debiased_cka": lambda x, basis, other: similarity.debiased_cka(x, other),
    "linear_cka": lambda x, basis, other: similarity.linear_cka(x, other),
    "dissimilarity": lambda x, basis, other: similarity.dissimilarity(x),
    "rsa": lambda x, basis, other: similarity.rsa(x, other),
}


def data(lab):
    return lab.normal("x", 30, 8), lab.orthonormal("basis", 8, 3), lab.normal("other", 30, 5)


def extreme(lab):
    """Return powers of two whose squares are out of range, while they and what they are multiplied with are not."""
    return (2.0**100, 2.0**-100) if lab.eps > 1e-10 else (2.0**900, 2.0**-900)


@pytest.mark.parametrize("name", INVARIANT)
def test_scale_changes_nothing(name, lab):
    x, basis, other = data(lab)
    want = lab.numpy(INVARIANT[name](x, basis, other))
    for scale in extreme(lab):
        np.testing.assert_allclose(lab.numpy(INVARIANT[name](scale * x, basis, other)), want, rtol=16 * lab.eps)


def test_correlation_at_any_sigma(lab):
    noise, response = lab.normal("noise", 20, 6), lab.normal("response", 20, 3)
    want = lab.numpy(estimator.correlation(response, noise, 1.0))
    batch = lab.numpy(estimator.batch_correlation(response[None, ...], noise[None, ...], 1.0))
    for sigma in extreme(lab):
        got = estimator.correlation(sigma * response, sigma * noise, sigma)
        np.testing.assert_allclose(lab.numpy(got), want, rtol=16 * lab.eps)
        got = estimator.batch_correlation((sigma * response)[None, ...], (sigma * noise)[None, ...], sigma)
        np.testing.assert_allclose(lab.numpy(got), batch, rtol=16 * lab.eps)


def test_moments_whose_squares_are_out_of_range_are_refused(lab):
    x, _, _ = data(lab)
    for scale in extreme(lab):
        for take in (moments.of, lambda x: manifold.fit(x, dimension=2)):
            with pytest.raises(ValueError, match=r"^activity: expected values whose squares are in the range of"):
                take(scale * x)
    large = moments.of(math.sqrt(extreme(lab)[0]) * x)
    with (
        np.errstate(over="ignore"),
        pytest.raises(ValueError, match=r"^mean: expected values whose squares are in range"),
    ):
        manifold.from_moments(extreme(lab)[0] * x[0, :], x.T @ x, dimension=2)
    assert manifold.from_moments(extreme(lab)[1] * x[0, :], x.T @ x, dimension=2).basis.shape == (8, 2)
    constant = extreme(lab)[0] + 0 * x
    assert not np.any(lab.numpy(moments.of(constant).scatter))
    message = r"^other.mean: expected means whose squared difference is in range"
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=message):
        moments.merge(large, large._replace(mean=extreme(lab)[0] + 0 * large.mean))


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 99, 100, 101])
def test_mean_and_products_of_any_number_of_rows(rows, lab, monkeypatch):
    monkeypatch.setattr(numerics, "ROWS", 7)
    x = lab.normal("x", rows, 3, 2)
    want = np.mean(lab.numpy(x), axis=0)
    assert np.max(np.abs(lab.numpy(numerics.mean(x)) - want)) <= 8 * lab.eps
    mean, deviation = numerics.centred(x)
    assert np.max(np.abs(lab.numpy(mean) - want)) <= 8 * lab.eps
    assert np.max(np.abs(lab.numpy(deviation) - (lab.numpy(x) - want))) <= 16 * lab.eps
    flat = lab.numpy(x)[:, :, 0]
    for found in (numerics.gram(x[:, :, 0]), numerics.gram(numerics.compressed(x[:, :, 0]))):
        assert np.max(np.abs(lab.numpy(found) - flat.T @ flat)) <= 16 * lab.eps * rows


def test_the_mean_of_what_is_centred_is_right_to_the_last_place():
    """Where a sum of so many rows, one after another, is off by many units of it."""
    x = np.random.default_rng(0).normal(size=(1000, 500)).astype(np.float32) + np.float32(1.5)
    exact = x.mean(axis=0, dtype=np.float64)
    mean, _ = numerics.centred(x)
    assert np.max(np.abs(mean - exact)) <= np.spacing(np.float32(1.5))


def test_millions_of_rows_keep_their_digits():
    """Small integers around a mean of a hundred deviations, whose sum over all rows float32 cannot hold."""
    rows = 3_000_000
    x = np.random.default_rng(0).integers(-2, 3, size=(rows, 2)).astype(np.float32) + np.float32([180, 220])
    exact = x.mean(axis=0, dtype=np.float64)
    assert np.max(np.abs(x.mean(axis=0) - exact)) > 0.1  # by NumPy's own sum
    rounding = 8 * np.finfo(np.float32).eps * 220
    found = moments.of(x)
    assert np.max(np.abs(found.mean - exact)) < rounding
    assert np.max(np.abs(manifold.fit(x, dimension=2).mean - exact)) < rounding
    deviation = x - exact
    np.testing.assert_allclose(moments.covariance(found), deviation.T @ deviation / rows, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_an_offset_that_is_exact_costs_no_component(offset, lab):
    x = lab.array([[offset + 1, offset], [offset, offset + 1]])
    found = moments.of(x)
    for fitted in (
        manifold.fit(x, dimension=1, centring="centred"),
        manifold.from_moments(found.mean, moments.covariance(found), dimension=1, centring="centred"),
    ):
        np.testing.assert_allclose(lab.numpy(fitted.basis)[:, 0], [math.sqrt(0.5), -math.sqrt(0.5)], rtol=8 * lab.eps)


@pytest.mark.parametrize(("rows", "n", "rank"), [(200_000, 2, 1), (50_000, 6, 3), (40, 30, 5), (7, 20, 4)])
def test_the_rank_is_that_of_the_data_however_many_rows(rows, n, rank, lab):
    """Rounding is not taken for a component, nor one of 1e-3 of the largest (3e-2 with moments) for rounding."""
    axes, coordinates = lab.numpy(lab.orthonormal("axes", n, rank)).T, lab.numpy(lab.normal("coordinates", rows, rank))
    whole, found = (lab.array(coordinates * np.geomspace(1, least, rank) @ axes) for least in (1e-3, 3e-2))
    found = moments.of(found)
    covariance = moments.covariance(found)
    for fit in (
        lambda **kept: manifold.fit(whole, centring="centred", **kept),
        lambda **kept: manifold.from_moments(found.mean, covariance, centring="centred", **kept),
    ):
        assert fit(dimension=rank).basis.shape == (n, rank)
        assert fit(explained=1.0).basis.shape[1] <= rank
        with pytest.raises(manifold.RankError, match=f"rank of at least d = {rank + 1}"):
            fit(dimension=rank + 1)


def test_signs_do_not_depend_on_rounding(lab):
    """Components (1, ½, −1, −½) and (½, −1, −½, 1) tie: the first of the largest entries is positive."""
    for key in range(10):
        z = lab.normal(f"z{key}", 40, 2) * lab.array([3.0, 1.0])
        x = z @ lab.array([[1.0, 0.5, -1.0, -0.5], [0.5, -1.0, -0.5, 1.0]])
        found = moments.of(x)
        for fitted in (
            manifold.fit(x, dimension=2),
            manifold.from_moments(found.mean, moments.covariance(found), dimension=2),
        ):
            basis = lab.numpy(fitted.basis)
            for column in basis.T:
                assert column[np.argmax(np.abs(column) > 0.99 * np.max(np.abs(column)))] > 0


def test_gram_schmidt_has_a_positive_diagonal(lab):
    rows = lab.numpy(lab.normal("rows", 3, 5))
    want: list[np.ndarray] = []
    for row in rows:
        rest = row - sum((q * (q @ row) for q in want), np.zeros(5))
        want.append(rest / np.linalg.norm(rest))
    for given in (rows, np.array(want)):
        got = lab.numpy(hebbian.basis(lab.array(given)))
        np.testing.assert_allclose(got, np.array(want).T, atol=64 * lab.eps)


def test_a_share_that_is_reached_exactly_is_reached(lab):
    for equal, kept in itertools.product(range(2, 17), range(1, 17)):
        if kept <= equal:
            spectrum = lab.array(np.full(equal, 0.1))
            assert int(dimension.explained_variance_dimension(spectrum, kept / equal)) == kept
    columns = lab.orthonormal("columns", 20, 10)
    assert manifold.fit(columns, explained=0.8).basis.shape == (10, 8)


def test_memory_of_two_nearest_neighbours():
    points = np.random.default_rng(0).normal(size=(1000, 200)).astype(np.float32)
    tracemalloc.start()
    dimension.two_nearest_neighbours(points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * (3 * dimension.DIFFERENCES + 8 * dimension.ROWS * 1000)


def test_many_draws_span_what_few_do(lab):
    noise = lab.numpy(lab.normal("draws", 100_000, 2)) * [1.0, 0.01]
    found = estimator.least_squares(lab.array(noise @ [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), lab.array(noise))
    np.testing.assert_allclose(lab.numpy(found), [[1, 4], [2, 5], [3, 6]], rtol=1000 * lab.eps)
    line = lab.numpy(lab.normal("line", 100_000, 1)) * [1.0, 0.3]
    with pytest.raises(ValueError, match="noise: expected to span the d = 2 dimensions"):
        estimator.least_squares(lab.array(line), lab.array(line))


def test_draws_of_a_frame_may_have_any_scale(lab):
    z = lab.normal("z", 3, 6)
    want = lab.numpy(perturbation.orthonormal_frame(z))
    scales = lab.array([[1.0], [extreme(lab)[0]], [extreme(lab)[1]]])
    np.testing.assert_allclose(lab.numpy(perturbation.orthonormal_frame(scales * z)), want, atol=16 * lab.eps)


def test_mean_feedback_is_exactly_the_initial_one_without_learning(lab):
    initial, target = 2.0**-40 * lab.normal("initial", 3, 4), lab.normal("target", 3, 4)
    for found in (theory.feedback.mean_feedback(initial, target, *left) for left in ((0.0, 9), (0.3, 0))):
        np.testing.assert_array_equal(lab.numpy(found), lab.numpy(initial))


def test_elements_of_a_batch_of_frames_may_have_any_scale(lab):
    draws = lab.numpy(lab.normal("draws", 3, 2, 5))
    frame = lab.numpy(perturbation.orthonormal_frame(lab.array(draws)))
    scales = np.array([1.0, 1e-17])[:, None]
    again = lab.numpy(perturbation.orthonormal_frame(lab.array(draws * scales)))
    np.testing.assert_allclose(again, frame, rtol=0, atol=64 * lab.eps)


def test_mirrors_whose_sigma_has_no_square(lab):
    sigma = {4: 1e-30, 8: 1e-170}[lab.array([0.0]).dtype.itemsize] if lab.backend == "numpy" else 1e-15
    z = lab.numpy(lab.normal("z", 7, 3))
    layer = dense.Dense(lab.array(np.eye(3)), lab.array(np.zeros(3)))
    found = feedback.mirror_estimate(layer, lab.array(sigma * z), lab.array(sigma * z), sigma).weight
    np.testing.assert_allclose(lab.numpy(found), z.T @ z / 7, rtol=64 * lab.eps, atol=64 * lab.eps)


def test_the_expected_participation_ratio_has_no_scale(lab):
    spectrum = lab.numpy(lab.normal("spectrum", 6)) ** 2
    want = float(theory.dimension.expected_participation_ratio(lab.array(spectrum), 10))
    for scale in (1e-20, 1e20):
        got = float(theory.dimension.expected_participation_ratio(lab.array(scale * spectrum), 10))
        assert got == pytest.approx(want, rel=16 * lab.eps)


@pytest.mark.filterwarnings("ignore:overflow")
def test_the_loss_of_a_sure_and_right_answer_is_zero_at_any_size(lab):
    output = lab.array([[3e38, -3e38]])
    assert float(loss.softmax_cross_entropy.value(output, lab.array([[1.0, 0.0]]))) == 0


def test_coordinates_of_two_nearest_neighbours_are_taken_in_parts(lab, monkeypatch):
    points = lab.normal("points", 50, 7)
    whole = float(dimension.two_nearest_neighbours(points))
    monkeypatch.setattr(dimension, "DIFFERENCES", 3 * dimension.ROWS * 50)
    assert float(dimension.two_nearest_neighbours(points)) == pytest.approx(whole, rel=64 * lab.eps)
