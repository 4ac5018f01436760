"""Claims about networks that are trained: A3-trained and A4-trained, D3, L1, L2, L3, L7."""

from paper_checks.learning import accuracy, alignment, gradient, scale, width

__all__ = ["accuracy", "alignment", "gradient", "scale", "width"]
