"""A report as one file of HTML that asks nothing of the network: what it shows, and how it is written.

`shell.html` has all that reports share; each command extends it by a template of its own, `page.html`, with what it
alone shows: more sections, and what a row of the table opens to.
"""

from __future__ import annotations

import base64
import importlib.util
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from nmnc_ref.oracle import command_line, files
from nmnc_ref.oracle.command_line import UsageError

HERE = Path(__file__).parent
FILE = "index.html"
NEEDED = ("jinja2", "latex2mathml")
GOOD, BAD, OPEN = "good", "bad", "open"
"""How a status reads: held, did not hold, not decided."""

ARGUMENTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "munderover": 3}
"""How many children these elements of MathML have."""


class Verdict(NamedTuple):
    """The outcome in a word and a line, and its tone."""

    tone: str
    word: str
    line: str


class Count(NamedTuple):
    """How many of what."""

    number: int
    what: str
    tone: str = ""


class Column(NamedTuple):
    """A column of the table: numbers are set to the right; a `long` one has all the room that others leave, and where
    there is little a `minor` one is left out.
    """

    name: str
    numeric: bool = False
    minor: bool = False
    long: bool = False


class Cell(NamedTuple):
    """A cell of the table: what it shows, and by what it is sorted if not by that; None comes last."""

    text: str
    key: float | str | None = ""
    tone: str = ""


class Row(NamedTuple):
    """A row of the table, whose first cell is its name; it is filtered by `facets`, and opens to `contents`."""

    cells: tuple[Cell, ...]
    facets: Mapping[str, str]
    contents: Any


class Page(NamedTuple):
    """A report: `what` its rows are, `seconds` that it took, if known, and `contents` for its own template."""

    title: str
    verdict: Verdict
    counts: Sequence[Count]
    settings: Mapping[str, str]
    what: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    contents: Any = None
    seconds: float | None = None


def expect_folder(folder: Path) -> None:
    """Make the folder of a report, or raise UsageError, before any work is done that could not be shown."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        needed = f"{' and '.join(missing)} not installed; install with: {command_line.install('report')}"
        raise UsageError(f"--report: {needed}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report: cannot make the folder {folder}: {error.strerror}") from None
    command_line.expect_writable(folder / FILE, "--report")


def write(folder: Path, page: Page, template: Path) -> None:
    """Write a report into its folder, or raise UsageError."""
    text = render(page, template)
    try:
        files.write(folder / FILE, text)
    except OSError as error:
        raise UsageError(f"--report: cannot write {folder / FILE}: {error.strerror}") from None


def render(page: Page, template: Path) -> str:
    """Return the HTML of a report; all that differs between two runs that found the same is the element `footer`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([HERE, template.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"formula": formula, "number": number, "share": share, "slug": slug, "data": data}
    parts = {name: (HERE / f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    text = environment.get_template(template.name).render(page._asdict() | parts | {"now": datetime.now(UTC)})
    return text.encode(errors="replace").decode()  # the name of a file may be no text


def formula(latex: str) -> Any:
    """Return LaTeX as MathML, each line a formula of its own.

    Raises:
        ValueError: a line is no LaTeX, or has what the converter does not know and would show as it is.
    """
    from markupsafe import Markup

    return Markup("\n").join(Markup(_mathematics(line)) for line in latex.splitlines())


def _mathematics(line: str) -> str:
    from latex2mathml.converter import convert

    try:
        found = convert(line, display="block")
        elements = list(ElementTree.fromstring(found).iter())
    except Exception as error:  # of whatever kind: they have no base of their own
        raise ValueError(f"expected LaTeX, got {line!r}: {command_line.in_one_line(error)}") from None
    for each in elements:
        name = each.tag.rpartition("}")[2]
        if len(each) != ARGUMENTS.get(name, len(each)):
            raise ValueError(f"expected LaTeX, got {line!r}: an argument is missing")
        if unknown := re.search(r"\\\w+|[\\{}$_&]", each.text or ""):
            raise ValueError(f"expected LaTeX, got {line!r}: {unknown[0]} is not known")
    return found


def number(value: float | None, digits: int = 6) -> str:
    """Return a number as text, with a dash for what is not finite."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}g}".replace("-", "−")


def share(used: float | None) -> str:
    """Return the share of a tolerance that was used."""
    if used is None or not math.isfinite(used):
        return "not finite"
    return f"{used:.1%}" if used < 10 else f"{used:.2g}×"


def slug(name: str) -> str:
    """Return a name as the id of an element."""
    return re.sub(r"\W+", "-", name)


def data(text: str, kind: str) -> str:
    """Return a text as the address of itself."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"
