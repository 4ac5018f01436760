"""Every wrong twin of every operation fails at least one stage of the pack, by its numbers, and some have a hint."""

from __future__ import annotations

import pytest
from twins import TWINS
from twins.slip import column_major

from nmnc_ref.oracle.vectors import pack
from nmnc_ref.oracle.vectors.check import Result, check
from nmnc_ref.oracle.vectors.implementation import implemented
from nmnc_ref.oracle.vectors.operations import OPERATIONS

PACK = pack.read_pack()
ALL = [(operation, slip) for operation, twins in TWINS.items() for slip in twins]


HINTED = (
    ("factor 2", {"slope": "of a half", "loss_value": "no half", "error": "factor 2", "loss_gradient": "factor 2"}),
    ("factor 2", {"two_nearest_neighbours": "squared distances", "covariance_noise": "divided by √m"}),
    ("factor 2", {"one_sided_response": "half", "antithetic_response": "whole difference"}),
    ("factor 2", {"mirror_response": "whole difference"}),
    ("sign", {"error": "target less output"}),
    ("sign", dict.fromkeys(("unnormalised_correlation", "correlation", "batch_correlation"), "the other sign")),
    ("sign", dict.fromkeys(("one_sided_response", "antithetic_response", "mirror_response"), "the other sign")),
    ("sign", dict.fromkeys(("activity_gradient", "delta", "weight_gradient", "bias_gradient"), "the other sign")),
    ("sum for mean", {"loss_value": "sum over the batch", "error": "no 1/B", "spectrum": "not divided by B"}),
    ("sum for mean", dict.fromkeys(("unnormalised_correlation", "correlation"), "sum over draws")),
    ("sum for mean", {"convolution_mirror": "sum over draws", "estimated_jacobian": "sum over draws"}),
    ("sum for mean", {"convolution_mirror": "sum over places"}),
    ("sum for mean", {"convolution_mirror": "sum over places and draws"}),
    ("sum for mean", dict.fromkeys(("loss_gradient", "recurrent_loss_gradient"), "sum over the batch")),
    ("mean for sum", {"loss_gradient": "1/B twice", "weight_gradient": "1/B twice"}),
    ("mean for sum", {"bias_gradient": "mean over the batch"}),
    ("mean for sum", dict.fromkeys(("convolution_weight_gradient", "convolution_bias_gradient"), "1/B twice")),
    ("÷ K but not ÷ B", {"batch_correlation": "÷ K but not ÷ B"}),
    ("÷ B but not ÷ K", {"batch_correlation": "sum over draws"}),
    ("mean over elements", {"loss_value": "mean over elements", "error": "mean over elements"}),
    ("mean over elements, without the half", {"loss_value": "mean of squares"}),
    ("missing σ", {"isotropic_noise": "no σ", "manifold_noise": "no σ"}),
    ("σ² for σ", {"isotropic_noise": "σ²", "manifold_noise": "σ²"}),
    ("missing 1/σ²", dict.fromkeys(("correlation", "batch_correlation", "estimated_jacobian"), "no 1/σ²")),
    ("missing 1/σ²", {"convolution_mirror": "no 1/σ²"}),
    ("missing 1/σ", dict.fromkeys(("correlation", "batch_correlation", "estimated_jacobian"), "1/σ")),
    ("missing 1/σ", {"convolution_mirror": "1/σ"}),
    ("centred over the draws", {"unnormalised_correlation": "noise centred over the draws"}),
    ("centred over the draws", dict.fromkeys(("correlation", "batch_correlation"), "noise centred over the draws")),
    ("one-sided for antithetic", {"antithetic_response": "one-sided"}),
    ("antithetic for one-sided", {"one_sided_response": "antithetic"}),
    ("pre- for post-activation", {"activity": "no tanh"}),
    ("pre- for post-activation", {"activity": "no ReLU"}),
    ("post- for pre-activation", {"slope": "of the activity"}),
    ("ReLU'(0) = 1", {"slope": "ReLU'(0) = 1"}),
    (
        "projector left out",
        dict.fromkeys(("projected_jacobian", "alignment", "pooled_alignment"), "projector left out"),
    ),
    ("projector left out", {"manifold_noise": "z for U z where d = n"}),
    ("centred whatever is asked", {"spectrum": "always centred"}),
    ("uncentred whatever is asked", {"spectrum": "never centred"}),
    ("centred whatever is asked", {"manifold_projector": "mean forgotten"}),
    ("centred whatever is asked", {"manifold_projector": "always centred"}),
    ("uncentred whatever is asked", {"manifold_projector": "never centred"}),
    ("one neighbour off", {"two_nearest_neighbours": "one neighbour off"}),
    ("fold_in from 1", {"estimated_jacobian": "fold_in from 1"}),
    ("η for 1 − η", {"running_average": "η for 1 − η"}),
    ("column-major", {"split_keys": "words in columns", "recurrent_loss_gradient": "transposed"}),
    ("transposed", dict.fromkeys(("loss_gradient", "weight_gradient", "recurrent_loss_gradient"), "transposed")),
    ("transposed", {"convolution_weight_gradient": "rows of the kernel for columns"}),
    ("transposed", {"convolution_mirror": "rows of the kernel for columns"}),
    ("transposed", {"split_keys": "words in columns"}),
)
"""All twins that have hints, by hint: operation and slip."""


def failures(operation: str, twin) -> list[Result]:
    """Return the stages that a twin fails, in the precision of each case."""
    failed = []
    for precision in ("float64", "float32"):
        kept = ("any", precision) if precision == "float64" else (precision,)
        cases = [case for case in PACK.cases if case.precision in kept]
        chosen = [case for case in cases if any(stage.operation == operation for stage in case.stages)]
        results = check(chosen, implemented({operation: lambda inputs: twin(**inputs)}), precision=precision)
        failed += [each for each in results if each.status == "failed"]
        if any(map(by_its_numbers, failed)):
            break
    return failed


def by_its_numbers(result: Result) -> bool:
    """Tell whether a stage failed by its numbers or their shape."""
    return not result.note.startswith(("raised", "wrong dtype"))


def test_every_operation_has_wrong_twins():
    assert TWINS.keys() == OPERATIONS.keys()


@pytest.mark.parametrize(("operation", "slip"), ALL, ids=lambda each: each.replace(" ", "_"))
def test_a_wrong_twin_fails(operation, slip):
    failed = failures(operation, TWINS[operation][slip])
    assert any(map(by_its_numbers, failed)), failed[:1]
    assert {hint for each in failed for hint in each.hints} == {
        hint for hint, twins in HINTED if twins.get(operation) == slip
    }


def test_every_hint_has_twins():
    assert all(slip in TWINS[operation] for _, twins in HINTED for operation, slip in twins.items())


def test_a_basis_that_is_read_as_column_major_is_a_hint():
    def misread(coefficients, basis, sigma):
        return sigma * column_major(coefficients) @ column_major(basis).T

    assert {each.hints for each in failures("manifold_noise", misread)} == {("column-major",)}
