"""How figures look: sheets drawn by matplotlib, for a column of a paper, in colour or in grey."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from paper_checks.figures.sheet import Look, Panel, Series, Sheet

MILLIMETRE = 1 / 25.4
STYLE: Any = {
    "axes.grid": True,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 7.5,
    "axes.xmargin": 0.08,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "nmnc",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}
UNDATED = {"svg": dict.fromkeys(("Creator", "Date", "Format", "Type")), "pdf": {"CreationDate": None}}
POINTS = ("measured", "course")
DODGE = 0.13
"""Between the points of neighbouring series in a category."""


def figure(sheet: Sheet) -> Figure:
    """Return the drawing of a sheet."""
    with mpl.rc_context(STYLE):
        width, height = (side * MILLIMETRE for side in sheet.size)
        drawing = Figure(figsize=(width, height), layout="constrained")
        rows = -(-len(sheet.panels) // sheet.columns)
        grid = drawing.subplots(rows, sheet.columns, squeeze=False)
        for index, (axes, panel) in enumerate(zip(grid.flat, sheet.panels, strict=True)):
            _draw(axes, panel)
            before = sheet.panels[index - 1]
            if index % sheet.columns and panel.y_limits and (panel.y, panel.y_limits) == (before.y, before.y_limits):
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
        entries = _legend(sheet)
        drawing.legend(
            [handle for handle, _ in entries],
            [name for _, name in entries],
            loc="outside upper center",
            ncols=_columns([name for _, name in entries], sheet.size[0]),
            handlelength=2.6,
            columnspacing=1.2,
        )
    return drawing


def svg(drawing: Figure, name: str, title: str) -> str:
    """Return an <svg> element, the same for the same figure, that shares no id and no style with the rest of a page."""
    text = io.StringIO()
    with mpl.rc_context(STYLE):
        drawing.savefig(text, format="svg", metadata=UNDATED["svg"])
    element = text.getvalue().partition("<svg ")[2]
    element = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", element)
    element = element.replace("*{", f"#{name}-figure_1 *{{")
    return f'<svg role="img" aria-label={quoteattr(title)} {element}'


def pdf(drawing: Figure) -> bytes:
    """Return a PDF without a date."""
    data = io.BytesIO()
    with mpl.rc_context(STYLE):
        drawing.savefig(data, format="pdf", metadata=UNDATED["pdf"])
    return data.getvalue()


def _draw(axes: Axes, panel: Panel) -> None:
    axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    axes.set(**{f"{axis}scale": "log" for axis in panel.log})
    if panel.x_limits:
        axes.set_xlim(*panel.x_limits)
    if panel.y_limits:
        axes.set_ylim(*panel.y_limits)
    categories = list(dict.fromkeys(x for series in panel.series for x in series.x if isinstance(x, str)))
    dodged = [series for series in panel.series if series.kind in POINTS]
    for series in panel.series:
        x = list(series.x)
        if categories and x:
            shift = DODGE * (dodged.index(series) - (len(dodged) - 1) / 2)
            x = [categories.index(str(each)) + shift for each in x]
        _draw_series(axes, series, x)
    if categories:
        axes.set_xticks(range(len(categories)), [each.replace(" ", "\n") for each in categories])
        axes.set_xlim(-0.5, len(categories) - 0.5)
    for name in panel.log:
        _label_powers({"x": axes.xaxis, "y": axes.yaxis}[name])
    if panel.bare:
        axes.set_axis_off()
        axes.set_aspect("equal")


def _label_powers(axis: Axis) -> None:
    """Label the ticks of a logarithmic axis in plain numbers: powers of ten, or more where these would be few."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(_power))
    axis.set_minor_locator(NullLocator())


def _power(value: float, position: int | None) -> str:
    """Return the label of a tick of a logarithmic axis."""
    return f"{value:g}" if 1e-3 <= value < 1e5 else f"$10^{{{round(math.log10(value))}}}$"


def _draw_series(axes: Axes, series: Series, x: list[Any]) -> None:
    look = series.look
    line: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "linewidth": look.width}
    if not x and not series.y:  # nothing was found, as where every training diverged
        return
    if not x:
        axes.axhline(series.y[0], **line)
    elif not series.y:
        axes.axvline(x[0], **line)
    elif series.kind in POINTS:
        style = _marker(look) | (line if series.kind == "course" else {"linestyle": ""})
        axes.errorbar(x, series.y, series.half or None, elinewidth=0.8, capsize=1.5, zorder=3, **style)
    else:
        axes.plot(x, series.y, zorder=2, **line)


def _marker(look: Look) -> dict[str, Any]:
    face = look.colour if look.filled else "white"
    size = {"markersize": look.size, "markeredgewidth": 0.9}
    return {"color": look.colour, "marker": look.marker, "markerfacecolor": face, **size}


def _columns(names: list[str], width: float) -> int:
    """Return how many entries of a legend fit beside one another in mm."""
    room = 1.3 * max(map(len, names)) + 14
    return max(1, min(len(names), int(width / room)))


def _legend(sheet: Sheet) -> list[tuple[Line2D, str]]:
    """Return an entry for each name: with the marker of what is measured and the line of what is predicted."""

    def entries() -> Iterator[tuple[Line2D, str]]:
        every = [series for panel in sheet.panels for series in panel.series]
        for name in dict.fromkeys(series.name for series in every):
            found = [series for series in every if series.name == name]
            look = found[0].look
            points = any(series.kind in POINTS for series in found)
            lines = any(series.kind != "measured" for series in found)
            style = _marker(look) | {"linestyle": look.line if lines else "", "linewidth": look.width}
            yield Line2D([], [], **(style if points else style | {"marker": ""})), name

    return list(entries())
