"""The claims of the theory, each measured and held against its prediction; run with `python -m paper_checks`."""
