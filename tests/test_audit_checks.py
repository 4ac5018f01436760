"""What an audit concludes from samples: every number of every check against plain loops, verdicts at their limits."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from nmnc_ref.oracle.audit import resolution, statistics
from nmnc_ref.oracle.audit.check import ALL, Check, Measurement, defects, is_constant
from nmnc_ref.oracle.audit.comparison import compare
from nmnc_ref.oracle.audit.expected import Part
from nmnc_ref.oracle.audit.probes import Probe
from nmnc_ref.oracle.audit.problem import Declaration

ROUNDING = 1e-4
MISSED = 3
DRAWS, CALLS = 5, 23
SHAPES = {"dx of layer 0": (2, 3), "dx of layer 1": (2, 4)}
DECLARED = Declaration("activity-gradient")
LAWS = ("gaussian", "rademacher", "fixed-norm", "uniform", "sphere")


def measurement(seed=0, *, name="problem", calls=CALLS, heavy=False, mean=1.0, sd=1.0, **words):
    """Return calls of two arrays whose covariances are known, and whose means are not known exactly."""
    rng = np.random.default_rng(seed)
    sizes = [math.prod(shape) for shape in SHAPES.values()]
    root = sd * rng.normal(size=(sum(sizes), sum(sizes)))
    joint = root @ root.T / sum(sizes)
    noise = rng.normal(size=(calls, sum(sizes))) @ root.T / math.sqrt(sum(sizes))
    length = np.linalg.norm(noise, axis=1, keepdims=True)
    noise *= rng.uniform(size=(calls, 1)) ** -0.5 if heavy else math.sqrt(np.trace(joint)) / length
    parts, samples, start = [], [], 0
    for site, (part, shape) in enumerate(SHAPES.items()):
        rows = np.arange(start, start := start + sizes[site])
        error = sd * rng.normal(size=(sizes[site], 2))
        truth = mean * (rng.normal(size=sizes[site]) + 3)
        parts.append(Part(part, shape, site, truth, joint[np.ix_(rows, rows)], error @ error.T / 1e3, joint, rows))
        samples.append(truth + noise[:, rows])
    problem = SimpleNamespace(draws=DRAWS, x=np.zeros((2, 1)), bases=None)
    return Measurement(Probe(name, "", problem, **words), tuple(parts), tuple(samples))


def moved(measured, steps):
    """Return a measurement with other estimates, by the same step in every call."""
    samples = tuple(sample + step for sample, step in zip(measured.samples, steps, strict=True))
    return measured._replace(samples=samples)


def only(checks, question, part, probe="problem"):
    (found,) = (check for check in checks if (check.question, check.probe, check.part) == (question, probe, part))
    return found


def covariance_of_mean(part, sample):
    deviations = sample - sample.mean(axis=0)
    return sum(np.outer(each, each) for each in deviations) / (len(sample) - 1) / len(sample) + part.uncertainty


def eigenvalues(covariance):
    return np.linalg.svd(covariance, compute_uv=False)


def expect(check, measured, expected, se, smallest):
    assert check.measured == pytest.approx(measured, abs=1e-12)
    assert check.expected == pytest.approx(expected, abs=1e-12)
    assert check.se == pytest.approx(se)
    assert check.smallest_detectable == pytest.approx(smallest)


# bounds


@pytest.mark.parametrize(("terms", "entries"), [(7, 1), (230, 1), (23, 48)])
def test_a_mean_of_terms_is_bounded_as_a_weighted_chi_square(terms, entries):
    """√(2L) + √2 L/√n for chances of 1e-6, shared by two sides of 20,000 comparisons and all entries."""
    L = -math.log(1e-6 / 20_000 / 2 / entries)
    assert statistics.bound(terms, entries) == pytest.approx(math.sqrt(2 * L) + math.sqrt(2) * L / math.sqrt(terms))


@pytest.mark.parametrize("calls", [2, 3, 16, 500])
def test_a_measured_standard_error_widens_the_bound_as_students_t(calls):
    """P(t ≥ x) ≤ (1 + x²/ν)^(−(ν−1)/2), with at least 1 for ν − 1."""
    L, freedom = statistics.surprise(), calls - 1
    student = statistics.bound(9, calls=calls) / statistics.bound(9) * math.sqrt(2 * L)
    tail = -max(freedom - 1, 1) / 2 * math.log1p(student**2 / freedom)
    assert tail == pytest.approx(-L)


def test_the_norm_of_a_mean_is_bounded_by_the_spectrum_of_its_covariance():
    L, spectrum = statistics.surprise(), np.array([4.0, 1.0, 0.5])
    wider = statistics.bound(60, calls=CALLS) / math.sqrt(2 * L)
    limit = wider**2 * (5.5 + 2 * math.sqrt(17.25 * L) + 2 * 4 * L)
    assert statistics.norm_bound(spectrum, 60, CALLS) == pytest.approx(limit)
    seen = math.sqrt(limit - 5.5 + MISSED * math.sqrt(2 * 17.25)) + MISSED * 2
    assert statistics.smallest_norm(spectrum, 60, CALLS) == pytest.approx(seen)


# means


@pytest.mark.parametrize(("calls", "sd"), [(CALLS, 1.0), (900, 1e-3)])
@pytest.mark.parametrize("which", [0, 1])
def test_scale_and_direction_are_those_along_and_across_the_claim(which, calls, sd):
    """To rounding, which is most of what is allowed where noise is small."""
    measured = measurement(calls=calls, sd=sd)
    part, sample = measured.pairs[which]
    covariance, mean, size = covariance_of_mean(part, sample), sample.mean(axis=0), np.linalg.norm(part.mean)
    along = part.mean / size
    scale, se = mean @ part.mean / size**2, math.sqrt(part.mean @ covariance @ part.mean) / size**2
    allowed = statistics.bound(DRAWS * calls, calls=calls)
    checks = compare([measured], DECLARED)
    expect(only(checks, "scale", part.name), scale, 1, se, (allowed + MISSED) * se + ROUNDING)

    across = np.eye(part.mean.size) - np.outer(along, along)
    off = eigenvalues(across @ covariance @ across)
    error, chance = np.linalg.norm(across @ mean) ** 2, off.sum()
    angles = [
        math.degrees(math.atan(length / (scale * size)))
        for length in (
            math.sqrt(max(error - chance, 0)),
            math.sqrt(chance),
            statistics.smallest_norm(off, DRAWS * calls, calls),
        )
    ]
    expect(only(checks, "direction", part.name), angles[0], 0, *angles[1:])

    limit = (allowed * se + ROUNDING) * size
    aside = across @ np.arange(part.mean.size)
    aside /= np.linalg.norm(aside)
    wide = math.sqrt(statistics.norm_bound(off, DRAWS * calls, calls) + (ROUNDING * size) ** 2)
    for factor, status in ((0.999, "passed"), (1.001, "defect")):
        for sign in (1, -1):
            steps = [0, 0]
            steps[which] = part.mean - mean + (sign * factor * limit * along)
            assert only(compare([moved(measured, steps)], DECLARED), "scale", part.name).status == status
            steps[which] = part.mean - mean + (sign * factor * wide * aside)
            found = only(compare([moved(measured, steps)], DECLARED), "direction", part.name)
            assert found.status == status
            assert found.measured == pytest.approx(
                math.degrees(math.atan(math.sqrt((factor * wide) ** 2 - chance) / size))
            )


def test_a_scale_that_is_within_chance_of_zero_has_no_direction():
    """Half a scale that is seen, and one that is not."""
    measured = measurement()
    part, sample = measured.pairs[0]
    se = only(compare([measured], DECLARED), "scale", part.name).se
    for scale, angle in ((0.999, "not seen"), (1.001, "seen")):
        scale *= statistics.bound(DRAWS * CALLS, calls=CALLS) * se
        found = compare([moved(measured, [scale * part.mean - sample.mean(axis=0), 0])], DECLARED)
        direction = only(found, "direction", part.name)
        assert (direction.status, direction.expected) == ("passed", 0)
        assert math.isnan(direction.measured) == (angle == "not seen")
        assert (direction.smallest_detectable == 90) == (angle == "not seen")


def test_a_mean_of_zero_is_judged_in_deviations_of_one_estimate():
    measured = measurement(mean=0.0)
    for which, (part, sample) in enumerate(measured.pairs):
        chance = eigenvalues(covariance_of_mean(part, sample))
        unit = math.sqrt(CALLS * sum(chance))
        norm, smallest = np.linalg.norm(sample.mean(axis=0)), statistics.smallest_norm(chance, DRAWS * CALLS, CALLS)
        check = only(compare([measured], DECLARED), "null", part.name)
        expect(check, norm / unit, 0, math.sqrt(sum(chance)) / unit, smallest / unit)
        limit = math.sqrt(statistics.norm_bound(chance, DRAWS * CALLS, CALLS))
        for factor, status in ((0.999, "passed"), (1.001, "defect")):
            steps = [0, 0]
            steps[which] = factor * limit * np.eye(part.mean.size)[1] - sample.mean(axis=0)
            assert only(compare([moved(measured, steps)], DECLARED), "null", part.name).status == status


def test_a_claim_that_rounding_can_bring_about_is_one_of_zero():
    """1e-4 of the deviation of one estimate, which the uncertainty of the claim is part of."""
    measured = measurement()
    part, sample = measured.pairs[0]
    deviation = math.sqrt(CALLS * np.trace(covariance_of_mean(part, sample)))
    for factor, question in ((0.99, "null"), (1.01, "scale")):
        claim = part._replace(mean=factor * ROUNDING * deviation * np.eye(part.mean.size)[0])
        checks = compare([measured._replace(parts=(claim, measured.parts[1]))], DECLARED)
        assert only(checks, question, part.name)


@pytest.mark.parametrize(("calls", "sd"), [(CALLS, 1.0), (900, 1e-3)])
@pytest.mark.parametrize("which", [0, 1])
def test_at_large_sigma_a_mean_is_judged_in_all_directions_together(which, calls, sd):
    """Where calls, not draws, are what is independent."""
    measured = measurement(calls=calls, sd=sd, linear=False)
    part, sample = measured.pairs[which]
    off, size = eigenvalues(covariance_of_mean(part, sample)), np.linalg.norm(part.mean)
    error = np.linalg.norm(sample.mean(axis=0) - part.mean) ** 2
    check = only(compare([measured], DECLARED), "mean at large σ", part.name)
    visible = statistics.smallest_norm(off, calls, calls)
    excess = math.sqrt(max(error - sum(off), 0))
    expect(check, excess / size, 0, math.sqrt(sum(off)) / size, visible / size)
    limit = math.sqrt(statistics.norm_bound(off, calls, calls) + (ROUNDING * size) ** 2)
    for factor, status in ((0.999, "passed"), (1.001, "defect")):
        steps = [0, 0]
        steps[which] = part.mean - sample.mean(axis=0) + factor * limit * np.eye(part.mean.size)[-1]
        found = only(compare([moved(measured, steps)], DECLARED), "mean at large σ", part.name)
        assert found.status == status
        assert found.measured == pytest.approx(math.sqrt((factor * limit) ** 2 - sum(off)) / size)


def test_fewer_than_sixteen_calls_are_not_judged():
    assert not compare([measurement(calls=15)], DECLARED)
    assert compare([measurement(calls=16)], DECLARED)


# exact values


def exact(estimate, mean, covariance):
    """Return all that is said of an estimate that is the same in 16 calls."""
    size = len(mean)
    mean, covariance = np.array(mean, float), covariance * np.eye(size)
    part = Part("dx", (size,), 0, mean, covariance, 0 * covariance, covariance, np.arange(size))
    problem = SimpleNamespace(draws=DRAWS, x=np.zeros((1, 1)), bases=None)
    return compare([Measurement(Probe("problem", "", problem), (part,), (np.array(16 * [estimate], float),))], DECLARED)


@pytest.mark.parametrize(
    ("estimate", "mean", "covariance", "question", "measured", "status"),
    [
        ([3.0, 4.0], [3.0, 4.0], 1, "scale", 1, "passed"),
        ([3.00027, 4.00036], [3.0, 4.0], 1, "scale", 1.00009, "passed"),
        ([3.0006, 4.0008], [3.0, 4.0], 1, "scale", 1.0002, "defect"),
        ([-1.5, -2.0], [3.0, 4.0], 1, "scale", -0.5, "defect"),
        ([3.0, 4.0004], [3.0, 4.0], 1, "scale", 1.000064, "passed"),
        ([3.0, 4.001], [3.0, 4.0], 1, "exact value", 0.0002, "defect"),
        ([3.0, 4.0], [3.0, 4.0], 0, "exact value", 0, "passed"),
        ([3.0, 4.00045], [3.0, 4.0], 0, "exact value", 0.00009, "passed"),
        ([6.0, 8.0], [3.0, 4.0], 0, "exact value", 1, "defect"),
        ([0.0, 0.0], [3.0, 4.0], 1, "exact value", 1, "defect"),
        ([0.0, 0.0], [0.0, 0.0], 1, "null", 0, "passed"),
        ([0.0, 0.00009], [0.0, 0.0], 0, "null", 0.00009, "passed"),
        ([0.0, 0.0002], [0.0, 0.0], 0, "null", 0.0002, "defect"),
    ],
)
def test_estimates_without_any_chance_are_judged_to_rounding(estimate, mean, covariance, question, measured, status):
    check = exact(estimate, mean, covariance)[0]
    assert (check.question, check.status, check.se) == (question, status, 0)
    assert (check.measured, check.smallest_detectable) == (pytest.approx(measured, rel=1e-9), ROUNDING)
    assert check.expected == (question == "scale")


@pytest.mark.parametrize("mean", [[3.0, 4.0], [0.0, 0.0]])
def test_constant_means_the_same_to_single_precision(mean):
    """As a share of the first estimate, absolute where nothing at all is claimed."""
    part = Part("dx", (2,), 0, np.array(mean), np.zeros((2, 2)), *3 * [np.zeros((2, 2))])
    unit = 5.0 if any(mean) else 1.0
    for factor, constant in ((0.99, True), (1.01, False)):
        sample = np.array([mean, mean, mean])
        sample[1, 0] += factor * ROUNDING * unit
        assert is_constant(sample, part) == constant


def test_what_is_claimed_to_be_exact_may_not_vary():
    """Its spread is judged, as a share of the claim; absolute where that is zero."""
    for size, unit in ((2.0, 2.0), (0.0, 1.0)):
        part = Part("dW", (1,), 0, np.array([size]), np.zeros((1, 1)), *2 * [np.zeros((1, 1))], np.arange(1))
        sample = size + 0.1 * np.array(8 * [[-1.0], [1.0]])
        problem = SimpleNamespace(draws=DRAWS, x=np.zeros((1, 1)), bases=None)
        check = only(
            compare([Measurement(Probe("problem", "", problem), (part,), (sample,))], DECLARED), "variance", "dW"
        )
        assert (check.status, check.measured) == ("defect", pytest.approx(0.1 / unit))


# variance and correlations


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("which", [0, 1])
def test_the_variance_is_summed_over_all_entries(which, heavy):
    """And its standard error that of Gaussian estimates, or of heavier tails where these are seen."""
    measured = measurement(heavy=heavy)
    part, sample = measured.pairs[which]
    expected = np.trace(part.covariance)
    squares = np.array([row @ row for row in sample - sample.mean(axis=0)]) / expected
    gaussian = math.sqrt(2 * sum(eigenvalues(part.covariance) ** 2)) / expected
    heavier = math.sqrt(sum((squares - squares.mean()) ** 2) / (CALLS - 1))
    assert (heavier > gaussian) == heavy
    se, allowed = max(gaussian, heavier) / math.sqrt(CALLS - 1), statistics.bound(CALLS - 1)
    check = only(compare([measured], DECLARED), "variance", part.name)
    expect(check, sum(squares) / (CALLS - 1), 1, se, (allowed + MISSED) * se + ROUNDING)


def test_a_variance_is_a_defect_beyond_its_bound():
    """Estimates of the same size, of which half are negative: the measured deviation is that of Gaussian ones."""
    allowed = statistics.bound(31) * math.sqrt(2 / 31) + ROUNDING
    for factor, status in ((0.999, "passed"), (1.001, "defect")):
        variance = 1 + factor * allowed
        sample = 5 + math.sqrt(variance * 31 / 32) * np.array(16 * [[-1.0], [1.0]])
        part = Part("dx", (1,), 0, np.array([5.0]), np.eye(1), np.zeros((1, 1)), np.eye(1), np.arange(1))
        problem = SimpleNamespace(draws=DRAWS, x=np.zeros((1, 1)), bases=None)
        checks = compare([Measurement(Probe("problem", "", problem), (part,), (sample,))], DECLARED)
        found = only(checks, "variance", "dx")
        assert (found.measured, found.status) == (pytest.approx(variance), status)


def largest_correlation(measured, first, second, counted):
    """Return the correlation furthest from what is expected, that, and the largest one that is expected."""
    (part, sample), (other, others) = measured.pairs[first], measured.pairs[second]
    found = []
    for i, j in itertools.product(range(part.mean.size), range(other.mean.size)):
        if counted(i, j):
            one, two = sample[:, i] - sample[:, i].mean(), others[:, j] - others[:, j].mean()
            scale = max(
                math.sqrt(part.covariance[i, i]) * math.sqrt(other.covariance[j, j]),
                math.sqrt(one @ one / CALLS) * math.sqrt(two @ two / CALLS),
            )
            found.append((one @ two / CALLS / scale, part.joint[part.rows[i], other.rows[j]] / scale))
    return (*max(found, key=lambda pair: abs(pair[0] - pair[1])), max(expected**2 for _, expected in found))


def test_the_correlation_of_layers_furthest_from_the_theory_is_judged():
    measured = measurement()
    first, second = SHAPES
    found, expected, most = largest_correlation(measured, 0, 1, lambda i, j: True)
    check = only(compare([measured], DECLARED), "independence of layers", f"{first}, {second}")
    se, allowed = math.sqrt((1 + most) / CALLS), statistics.bound(CALLS, entries=6 * 8)
    expect(check, found, expected, se, (allowed + MISSED) * se)
    assert check.status == "passed"


@pytest.mark.parametrize("which", [0, 1])
def test_samples_of_a_batch_are_compared_with_one_another(which):
    measured = measurement()
    (part, _), (_, width) = measured.pairs[which], list(SHAPES.values())[which]
    found, expected, most = largest_correlation(measured, which, which, lambda i, j: i // width != j // width)
    check = only(compare([measured], DECLARED), "independence of samples", part.name)
    se, allowed = math.sqrt((1 + most) / CALLS), statistics.bound(CALLS, entries=part.mean.size**2)
    expect(check, found, expected, se, (allowed + MISSED) * se)


def test_a_correlation_is_a_defect_beyond_its_bound():
    """Two arrays of one entry each, said to be independent, of 200 calls."""
    calls = 200
    rng = np.random.default_rng(0)
    one, two = np.linalg.qr(np.column_stack([np.ones(calls), rng.normal(size=(calls, 2))]))[0][:, 1:].T * calls**0.5
    allowed = statistics.bound(calls) / math.sqrt(calls)
    parts = tuple(
        Part(name, (1,), site, np.ones(1), np.eye(1), np.zeros((1, 1)), np.eye(2), np.array([site]))
        for site, name in enumerate(("dx of layer 0", "dx of layer 1"))
    )
    problem = SimpleNamespace(draws=DRAWS, x=np.zeros((1, 1)), bases=None)
    for factor, status in ((0.999, "passed"), (1.001, "defect")):
        r = factor * allowed
        samples = (1 + one[:, None], 1 + (r * one + math.sqrt(1 - r**2) * two)[:, None])
        checks = compare([Measurement(Probe("problem", "", problem), parts, samples)], DECLARED)
        check = only(checks, "independence of layers", "dx of layer 0, dx of layer 1")
        assert (check.measured, check.expected, check.status) == (pytest.approx(r), 0, status)


def test_biases_are_not_compared_with_their_own_weights():
    measured = measurement()
    names = ("dW of layer 0", "db of layer 0")
    parts = tuple(part._replace(name=name) for part, name in zip(measured.parts, names, strict=True))
    questions = {check.question for check in compare([measured._replace(parts=parts)], Declaration("weight-gradient"))}
    assert questions == {"scale", "direction", "variance"}


@pytest.mark.parametrize(
    ("declared", "words", "judged"),
    [
        *((Declaration("activity-gradient", noise=law), {}, True) for law in LAWS),
        (Declaration("activity-gradient", noise="other"), {}, False),
        (DECLARED, {"linear": False}, False),
        (DECLARED, {"curved": True}, False),
    ],
)
def test_variances_are_judged_where_they_are_predicted(declared, words, judged):
    questions = {check.question for check in compare([measurement(**words)], declared)}
    assert {"variance", "independence of layers", "independence of samples"} & questions == (
        {"variance", "independence of layers", "independence of samples"} if judged else set()
    )


# the manifold


@pytest.mark.parametrize("returns", ["activity-gradient", "weight-gradient"])
def test_estimates_are_confined_to_the_manifold_of_their_layer(returns):
    """By the share of all calls that is off it; the axis of units is the last of activities, the first of weights."""
    rng = np.random.default_rng(0)
    units = {"activity-gradient": -1, "weight-gradient": 0}[returns]
    bases = tuple(np.linalg.qr(rng.normal(size=(n, d)))[0] for n, d in ((5, 2), (4, 3)))
    shapes = [(3, 5), (3, 4)] if units else [(5, 3), (4, 3)]
    joint = np.eye(29)
    output = Part("dx of the output", (2,), 2, np.ones(2), np.eye(2), np.zeros((2, 2)), joint, np.arange(2))
    parts, samples, start = [output], [rng.normal(size=(CALLS, 2))], 2
    for site, (U, shape) in enumerate(zip(bases, shapes, strict=True)):
        onto = np.kron(np.eye(3), U @ U.T) if units else np.kron(U @ U.T, np.eye(3))
        size, rows = math.prod(shape), np.arange(start, start := start + math.prod(shape))
        noise = rng.normal(size=(CALLS, size)) @ onto
        joint[np.ix_(rows, rows)] = onto
        parts.append(Part(f"dx of layer {site}", shape, site, onto @ np.ones(size), onto, 0 * onto, joint, rows))
        samples.append(onto @ np.ones(size) + noise)
    problem = SimpleNamespace(draws=DRAWS, x=np.zeros((1, 1)), bases=bases)
    measured = Measurement(Probe("problem", "", problem), tuple(parts), tuple(samples))
    for factor, status in ((0.0, "passed"), (0.99, "passed"), (1.01, "defect")):
        for site, (U, shape) in enumerate(zip(bases, shapes, strict=True)):
            aside = np.zeros(shape)
            normal = np.linalg.qr(np.column_stack([U, np.ones(len(U))]))[0][:, -1]
            aside[(0, slice(None)) if units else (slice(None), 0)] = normal
            steps = [0, 0, 0]
            size = np.linalg.norm(samples[1 + site]) / math.sqrt(CALLS)
            steps[1 + site] = factor * ROUNDING * size * aside.ravel()
            checks = compare([moved(measured, steps)], Declaration(returns, target="projected"))
            check = only(checks, "confinement", parts[1 + site].name)
            assert (check.status, check.expected, check.se) == (status, 0, 0)
            assert check.measured == pytest.approx(factor * ROUNDING, rel=1e-3, abs=1e-12)
            assert only(checks, "confinement", parts[2 - site].name).status == "passed"


def test_what_is_not_predicted_to_stay_on_the_manifold_is_not_asked_to():
    measured = measurement()
    bases = tuple(np.eye(n)[:, : n - 1] for n in (3, 4))
    probe = measured.probe._replace(problem=SimpleNamespace(draws=DRAWS, x=np.zeros((2, 1)), bases=bases))
    checks = compare([measured._replace(probe=probe)], Declaration("activity-gradient", target="projected"))
    assert not [check for check in checks if check.question == "confinement"]


# all problems together


def test_scales_and_variances_of_all_problems_are_weighed_by_their_expected_precision():
    problems = [measurement(seed, name=f"problem {seed}", calls=CALLS + 7 * seed) for seed in range(3)]
    checks = compare(problems, DECLARED)
    for which, name in enumerate(SHAPES):
        for question in ("scale", "variance"):
            own = [only(checks, question, name, each.probe.name) for each in problems]
            weights = []
            for each in problems:
                part = each.parts[which]
                size = np.linalg.norm(part.mean)
                chance = {
                    "scale": part.mean @ part.covariance @ part.mean / size**4,
                    "variance": sum(eigenvalues(part.covariance) ** 2) / np.trace(part.covariance) ** 2,
                }[question]
                weights.append(each.calls / chance)
            weights = np.array(weights) / sum(weights)
            mean = sum(weight * check.measured for weight, check in zip(weights, own, strict=True))
            se = math.sqrt(sum((weight * check.se) ** 2 for weight, check in zip(weights, own, strict=True)))
            allowed = statistics.bound(CALLS, calls=CALLS if question == "scale" else None)
            expect(only(checks, question, name, ALL), mean, 1, se, (allowed + MISSED) * se + ROUNDING)


def test_directions_and_correlations_are_of_each_problem():
    checks = compare([measurement(seed, name=f"problem {seed}") for seed in range(3)], DECLARED)
    assert {check.question for check in checks if check.probe == ALL} == {"scale", "variance"}


def test_one_problem_alone_is_not_called_all_problems():
    assert ALL not in {check.probe for check in compare([measurement()], DECLARED)}


# findings


def test_findings_are_sorted_by_what_they_say():
    """Means before all else, exact quantities after others, the furthest off first."""
    sorted_ = [
        Check("direction", "", "", "defect", 5.0, 0.0, 0.1),
        Check("scale", "", "", "defect", 2.0, 1.0, 0.1),
        Check("scale", "", "", "defect", 2.0, 1.0, 0.0),
        Check("variance", "", "", "defect", 9.0, 1.0, 0.1),
        Check("confinement", "", "", "defect", 1.0, 0.0, 0.0),
    ]
    passed = Check("null", "", "", "passed", 0.0, 0.0, 0.1)
    for order in ((4, 3, 2, 1, 0), (1, 0, 3, 4, 2)):
        assert defects([passed, *(sorted_[i] for i in order)]) == sorted_
    assert defects(sorted_, ("variance",)) == sorted_[3:4]


def test_a_check_is_named_by_question_problem_and_array():
    assert Check("scale", "tanh, base", "dW", "passed", 1.0, 1.0, 0.1).name == "scale · tanh, base · dW"
    assert Check("scale", "", "dW", "passed", 1.0, 1.0, 0.1).name == "scale · dW"


@pytest.mark.parametrize(("se", "distance"), [(0.5, 4.0), (0.0, 2 / ROUNDING)])
def test_distances_are_in_standard_errors_or_in_roundings(se, distance):
    assert Check("scale", "", "", "defect", -1.0, 1.0, se).distance == distance


# what would decide


def undecided(question, probe, part, visible):
    return Check(question, probe, part, "undecided", 1.0, 1.0, 0.1, visible)


def drawn(**calls):
    session = SimpleNamespace(seconds=12.0, warm_up=2.0, calls=sum(calls.values()), budget=SimpleNamespace(seconds=60))
    return SimpleNamespace(calls=calls, session=session)


def test_calls_grow_as_the_square_of_the_error_that_is_still_hidden():
    """Of each array the sharpest problem must come to 5 %, the others to 20 %, by at most 1.6 times at once."""
    checks = [
        undecided("scale", "first", "dW", 0.06),
        undecided("scale", "second", "dW", 0.22),
        undecided("scale", "third", "dW", 0.9),
        Check("scale", "fourth", "dW", "passed", 1.0, 1.0, 0.1, 0.1),
        Check("scale", "fourth", "dW", "defect", 9.0, 1.0, 0.1, 0.9),
    ]
    drawing = drawn(first=100, second=200, third=50, fourth=70, fifth=3)
    first, second = 100 * 1.2**2, 200 * 1.1**2
    wanted = {"first": first, "second": second, "third": 50 * 4.5**2, "fourth": 70, "fifth": 16}
    for order in (checks, checks[::-1]):
        assert resolution._needed(drawing, order) == pytest.approx(wanted)
        counts = [math.ceil(1.1 * first), math.ceil(1.1 * second), 80, 70, math.ceil(1.6 * 3)]
        assert resolution.next_calls(drawing, order) == counts


def test_what_all_problems_hide_together_takes_calls_of_each():
    checks = [undecided("scale", ALL, "dW", 0.1), undecided("direction", "first", "dW", math.inf)]
    needed = resolution._needed(drawn(first=100, second=200), checks)
    assert needed == pytest.approx({"first": 400, "second": 800})
    needed = resolution._needed(drawn(first=100), [undecided("scale", "first", "", math.inf)])
    assert needed == pytest.approx({"first": 100 * 1.6**2})


def test_the_advice_counts_the_calls_that_are_missing():
    """A twentieth of a second each, that to compile not counted, and a second for the rest."""
    checks = [undecided("scale", "first", "dW", 0.1)]
    drawing = drawn(first=100, second=100)
    assert resolution.what_would_decide(drawing, checks) == (
        "About 330 more calls would decide it: --calls 530, or --budget 28."
    )
    drawing.session.budget.seconds = math.inf
    assert resolution.what_would_decide(drawing, checks).endswith("--calls 530.")


def test_an_audit_that_has_asked_nothing_yet_says_how_much_would_let_it():
    drawing = drawn(first=0)
    drawing.session.seconds = drawing.session.warm_up
    assert resolution.what_would_decide(drawing, []) == (
        "About 18 more calls would decide it: --calls 18, or --budget 1."
    )


@pytest.mark.parametrize(("judge", "questions"), [("mean", {"scale"}), ("kind", {"scale", "mean at large σ"})])
def test_problems_that_too_few_calls_were_left_for_are_undecided(judge, questions):
    """One is sharp enough to decide, the others have not been asked often enough to be measured."""
    sharp = measurement(calls=900, sd=1e-3)
    others = [Probe("few", "", None), Probe("few, σ = 1", "", None, linear=False)]
    probes = [sharp.probe, others[0], *others[1:] * (judge == "kind")]
    drawing = SimpleNamespace(measurements=lambda: [sharp], judge=judge, declaration=DECLARED, probes=probes)
    checks = resolution.ask(drawing)
    open_ = [check for check in checks if check.probe != "problem"]
    assert {check.status for check in open_} == {"undecided"}
    assert [check.probe for check in open_] == [probe.name for probe in probes[1:]]
    assert {check.question for check in open_} == questions
    assert all((check.expected, check.smallest_detectable) == (1, math.inf) for check in open_)
    kinds = {"scale", "direction", "variance", "independence of layers", "independence of samples"}
    of_all = {check.question for check in checks if check.probe == "problem"}
    assert of_all == (kinds if judge == "kind" else {"scale", "direction"})
    drawing.measurements = list
    assert resolution.ask(drawing) == []


@pytest.mark.parametrize(("calls", "sd", "rest"), [(900, 1e-3, "passed"), (CALLS, 1.0, "undecided")])
def test_a_defect_is_one_however_small_an_error_would_have_been_seen(calls, sd, rest):
    measured = measurement(calls=calls, sd=sd)
    wrong = moved(measured, [measured.parts[0].mean, 0])
    drawing = SimpleNamespace(measurements=lambda: [wrong], judge="mean", declaration=DECLARED, probes=[wrong.probe])
    found = {(check.question, check.part): check.status for check in resolution.ask(drawing)}
    first, second = SHAPES
    assert found["scale", first] == "defect"
    assert found["scale", second] == found["direction", second] == rest
