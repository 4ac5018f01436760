"""The audit of estimators that are known only by what they return: see AUDIT.md."""
