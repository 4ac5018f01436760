"""What the audit predicts, against strangers' estimators with the very same noise, brute force, and closed forms."""

from __future__ import annotations

import functools
import inspect
import itertools
import math

import numpy as np
import pytest

from nmnc_ref.nn import feedforward
from nmnc_ref.oracle.audit import adapters, scaling, statistics
from nmnc_ref.oracle.audit import probes as probing
from nmnc_ref.oracle.audit.check import Measurement
from nmnc_ref.oracle.audit.expected import exact_output_layer, expected_parts
from nmnc_ref.oracle.audit.experiment import experiment
from nmnc_ref.oracle.audit.probes import Probe, probes
from nmnc_ref.oracle.audit.problem import (
    ACTIVATIONS,
    RETURNS,
    TARGETS,
    Declaration,
    Problem,
    forward,
    kinds,
    layers,
    variants,
)
from nmnc_ref.oracle.audit.scaling import Law
from nmnc_ref.oracle.audit.slips import CATALOGUE, candidates
from nmnc_ref.oracle.audit.smoothing import respond
from paper_checks.campaigns.slipped_estimators import stranger

CLAIMS = list(itertools.product(RETURNS, TARGETS))


def problem_for(declaration, activation="tanh", sigma=1e-6, widths=(2, 6, 5, 3), dimensions=(3, 4)):
    """Return a problem of one draw, whose bases hold the mean activity, with a unit at the kink that nothing moves."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=pair[::-1]) for pair in itertools.pairwise(widths)]
    biases = [rng.normal(size=width) for width in widths[1:]]
    if declaration.perturbs == "activity":
        weights[0][0], biases[0][0] = 0.0, 0.0
    batch = 4
    problem = Problem(
        weights=tuple(weights),
        biases=tuple(biases),
        activation=activation,
        x=rng.normal(size=(batch, widths[0])),
        target=rng.normal(size=(batch, widths[-1])),
        loss="squared error",
        sigma=sigma,
        draws=1,
        bases=None,
        sites=(0, 1) if declaration.returns == "weight-gradient" else (1, 0),
    )
    if declaration.target == "full":
        return problem
    columns = [rng.normal(size=pair) for pair in zip(widths[1:], dimensions, strict=False)]
    for each, activity in zip(columns, forward(problem).activity[1:], strict=False):
        each[:, 0] = activity.mean(axis=0)
    return problem._replace(bases=tuple(np.linalg.qr(each)[0] for each in columns))


def every_kind(returns, target, noises=("gaussian", "sphere")):
    named = (variant for kind in kinds(Declaration(returns, target)) for variant in variants(kind))
    return [kind for kind in named if kind.noise in noises]


def assert_same_estimates(made, read, z, returned, exact=()):
    """Of one draw of coefficients, with which something was read."""
    predicted = [np.einsum("mra,r,a->m", maps, read, z).reshape(shape) for _, shape, _, maps in made.maps]
    predicted += [part.mean.reshape(part.shape) for part in exact]
    flat = [array for entry in returned for array in (entry if isinstance(entry, tuple) else (entry,))]
    for one, other in zip(predicted, flat, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=2e-4)


@pytest.mark.parametrize(("returns", "target"), CLAIMS)
def test_an_experiment_is_what_a_stranger_does_with_the_same_noise(returns, target):
    for kind in every_kind(returns, target):
        problem = problem_for(kind)
        made = experiment(problem, kind)
        (z,) = made.draw(np.random.default_rng(3), 1)
        returned = stranger(**kind._asdict())(problem, 3)
        assert_same_estimates(made, made.offset + made.slopes @ z, z, returned, exact_output_layer(problem, kind))


@pytest.mark.parametrize(("returns", "target"), CLAIMS)
def test_at_large_sigma_what_is_read_is_what_a_stranger_reads(returns, target):
    for kind in every_kind(returns, target):
        if kind.measures != "derivative":
            problem = problem_for(kind, sigma=0.7)
            made = experiment(problem, kind)
            z = made.draw(np.random.default_rng(3), 1)
            (read,) = respond(made, kind, z)
            if kind.measures == "difference":
                read = (read - respond(made, kind, -z)[0]) / 2
            returned = stranger(**kind._asdict())(problem, 3)
            assert_same_estimates(made, read, z[0], returned, exact_output_layer(problem, kind))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("returns", "target"), CLAIMS)
def test_the_experiment_of_a_slip_is_what_a_stranger_with_the_slip_does_with_the_same_noise(
    returns, target, activation
):
    for kind in every_kind(returns, target, ("gaussian",)):
        for slip in candidates(kind):
            if kind.measures != "difference" or not slip.steps:
                continue
            # layers alike have a neighbour's basis, and the noise of the widest is drawn first
            problem = problem_for(kind, activation, widths=(2, 6, 6, 3), dimensions=(4, 4))
            made = experiment(problem, kind._replace(**slip.instead), **slip.steps)
            (z,) = made.draw(np.random.default_rng(3), 1)
            returned = stranger(slip=slip.name, **kind._asdict())(problem, 3)
            exact = exact_output_layer(problem, kind)
            assert_same_estimates(made, made.offset + made.slopes @ z, z, returned, exact)


@pytest.mark.parametrize(("returns", "target"), CLAIMS)
def test_exact_derivatives_know_no_sigma_whatever_the_slip(returns, target):
    for kind in every_kind(returns, target, ("gaussian",)):
        for slip in candidates(kind) if kind.measures == "derivative" else ():
            small, large = (problem_for(kind, sigma=sigma) for sigma in (1e-4, 0.3))
            claimed = expected_parts(small, kind)
            pairs = [slip.expects(problem, kind, claimed) for problem in (small, large)]
            if None not in pairs:
                for one, other in zip(*pairs, strict=True):
                    np.testing.assert_allclose(one.mean, other.mean, atol=1e-10)
                    scale = abs(one.covariance).max()
                    np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-10 * scale, err_msg=slip.name)


@pytest.mark.parametrize(("returns", "target"), CLAIMS)
def test_variants_of_a_kind_have_its_moments_at_small_sigma(returns, target):
    for kind in kinds(Declaration(returns, target)):
        if kind.noise not in ("gaussian", "fixed-norm", "sphere") or (returns == "weight-gradient") > kind.output_layer:
            continue
        problem = problem_for(kind, widths=(2, 4, 3, 2), dimensions=(3, 2))
        expected = expected_parts(problem, kind)
        for variant in variants(kind):
            for one, other in zip(expected, expected_parts(problem, variant), strict=True):
                np.testing.assert_allclose(one.mean, other.mean, atol=1e-10)
                np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-10 * abs(one.covariance).max())


@pytest.mark.parametrize(("returns", "target"), CLAIMS)
def test_parts_are_the_entries_of_one_estimate(returns, target):
    """The covariance of each is that within the joint one, and what is exact has none."""
    for output_layer in {False, returns == "weight-gradient"}:
        kind = Declaration(returns, target, simultaneous=True, output_layer=output_layer)
        parts = expected_parts(problem_for(kind), kind)
        start = 0
        for part in parts:
            assert part.mean.size == math.prod(part.shape)
            np.testing.assert_array_equal(part.joint[np.ix_(part.rows, part.rows)], part.covariance)
            assert not np.any(part.uncertainty)
            if part.site is None:
                assert not np.any(part.joint)
                continue
            assert np.any(part.covariance)
            assert list(part.rows) == list(range(start, start + part.mean.size))
            start += part.mean.size
            assert part.joint.shape == 2 * (sum(each.mean.size for each in parts if each.site is not None),)
        assert [part.site for part in parts if part.site is None] == (
            [None, None] if returns == "weight-gradient" and not output_layer else []
        )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_output_layer_that_is_not_estimated_is_that_of_backpropagation(activation):
    declaration = Declaration("weight-gradient")
    problem = problem_for(declaration, activation)
    passed = forward(problem)
    error = (passed.output - problem.target) / len(problem.x)
    weight, bias = exact_output_layer(problem, declaration)
    np.testing.assert_allclose(weight.mean.reshape(weight.shape), error.T @ passed.activity[2])
    np.testing.assert_allclose(bias.mean, error.sum(axis=0))
    assert (weight.name, bias.name) == ("dW of the output layer", "db of the output layer")


def slip(name):
    return next(each for each in CATALOGUE if each.name == name)


def test_transposed_arrays_have_transposed_moments():
    declaration = Declaration("jacobian", "projected")
    problem = problem_for(declaration, widths=(2, 4, 4, 4))
    claimed = expected_parts(problem, declaration)
    for part, claim in zip(slip("transposed").expects(problem, declaration, claimed), claimed, strict=True):
        np.testing.assert_array_equal(part.mean.reshape(4, 4), claim.mean.reshape(4, 4).T)
        entries = claim.covariance.reshape(4, 4, 4, 4).transpose(1, 0, 3, 2)
        np.testing.assert_array_equal(part.covariance.reshape(4, 4, 4, 4), entries)
        np.testing.assert_array_equal(part.joint[np.ix_(part.rows, part.rows)], part.covariance)
        assert (part.name, part.site) == (claim.name, claim.site)
    other = problem_for(declaration)
    assert slip("transposed").expects(other, declaration, expected_parts(other, declaration)) is None


def test_sites_in_another_order_have_the_moments_of_the_other_site():
    declaration = Declaration("activity-gradient")
    problem = problem_for(declaration, widths=(2, 6, 6, 3))
    claimed = expected_parts(problem, declaration)
    found = slip("sites in another order than asked for").expects(problem, declaration, claimed)
    for part, claim, other in zip(found, claimed, claimed[::-1], strict=True):
        np.testing.assert_array_equal(part.mean, other.mean)
        np.testing.assert_array_equal(part.covariance, other.covariance)
        assert (part.name, part.site) == (claim.name, claim.site)


SHARED = ("noise shared over the batch", "noise shared between layers", "transposed")
OF_GRADIENTS = "one noise for the batch, with the batch's loss change"
BEFORE, STALE = "noise before the activation", "stale baseline (of another sample)"
ORDER = "sites in another order than asked for"
OF_BASES = (
    "isotropic noise where the manifold was claimed",
    "mean direction lost from the basis",
    "basis of another layer",
    "basis not orthonormal: rows normalised for columns",
)
OF_SLOPES = (
    "activation derivative left out",
    "activation derivative at the activity, φ'(x) for φ'(s)",
    "derivative threshold s ≥ 0 for s > 0",
)
TWICE, PROPAGATED = "activation derivative twice", "propagated noise at the output"
NODES = Declaration("weight-gradient", perturbs="preactivation")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Declaration("jacobian"), {*SHARED, BEFORE, STALE, ORDER}),
        (Declaration("jacobian", measures="value"), {*SHARED, BEFORE, ORDER}),
        (Declaration("activity-gradient", "projected"), {*SHARED, OF_GRADIENTS, BEFORE, STALE, ORDER, *OF_BASES}),
        (Declaration("activity-gradient", response="batch-loss"), {*SHARED, OF_GRADIENTS, BEFORE, ORDER}),
        (
            Declaration("weight-gradient", "projected", response="loss"),
            {*SHARED, OF_GRADIENTS, BEFORE, STALE, *OF_SLOPES, *OF_BASES},
        ),
        (NODES._replace(measures="derivative"), {*SHARED, OF_GRADIENTS, STALE, TWICE}),
        (NODES._replace(output_layer=True), {*SHARED, OF_GRADIENTS, STALE, TWICE}),
        (NODES._replace(simultaneous=True), {*SHARED, OF_GRADIENTS, STALE, TWICE}),
        (NODES._replace(simultaneous=True, output_layer=True), {*SHARED, OF_GRADIENTS, STALE, TWICE, PROPAGATED}),
        (
            NODES._replace(perturbs="weights", simultaneous=True, output_layer=True),
            {"noise shared over the batch", "transposed", STALE},
        ),
        (NODES._replace(perturbs="weights", response="batch-loss"), {"transposed"}),
    ],
)
def test_slips_are_considered_where_they_can_be_made(kind, names):
    assert {each.name for each in candidates(kind)} == names


def test_a_slip_spares_the_exact_output_layer():
    declaration = Declaration("weight-gradient")
    problem = problem_for(declaration)
    claimed = expected_parts(problem, declaration)
    found = slip("activation derivative left out").expects(problem, declaration, claimed)
    same = [np.allclose(one.mean, other.mean) for one, other in zip(found, claimed, strict=True)]
    assert same == [False] * 4 + [True] * 2


# scales


@functools.cache
def claimed(output_layer):
    declaration = Declaration("weight-gradient", "projected", output_layer=output_layer)
    return [(probe, expected_parts(probe.problem, declaration)) for probe in probes(declaration, 0, ("tanh",))]


def measured(factor, output_layer=True, noise=0.0):
    """Return measurements of estimates that are so many times what was claimed: factor(problem, array, layer)."""
    found, rng = [], np.random.default_rng(0)
    for probe, parts in claimed(output_layer):
        samples = []
        for index, part in enumerate(parts):
            mean = factor(probe.problem, ("dW", "db")[index % 2], index // 2) * part.mean
            samples.append(mean + noise * np.linalg.norm(mean) * rng.normal(size=(64, mean.size)))
        found.append(Measurement(probe, parts, tuple(samples)))
    return found


def n(problem, layer):
    return len(problem.weights[layer])


def d(problem, layer):
    return problem.bases[layer].shape[1] if layer < len(problem.bases) else n(problem, layer)


USUAL = {
    "no 1/σ²": lambda problem, layer: problem.sigma**2,
    "1/σ for 1/σ²": lambda problem, layer: problem.sigma,
    "no 1/K": lambda problem, layer: problem.draws,
    "sum for mean over the batch": lambda problem, layer: len(problem.x),
    "mean over the batch taken twice": lambda problem, layer: 1 / len(problem.x),
    "pair counted twice, or antithetic pairs without ½": lambda problem, layer: 2,
    "½ twice, or ½ on a one-sided response": lambda problem, layer: 0.5,
    "sign": lambda problem, layer: -1,
    "loss averaged over outputs": lambda problem, layer: 1 / n(problem, -1),
    "norm 1 for norm √d, of the noise or of the basis": lambda problem, layer: 1 / d(problem, layer),
    "norm 1 for norm √n, of the noise": lambda problem, layer: 1 / n(problem, layer),
    "energy mismatch: noise of σ√(d/n), estimate divided by σ²": lambda problem, layer: (
        d(problem, layer) / n(problem, layer)
    ),
    "energy mismatch: noise of σ, estimate divided by σ²d/n": lambda problem, layer: (
        n(problem, layer) / d(problem, layer)
    ),
}


@pytest.mark.parametrize(("output_layer", "noise"), [(False, 0.01), (True, 0.0)])
@pytest.mark.parametrize("name", USUAL)
def test_usual_scales_are_named_and_divided_out(name, output_layer, noise):
    def factor(problem, array, layer):
        exact = layer == len(problem.weights) - 1 and not output_layer
        return 1 if exact else USUAL[name](problem, layer)

    drawn = measured(factor, output_layer, noise)
    law = scaling.fit(drawn)
    assert law.name == name
    assert not law.trivial
    for each in drawn:
        problem = each.probe.problem
        factors = [factor(problem, "", layer) for layer in range(len(problem.weights)) for _ in range(2)]
        np.testing.assert_allclose(law.divisors(each), factors)


def test_a_scale_of_one_is_none():
    law = scaling.fit(measured(lambda problem, array, layer: 1))
    assert law.trivial
    assert (law.factors, law.text, law.name) == (0, "", "")


def at(*layers):
    """Tell, by its number from the output, whether a layer is one of these."""
    return lambda problem, layer: len(problem.weights) - 1 - layer in layers


def parameters(problem):
    return sum(map(np.size, (*problem.weights, *problem.biases)))


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (lambda problem, array, layer: problem.draws**2, "everything: K²"),
        (lambda problem, array, layer: problem.draws**0.5, "everything: K^½"),
        (lambda problem, array, layer: problem.draws**-0.5, "everything: K^−½"),
        (lambda problem, array, layer: problem.sigma**-2, "everything: σ⁻²"),
        (lambda problem, array, layer: 3 * problem.sigma**2, "everything: 3·σ²"),
        (lambda problem, array, layer: -problem.draws / 4, "everything: -1/4·K"),
        (lambda problem, array, layer: 0.2513, "everything: 0.251"),
        (lambda problem, array, layer: problem.draws * problem.sigma, "everything: K·σ"),
        (lambda problem, array, layer: len(problem.weights), "everything: layers"),
        (lambda problem, array, layer: 1 / parameters(problem), "everything: parameters⁻¹"),
        (lambda problem, array, layer: 3 if at(0)(problem, layer) else 1, "the output layer: 3"),
        (lambda problem, array, layer: 1 if at(0)(problem, layer) else 0.25, "hidden layers: 1/4"),
        (lambda problem, array, layer: 3 if array == "dW" else 1, "dW: 3"),
        (
            lambda problem, array, layer: 3 if array == "db" and not at(0)(problem, layer) else 1,
            "db of hidden layers: 3",
        ),
        (lambda problem, array, layer: 3 if at(1)(problem, layer) else 1, "the last hidden layer: 3"),
        (lambda problem, array, layer: 1 if at(0, 1)(problem, layer) else problem.draws, "the layers below: K"),
    ],
)
def test_other_scales_are_written_as_laws(factor, text):
    law = scaling.fit(measured(factor))
    assert law.text == law.name == f"{text} times what was claimed, in every problem"


@pytest.mark.parametrize(("array", "name"), [("dW", "weights"), ("db", "biases")])
def test_a_sum_over_the_batch_in_one_array_is_named(array, name):
    law = scaling.fit(measured(lambda problem, which, layer: len(problem.x) if which == array else 1))
    assert law.name == f"sum for mean over the batch, in {name} only"


def test_two_wrong_scales_are_both_written():
    law = scaling.fit(measured(lambda problem, array, layer: problem.draws if array == "dW" else 2))
    assert law.text == law.name
    assert set(law.text.split("; ")) == {
        "dW: K times what was claimed, in every problem",
        "db: 2 times what was claimed, in every problem",
    }


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_what_is_no_multiple_of_the_claim_has_no_scale(noise):
    for wrong in (lambda mean: mean + 0.2 * np.linalg.norm(mean), lambda mean: 0 * mean):
        drawn = measured(lambda problem, array, layer: 2, noise=noise)
        first = drawn[0].samples[0]
        samples = (first + wrong(first.mean(axis=0)) - first.mean(axis=0), *drawn[0].samples[1:])
        if noise == 0 or np.any(wrong(np.ones(2))):
            assert scaling.fit([drawn[0]._replace(samples=samples), *drawn[1:]]) is None


@pytest.mark.parametrize(("factor", "text"), [(3.0, "3"), (1 / 8, "1/8"), (5 / 7, "5/7"), (1 / 9, "0.111")])
def test_a_scale_within_its_error_is_a_simple_fraction(factor, text):
    law = scaling.fit(measured(lambda problem, array, layer: factor, noise=0.01))
    assert law.text.startswith(f"everything: {text} times")


def test_scales_without_a_law_have_none():
    rng = np.random.default_rng(0)
    assert scaling.fit(measured(lambda problem, array, layer: 1 + rng.random())) is None


def test_what_is_claimed_to_be_zero_has_no_scale_and_large_sigma_is_left_out():
    drawn = measured(lambda problem, array, layer: 2)
    for each in drawn:
        if not each.probe.linear or each.probe.name.endswith("silent"):
            drawn = [other for other in drawn if other is not each]
    assert len(drawn) == 6
    assert scaling.fit(drawn).text == scaling.fit(measured(lambda problem, array, layer: 2)).text


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (Law(), "1"),
        (Law(-1.0), "-1"),
        (Law(1 / 3), "1/3"),
        (Law(1 / 12), "1/12"),
        (Law(1 / 13), "0.0769"),
        (Law(1.0, (("K", -2.0), ("B", -0.5))), "K⁻²·B^−½"),
        (Law(-1.0, (("K", 1.0),)), "-1·K"),
    ],
)
def test_a_law_in_symbols(law, text):
    assert str(law) == text
    code = text.replace("·", "*").replace("⁻²", "**-2").replace("^−½", "**-0.5")
    assert law.value({"K": 4, "B": 9}) == pytest.approx(eval(code, {"K": 4, "B": 9}), rel=1e-3)


# problems

KINDS = [
    Declaration("jacobian"),
    Declaration("activity-gradient", "projected", response="batch-loss", measures="value"),
    Declaration("weight-gradient", "projected", response="loss", simultaneous=True),
    Declaration("weight-gradient", perturbs="preactivation", measures="value", output_layer=True),
    Declaration("weight-gradient", perturbs="weights", response="loss", measures="derivative"),
]


def named(declaration, activation, seed=0):
    return {probe.name.partition(", ")[2]: probe for probe in probes(declaration, seed, (activation,))}


def same(one, other):
    """Tell whether two fields of problems are."""
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(np.array_equal, one, other))
    return np.array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_problems_are_what_the_guide_says(activation, kind):
    found = named(kind, activation)
    sizes = ["base", "layers alike", "few draws", "one sample", "equal samples", "wide", "silent"]
    assert list(found) == sizes + ["large σ"] * (activation != "identity")
    problems = {name: probe.problem for name, probe in found.items()}
    base, alike = problems["base"], problems["layers alike"]
    widths = [base.x.shape[1], *map(len, base.biases)]
    assert all(math.gcd(*pair) == 1 for pair in itertools.combinations(widths, 2)), widths
    assert len(set(map(len, alike.biases))) == 1 < len(base.x)
    assert base.sigma == 4 * alike.sigma
    assert max(map(len, problems["wide"].biases)) > 2 * max(widths)
    for name, changed in {
        "few draws": {"draws"},
        "one sample": {"x", "target", "bases"},
        "equal samples": {"x", "target", "bases"},
        "silent": {"weights"} | ({"biases"} if kind.measures == "value" else set()),
    }.items():
        differ = {field for field in Problem._fields if not same(getattr(base, field), getattr(problems[name], field))}
        assert differ == changed - ({"bases"} if kind.target == "full" else set()), name
    assert base.draws == 8 * problems["few draws"].draws
    for name, times in (("one sample", 1), ("equal samples", 6)):
        assert np.array_equal(problems[name].x, np.repeat(base.x[:1], times, axis=0))
        assert np.array_equal(problems[name].target, np.repeat(base.target[:1], times, axis=0))
    assert not np.any(problems["silent"].weights[-1])
    assert np.any(problems["silent"].biases[-1]) == (kind.measures != "value")
    for name, problem in problems.items():
        hidden = tuple(range(len(problem.biases) - 1))
        turned = name not in ("wide", "large σ") and kind.returns != "weight-gradient"
        assert problem.sites == (hidden[::-1] if turned else hidden)
    for name, problem in problems.items():
        entropy = name == "wide" and kind.measures != "value"
        assert problem.loss == ("softmax cross-entropy" if entropy else "squared error")
        if entropy:
            assert np.array_equal(np.sort(problem.target), np.eye(4)[[-1, -1]])
        assert found[name].linear == (name != "large σ")
        assert found[name].curved == (found[name].linear and (kind.measures, kind.response) == ("value", "batch-loss"))


@pytest.mark.parametrize("kind", KINDS)
def test_bases_are_orthonormal_and_hold_the_mean_activity(kind):
    for activation in ACTIVATIONS:
        for probe in named(kind, activation).values():
            problem = probe.problem
            if kind.target == "full":
                assert problem.bases is None
                continue
            if "alike" not in probe.name:
                assert len({U.shape[1] for U in problem.bases}) == len(problem.bases)
            for U, x in zip(problem.bases, forward(problem).activity[1:-1], strict=True):
                mean = x.mean(axis=0)
                np.testing.assert_allclose(U.T @ U, np.eye(U.shape[1]), atol=1e-12)
                np.testing.assert_allclose(U @ (U.T @ mean), mean, atol=1e-12)
                assert 1 < U.shape[1] < U.shape[0]
                generic = U @ U.T - np.outer(mean, mean) / (mean @ mean)  # the rest is of any direction
                assert np.all(np.diag(generic)[x.any(axis=0)] > 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_units_of_relu_are_far_from_their_kink_or_stay_at_it(kind):
    active = []
    drawn = [probe for seed in range(3) for probe in probes(kind, seed, ("relu",)) if probe.linear]
    for problem in (probe.problem for probe in drawn):
        first, *others = (s.copy() for s in forward(problem).preactivation[:-1])
        if kind.perturbs == "activity":  # of which a unit without weights stays where it is
            assert np.flatnonzero(np.all(first == 0, axis=0)).tolist() == [0]
            assert not np.any(problem.weights[0][0])
            first = first[:, 1:]
        for s in (first, *others):
            assert np.min(abs(s)) > 200 * problem.sigma
            active.append(np.mean(s > 0))
        assert np.any(np.all(first < 0, axis=0))  # a dead unit
    assert 0.5 < np.mean(active) < 0.95


@pytest.mark.parametrize("measures", ["difference", "value"])
def test_values_that_are_read_without_a_baseline_are_as_small_as_sigma(measures):
    """And everything else is of order one."""
    sizes = {name: [] for name in ("output", "error", "input", "difference of inputs", "weight", "bias")}
    for seed, activation in itertools.product(range(12), ("identity", "tanh")):
        found = named(Declaration("activity-gradient", measures=measures), activation, seed)
        for name in ("base", "layers alike"):
            problem = found[name].problem
            unit = problem.sigma if measures == "value" else 1.0
            output = forward(problem).output
            sizes["output"].append(np.mean(output**2) / unit**2)
            sizes["error"].append(np.mean((output - problem.target) ** 2) / unit**2)
            sizes["input"].append(np.mean(problem.x**2))
            sizes["difference of inputs"].append(np.mean((problem.x[0] - problem.x[1]) ** 2) / 2 / unit**2)
            sizes["weight"] += [np.mean(weight**2) * weight.shape[1] for weight in problem.weights]
            sizes["bias"] += [np.mean(bias**2) for bias in problem.biases[:-1]]
    found = {name: math.sqrt(np.mean(squares)) for name, squares in sizes.items()}
    expected = {"input": 1, "weight": 1.2, "bias": 0.3, "output": 1.7, "error": 1.1, "difference of inputs": 1}
    if measures == "value":
        expected |= {"output": 4, "error": 11, "difference of inputs": 3}
    assert found == pytest.approx(expected, rel=0.25)


def test_errors_of_samples_are_alike():
    """So that they do not cancel in the mean: the cosine between two is 1/(1 + 0.4²)."""
    draws = probing._Draw(np.random.default_rng(0), Declaration("jacobian"))
    output = np.zeros((2, 20_000))
    one, other = draws._target(output, "squared error", 0.1)
    assert one @ other / (one @ one) == pytest.approx(1 / 1.16, abs=0.04)
    assert one @ one / len(one) == pytest.approx(0.1**2 * 1.16, rel=0.05)


def test_every_gradient_is_felt_where_sigma_is_large():
    for kind, seed in itertools.product(KINDS, range(2)):
        problem = named(kind, "relu", seed)["large σ"].problem
        error = (forward(problem).output - problem.target) / len(problem.x)
        J = feedforward.jacobian(layers(problem), problem.x, 1, ACTIVATIONS["relu"])
        slope = forward(problem).preactivation[0] > 0
        delta = np.einsum("bo,bon->bn", error, J) * slope
        assert min(np.linalg.norm(delta.T @ problem.x), np.linalg.norm(delta.sum(axis=0))) > 0.25
        assert problem.sigma > 100 * probing.SIGMA


@pytest.mark.parametrize(
    ("noises", "tried", "taken"),
    [
        ({4: 0.1}, 5, 4),
        ({0: 0.1}, 1, 0),
        ({7: 3.0}, 16, 7),
        ({15: 3.0}, 16, 15),
        ({16: 0.1, 9: 4.0}, 16, 9),
    ],
)
def test_networks_are_drawn_anew_up_to_16_times_and_the_least_noisy_one_serves(noises, tried, taken, monkeypatch):
    drawn = []

    def linear(draw, activation):
        drawn.append([Probe(str(len(drawn)), "", None), Probe("", "", None)])
        return drawn[-1]

    monkeypatch.setattr(probing, "_linear", linear)
    monkeypatch.setattr(probing, "_noise", lambda problem, declared: noises.get(len(drawn) - 1, 5.0))
    first, _ = probes(Declaration("jacobian"), 0, ("identity",))
    assert (len(drawn), first.name) == (tried, f"identity, {taken}")


def test_two_thousand_calls_show_a_fifth_of_a_scale():
    se = math.sqrt(probing.NOISE / 2000)
    visible = (statistics.bound(2000 * 64, calls=2000) + statistics.MISSED) * se
    assert 0.15 < visible < 0.21


def test_noise_is_the_largest_variance_along_a_mean():
    declaration = Declaration("activity-gradient", simultaneous=True)
    problem = problem_for(declaration)
    J = [feedforward.jacobian(layers(problem), problem.x, site + 1, ACTIVATIONS["tanh"]) for site in (1, 0)]
    error = (forward(problem).output - problem.target) / len(problem.x)
    gradients = [np.einsum("bo,bon->bn", error, each) for each in J]
    power = sum(np.sum(g**2, axis=1) for g in gradients)  # of each sample's response
    along = [np.sum(np.sum(g**2, axis=1) * power + np.sum(g**2, axis=1) ** 2) / np.sum(g**2) ** 2 for g in gradients]
    assert probing._noise(problem, declaration) == pytest.approx(max(along))
    silent = problem._replace(weights=(*problem.weights[:-1], 0 * problem.weights[-1]))
    assert probing._noise(silent, declaration) == 0


def test_integrals_are_for_what_is_not_linear_alone():
    for measures, exact in (("difference", False), ("derivative", True)):
        kind = Declaration("jacobian", measures=measures)
        probe = named(kind, "tanh")["large σ"]
        for one in (probe, probe._replace(linear=True)):
            parts = probing.expected_at(one, kind, 0, 256)
            assert [bool(np.any(part.uncertainty)) for part in parts] == 2 * [not (exact or one.linear)]


def test_the_mean_at_large_sigma_is_another_by_a_fifth():
    kind = Declaration("jacobian")
    for seed in range(3):
        probe = named(kind, "tanh", seed)["large σ"]
        (smoothed, *_), (plain, *_) = probing.expected_at(probe, kind, 0, 4096), expected_parts(probe.problem, kind)
        assert np.linalg.norm(smoothed.mean - plain.mean) > 0.2 * np.linalg.norm(plain.mean)


def test_where_nothing_is_known_of_the_noise_no_large_sigma_is_asked():
    assert "large σ" not in named(Declaration("jacobian", noise="other"), "tanh")


@pytest.mark.parametrize("function", [experiment, adapters.adapter, probing._Draw.problem])
def test_options_are_given_by_name(function):
    options = [each for each in inspect.signature(function).parameters.values() if each.default is not each.empty]
    assert {option.kind for option in options} == {inspect.Parameter.KEYWORD_ONLY}
