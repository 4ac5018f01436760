"""Measures one row in a process of its own: `python -m nmnc_ref.bench.worker NAME` prints the finding as JSON."""

from __future__ import annotations

import json
import sys

from nmnc_ref.bench.table import ROWS

if __name__ == "__main__":
    print(json.dumps(ROWS[sys.argv[1]].measure()))
