"""Results written as JSON, so that no work is lost to a file that cannot be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def expect_writable(file: Path) -> None:
    """Raise OSError, before any work is done that could not be saved, if a file cannot be written."""
    new = not file.exists()
    file.open("a").close()
    if new:
        file.unlink()


def write(file: Path, document: Any) -> None:
    """Write a document whose numbers are finite, or raise OSError."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")
