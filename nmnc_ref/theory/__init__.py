"""Predictions: every closed form of the theory as a function of its parameters.

- `theory.estimator`: mean, error and cosine of the estimators (E1–E21);
- `theory.feedback`: learned feedback, credit and step-size laws (F1–F7);
- `theory.alignment`: why and how much the Jacobian lies in the manifold (A2–A5);
- `theory.dimension`: what dimension estimates yield on finite samples (D1).

Derivations are in THEORY.md.
"""

from nmnc_ref.theory import alignment, dimension, estimator, feedback

__all__ = ["alignment", "dimension", "estimator", "feedback"]
