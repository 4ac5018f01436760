"""Claims about networks that are trained: A3-trained and A4-trained, D3, L1 to L7."""

from paper_checks.learning import accuracy, alignment, dimension, gradient, representation, scale, width

__all__ = ["accuracy", "alignment", "dimension", "gradient", "representation", "scale", "width"]
