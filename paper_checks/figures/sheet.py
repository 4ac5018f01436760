"""What a figure shows, as data: the drawing and the CSV are both made of it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

HEADINGS = ("panel", "series", "kind", "x name", "x", "y name", "y", "half-width")
Position = float | str
"""A number, or a category."""


class Look(NamedTuple):
    """Colour, marker and line style: two series of a panel that look different differ without colour too."""

    colour: str
    marker: str
    line: str | tuple[int, tuple[int, ...]]
    size: float = 3.5
    width: float = 1.1
    filled: bool = True


class Series(NamedTuple):
    """Points ("measured"; "course": joined), with half-widths of intervals if there are any, or a line ("predicted",
    "reference"), by its `kind`.

    A reference of one number is a line across the panel: vertical with x alone, horizontal with y alone.
    """

    name: str
    look: Look
    kind: str
    x: Sequence[Position]
    y: Sequence[float]
    half: Sequence[float] = ()


class Panel(NamedTuple):
    """Series over common axes; `log`: which of "x" and "y" are logarithmic; `bare`: without axes."""

    x: str
    y: str
    series: Sequence[Series]
    title: str = ""
    log: str = ""
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    bare: bool = False


class Sheet(NamedTuple):
    """A figure: panels from left to right and from above, `columns` of them in a row, of a size in mm."""

    name: str
    title: str
    caption: str
    panels: Sequence[Panel]
    columns: int = 1
    size: tuple[float, float] = (85, 70)


def table(sheet: Sheet) -> str:
    """Return the data of a figure as CSV, a row for each point; numbers are as exact as they are, NaN is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADINGS)
    for panel in sheet.panels:
        for series in panel.series:
            length = max(len(series.x), len(series.y))
            columns: list[Sequence[Position]] = [each or [""] * length for each in (series.x, series.y, series.half)]
            for x, y, half in zip(*columns, strict=True):
                row = (panel.title, series.name, series.kind, panel.x, x, panel.y, y, half)
                writer.writerow("" if isinstance(each, float) and math.isnan(each) else each for each in row)
    return text.getvalue()
