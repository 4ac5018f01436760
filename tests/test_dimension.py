"""Dimension estimates against loops and known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmnc_ref import dimension, random


def brute_force(points: np.ndarray) -> float:
    """TwoNN by sorting all distances of each distinct point, in plain Python."""
    points = [tuple(row) for row in dict.fromkeys(map(tuple, points.tolist()))]
    logs = []
    for i, p in enumerate(points):
        distances = sorted(math.dist(p, q) for j, q in enumerate(points) if j != i)
        logs.append(math.log(distances[1] / distances[0]))
    return len(logs) / sum(logs)


@pytest.mark.parametrize("size", [3, 4, 127, 128, 129, 300])
def test_two_nearest_neighbours_against_a_loop(xp, size):
    points = random.normal(random.key(size, xp), (size, 4), xp.float64)
    assert float(dimension.two_nearest_neighbours(points)) == pytest.approx(brute_force(np.asarray(points)), rel=1e-11)


def test_repeated_points_count_once(xp):
    points = random.normal(random.key(1, xp), (150, 3), xp.float64)
    repeated = xp.concat([points[:40, :], points, points[100:, :], points[:1, :]])
    want = float(dimension.two_nearest_neighbours(points))
    assert float(dimension.two_nearest_neighbours(repeated)) == pytest.approx(want, rel=1e-12)


def test_explained_variance_dimension(xp):
    spectrum = xp.asarray([[4.0, 3.0, 2.0, 1.0], [10.0, 0.0, 0.0, 0.0]], dtype=xp.float64)
    for share, want in ((0.4, [1, 1]), (0.41, [2, 1]), (0.7, [2, 1]), (0.95, [4, 1]), (1.0, [4, 1])):
        assert np.asarray(dimension.explained_variance_dimension(spectrum, share)).tolist() == want


def test_participation_ratio_of_a_batch(xp):
    spectrum = xp.asarray([[1.0, 1.0, 1.0, 1.0], [3.0, 1.0, 0.0, 0.0]], dtype=xp.float64)
    assert np.allclose(np.asarray(dimension.participation_ratio(spectrum)), [4, 1.6])
    assert np.allclose(np.asarray(dimension.participation_ratio(1e-200 * spectrum)), [4, 1.6])


@pytest.mark.parametrize("points", [[0.0, 1.0, 3.0], [0.0, 1.0, 3.0, 1.0]])
def test_three_distinct_points_are_enough_for_two_neighbours(points):
    """At 0, 1 and 3 the ratios of the two distances are 3, 2 and 3/2."""
    found = dimension.two_nearest_neighbours(np.array(points)[:, None])
    assert found == pytest.approx(3 / math.log(9))
    with pytest.raises(ValueError, match="points: expected at least"):
        dimension.two_nearest_neighbours(np.array([0.0, 1.0, *points[3:]])[:, None])
