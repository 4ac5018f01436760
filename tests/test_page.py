"""Reports as pages: complete, self-contained, the same for the same run, whatever became of it and is in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from html.parser import HTMLParser
from importlib import util
from xml.etree import ElementTree

import pytest

from nmnc_ref.__main__ import main as nmnc_ref
from nmnc_ref.oracle.page import rendering
from paper_checks import catalogue, page
from paper_checks.__main__ import main as paper_checks
from paper_checks.claim import REGISTER, run
from tests import pages

pytestmark = pytest.mark.xdist_group("pages")  # they are made once
VOID = {"br", "col", "hr", "img", "input", "link", "meta"}
FETCHED = {"src", "srcset", "action", "formaction", "data", "poster", "background", "ping", "manifest", "xlink:href"}
"""Attributes whose address a browser may ask for; and href, but for that of an anchor."""


class Parsed(HTMLParser):
    """A page taken apart: elements with their attributes, what is open, text by the element that it is in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append((self.open[-1] if self.open else "", text))

    def said(self, *tags: str) -> list[str]:
        """Return the text in elements, piece by piece."""
        return [" ".join(text.split()) for tag, text in self.texts if (not tags or tag in tags) and text.strip()]


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    """Have figures drawn without drawing any."""
    module = types.ModuleType("paper_checks.figures")
    module.drawn = lambda document: pages.FIGURES
    monkeypatch.setitem(sys.modules, "paper_checks.figures", module)


def rendered(name: str) -> str:
    return rendering.render(*pages.page(name))


@pytest.mark.parametrize("claim", catalogue.claims(), ids=lambda claim: claim.id)
def test_every_claim_has_a_formula_that_becomes_mathematics(claim):
    assert claim.formula
    for line in claim.formula.splitlines():
        text = "".join(ElementTree.fromstring(str(rendering.formula(line))).itertext())
        assert set(text) & set("=≠≈><≤≥→∝⟹⟺"), f"{line} states nothing: {text}"


@pytest.mark.parametrize(
    ("latex", "said"),
    [
        (r"1 = \frac{1}", "an argument is missing"),
        ("1 = a_", "MissingSuperScriptOrSubscript"),
        (r"\foo x = 1", r"\foo is not known"),
        ("a} = 1", "} is not known"),
        ("a & b", "ParseError"),
        (r"\text{a", "{ is not known"),
        ("1 = 1\n" + r"\left( 1", "ExtraLeftOrMissingRight"),
    ],
)
def test_a_formula_that_is_no_latex_is_found_before_any_work(latex, said, tmp_path, monkeypatch, capsys):
    broken = REGISTER["E16"]._replace(formula=latex)
    monkeypatch.setitem(REGISTER, "E16", broken)
    monkeypatch.setattr("paper_checks.__main__.run", lambda *given: pytest.fail("it has begun to work"))
    with pytest.raises(SystemExit) as stop:
        paper_checks(["--only", "E16", "--report", str(tmp_path)])
    assert stop.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"--report: claim E16 at {broken.place}: formula: expected LaTeX, got " in message
    assert repr(latex.splitlines()[-1]) in message
    assert said in message


def test_an_interrupted_run_is_written_as_far_as_it_came(tmp_path, monkeypatch, capsys):
    def interrupted(lab):
        raise KeyboardInterrupt
        yield

    monkeypatch.setitem(REGISTER, "E16", REGISTER["E16"]._replace(measure=interrupted))
    file = tmp_path / "run.json"
    assert paper_checks(["--only", "E16", "E1", "--report", str(tmp_path), "--json", str(file)]) == 130
    assert "interrupted after 1 of 2 claims" in capsys.readouterr().err
    document = json.loads(file.read_text(encoding="utf-8"))
    assert ([claim["id"] for claim in document["claims"]], document["unfinished"]) == (["E1"], ["E16"])
    said = Parsed((tmp_path / "index.html").read_text(encoding="utf-8")).said()
    assert any(each.startswith("Interrupted · ") for each in said)
    assert "After 1 of 2 claims. Until then: 1 of 1 claims hold." in " ".join(said)
    assert said[said.index("Not reached") + 1] == "E16"


@pytest.mark.parametrize(("measure", "tone"), [(pages.measured, "open"), (pages.broken, "bad")])
def test_an_interrupted_run_never_reads_as_one_that_passed(measure, tone):
    found = run(pages.claim("X1", measure=measure), pages.LAB)
    verdict = page.page(pages.report.document([found], [pages.claim("X2")])).verdict
    assert (verdict.word, verdict.tone) == ("Interrupted", tone)


def test_a_run_that_finished_nothing_leaves_an_earlier_page_alone(tmp_path, monkeypatch, capsys):
    def interrupted(lab):
        raise KeyboardInterrupt
        yield

    monkeypatch.setitem(REGISTER, "E16", REGISTER["E16"]._replace(measure=interrupted))
    (tmp_path / "index.html").write_text("earlier")
    assert paper_checks(["--only", "E16", "--report", str(tmp_path)]) == 130
    assert (tmp_path / "index.html").read_text() == "earlier"


@pytest.mark.parametrize("name", pages.NAMES)
def test_a_page_is_well_formed_and_asks_nothing_of_the_network(name):
    text = rendered(name)
    parsed = Parsed(text)
    assert not parsed.open
    assert {"html", "title", "main", "table", "h1"} <= {tag for tag, _ in parsed.elements}
    for tag, attributes in parsed.elements:
        asked = [value for name, value in attributes.items() if name in FETCHED or (name == "href" and tag != "a")]
        assert all(value.startswith(("data:", "#")) for value in asked), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    (policy,) = [each["content"] for _, each in parsed.elements if each.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy.split("; ")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", text)
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.elements:
        targets = [attributes.get("aria-controls"), attributes.get("aria-labelledby")]
        targets += [attributes["href"][1:]] if attributes.get("href", "").startswith("#") else []
        assert {each for each in targets if each} <= set(ids), attributes
    assert len(text.encode()) < 5e6
    assert "\n\n\n\n" not in text


@pytest.mark.parametrize(
    ("latex", "element"),
    [
        (r"\frac{1}{2} = x", "mfrac"),
        (r"\sqrt[3]{8} = 2", "mroot"),
        ("a_i = 1", "msub"),
        ("a^2 = 1", "msup"),
        ("a_i^2 = 1", "msubsup"),
        (r"\underset{x}{y} = 1", "munder"),
        (r"\hat{x} = 1", "mover"),
        (r"\sum_{i}^{n} i = 1", "munderover"),
    ],
)
def test_fractions_roots_and_indices_become_mathematics(latex, element):
    first, second = (ElementTree.fromstring(line) for line in str(rendering.formula(f"{latex}\n{latex}")).split("\n"))
    assert element in {each.tag.rpartition("}")[2] for each in first.iter()}
    assert ElementTree.tostring(first) == ElementTree.tostring(second)


def test_shares_of_a_tolerance_are_percents_up_to_ten_times():
    shares = {0.0512: "5.1%", 1.0: "100.0%", 9.999: "999.9%", 10.0: "10×", 10.4: "10×", 1234.0: "1.2e+03×"}
    assert {used: rendering.share(used) for used in shares} == shares
    assert {rendering.share(used) for used in (None, float("nan"), float("inf"))} == {"not finite"}


def test_columns_are_marked_as_what_they_are():
    columns = [
        rendering.Column("plain"),
        rendering.Column("number", numeric=True, minor=True),
        rendering.Column("words", long=True),
    ]
    shown, template = pages.page("audit, sound")
    parsed = Parsed(rendering.render(shown._replace(columns=columns, rows=[]), template))
    heads = [attributes["class"].split() for tag, attributes in parsed.elements if tag == "th"]
    assert heads == [[], ["number", "minor"], ["long"]]


def test_numbers_have_six_digits():
    assert [rendering.number(each) for each in (1 / 3, 2e6 / 3, 2e7 / 3)] == ["0.333333", "666667", "6.66667e+06"]


def test_numbers_keep_their_sign():
    assert [rendering.number(each) for each in (-0.5, 1e-9, float("nan"), None)] == ["−0.5", "1e−09", "–", "–"]


@pytest.mark.parametrize("name", pages.NAMES)
def test_only_the_footer_tells_two_pages_apart(name, monkeypatch):
    first, second = (re.split(r"<footer>.*?</footer>", rendered(name), flags=re.DOTALL) for _ in range(2))
    assert len(first) == 2
    assert first == second


def test_two_runs_of_one_seed_give_one_page(tmp_path, capsys):
    texts = []
    for folder in (tmp_path / "first", tmp_path / "second" / "new"):
        assert paper_checks(["--only", "E16", "D1", "--seed", "3", "--report", str(folder)]) == 0
        texts.append((folder / "index.html").read_text(encoding="utf-8"))
        assert "E16" in texts[-1]
        command = ["nmnc_ref.oracle.audit.adapters:nmnc", "--returns", "jacobian", "--target", "projected"]
        audited = folder / "audit"
        assert nmnc_ref(["audit", *command, "--activations", "tanh", "--calls", "64", "--report", str(audited)]) in (
            0,
            3,
        )
        texts.append((audited / "index.html").read_text(encoding="utf-8"))
    shown = [re.sub(r"<footer>.*?</footer>", "", text, flags=re.DOTALL) for text in texts]
    assert shown[:2] == shown[2:]
    assert shown[0] != shown[1]


def test_a_page_says_all_that_the_document_does():
    document = pages.passing()
    said = " ".join(Parsed(rendered("passing")).said())
    for claim in document["claims"]:
        assert claim["statement"] in said
        assert claim["function"] in said
        assert claim["notes"][0] in said
        assert all(twin["name"] in said for twin in claim["twins"])
        for each in claim["comparisons"]:
            assert each["name"] in said
            assert each["reason"] in said
            assert rendering.number(each["measured"]) in said
        if len(claim["comparisons"]) > 1:
            assert f"The tightest of these {len(claim['comparisons'])} uses {claim['used']:.1%}" in said
    assert f"seed {document['seed']}" in said
    assert all(f"{package} {version}" in said for package, version in document["versions"].items())


@pytest.mark.parametrize("measure", [pages.broken, pages.infinite])
def test_a_claim_that_failed_is_shown_as_completely_as_one_that_passed(measure):
    passed, failed = (
        Parsed(rendering.render(page.page(pages.document(claim)), page.TEMPLATE))
        for claim in (pages.claim("X1"), pages.claim("X1", measure=measure))
    )
    for tag in ("h2", "h3", "th", "dt"):
        assert set(passed.said(tag)) <= set(failed.said(tag))
    assert [tag for tag, _ in passed.elements].count("td") == [tag for tag, _ in failed.elements].count("td")


def test_failures_and_needed_data_are_unmistakable():
    parsed = Parsed(rendered("failing"))
    assert "Failed" in parsed.said("h1")[-1]
    assert parsed.said("title") == ["Failed · Neural manifold noise correlation, claim by claim"]
    said = " ".join(parsed.said())
    assert "3 of 9 claims hold, 4 failed: X2, X3, X4, X5; 2 without the data they need." in said
    assert "2 without the data they need" in said
    assert "Wrong twin not caught: two for one" in said
    assert "one: predicted 1, measured 1.5" in said
    assert "needs the images of CIFAR-10" in said
    assert [attributes["class"] for tag, attributes in parsed.elements if "verdict" in attributes.get("class", "")] == [
        "verdict bad"
    ]


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ([pages.claim("X1")], "Passed"),
        ([pages.claim("X1"), pages.claim("X2", measure=pages.broken)], "Failed"),
        ([pages.CLAIMS["L8"]], "Needs data"),
        ([pages.claim("X1"), pages.CLAIMS["L8"]], "Passed"),
    ],
    ids=["passed", "failed", "needs data", "passed, and needs data"],
)
def test_the_verdict_is_that_of_the_exit_status(claims, word):
    verdict = page.page(pages.document(*claims)).verdict
    outcomes = [run(claim, pages.LAB) for claim in claims]
    assert (verdict.word, verdict.tone == "good") == (word, pages.report.exit_status(outcomes) == 0)


def test_what_is_strange_is_shown_and_does_nothing():
    parsed = Parsed(rendered("failing"))
    assert len([tag for tag, _ in parsed.elements if tag == "script"]) == 1
    assert any("<script>alert('&amp;')</script> \"ξ\"" in text for text in parsed.said("p"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("audit, sound", ["Sound", "Mean correct within"]),
        ("audit, defect", ["Defect", "What fits all measurements", "--problem"]),
        ("audit, undecided", ["Undecided", "could hide one"]),
        ("audit, raises", ["Defect", "The estimator raises: RuntimeError", "in _raises"]),
        ("vectors, right", ["Passed", "0 failed"]),
        ("vectors, wrong", ["Failed", "Where to look first", "equation", "Hint:"]),
        ("vectors, nothing", ["Nothing was checked", "no function"]),
    ],
)
def test_audits_and_vectors_say_what_they_found(name, words):
    said = " ".join(Parsed(rendered(name)).said())
    assert all(word in said for word in words)


def test_a_claim_about_training_says_which_runs_it_rests_on():
    runs = [{"experiment": "Width", "parameters": {"width": 64, "seed": seed}, "result": {}} for seed in (0, 1)]
    document = pages.document(pages.claim("X1"))
    document["claims"][0]["experiments"] = runs
    said = Parsed(rendering.render(page.page(document), page.TEMPLATE)).said("dd")
    assert "2 runs of width; seeds 0, 1" in said


def test_figures_have_their_caption_and_their_data():
    parsed = Parsed(rendered("passing"))
    figures = [attributes for tag, attributes in parsed.elements if tag == "svg"]
    data = [attributes for tag, attributes in parsed.elements if "download" in attributes]
    assert [each["aria-label"] for each in figures] == [each.name for each in pages.FIGURES]
    assert all(
        each.title in " ".join(parsed.said("b")) and each.caption in parsed.said("figcaption") for each in pages.FIGURES
    )
    assert [each["download"] for each in data] == [f"{each.name}.csv" for each in pages.FIGURES]
    assert all(each["href"].startswith("data:text/csv") for each in data)


def test_without_what_draws_figures_the_page_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "paper_checks.figures", None)
    assert "pip install -e '.[figures]'" in " ".join(Parsed(rendered("passing")).said())


REPORTING = {
    "claims": (paper_checks, ["--only", "E16"], "paper_checks.__main__.run"),
    "audit": (
        nmnc_ref,
        ["audit", "nmnc_ref.oracle.audit.adapters:nmnc", "--returns", "jacobian"],
        "nmnc_ref.oracle.audit.command.audit_by_name",
    ),
    "vectors": (
        nmnc_ref,
        ["vectors", "check", "--impl", "nmnc_ref.oracle.vectors.adapter:on_numpy"],
        "nmnc_ref.oracle.vectors.command.check",
    ),
}
"""The commands that write a page, and the work that they do before."""


@pytest.mark.parametrize("name", REPORTING)
@pytest.mark.parametrize("problem", ["a file", "a folder in the way", "nothing installed"])
def test_a_page_that_cannot_be_written_is_refused_before_any_work(name, problem, tmp_path, monkeypatch, capsys):
    command, arguments, work = REPORTING[name]
    module, _, function = work.rpartition(".")
    monkeypatch.setattr(sys.modules[module], function, lambda *given, **options: pytest.fail("it has begun to work"))
    folder = tmp_path / "report"
    if problem == "a file":
        folder.write_text("")
    elif problem == "a folder in the way":
        (folder / "index.html").mkdir(parents=True)
    else:
        monkeypatch.setattr(util, "find_spec", lambda name: None if name == "jinja2" else object())
    try:
        status = command([*arguments, "--report", str(folder)])
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert status == 2
    assert "--report" in error
    assert ("pip install -e '.[report]'" if problem == "nothing installed" else str(folder)) in error


def test_a_report_needs_no_more_than_the_command_imports():
    code = "import sys, nmnc_ref.__main__, paper_checks.__main__; print({'jinja2', 'latex2mathml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout == "set()\n"
