"""A command line as a shell runs it, whose output may go anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def in_a_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, and return its output and exit status; of a pipe, the status of its first part."""
    return subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
