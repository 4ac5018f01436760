"""Claims E1–E21: the estimators of the Jacobian, and their kin."""

from paper_checks.estimator import batch, cosine, error, kinds, mean, response_noise, tuning

__all__ = ["batch", "cosine", "error", "kinds", "mean", "response_noise", "tuning"]
