"""Claims E1–E17: the estimators of the Jacobian."""

from paper_checks.estimator import batch, cosine, error, mean, response_noise, tuning

__all__ = ["batch", "cosine", "error", "mean", "response_noise", "tuning"]
