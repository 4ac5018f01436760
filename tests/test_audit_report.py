"""What a report of the audit says, of checks that are made up, word for word."""

from __future__ import annotations

import json
import math

import pytest

from nmnc_ref.oracle.audit import terminal
from nmnc_ref.oracle.audit.check import ALL, DEFECT, PASSED, UNDECIDED, Check, fault_check
from nmnc_ref.oracle.audit.problem import Declaration
from nmnc_ref.oracle.audit.report import OTHER_KIND, SOUND, Explanation, Report, describe
from nmnc_ref.oracle.audit.session import Budget

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
    given = {"judge": "kind", "seed": 7, "budget": Budget(60.0), "seconds": 12.34, "warm_up": 0.0, "calls": 1234}
    return Report(verdict, DECLARED, **given | {"checks": checks} | fields)


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
        report(UNDECIDED, *GOOD, kinds=(OTHER,)),
        f"Undecided after 12 s: the mean is right; the variance is not that of {DECLARED.kind}, but may be that of "
        f"{OTHER.kind}.",
    ),
    (report(DEFECT, *GOOD, WRONG), "Defect: unexplained."),
    (report(DEFECT, WRONG, explanations=EXPLAINED[:1]), "Defect: factor 1.5."),
    (report(DEFECT, WRONG, explanations=EXPLAINED), "Defect: factor 1.5 (or another)."),
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
    headline, how, title, _, *rows = shown(capsys, found)
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
    assert table[3:5] == ["scale tanh, base J_1 1.5 1 0.005", "scale tanh, base J_2 1.4 1 0.005"]
    assert table[-4:-1] == [
        "Fits all measurements: factor 1.5 (score 0.90).",
        "That is: all is multiplied.",
        "Fits all measurements: factor 1.4 (score 0.10).",
    ]
    assert "What was asked" in lines
    assert "What was asked" not in shown(capsys, found, quiet=True)
    assert "of which" not in " ".join(shown(capsys, report(DEFECT, WRONG, warm_up=0.96)))


def test_what_an_estimator_raised_is_shown_instead_of_tables_of_findings(capsys):
    lines = shown(capsys, report(DEFECT, fault_check("raised", "ValueError: no\nTraceback\n  at line 3")))
    assert "What is wrong" not in lines
    assert lines[-2:] == ["Traceback", "at line 3"]


def test_twelve_findings_are_shown_and_the_others_counted():
    for number, caption in ((12, None), (15, "and 3 more (--json has all)")):
        table = terminal._findings(report(DEFECT, *number * [WRONG]))
        assert (table.row_count, table.caption) == (12, caption)
