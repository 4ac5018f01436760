"""Claims D1 and D2: how many dimensions an activity has."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

from nmnc_ref import dimension, random, theory
from nmnc_ref.arrays import Array
from paper_checks.claim import claim
from paper_checks.comparison import Comparison, exact, monte_carlo
from paper_checks.lab import Lab


@claim(
    "D1",
    "Participation ratio (Σλ)²/Σλ²: exact on known spectra; on a finite sample biased downwards, with "
    "E[(tr C)²]/E[tr C²] = [t² + 2s/N]/[s(1 + 1/N) + t²/N], t = Σλ, s = Σλ².",
    formula=r"""
        \mathrm{PR} = \frac{(\sum\lambda)^2}{\sum\lambda^2}
        \frac{\mathbb{E}[\mathrm{tr}(C)^2]}{\mathbb{E}[\mathrm{tr}(C^2)]} = \frac{t^2 + 2s/N}{s(1 + 1/N) + t^2/N},
            \quad t = \sum\lambda, \quad s = \sum\lambda^2
    """,
    source="literature, derived",
    rung="enumeration",
    twins={
        "standard deviations for variances": {"measure": lambda spectrum: dimension.participation_ratio(spectrum**0.5)},
        "Σλ/Σλ²": {"measure": lambda spectrum: dimension.participation_ratio(spectrum) ** 0.5},
        "no finite-sample bias": {"predict": lambda spectrum, samples: dimension.participation_ratio(spectrum)},
        "N for N − 1 on centred data": {"lost": 0},
    },
)
def participation_ratio(
    lab: Lab,
    measure=dimension.participation_ratio,
    predict=theory.dimension.expected_participation_ratio,
    lost: int = 1,
) -> Iterator[Comparison]:
    """k equal variances of 50, a geometric spectrum, and one variance; the bias over the joint Gaussian moments of
    three samples in two dimensions, uncentred and centred.
    """
    for k in (1, 7, 50):
        spectrum = lab.array([2.5] * k + [0.0] * (50 - k))
        yield exact(lab, f"{k} equal variances of 50", float(k), measure(spectrum), terms=50).at(n=50, k=k)
    q = 0.8
    spectrum = lab.array([q**i for i in range(50)])
    want = (1 - q**50) ** 2 * (1 - q**2) / ((1 - q) ** 2 * (1 - q**100))
    yield exact(lab, "geometric spectrum", want, measure(spectrum), terms=50).at(n=50, q=q)
    variances, samples = lab.array([1.0, 3.0]), 3
    points, probabilities = lab.independent(*[lab.gaussian(2)] * samples)
    data = lab.xp.stack(points, axis=1) * (variances**0.5)[None, None, :]  # [S, N, n]
    for name, data_, freedom in (
        ("uncentred", data, samples),
        ("centred", data - lab.xp.mean(data, axis=1, keepdims=True), samples - lost),
    ):
        covariance = data_.mT @ data_
        total = lab.mean(probabilities, lab.xp.linalg.trace(covariance) ** 2)
        square = lab.mean(probabilities, lab.xp.sum(covariance**2, axis=(1, 2)))
        want = predict(variances, freedom)
        yield exact(lab, f"finite sample, N = {samples}, {name}", want, total / square, terms=3**6).at(
            n=2, N=samples, centring=name
        )


DATA_SETS, BATCHES, POINTS = 3_000, 12, 25


def _spheres(lab: Lab, key: Array, number: int, *shape: int) -> Array:
    """Return points uniform on a product of 2-spheres, rotated into eight dimensions: [*shape, 8]."""
    z = random.normal(key, (*shape, number, 3), lab.dtype)
    z = z / lab.xp.linalg.vector_norm(z, axis=-1, keepdims=True)
    return lab.xp.reshape(z, (*shape, 3 * number)) @ lab.orthonormal("D2: frame", 8, 3 * number).T


@functools.lru_cache(maxsize=8)
def _mean_log_ratio(lab: Lab, measure: Callable[[Array], Array], number: int) -> float:
    """Return the mean of log(r₂/r₁) over all points of all data sets."""
    sample = lab.jit(lambda key: lab.xp.mean(1 / measure(_spheres(lab, key, number, DATA_SETS, POINTS))))
    keys = random.split(lab.key(f"D2: S² to the power {number}"), BATCHES)
    return sum(float(sample(keys[i, :])) for i in range(BATCHES)) / BATCHES


@claim(
    "D2",
    "TwoNN recovers d on uniform d-dimensional data: E[log(r₂/r₁)] = 1/d. Points that occur several times count once.",
    formula=r"\mathbb{E}\left[\log\frac{r_2}{r_1}\right] = \frac{1}{d}",
    source="literature",
    rung="Monte Carlo",
    twins={
        "squared distances": {"measure": lambda points: dimension.two_nearest_neighbours(points) / 2},
        "repetitions taken for neighbours": {"repeated": lambda points: 1.000001 * points},
        "curved density": {"measure": lambda points: dimension.two_nearest_neighbours(points**3)},
    },
)
def two_nearest_neighbours(
    lab: Lab, measure=dimension.two_nearest_neighbours, repeated=lambda points: points
) -> Iterator[Comparison]:
    """36,000 data sets of 25 points on S² and on S² × S², where the volume of a ball of chords is exactly
    proportional to r² and r⁴ (up to r = 2), rotated into eight dimensions; and a data set with half of its points
    repeated. The points of a set share neighbours, so the error is that of one point for each set, which bounds it:
    1/(d√sets).
    """
    for number in (1, 2):
        d = 2 * number
        error = 1 / (d * math.sqrt(DATA_SETS * BATCHES))
        yield monte_carlo(f"E log(r₂/r₁), d = {d}", 1 / d, _mean_log_ratio(lab, measure, number), error).at(
            d=d, n=8, N=POINTS
        )
    points = _spheres(lab, lab.key("D2: repeated"), 1, 100)
    doubled = lab.xp.concat([points, repeated(points[:50, :]), points[:7, :]])
    yield exact(lab, "repeated points", measure(points), measure(doubled), terms=100).at(d=2, n=8, N=100)
