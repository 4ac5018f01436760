"""Files that are written whole or not at all: where a process is killed or a disk is full, the earlier one stays."""

from __future__ import annotations

import os
from pathlib import Path


def write(file: Path, content: str | bytes) -> None:
    """Write a file, text in UTF-8; what is no file, such as a terminal or a pipe, takes the content as it comes.

    Raises:
        OSError: it cannot be written; an earlier file is then as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    if _is_stream(file):
        file.write_bytes(data)
        return
    unfinished = _unfinished(file)
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, file.resolve())  # a link stays one
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def expect_writable(file: Path) -> None:
    """Raise OSError, before any work is done that could not be saved, if a file cannot be written."""
    if file.exists():
        file.open("ab").close()
    if not _is_stream(file):
        unfinished = _unfinished(file)
        unfinished.touch()
        unfinished.unlink()


def _is_stream(file: Path) -> bool:
    return file.exists() and not file.is_file()


def _unfinished(file: Path) -> Path:
    """Return where a file is until it is whole: beside it, from where it can be moved in one step."""
    place = file.resolve()
    return place.with_name(f".{place.name}.{os.getpid()}")
