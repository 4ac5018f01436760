"""How far an answer may be from the reference: one table of classes, no number for a single test.

An answer passes if max|got − want| ≤ r · max|want|, norm-wise over the whole array, with

    r = factor · eps · √terms · condition

`factor` belongs to the class, `eps` to the precision of the run, `terms` is the number of elements of the stage's
largest argument (no sum has more terms than that; rounding errors of that many terms add up like a root), and
`condition` (class "inverse" alone; 1 elsewhere) is computed with the case and stored in it.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Class(NamedTuple):
    """A class of tolerance: its factor, and what belongs to it and why."""

    factor: float
    why: str


CLASSES = {
    "exact": Class(0, "integers, bits, uniforms and signs: integer arithmetic is the same everywhere"),
    "linear": Class(4, "sums and products: libraries sum in different orders, and may fuse"),
    "nonlinear": Class(16, "elementary functions, quotients and norms: a few ulp more in each library"),
    "inverse": Class(16, "factorisations and differences of near numbers: × the condition number stored in the case"),
    "trajectory": Class(256, "many steps of learning: each step carries on the rounding of all before"),
}


class Precision(NamedTuple):
    """A precision of arithmetic: its machine epsilon, and the dtype that its numbers are stored in."""

    eps: float
    dtype: str


PRECISIONS = {
    "float64": Precision(2.0**-52, "float64"),
    "float32": Precision(2.0**-23, "float32"),
    "tfloat32": Precision(2.0**-10, "float32"),
    "bfloat16": Precision(2.0**-7, "float32"),
}

COARSE = 0.25
"""A relative tolerance beyond which a pass would be uninformative: such stages are skipped."""


class Tolerance(NamedTuple):
    """What a stage's tolerance is made of: the name of its class, its number of terms and its condition number."""

    kind: str
    terms: int
    condition: float

    def relative(self, eps: float, carried: float = 0.0) -> float:
        """Return r, as a share of max|want|.

        Args:
            eps: of the precision.
            carried: r of what the stage was computed from, where the implementation fed it answers of its own. The
                condition amplifies it.
        """
        factor = CLASSES[self.kind].factor
        return (factor * eps * math.sqrt(self.terms) + carried) * self.condition if factor else 0.0
