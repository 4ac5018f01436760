"""Hints: what they explain, and where they leave an answer unexplained."""

from __future__ import annotations

import numpy as np
import pytest

from nmnc_ref.oracle.vectors import pack
from nmnc_ref.oracle.vectors.adapter import on_numpy
from nmnc_ref.oracle.vectors.check import check
from nmnc_ref.oracle.vectors.hints import hints
from nmnc_ref.oracle.vectors.implementation import implemented, recorded

pytestmark = pytest.mark.usefixtures("packs_read_once")

CASES = {case.name: case for case in pack.read_pack().cases}


def hinted(right: np.ndarray, got: np.ndarray, relative: float = 2.0**-20) -> tuple[str, ...]:
    """Return the hints about an answer to a stage whose right answer is another than that of its inputs."""
    case = CASES["perturbation_covariance"]
    return hints(case, case.stages[0], case.inputs, right, got, relative)


def significant(dtype: str, digits: int, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers, and these with fewer digits, the first of which is off by units of its last digit besides."""
    scale = 1e9 if dtype == "uint32" else 1e3
    right = (scale * np.array([1 + 1 / 7000, 1 / 3, 1 / 3e5])).astype(dtype)
    off = np.array([units * scale * 10.0 ** (1 - digits), 0, 0])
    return right, np.array([float(f"{number:.{digits}g}") for number in right.astype(float) + off]).astype(dtype)


def decimal(dtype: str, decimals: int, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of two digits, and these with fewer decimals, the first off by units of the last one besides."""
    right = (10.0 ** (2 - decimals) * np.array([1 / 7, -1 / 3])).astype(dtype)
    off = np.array([units * 10.0**-decimals, 0])
    return right, np.array([float(f"{number:.{decimals}f}") for number in right.astype(float) + off]).astype(dtype)


@pytest.mark.parametrize(("units", "lost"), [(0, True), (5, True), (20, False)])
@pytest.mark.parametrize(
    ("written", "dtype", "digits"),
    [(significant, "float64", digits) for digits in (5, 6, 12, 15)]
    + [(significant, dtype, digits) for dtype, digits in (("float32", 5), ("float32", 6), ("uint32", 5), ("uint32", 7))]
    + [(decimal, "float64", decimals) for decimals in (4, 6, 12, 15)]
    + [(decimal, "float32", decimals) for decimals in (4, 6)],
)
def test_digits_are_lost_in_text_where_no_more_is_wrong_than_the_last_of_those_there_are(
    written, dtype, digits, units, lost
):
    assert hinted(*written(dtype, digits, units)) == (("digits lost in text",) if lost else ())


@pytest.mark.parametrize(
    ("written", "dtype", "digits"),
    [(significant, dtype, 4) for dtype in ("float64", "float32", "uint32")]
    + [(significant, "float64", 16), (significant, "float32", 7), (significant, "uint32", 8)]
    + [(decimal, "float64", 3), (decimal, "float32", 3), (decimal, "float64", 16), (decimal, "float32", 7)],
)
def test_numbers_that_have_so_few_digits_by_chance_or_all_that_they_can_have_lost_none(written, dtype, digits):
    assert not hinted(*written(dtype, digits, 0))


@pytest.mark.parametrize(("tolerances", "explained"), [(2, ()), (8, ("transposed", "column-major"))])
def test_a_slip_that_changes_few_tolerances_explains_nothing(tolerances, explained):
    right = np.array([[1.0, 0.5], [0.5 - tolerances / 64, 1.0]])
    assert hinted(right, right.T, 1 / 64) == explained


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_layer_above_what_comes_before_the_activation_is_a_hint(precision):
    case = CASES["network_tanh"]
    before = next(stage.value for stage in case.stages if stage.name == "preactivation_1")
    wrong = before @ case.inputs["weight_2"].T + case.inputs["bias_2"]
    answer = recorded({case.name: {"preactivation_2": wrong.astype(precision)}})
    (failed,) = (each for each in check([case], answer, precision=precision) if each.status == "failed")
    assert failed.hints == ("pre- for post-activation",)


def test_a_whole_number_that_is_twice_too_large_has_no_hint():
    port = {"explained_dimension": lambda inputs: 2 * np.asarray(on_numpy.explained_dimension(inputs))}
    failed = [each for each in check(CASES.values(), implemented(port)) if each.status == "failed"]
    assert failed
    assert not any(each.hints for each in failed)


def test_a_mean_that_is_always_added_is_a_hint():
    port = {"manifold_projector": lambda inputs: on_numpy.manifold_projector({**inputs, "centring": "mean-added"})}
    chosen = [CASES["manifold_uncentred"], CASES["manifold_centred"]]
    failed = [each for each in check(chosen, implemented(port)) if each.status == "failed"]
    assert [each.hints for each in failed] == [("mean-added whatever is asked",)] * 2


def test_an_answer_to_what_no_reference_takes_has_no_hint():
    port = {
        "spectrum": lambda inputs: -on_numpy.spectrum(inputs),
        "participation_ratio": lambda inputs: np.asarray(1.0),
    }
    wrong, following = check([CASES["manifold_centred"]], implemented(port), mode="chained")[::2]
    assert (wrong.stage.name, wrong.hints) == ("spectrum", ("sign",))
    assert (following.stage.name, following.status, following.follows) == ("participation_ratio", "failed", False)
    assert not following.hints
