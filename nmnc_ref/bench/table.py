"""All rows, in the order of the table."""

from nmnc_ref.bench import draws, estimates, training
from nmnc_ref.bench.row import ROWS

__all__ = ["ROWS", "draws", "estimates", "training"]
