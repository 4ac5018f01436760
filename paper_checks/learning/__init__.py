"""Claims about networks that are trained: A3-trained and A4-trained, D3, L1 to L8."""

from paper_checks.learning import accuracy, alignment, cifar, dimension, gradient, neurons, representation, scale, width

__all__ = ["accuracy", "alignment", "cifar", "dimension", "gradient", "neurons", "representation", "scale", "width"]
