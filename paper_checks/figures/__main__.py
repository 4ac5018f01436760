"""The command `python -m paper_checks.figures`: draw what a run has measured."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from nmnc_ref.oracle import command_line, files
    from paper_checks.figures import paint, sheets
    from paper_checks.figures.sheet import table
    from paper_checks.report import SCHEMA
except ModuleNotFoundError as error:
    print(
        f"paper_checks.figures: {error.name} is not installed; in a clone: pip install -e '.[figures]'",
        file=sys.stderr,
    )
    sys.exit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m paper_checks.figures",
        description="Draw the figures of a run, those whose claims it measured: SVG and PDF, and the data as CSV.",
        epilog="For example: python -m paper_checks --json run.json && python -m paper_checks.figures run.json figures",
    )
    parser.add_argument("result", metavar="RESULT", type=Path, help="what python -m paper_checks --json RESULT wrote")
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the figures go; made if it is missing")
    options = parser.parse_args(arguments)
    say = functools.partial(command_line.console().print, markup=False, highlight=False, soft_wrap=True)
    try:
        document = json.loads(options.result.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError
        found = [(sheet, paint.figure(sheet)) for sheet in sheets(document)]
    except OSError as error:
        parser.error(f"cannot read {options.result}: {error.strerror}")
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RecursionError):
        parser.error(f"{options.result} is no result of python -m paper_checks --json of this version")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        for sheet, drawing in found:
            place = options.folder / sheet.name
            files.write(place.with_suffix(".svg"), paint.svg(drawing, sheet.name, sheet.title))
            files.write(place.with_suffix(".pdf"), paint.pdf(drawing))
            files.write(place.with_suffix(".csv"), table(sheet))
            say(f"{place}: {sheet.title}\n  {sheet.caption}")
    except OSError as error:
        parser.error(f"cannot write into {options.folder}: {error.strerror}")
    if not found:
        say("nothing to draw: none of the claims that have figures was measured")
    return 0


if __name__ == "__main__":
    sys.exit(main())
