"""All rows, in the order of the table."""

from nmnc_ref.bench import training, estimates, draws, manifolds, compiling, growth, devices  # isort: skip
from nmnc_ref.bench.row import ROWS

__all__ = ["ROWS", "compiling", "devices", "draws", "estimates", "growth", "manifolds", "training"]
