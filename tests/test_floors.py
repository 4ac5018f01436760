"""What counts as rounding: just below the floor that a document states it is refused or passed over, just above not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmnc_ref import dimension, estimator, hebbian, manifold, perturbation, similarity
from nmnc_ref.fast import gram

N = 40
BELOW, ABOVE = 0.9, 1.1


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.fixture
def eps(dtype):
    return np.finfo(dtype).eps


def unit(index, n=N):
    return np.eye(n)[index]


def activity(size, dtype, mean=0.0):
    """Return four rows along two of N units, whose singular values have this ratio, and the mean of a third unit."""
    return np.array([unit(0), -unit(0), size * unit(1), -size * unit(1)], dtype) + dtype(mean) * unit(2).astype(dtype)


def expect_floor(call, floor, message):
    """Both sides of a floor: what is below is refused with a message."""
    with pytest.raises(ValueError, match=message):
        call(BELOW * floor)
    call(ABOVE * floor)


@pytest.mark.parametrize("centring", ["uncentred", "centred"])
def test_weak_components(centring, dtype, eps):
    """4·eps·n of the largest, of singular values of activity and of variances of a covariance."""
    message = r"expected rank of at least d = 2 .*, got rank 1"
    floor = 4 * eps * N
    expect_floor(lambda size: manifold.fit(activity(size, dtype), dimension=2, centring=centring), floor, message)

    def of_moments(variance, components=2):
        covariance = np.diag(np.array([1, variance, *np.zeros(N - 2)], dtype))
        return manifold.from_moments(np.zeros(N, dtype), covariance, dimension=components, centring=centring)

    expect_floor(of_moments, floor, message)
    expect_floor(lambda size: of_moments(-1 / size, 1), 1 / floor, "covariance: expected no negative variance")


def test_weak_components_beside_a_large_mean(dtype, eps):
    """eps of the largest mean, and eps² of its square."""
    mean, message = 100 / math.sqrt(eps), "expected rank of at least d = 2"

    def fitted(size, fit=manifold.fit):
        return fit(activity(math.sqrt(2) * size, dtype, mean), dimension=2, centring="centred")

    expect_floor(fitted, eps * mean, message)
    expect_floor(lambda size: fitted(size, gram.fit), eps * mean, message)

    def of_moments(variance):
        covariance = np.diag(np.array([1, variance, *np.zeros(N - 2)], dtype))
        return manifold.from_moments((mean * unit(2)).astype(dtype), covariance, dimension=2, centring="centred")

    expect_floor(of_moments, (eps * mean) ** 2, message)


def test_weak_components_of_a_decomposed_product(dtype, eps):
    """4·eps·n of the variances in float64, or its square for activity of less precision."""
    floor = max(4 * np.finfo(np.float64).eps * N, (4 * eps * N) ** 2)

    def fitted(share):
        return gram.fit(activity(math.sqrt(share), dtype), dimension=2, centring="uncentred")

    expect_floor(fitted, floor, "activity: expected rank of at least d = 2")


def test_a_share_that_is_just_missed(dtype, eps):
    """4·eps·√m below it, it counts as reached."""
    share, m = 0.7, 100
    for factor, components in ((BELOW, 1), (ABOVE, 2)):
        first = share * (1 - factor * 4 * eps * math.sqrt(m))
        spectrum = np.array([first, 1 - first, *np.zeros(m - 2)], dtype)
        assert int(dimension.explained_variance_dimension(spectrum, share)) == components


def test_a_mean_in_the_span_of_the_components(dtype, eps):
    """Up to √eps of it."""

    def fitted(size):
        rows = np.array([unit(0), -unit(0)], dtype) + (unit(0) + size * unit(1)).astype(dtype)
        return manifold.fit(rows, dimension=1, centring="mean-added")

    expect_floor(fitted, math.sqrt(eps), "expected a mean outside the span")


def test_noise_that_does_not_span_its_dimensions(dtype, eps):
    """4·eps·d of the largest singular value."""
    response = np.zeros((N, 3), dtype)

    def estimated(size):
        return estimator.least_squares(response, np.diag(np.array([*np.ones(N - 1), size], dtype)))

    expect_floor(estimated, 4 * eps * N, f"noise: expected to span the d = {N} dimensions")


def test_noise_outside_of_the_span_of_its_basis(dtype, eps):
    """Up to √eps of the largest entry is rounding."""
    basis, response = np.eye(N, 3, dtype=dtype), np.zeros((3, 2), dtype)

    def estimated(size):
        noise = 2 * np.eye(3, N, dtype=dtype)
        noise[1, -1] = 2 / size
        return estimator.least_squares(response, noise, basis)

    expect_floor(estimated, 1 / math.sqrt(eps), "noise: expected noise inside the span of basis")


@pytest.mark.parametrize("entry", [(1, 1), (0, 1)])
def test_columns_that_are_not_orthonormal(entry, dtype, eps):
    """Up to √eps of UᵀU, off the diagonal and on it."""

    def projected(size):
        basis = np.eye(N, 2, dtype=dtype)
        basis[entry] += 1 / size / (2 if entry == (1, 1) else 1)
        return manifold.projector(basis)

    expect_floor(projected, 1 / math.sqrt(eps), "basis: expected orthonormal columns")


def test_a_covariance_that_is_not_symmetric(dtype, eps):
    """Up to √eps of its largest entry."""

    def fitted(size):
        covariance = 2 * np.eye(N, dtype=dtype)
        covariance[3, 5] = 2 / size
        return manifold.from_moments(np.zeros(N, dtype), covariance, dimension=1)

    expect_floor(fitted, 1 / math.sqrt(eps), "covariance: expected a symmetric matrix")


@pytest.mark.parametrize(
    ("call", "name"),
    [(hebbian.basis, "weight"), (perturbation.orthonormal_frame, "coefficients")],
)
def test_vectors_that_depend_on_one_another(call, name, dtype, eps):
    """8·eps·√n of their length."""

    def orthogonalised(size):
        return call(np.array([unit(0), 2 * unit(0) + 2 * size * unit(1)], dtype))

    expect_floor(orthogonalised, 8 * eps * math.sqrt(N), f"{name}: expected linearly independent vectors")


def test_likenesses_that_are_all_alike(dtype, eps):
    """Those whose differences have a norm of 8·eps of theirs: of 90 pairs, 80 differ, by so many eps of 1."""
    distance = abs(np.subtract.outer(np.arange(10), np.arange(10)))
    pattern = np.array([0, 1, 1, -1, -1, 0, -1, -1, 1, 1])[distance]

    def compared(steps):
        return similarity.debiased_alignment((1 + steps * eps * pattern).astype(dtype), np.eye(10, dtype=dtype))

    with pytest.raises(ValueError, match="gram: expected likenesses that differ"):
        compared(8)
    with pytest.raises(ValueError, match="other_gram: expected likenesses that differ"):  # which come next
        compared(9)


def test_which_entry_sets_the_sign_of_a_component(dtype):
    """The first of those that are within 1 % of the largest."""
    for share, sign in ((0.995, 1), (0.985, -1)):
        rows = np.outer([1, -2, 3], [-share, 1, 0.1]).astype(dtype)
        assert np.sign(manifold.fit(rows, dimension=1).basis[0, 0]) == sign
