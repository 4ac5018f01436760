"""Colours of Okabe and Ito, which colour-blind readers tell apart; markers and lines, by which all can in grey."""

from __future__ import annotations

from paper_checks.figures.sheet import Look

NMNC = Look("#0072B2", "o", "solid")
VNC = Look("#D55E00", "s", "dashed", filled=False)
RULES = {
    "NMNC": NMNC,
    "VNC": VNC,
    "backpropagation": Look("#000000", "D", "dashdot"),
    "random feedback": Look("#009E73", "^", "dotted"),
    "random subspace": Look("#CC79A7", "v", (0, (6, 1, 1, 1, 1, 1))),
    "complement": Look("#E69F00", "P", (0, (1, 2))),
    "untrained": Look("#56B4E9", "X", (0, (6, 3))),
}
"""By the names that claims give to rules, and to what is beside them."""
LEVELS = (
    Look("#0072B2", "o", "solid"),
    Look("#D55E00", "s", "dashed", filled=False),
    Look("#009E73", "^", "dashdot"),
)
"""Of layers, or of the values of a parameter."""
VERTICAL = Look("#555555", "", "dotted", 0)
HORIZONTAL = Look("#555555", "", (0, (3, 1, 1, 1)), 0)
GUIDE = Look("#555555", "", (0, (8, 3)), 0)
"""Of references."""
BEST = Look("#000000", "*", "solid", 7.5)
