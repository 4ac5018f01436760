"""Figures of a run: what was measured, over what the theory predicts. They are made of its JSON document alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from paper_checks.figures import alignment, estimator, learning, paint
from paper_checks.figures.points import Claim
from paper_checks.figures.sheet import Sheet, table

FIGURES: tuple[tuple[str, Callable[[Claim], Sheet]], ...] = (
    ("E4", estimator.error),
    ("E6", estimator.cosine),
    ("E6", estimator.winners),
    ("E17", estimator.best_dimension),
    ("A2", alignment.decay),
    ("A3", alignment.spectrum),
    ("A3-trained", alignment.course),
    ("D3", learning.dimension_over_width),
    ("L2", learning.accuracy),
    ("L4", learning.accuracy),
    ("L2-CIFAR", learning.cifar),
    ("L2-CIFAR", learning.advantage),
    ("L3", learning.perturbations_over_width),
    ("L5", learning.dimensions),
    ("L6-neurons", learning.neurons),
    ("L8", learning.efficiency),
)
"""Of which claim each figure is."""


class Drawn(NamedTuple):
    """A figure: an <svg> element, and its data as CSV."""

    name: str
    title: str
    caption: str
    svg: str
    csv: str


def sheets(document: Mapping[str, Any]) -> Iterator[Sheet]:
    """Yield what there is to draw of a run: the figures of the claims that were measured."""
    measured = {claim["id"]: claim for claim in document["claims"] if claim["comparisons"]}
    for id, figure in FIGURES:
        if id in measured:
            yield figure(measured[id])


def draw(sheet: Sheet) -> Drawn:
    """Return the drawing of a sheet."""
    picture = paint.svg(paint.figure(sheet), sheet.name, sheet.title)
    return Drawn(sheet.name, sheet.title, sheet.caption, picture, table(sheet))


def drawn(document: Mapping[str, Any]) -> list[Drawn]:
    """Return the figures of a run.

    Args:
        document: what `python -m paper_checks --json` writes.
    """
    return [draw(sheet) for sheet in sheets(document)]
