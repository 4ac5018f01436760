"""What an audit says and concludes, word for word, of checks, answers and processes that are made up."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import math
import pickle
import re
import signal
import sys
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from nmnc_ref import oracle
from nmnc_ref.__main__ import main
from nmnc_ref.nn import feedforward
from nmnc_ref.oracle.audit import adapters, diagnosis, page, process, run, session, terminal
from nmnc_ref.oracle.audit.check import ALL, DEFECT, PASSED, UNDECIDED, Check, Measurement, fault_check
from nmnc_ref.oracle.audit.drawing import Drawing
from nmnc_ref.oracle.audit.expected import Part, expected_parts
from nmnc_ref.oracle.audit.problem import ACTIVATIONS, Declaration, declare, kinds, layers, variants
from nmnc_ref.oracle.audit.report import OTHER_KIND, SOUND, Explanation, Report, describe
from nmnc_ref.oracle.audit.session import Budget, Fault, Session, Spent, answers, raised
from nmnc_ref.oracle.command_line import UsageError

DECLARED = Declaration("jacobian", "projected")
OTHER = DECLARED._replace(noise="rademacher")
THIRD = DECLARED._replace(noise="sphere")
SCALE = Check("scale", "tanh, base", "J_1", PASSED, 1.002, 1.0, 0.005, 0.021)
SECOND = SCALE._replace(part="J_2", measured=0.996, smallest_detectable=0.034)
CLOSER = SECOND._replace(probe="relu, base", smallest_detectable=0.0302)
DIRECTION = Check("direction", "tanh, base", "J_1", PASSED, 0.4, 0.0, 0.3, 1.26)
VARIANCE = Check("variance", "tanh, base", "J_1", PASSED, 1.01, 1.0, 0.02, 0.094)
GOOD = (SCALE, SECOND, CLOSER, DIRECTION, VARIANCE)


def report(verdict, *checks, **fields):
    """Return a report as the process of an audit sends it: words that are equal are not the same object."""
    verdict, *checks = (pickle.loads(pickle.dumps(each)) for each in (verdict, *checks))
    given = {"judge": "kind", "seed": 7, "budget": Budget(60.0), "seconds": 12.34, "warm_up": 0.0, "calls": 1234}
    return Report(verdict, DECLARED, **given | {"checks": tuple(checks)} | fields)


def failed(check, measured, status=DEFECT):
    return check._replace(status=status, measured=measured)


WRONG, WRONG_TOO = failed(SCALE, 1.5), failed(SECOND, 1.4)
EXPLAINED = (Explanation("factor 1.5", 0.9, "all is multiplied"), Explanation("factor 1.4", 0.1))
HEADLINES = [
    (report(SOUND, *GOOD), "Sound: mean correct within 3.0% and 1.3°, variance within 9.4%."),
    (report(SOUND, *GOOD[:-1]), "Sound: mean correct within 3.0% and 1.3°, variance not judged."),
    (
        report(OTHER_KIND, *GOOD, kinds=(OTHER,)),
        f"Of another kind: mean correct within 3.0% and 1.3°; variance within 9.4% of that of {OTHER.kind}, not of "
        f"{DECLARED.kind}.",
    ),
    (
        report(OTHER_KIND, *GOOD[:-1], kinds=(OTHER, THIRD)),
        "Of another kind: mean correct within 3.0% and 1.3°; variance, where it is predicted, that of "
        f"{OTHER.kind} (or another), not of {DECLARED.kind}.",
    ),
    (
        report(UNDECIDED, *GOOD[1:], failed(SCALE, 1.1, UNDECIDED)),
        "Undecided after 12 s: no defect found, but scale could hide one.",
    ),
    (report(UNDECIDED), "Undecided after 12 s: there was time for too few calls to ask anything."),
    (
        report(UNDECIDED, *GOOD, kinds=(OTHER, THIRD)),
        f"Undecided after 12 s: the mean is right; the variance is not that of {DECLARED.kind}, but may be that of "
        f"{OTHER.kind}.",
    ),
    (report(DEFECT, *GOOD, WRONG), "Defect: unexplained."),
    (report(DEFECT, WRONG, explanations=EXPLAINED[:1]), "Defect: factor 1.5."),
    (report(DEFECT, WRONG, explanations=EXPLAINED), "Defect: factor 1.5 (or another)."),
    (report(DEFECT, WRONG, explanations=(*EXPLAINED, EXPLAINED[1])), "Defect: factor 1.5 (or one of 2 others)."),
    (report(DEFECT, WRONG, explanations=2 * EXPLAINED), "Defect: factor 1.5 (or one of 3 others)."),
    (
        report(DEFECT, *GOOD[:-1], failed(VARIANCE, 2.0)),
        "Defect: the mean is right, the variance is not, of this kind or another: unexplained.",
    ),
    (
        report(DEFECT, fault_check("raised", "ValueError: no\n  at line 3")),
        "Defect: the estimator raised: ValueError: no.",
    ),
    (report(DEFECT, fault_check("raised", "no"), explanations=EXPLAINED[:1]), "Defect: factor 1.5."),
]


@pytest.mark.parametrize(("found", "headline"), HEADLINES, ids=[headline[:40] for _, headline in HEADLINES])
def test_headlines(found, headline):
    assert found.headline == headline
    if found.verdict == SOUND:
        found.assert_ok()
    else:
        with pytest.raises(AssertionError) as raised:
            found.assert_ok()
        assert str(raised.value).startswith(headline)


def test_the_error_that_is_raised_has_ten_findings_and_the_advice():
    found = report(DEFECT, *11 * [WRONG], advice="Do this.")
    with pytest.raises(AssertionError) as raised:
        found.assert_ok()
    line = "scale · tanh, base · J_1: measured 1.5 ± 0.005, expected 1"
    assert str(raised.value).splitlines() == ["Defect: unexplained.", *10 * [line], "Do this."]
    assert describe(WRONG) == line
    assert describe(fault_check("raised", "an error")) == "raised: an error"


def test_what_is_visible_is_the_worst_array_at_its_best_problem():
    assert report(SOUND, *GOOD).visible_errors == {"scale": 0.0302, "direction": 1.26, "variance": 0.094}
    assert report(SOUND, SCALE, SCALE._replace(probe="zero", smallest_detectable=0.0)).visible_errors == {
        "scale": 0.021
    }


def test_questions_have_their_worst_check_and_status():
    independence = Check("independence of layers", ALL, "", PASSED, 0.0, 0.0, 0.1, 1.0)
    visible = independence._replace(question="independence of samples", smallest_detectable=0.9)
    (nothing,) = report(SOUND, independence._replace(smallest_detectable=1.1)).questions
    assert math.isnan(nothing.visible)  # no correlation is larger than 1
    found = report(DEFECT, *GOOD, WRONG, independence, visible).questions
    assert [each.name for each in found] == ["scale", "direction", "variance", independence.question, visible.question]
    assert [len(each.checks) for each in found] == [4, 1, 1, 1, 1]
    assert [each.status for each in found] == [DEFECT, *4 * [PASSED]]
    assert found[0].worst == WRONG
    assert math.isnan(found[3].visible)
    assert found[4].visible == 0.9


def test_findings_about_means_come_first_and_then_the_furthest():
    far, near = failed(VARIANCE, 9.0), failed(SCALE, 1.1)
    assert report(DEFECT, *GOOD, far, near, WRONG).findings == [WRONG, near, far]


def test_remarks_say_where_to_look():
    unexplained, debug, advice = report(DEFECT, WRONG, advice="Do this.").remarks
    assert unexplained.startswith("Unexplained: ")
    assert debug.endswith('--problem "tanh, base" --seed 7')
    assert advice == "Do this."
    assert len(report(DEFECT, WRONG, explanations=EXPLAINED).remarks) == 1
    assert report(DEFECT, fault_check("raised", "an error")).remarks == []
    assert report(DEFECT, WRONG._replace(probe=ALL), explanations=EXPLAINED).remarks == []
    assert report(UNDECIDED, failed(SCALE, 1.1, UNDECIDED)).remarks == []
    assert report(SOUND, *GOOD).remarks == []


def test_the_document_has_every_number():
    found = report(DEFECT, WRONG, explanations=EXPLAINED, kinds=(OTHER,), seconds=1.23456, warm_up=0.98765).document()
    assert (found["seconds"], found["warm_up"], found["calls"], found["seed"]) == (1.235, 0.988, 1234, 7)
    assert (found["verdict"], found["judge"], found["schema"]) == (DEFECT, "kind", 2)
    assert (found["returns"], found["target"], found["kinds"][0]["noise"]) == ("jacobian", "projected", "rademacher")
    assert found["explanations"][0] == {"name": "factor 1.5", "score": 0.9, "detail": "all is multiplied"}
    values = {"measured": 1.5, "expected": 1.0, "se": 0.005, "smallest_detectable": 0.021}
    assert found["checks"] == [{"name": "scale · tanh, base · J_1", "status": DEFECT, "note": ""} | values]
    json.dumps(found, allow_nan=False)


def shown(capsys, found, **words):
    terminal.show(found, "my_estimator", **words)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_a_sound_report_in_the_terminal(capsys):
    found = report(SOUND, *GOOD)
    headline, how, title, heads, *rows = shown(capsys, found)
    assert heads == "question status comparisons furthest off expected ± s.e. visible error"
    assert (headline, title) == (found.headline, "What was asked")
    assert how == f"my_estimator: projected jacobian, {DECLARED.kind}; 1234 calls in 12.3 s, seed 7"
    assert rows[-3:] == [
        "scale passed 3 0.996 1 0.005 0.0302",
        "direction passed 1 0.4° 0° 0.3° 1.26°",
        "variance passed 1 1.01 1 0.02 0.094",
    ]
    assert shown(capsys, found, quiet=True) == [found.headline]


def test_a_defect_in_the_terminal(capsys):
    found = report(DEFECT, WRONG, WRONG_TOO, explanations=EXPLAINED, warm_up=1.04, judge="mean")
    lines = shown(capsys, found)
    first_calls = "1234 calls in 12.3 s, of which 1.0 s in first calls, not counted, seed 7"
    assert lines[1] == f"my_estimator: projected jacobian, mean alone; {first_calls}"
    table = lines[lines.index("What is wrong") :]
    assert table[1] == "question problem returned array measured expected ± s.e."
    assert table[3:5] == ["scale tanh, base J_1 1.5 1 0.005", "scale tanh, base J_2 1.4 1 0.005"]
    assert table[-4:-1] == [
        "Fits all measurements: factor 1.5 (score 0.90).",
        "That is: all is multiplied.",
        "Fits all measurements: factor 1.4 (score 0.10).",
    ]
    assert "What was asked" in lines
    assert shown(capsys, found, quiet=True) == lines[: lines.index("What was asked")] + lines[-4:]
    assert "of which" not in " ".join(shown(capsys, report(DEFECT, WRONG, warm_up=1.0)))


@pytest.mark.parametrize(("verdict", "colour"), [(SOUND, 32), (OTHER_KIND, 36), (DEFECT, 31), (UNDECIDED, 33)])
def test_the_verdict_and_each_status_have_a_colour_and_nothing_else_has(verdict, colour, monkeypatch, capsys):
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm-16color"), ("COLUMNS", "300")):
        monkeypatch.setenv(name, value)
    known = {DEFECT: (DEFECT, "1;31"), UNDECIDED: (UNDECIDED, "1;33")}
    status, of_status = known.get(verdict, (PASSED, "32"))
    found = report(verdict, *GOOD[1:], failed(SCALE, 1.1, status), kinds=(OTHER,), advice="Do 7 [red]things[/red].")
    terminal.show(found, "my_estimator")
    coloured = re.findall(r"\x1b\[((?:\d;)*3\d)m(.*?) *\x1b", capsys.readouterr().out)
    passed = ("32", PASSED)
    assert coloured == [(f"1;{colour}", found.headline), (of_status, status), passed, passed]


def test_what_others_wrote_is_shown_as_it_is(capsys):
    """Whatever it means in Rich."""
    strange = "[bold]x[/bold] :smile:"
    found = report(DEFECT, fault_check("raised", f"it\n  {strange}"), explanations=[Explanation(strange, detail="it")])
    terminal.show(found, strange)
    _, how, *rest = capsys.readouterr().out.splitlines()
    assert how.startswith(f"{strange}: projected jacobian, ")
    assert rest[-3:] == [f"  {strange}", f"Fits all measurements: {strange} (score 1.00).", "That is: it."]


@pytest.mark.parametrize("verdict", [OTHER_KIND, UNDECIDED, DEFECT])
def test_only_a_sound_report_is_one_line_where_it_is_quiet(verdict, capsys):
    found = report(verdict, *GOOD, failed(SCALE, 1.1, verdict), kinds=(OTHER,))
    assert len(shown(capsys, found, quiet=True)) > 1
    titles = {"What is wrong", "What is open"} & set(shown(capsys, found, quiet=True))
    assert titles == {OTHER_KIND: set(), UNDECIDED: {"What is open"}, DEFECT: {"What is wrong"}}[verdict]


def test_the_page_has_verdict_counts_settings_and_a_row_for_a_question():
    found = page.page(report(DEFECT, *GOOD, WRONG, seconds=3.0), "my_estimator")
    assert found.title == "Audit of my_estimator"
    assert found.verdict == ("bad", "Defect", "Unexplained.")
    assert found.counts == [
        (5, "comparisons passed", "good"),
        (1, "comparisons off what is expected", "bad"),
        (0, "comparisons undecided", "open"),
        (1234, "calls of the estimator", ""),
    ]
    assert (found.settings["Returns"], found.settings["Kind"]) == ("projected jacobian", DECLARED.kind)
    assert (found.settings["Seed"], found.seconds) == ("7", 3.0)
    scale, direction, _ = found.rows
    assert [cell.text for cell in scale.cells] == ["scale", DEFECT, "4", "1.5", "1", "0.005", "0.0302"]
    assert [cell.text for cell in direction.cells[3:]] == ["0.4°", "0°", "0.3°", "1.26°"]
    assert [cell.key for cell in direction.cells[3:]] == [0.4, 0.0, 0.3, 1.26]
    assert (scale.cells[1].tone, direction.cells[1].tone, scale.facets) == ("bad", "good", {"status": DEFECT})
    assert [column.name for column in found.columns if not column.numeric] == ["question", "status"]
    assert [column.name for column in found.columns if not column.minor] == ["question", "status", "furthest off"]


def test_the_page_of_what_raised_says_so_and_of_the_mean_alone_that_the_kind_is_not_judged():
    found = page.page(report(DEFECT, fault_check("raises", "no\n  at line 3"), judge="mean"), "my_estimator")
    assert found.verdict.line == "The estimator raises: no."
    assert (found.contents.faults, found.contents.traceback) == (["raises: no"], "  at line 3")
    assert found.settings["Kind"] == "not judged: the mean alone"
    (row,) = found.rows
    assert [(cell.text, cell.key) for cell in row.cells[3:]] == 4 * [("–", None)]


def test_numbers_have_four_digits_and_three_in_the_summary(capsys):
    lines = shown(capsys, report(DEFECT, failed(VARIANCE._replace(se=0.0123456), 1.23456)))
    assert "variance tanh, base J_1 1.235 1 0.01235" in lines
    assert "variance defect 1 1.23 1 0.0123 0.094" in lines
    (row,) = page.page(report(DEFECT, failed(VARIANCE, 1.23456)), "my_estimator").rows
    assert row.cells[3].text == "1.235"


def test_what_an_estimator_raised_is_shown_instead_of_tables_of_findings(capsys):
    found = report(DEFECT, fault_check("raised", "ValueError: no\nTraceback\n  at line 3"))
    assert found.traceback == "Traceback\n  at line 3"
    lines = shown(capsys, found)
    assert "What is wrong" not in lines
    assert lines[-2:] == ["Traceback", "at line 3"]


def test_twelve_findings_are_shown_and_the_others_counted():
    for number, caption in ((2, None), (12, None), (15, "and 3 more (--json has all)")):
        table = terminal._findings(report(DEFECT, *number * [WRONG]))
        assert (table.row_count, table.caption) == (min(number, 12), caption)


# what explains a defect


def measured(**samples):
    """Return a measurement of arrays by name, each a mean and its samples [N, m]."""
    arrays = {name: (np.array(mean, dtype=float), np.array(sample)) for name, (mean, sample) in samples.items()}
    parts = [
        Part(name, mean.shape, 0, mean, *3 * [np.eye(len(mean))], np.arange(len(mean)))
        for name, (mean, _) in arrays.items()
    ]
    return Measurement(None, tuple(parts), tuple(sample for _, sample in arrays.values()))


def test_what_is_zero_at_every_call_of_every_problem_is_named_unless_zero_was_claimed():
    nothing, something = np.zeros((3, 2)), np.ones((3, 2))
    claim = {"A": ([1, 0], nothing), "B": ([0, 1], nothing), "C": ([0, 0], nothing), "D": ([1, 1], something)}
    found = diagnosis._zeros([measured(**claim), measured(A=claim["A"], B=([0, 1], something), D=claim["D"])])
    assert found == ("zeros in place of estimates", 1.0, "A: 0 at every call")
    assert diagnosis._zeros([measured(C=claim["C"], D=claim["D"])]) is None


def of_sizes(*sizes, order=2, entries=2):
    """Return estimates of such norms, or largest entries, all in different directions."""
    directions = np.random.default_rng(len(sizes)).normal(size=(len(sizes), entries))
    return directions / np.linalg.norm(directions, order, axis=1, keepdims=True) * np.array(sizes)[:, None]


BELOW = np.linspace(1.5, 1.9, 18)
"""Sizes of which none recurs."""


@pytest.mark.parametrize(
    ("samples", "what"),
    [
        ([of_sizes(2, 2, *BELOW), of_sizes(*BELOW, 2, 2)], "norm"),
        ([of_sizes(2, 2, *BELOW, order=np.inf), of_sizes(*BELOW, 2, 2, order=np.inf)], "entries"),
        ([of_sizes(2, 2 - 1e-6, *BELOW), of_sizes(*BELOW, 2, 2 - 1e-6)], "norm"),
        ([of_sizes(2, 2, *BELOW), of_sizes(*BELOW, 2.0001, 2.0001)], "norm"),
        ([of_sizes(2, 2, *BELOW), of_sizes(2, 2, *BELOW), of_sizes(1.8, *BELOW)], "norm"),
        ([of_sizes(2, 2, *BELOW), of_sizes(*BELOW, 2.001, 2.001)], ""),
        ([of_sizes(2, 2 - 1e-5, *BELOW), of_sizes(*BELOW, 2, 2 - 1e-5)], ""),
        ([of_sizes(2, 1.95, *BELOW), of_sizes(*BELOW, 2, 1.95)], ""),
        ([of_sizes(2, 2, *BELOW)], ""),
        ([of_sizes(2, 2, *BELOW, entries=1), of_sizes(*BELOW, 2, 2, entries=1)], ""),
        ([np.full((20, 2), 2.0), np.full((20, 2), 2.0)], ""),
    ],
)
def test_estimates_are_clipped_if_a_tenth_has_the_largest_size_and_it_is_that_of_other_problems(samples, what):
    found = diagnosis._clipped([measured(J=(np.ones(sample.shape[1]), sample)) for sample in samples])
    said = f"many arrays have {what} of size 2 and none has larger ones"
    assert found == (("estimates clipped, or scaled to a size", 1.0, said) if what else None)


SLIPS = [("noise", 10.0), ("basis", 10.0 + 2 * math.log(3))]
NO_SLIPS = []


class Law(NamedTuple):
    """A law of scales that are twice what was claimed."""

    factors: float = 1.0
    name: str = "pair counted twice"
    text: str = "everything: 2 times"

    @property
    def trivial(self):
        return not self.factors

    def divisors(self, measurement):
        return [2.0]


@pytest.fixture
def explain(monkeypatch):
    """Return a function that explains a mean by what fits it, given as words."""

    def explained(law=None, slips=NO_SLIPS, kinds=(), **found):
        answers = {"_zeros": None, "_clipped": None, "_drowned": False, "_kinds_elsewhere": "elsewhere", **found}
        for name, answer in (answers | {"_slips": slips}).items():
            monkeypatch.setattr(diagnosis, name, lambda *given, answer=answer: answer)
        monkeypatch.setattr(diagnosis.scaling, "fit", lambda measured: law)
        corrected = []
        monkeypatch.setattr(diagnosis, "_kinds", lambda measured, declared: corrected.extend(measured) or kinds)
        drawn = [measured(J=([1, 1], [[4, 2], [0, 6]]))._replace(probe=SimpleNamespace(linear=each)) for each in (1, 0)]
        answer = diagnosis.of_mean(drawn, DECLARED, [])
        assert all(np.array_equal(sample, [[2, 1], [0, 3]]) for each in corrected for sample in each.samples)
        assert len(corrected) <= 1  # past the linear response nothing is divided
        return answer

    return explained


@pytest.mark.parametrize("where", ["_zeros", "_clipped"])
def test_zeros_and_clipping_explain_whatever_else_fits(where, explain):
    assert explain(Law(), SLIPS, **{where: EXPLAINED[0]}) == (EXPLAINED[:1], (), "", True)


@pytest.mark.parametrize("law", [None, Law(0.0), Law(1.5), Law(2.0), Law(1.0)])
def test_a_slip_explains_what_a_factor_does_not_with_the_variances_of_a_kind(law, explain):
    for drowned in (False, True):
        found = explain(law, SLIPS, kinds=() if law == Law(1.0) else (DECLARED,), _drowned=drowned)
        assert ([each.name for each in found.explanations], found.kinds) == (["noise", "basis"], ())


@pytest.mark.parametrize("law", [None, Law(0.0)])
def test_where_nothing_fits_the_mean_it_may_be_that_of_another_kind(law, explain):
    assert explain(law) == "elsewhere"
    if law is None:
        explanations, kinds, advice, settled = explain(law, _drowned=True)
        assert (explanations, kinds, settled) == ((), (), True)
        assert "--measures value" in advice


@pytest.mark.parametrize(
    ("kinds", "note", "settled"),
    [
        ((DECLARED,), "", True),
        ((OTHER, DECLARED), "", True),
        (variants(OTHER), f"The variances are then those of {OTHER.kind}.", True),
        ((OTHER,), f"The variances are then those of {OTHER.kind}.", False),
        ((*variants(OTHER), THIRD), f"The variances are then those of {OTHER.kind}.", False),
    ],
)
@pytest.mark.parametrize(("factors", "slips"), [(1.0, NO_SLIPS), (2.0, NO_SLIPS), (1.0, SLIPS)])
def test_a_scale_explains_with_the_kinds_whose_variances_are_left(factors, slips, kinds, note, settled, explain):
    """Which may be chance if the kind is another, and not alone, or if nothing is known to make such a scale."""
    for law in (Law(factors), Law(factors, "1/σ for 1/σ²")):
        explained = (Explanation(law.name, 1.0, law.text),)
        assert explain(law, slips, kinds) == (explained, kinds, note, settled)
    unusual = law._replace(name=pickle.loads(pickle.dumps(law.text)))
    assert explain(unusual, slips, kinds) == ((Explanation(law.text, 1.0, law.text),), kinds, note, False)


def test_a_scale_that_leaves_the_variances_of_no_kind_explains_the_means_alone(explain):
    explanations, kinds, advice, settled = explain(Law(2.0))
    assert ([each.name for each in explanations], kinds, settled) == ([Law().name], (), True)
    assert advice == "This explains the means alone: the variances fit no kind."


@pytest.mark.parametrize("found", [(), (OTHER,)])
@pytest.mark.parametrize("slips", [NO_SLIPS, SLIPS[:1]])
def test_variances_are_those_of_a_kind_or_else_of_a_slip_and_more_is_drawn_where_both_fit(found, slips, monkeypatch):
    asked = []
    monkeypatch.setattr(diagnosis, "of_kinds", lambda measured, among: asked.append([*among]) or found * len(asked[1:]))
    monkeypatch.setattr(diagnosis, "_slips", lambda *given: slips)
    explanations, kept, _, settled = diagnosis.of_variance([], DECLARED, [])
    assert kept == found
    assert [each.name for each in explanations] == ([] if found else [name for name, _ in slips])
    assert settled == (not (found and slips))
    every = list(kinds(DECLARED))
    assert asked == [every[:1], every[1:]]  # the declared one first


def scales(*pairs, question="scale"):
    return [Check(question, "tanh, base", "J_1", DEFECT, value, 1.0, se) for value, se in pairs]


def test_a_mean_is_drowned_if_every_scale_may_be_zero():
    """That is, if it is within five standard errors of it."""
    others = scales((9.0, 0.1), question="direction") + scales((9.0, 0.1), question="variance")
    exact_or_not_asked = scales((3.0, 0.0), (math.nan, math.nan))
    assert diagnosis._drowned([*others, *exact_or_not_asked, *scales((2.4, 0.5), (-9.0, 2.0))])
    assert not diagnosis._drowned([*others, *scales((2.6, 0.5), (0.0, 2.0))])
    assert not diagnosis._drowned([*others, *exact_or_not_asked])


def test_explanations_share_the_likelihood_of_all_that_fits():
    found = diagnosis._told_apart(SLIPS)
    assert [each.name for each in found.explanations] == ["noise", "basis"]
    assert [each.score for each in found.explanations] == pytest.approx([0.75, 0.25])
    assert (found.advice, found.settled) == ("More calls would tell noise from basis.", False)
    assert diagnosis._told_apart([("noise", 10.0)]) == ((("noise", 1.0, ""),), (), "", True)
    assert diagnosis._told_apart([]) == ((), (), "", True)


def test_deviations_are_summed_in_standard_errors_and_what_is_exact_has_none():
    assert diagnosis._squares(scales((7.0, 2.0), (-3.0, 1.0), (5.0, 0.0))) == 3**2 + 4**2
    assert diagnosis._squares(scales((1e300, 1.0))) == 1e12  # no overflow


@pytest.mark.parametrize(("left", "explains"), [(5.0, True), (5.1, False), (-5.1, False)])
def test_what_leaves_more_than_half_of_the_clearest_defect_does_not_explain_it(left, explains):
    (clearest,), (alike,) = scales((11.0, 1.0)), scales((1.0 + left, 1.0))
    unlike = [alike._replace(probe=probe, measured=99.0) for probe in ("identity, base", "tanh, wide")]
    unlike += [alike._replace(part=part, measured=99.0) for part in ("J_0", "J_2")]
    assert diagnosis._explains([*unlike, alike], clearest) == explains
    assert not diagnosis._explains(unlike, clearest)


def test_a_mean_that_is_wrong_with_relu_alone_may_be_that_of_every_other_kind(monkeypatch):
    def with_(*activations):
        return [
            SimpleNamespace(probe=SimpleNamespace(problem=SimpleNamespace(activation=each))) for each in activations
        ]

    smooth, wrong = [], scales((9.0, 0.1), question="variance")
    monkeypatch.setattr(diagnosis, "compare", lambda measured, declared: smooth.extend(measured) or wrong)
    monkeypatch.setattr(diagnosis, "of_kinds", lambda measured, among: tuple(among))
    every = with_(*ACTIVATIONS)
    assert diagnosis._kinds_elsewhere(every, DECLARED).kinds == tuple(kinds(DECLARED))[1:]
    assert smooth == [each for each in every if each.probe.problem.activation in ("identity", "tanh")]
    assert diagnosis._kinds_elsewhere(with_("relu"), DECLARED) == diagnosis.Diagnosis()
    wrong += scales((9.0, 0.1))
    assert diagnosis._kinds_elsewhere(every, DECLARED) == diagnosis.Diagnosis()


@pytest.mark.parametrize("calls", [67, 68, 81])
def test_a_problem_that_was_asked_too_seldom_to_be_judged_spoils_no_explanation(calls):
    """Of 64 draws in each of the first ones: two calls to see whether one seed repeats itself, and 64 for the first."""

    def estimate(problem, seed):
        return tuple(problem.draws * array for array in adapters.nmnc(problem, seed))

    found = oracle.audit(estimate, "jacobian", target="projected", activations=("tanh",), calls=calls)
    assert (found.calls, found.verdict) == (calls, DEFECT)
    assert found.explanations[0].detail == "everything: 64 times what was claimed, in every problem"


@pytest.mark.parametrize("settled", [64, 256, 512, 1024])
def test_twice_as_many_calls_are_made_until_explanations_are_told_apart_but_not_for_ever(settled, monkeypatch):
    asked, drawing = [], SimpleNamespace(probes="ab", declaration=DECLARED, measurements=lambda: None)
    drawing.extend = lambda index, calls: asked.append(calls)
    monkeypatch.setattr(run, "ask", lambda drawing: [WRONG])
    explained = lambda *given: diagnosis.Diagnosis(settled=asked[-1] >= settled)  # noqa: E731
    monkeypatch.setattr(run.diagnosis, "of_mean", explained)
    run._explain(drawing, [])
    calls = [run.DIAGNOSED]
    while calls[-1] < min(settled, run.MOST_DIAGNOSED):
        calls.append(2 * calls[-1])
    assert asked == sorted(2 * calls)
    assert max(asked) == min(settled, run.MOST_DIAGNOSED)


# what an estimator returns


PROBLEM = oracle.problems("weight-gradient", activations=("tanh",))["tanh, base"]
PAIRS = expected_parts(PROBLEM, Declaration("weight-gradient"))
MATRICES = expected_parts(PROBLEM, Declaration("jacobian"))
WANTED = {"pairs": [(8, 5), (8,), (7, 8), (7,), (3, 7), (3,)], "matrices": [(3, 8), (3, 7)]}


def test_what_is_wanted_has_the_shapes_of_the_problem():
    assert [part.shape for part in PAIRS] == WANTED["pairs"]
    assert [part.shape for part in MATRICES] == WANTED["matrices"]


def arrays(shapes, dtype="float64"):
    return [np.arange(np.prod(shape), dtype=dtype).reshape(shape) for shape in shapes]


def pairs(shapes=WANTED["pairs"], **exchanged):
    flat = arrays(shapes)
    for index, value in exchanged.items():
        flat[int(index.strip("_"))] = value
    return list(zip(flat[::2], flat[1::2], strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("container", [tuple, list])
def test_what_is_asked_for_is_taken(container, dtype):
    flat, matrices = (arrays(WANTED[form], dtype) for form in ("pairs", "matrices"))
    nested = container(container(pair) for pair in zip(flat[::2], flat[1::2], strict=True))
    for answer, parts, given in ((nested, PAIRS, flat), (container(matrices), MATRICES, matrices)):
        found = answers(answer, parts)
        assert all(each.dtype == np.float64 for each in found)
        assert all(np.array_equal(each, one.ravel()) for each, one in zip(found, given, strict=True))


@pytest.mark.parametrize(
    ("answer", "parts", "kind", "message", "explanation"),
    [
        (3 * [np.ones(3)], PAIRS, "shape", "entry 0: expected a pair (dW, db), got shape [3]", ""),
        ([*pairs()[:1], 1.0], PAIRS, "shape", "entry 1: expected a pair (dW, db), got float", ""),
        ([(*pairs()[0], 1.0)], PAIRS, "shape", "entry 0: expected a pair (dW, db), got tuple", ""),
        ([pairs()[0][:1]], PAIRS, "shape", "entry 0: expected a pair (dW, db), got tuple", ""),
        (pairs()[:2], PAIRS, "shape", "expected 3 entries, got 2", ""),
        (2 * pairs(), PAIRS, "shape", "expected 3 entries, got 6", ""),
        (arrays(WANTED["matrices"])[:1], MATRICES, "shape", "expected 2 entries, got 1", ""),
        (np.ones((2, 3)), MATRICES, "shape", "expected a tuple of arrays, got ndarray", ""),
        (pairs(_1=1.0), PAIRS, "type", "db of layer 0: expected an array, got float", ""),
        (pairs(_0=SimpleNamespace(shape=(8, 5))), PAIRS, "type", "dW of layer 0: expected an array, got SimpleN", ""),
        (pairs(_0=SimpleNamespace(dtype="float64")), PAIRS, "type", "dW of layer 0: expected an array, got Simpl", ""),
        (pairs(_5=np.ones(3, int)), PAIRS, "type", "output layer: expected float32 or float64, got int64", ""),
        (pairs(_3=np.ones(6)), PAIRS, "shape", "db of layer 1: expected [7], got [6]", ""),
        (pairs(_3=np.ones(8)), PAIRS, "shape", "db of layer 1: expected [7], got [8]", ""),
        (pairs([each[::-1] for each in WANTED["pairs"]]), PAIRS, "shape", "expected [8, 5], got [5, 8]", "transposed"),
        (arrays([(8, 3), (7, 3)]), MATRICES, "shape", "expected [3, 8], got [8, 3]", "transposed"),
        (arrays([(3, 7), (3, 8)]), MATRICES, "shape", "expected [3, 8], got [3, 7]", session.ANOTHER_ORDER),
        (arrays([(3, 9), (3, 6)]), MATRICES, "shape", "expected [3, 8], got [3, 9]", ""),
        (arrays([(8, 3), (3, 7)]), MATRICES, "shape", "expected [3, 8], got [8, 3]", ""),
        (pairs(_2=np.full((7, 8), np.nan)), PAIRS, "NaN", "dW of layer 1", ""),
        (pairs(_2=np.array([[-np.inf] + 7 * [np.nan]] * 7)), PAIRS, "NaN", "dW of layer 1", ""),
        (pairs(_2=np.full((7, 8), np.inf)), PAIRS, "infinity", "dW of layer 1", ""),
    ],
)
def test_what_is_not_asked_for_is_said(answer, parts, kind, message, explanation):
    with pytest.raises(Fault) as fault:
        answers(answer, parts)
    assert fault.value.kind == f"returns {kind}" if kind in ("NaN", "infinity") else f"returns a wrong {kind}"
    assert message in str(fault.value)
    assert fault.value.explanation == explanation


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("assignment destination is read-only"), "mutates its inputs"),
        (ValueError("no"), "raises"),
        (TypeError("read-only"), "raises"),
    ],
)
def test_to_write_to_what_is_read_only_is_named(error, kind):
    found = raised(error)
    assert (found.kind, str(found)) == (kind, f"{'it raised ' * (kind != 'raises')}{type(error).__name__}: {error}")


def test_the_traceback_begins_in_the_code_of_the_estimator():
    def estimate(problem, seed):
        return [][seed]

    with pytest.raises(Fault) as fault:
        Session(estimate, Budget()).call(PROBLEM, PAIRS, 7)
    message, where, line, *_ = str(fault.value).splitlines()
    assert message == "IndexError: list index out of range"
    assert f'"{__file__}"' in where
    assert line.strip() == "return [][seed]"


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that stands still unless it is moved: `clock.now`, in seconds."""
    found = SimpleNamespace(now=1000.0)
    for module in (session, process):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: found.now))
    return found


def taking(clock, *seconds):
    """Return an estimator that takes so long for each call by a clock, and returns what is asked for."""
    left = iter(seconds)

    def estimate(problem, seed):
        clock.now += next(left)
        return pairs()

    return estimate


def test_the_budget_in_seconds_is_spent_by_calls_but_the_first_of_each_shape(clock):
    found = Session(taking(clock, 5.0, 1.5, 7.0, 0.5), Budget(seconds=2.0))
    clock.now += 0.25
    for problem in (PROBLEM, PROBLEM, PROBLEM._replace(draws=1)):
        found.call(problem, PAIRS, 0)
    assert (found.calls, found.warm_up, found.seconds) == (3, 12.0, 13.75)
    clock.now -= 0.25
    found.call(PROBLEM, PAIRS, 0)
    with pytest.raises(Spent):
        found.call(PROBLEM, PAIRS, 0)  # 2 seconds are over
    assert (found.calls, found.warm_up, found.seconds) == (4, 12.0, 14.0)


def test_the_budget_in_calls_is_spent_by_calls(clock):
    found = Session(taking(clock, *1000 * [0.0]), Budget(calls=300))
    for _ in range(300):
        found.call(PROBLEM, PAIRS, 0)
    with pytest.raises(Spent):
        found.call(PROBLEM, PAIRS, 0)
    assert found.calls == 300


def test_progress_is_sent_before_and_after_each_call(clock):
    sent = []
    found = process._Announced(taking(clock, 5.0, 1.0, 2.0), Budget(), SimpleNamespace(send=sent.append))
    for _ in range(3):
        found.call(PROBLEM, PAIRS, 0)
    before, after = [sent[0], *sent[1::2]], sent[2::2]
    first, second, third = (1, 0.0, 5.0, 5.0), (2, 1.0, 5.0, 5.0), (3, 3.0, 5.0, 5.0)
    assert before == [(0, 0.0, 0.0, 0.0, False), (0, 0.0, 0.0, 0.0, True), (*first, True), (*second, True)]
    assert after == [(*first, False), (*second, False), (*third, False)]


def test_an_interrupt_in_a_call_is_the_estimators_in_a_process_of_its_own():
    def interrupted(problem, seed):
        raise KeyboardInterrupt

    sent = []
    found = process._Announced(interrupted, Budget(), SimpleNamespace(send=sent.append))
    with pytest.raises(Fault, match="KeyboardInterrupt") as fault:
        found.call(PROBLEM, PAIRS, 0)
    assert fault.value.kind == "raises"
    assert (sent[-1].calls, sent[-1].calling) == (1, False)


# what is drawn


def drawing(estimate, judge="kind", seed=0):
    return Drawing(Session(estimate, Budget()), Declaration("jacobian"), seed, ("tanh",), judge)


@pytest.mark.parametrize(
    ("option", "what", "whole", "steps"), [("--calls", "calls", 20, [3, 2]), ("--budget", "seconds", 20.0, [7.0, 0.5])]
)
def test_progress_is_in_the_unit_of_the_budget(option, what, whole, steps, monkeypatch):
    shown = []

    @contextlib.contextmanager
    def progress(text, total, *, quiet):
        shown.extend([text, total, quiet])
        yield shown.append

    def audited(name, declaration, budget, seed, activations, judge, follow):
        follow(process.Progress(3, 7.0, 1.0, 0.0, calling=True))
        follow(process.Progress(5, 7.5, 1.0, 0.0, calling=False))
        raise UsageError("that is enough")

    module = sys.modules["nmnc_ref.oracle.audit.command"]
    monkeypatch.setattr(module.command_line, "progress", progress)
    monkeypatch.setattr(module, "audit_by_name", audited)
    assert main(["audit", "math:sin", "--returns", "jacobian", option, "20", "--quiet"]) == 2
    assert shown == [f"audit, {what} of the budget", whole, True, *steps]


@pytest.mark.parametrize("seed", range(5))
def test_seeds_of_calls_never_recur_and_are_far_apart(seed):
    """They go round [0, 2³²) in one odd step, and so meet all others before one comes again."""
    given = []
    drawing(lambda problem, seed: given.append(seed) or arrays(WANTED["matrices"])[::-1], seed=seed).extend(0, 100)
    (step,) = {(after - before) % 2**32 for before, after in itertools.pairwise(given)}
    assert step % 2 == 1
    assert 0 <= min(given) < 2**30
    assert 3 * 2**30 < max(given) < 2**32
    assert np.diff(sorted(given)).min() > 1000
    assert all(type(each) is int for each in given)


@pytest.mark.parametrize(("drift", "faulty"), [(0.0, False), (1e-5, False), (1e-3, True), (-1e-3, True)])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_answers_repeat_if_they_agree_to_single_precision(size, drift, faulty):
    calls = iter(range(2))

    def estimate(problem, seed):
        factor = size * (1 + drift * next(calls))
        return tuple(factor * array for array in adapters.nmnc(problem, 0))

    found = drawing(estimate)
    if faulty:
        with pytest.raises(Fault, match="∂y/∂x at layer 1 differs between two calls with the seed"):
            found.ask_twice(0)
    else:
        found.ask_twice(0)
    assert found.session.calls == 2


@pytest.mark.parametrize(("different", "faulty"), [(16, False), (9, False), (8, True), (1, True)])
def test_seeds_matter_if_more_than_half_of_the_answers_differ(different, faulty):
    calls = iter(range(16))
    found = drawing(lambda problem, seed: adapters.nmnc(problem, next(calls) % different))
    found.extend(0, 16)
    if faulty:
        with pytest.raises(Fault, match=rf"^{different} different estimates from 16 seeds \(tanh, base\)$"):
            found.expect_variety(0)
    else:
        found.expect_variety(0)


def test_what_was_asked_often_enough_is_measured():
    found = drawing(adapters.nmnc)
    for index, calls in enumerate((16, 15, 17, 1)):
        found.extend(index, calls)
    assert list(found.calls.values()) == [16, 15, 17, 1, 0, 0, 0, 0]
    enough = {each.probe.name: each.calls for each in found.measurements()}
    assert enough == {"tanh, base": 16, "tanh, few draws": 17}


@pytest.mark.parametrize("byte", [0, 255])
def test_inputs_that_are_written_to_behind_numpys_back_are_noticed(byte):
    def estimate(problem, seed):
        ctypes.memset(problem.x.ctypes.data, byte, problem.x.itemsize)
        return arrays(WANTED["matrices"])[::-1]

    for ask in (lambda found: found.extend(0, 1), lambda found: found.ask_twice(0)):
        with pytest.raises(Fault, match="an array of the problem is not what it was before the call") as fault:
            ask(drawing(estimate))
        assert fault.value.kind == "mutates its inputs"


@pytest.mark.parametrize(("judge", "linear"), [("kind", [True] * 7 + [False]), ("mean", [True] * 7)])
def test_large_noise_is_asked_about_where_the_kind_is_judged(judge, linear):
    assert [probe.linear for probe in drawing(adapters.nmnc, judge).probes] == linear


# the process of the audit


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "exit code 0"),
        (7, "exit code 7"),
        (-1, f"exit code -1 ({signal.strsignal(1)})"),
        (-9, f"exit code -9 ({signal.strsignal(9)})"),
        (None, "exit code None"),
    ],
)
def test_exit_codes_are_told_and_signals_named(code, said):
    assert process._exit(code) == said


@pytest.mark.parametrize(
    ("progress", "budget", "seconds"),
    [
        (None, Budget(5.0), 5 + 20 - 3),
        (None, Budget(), 60 + 20 - 1),
        ((2, 0.0, 0.1, 0.0, True), Budget(5.0), 5 + 20 - 3),
        ((2, 0.0, 4.0, 7.0, True), Budget(5.0), 7 + 5 + 40 - 3),
        ((2, 0.0, 4.0, 7.0, True), Budget(calls=9), 60 + 40 - 1),
        ((2, 0.0, 4.0, 7.0, False), Budget(5.0), None),
        ((2, 0.0, 1.0, 0.0, True), Budget(5.0), 0),
    ],
)
def test_a_call_is_waited_for_20_seconds_past_the_budget_or_ten_times_the_longest(progress, budget, seconds, clock):
    """Warm-up is not in the budget; without one in seconds each call has a minute."""
    started, since = (900.0, 900.0) if seconds == 0 else (clock.now - 3, clock.now - 1)
    known = progress and process.Progress(*progress)
    assert process._patience(known, started, since, budget) == seconds


class Child:
    """A process that sends what it is told to, and then nothing or no more."""

    def __init__(self, clock, messages, code=None):
        self.clock, self.messages, self.exitcode, self.did = clock, list(messages), code, []
        self.closed, self.recv = False, lambda: self.messages.pop(0)

    def Pipe(self, duplex):
        assert not duplex
        return self, SimpleNamespace(close=lambda: None)

    def Process(self, target, args):
        return self

    def poll(self, patience):
        self.clock.now += 3.0
        if not self.messages and self.exitcode is not None:
            self.recv = lambda: (_ for _ in ()).throw(EOFError)
            return True
        return bool(self.messages)

    def __getattr__(self, name):
        return lambda *given: self.did.append(name)


def audited(child, monkeypatch):
    followed = []
    monkeypatch.setattr(process.multiprocessing, "get_context", lambda method: child)
    found = process.audit_by_name("a:b", DECLARED, Budget(60.0), 7, ("tanh",), "kind", followed.append)
    assert child.did[-2:] == ["kill", "join"]
    return found, followed


PROGRESS = process.Progress(3, 1.0, 0.5, 0.25, calling=True)


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        (None, ("hangs", "a call had not returned after 3.0 s, past the budget")),
        (7, ("ends its process", "exit code 7")),
    ],
)
def test_what_ends_or_hangs_is_reported_with_what_was_spent(code, finding, clock, monkeypatch):
    found, followed = audited(Child(clock, 2 * [PROGRESS], code), monkeypatch)
    (check,) = found.checks
    assert (found.verdict, check.question, check.note) == (DEFECT, *finding)
    assert (found.seed, found.judge, found.declaration, found.budget) == (7, "kind", DECLARED, Budget(60.0))
    assert (found.calls, found.warm_up, found.seconds) == (3, 0.25, 6.0)  # since the import, which took 3 seconds
    assert followed == 2 * [PROGRESS]


@pytest.mark.parametrize(
    ("code", "said"),
    [(None, "hangs: the import had not returned after 3.0 s, past"), (0, "ends its process: exit code 0")],
)
def test_what_ends_or_hangs_before_the_first_call_cannot_be_imported(code, said, clock, monkeypatch):
    with pytest.raises(UsageError, match=rf"^cannot import a:b: it {said}"):
        audited(Child(clock, [], code), monkeypatch)


def test_the_report_of_the_process_is_returned_and_what_it_raises_is_raised(clock, monkeypatch):
    sent = report(SOUND, *GOOD)
    assert audited(Child(clock, [PROGRESS, sent]), monkeypatch) == (sent, [PROGRESS])
    with pytest.raises(UsageError, match="a:b is not callable"):
        audited(Child(clock, [UsageError("a:b is not callable")]), monkeypatch)


# the command


@pytest.fixture
def given(monkeypatch):
    """Return what the command gives to the audit, whose verdict is the first entry."""
    found = [SOUND]

    def audit_by_name(*arguments):
        found.append(arguments[:-1])
        return report(found[0], *GOOD, kinds=(OTHER,))

    monkeypatch.setattr(sys.modules["nmnc_ref.oracle.audit.command"], "audit_by_name", audit_by_name)
    return found


COMMAND = ["audit", "module:function", "--returns", "jacobian"]


@pytest.mark.parametrize(("verdict", "status"), [(SOUND, 0), (DEFECT, 1), (UNDECIDED, 3), (OTHER_KIND, 4)])
def test_each_verdict_has_its_exit_status(verdict, status, given, capsys):
    given[0] = verdict
    assert main(COMMAND) == status


@pytest.mark.parametrize(
    ("words", "budget"),
    [
        ([], Budget(60.0)),
        (["--budget", "0.5"], Budget(0.5)),
        (["--calls", "1"], Budget(math.inf, 1)),
        (["--budget", "5", "--calls", "9"], Budget(5.0, 9)),
    ],
)
def test_what_is_not_said_has_the_default_of_the_guide(words, budget, given, capsys):
    assert main([*COMMAND, *words]) == 0
    activations = ("identity", "tanh", "relu")
    assert given[1:] == [("module:function", declare("jacobian"), budget, 0, activations, "kind")]


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        *(("--budget", value, "number of seconds") for value in ("0", "-1", "inf", "nan", "many")),
        *(("--calls", value, "number of calls") for value in ("0", "-1", "1.5", "٣")),
        *(("--seed", value, "seed") for value in ("-1", "1.5", "٣")),
    ],
)
def test_what_is_no_number_of_the_right_kind_is_refused(option, value, what, given, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*COMMAND, f"{option}={value}"])
    assert stop.value.code == 2
    assert f"argument {option}: invalid {what} value: '{value}'" in capsys.readouterr().err


def test_one_problem_shows_what_is_returned_beside_the_claim(capsys):
    words = ["audit", f"{adapters.__name__}:nmnc", "--returns", "jacobian", "--problem", "tanh, base"]
    assert main(words) == 0
    problem = oracle.problems("jacobian")["tanh, base"]
    shown = ""
    for site, array in zip(problem.sites, adapters.nmnc(problem, 0), strict=True):
        J = feedforward.jacobian(layers(problem), problem.x, site + 1, ACTIVATIONS["tanh"]).mean(axis=0)
        for what, value in (("returned", array), ("mean of a right estimate at small σ", J)):
            shown += f"∂y/∂x at layer {site}, {what}:\n{np.array2string(value, precision=4)}\n"
    assert capsys.readouterr().out == shown


def test_the_audit_has_the_defaults_of_the_command_and_takes_options_by_name():
    found = oracle.audit(adapters.nmnc, "jacobian", calls=1)
    assert (found.declaration, found.seed, found.judge) == (Declaration("jacobian"), 0, "kind")
    assert found.budget == Budget(math.inf, 1)
    assert run.limits(None, None) == Budget(60.0)
    with pytest.raises(TypeError):
        oracle.audit(adapters.nmnc, "jacobian", "full")
    with pytest.raises(TypeError):
        terminal.show(found, "nmnc", True)
    with pytest.raises(TypeError):
        oracle.problems("jacobian", 0)
    first, same, other = (oracle.problems(returns="jacobian", **seed) for seed in ({}, {"seed": 0}, {"seed": 1}))
    assert np.array_equal(first["tanh, base"].x, same["tanh, base"].x)
    assert not np.array_equal(first["tanh, base"].x, other["tanh, base"].x)
