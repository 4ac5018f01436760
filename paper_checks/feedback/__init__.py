"""Claims F1–F7: learned feedback, credit assignment and step sizes."""

from paper_checks.feedback import credit, learned, step_size

__all__ = ["credit", "learned", "step_size"]
