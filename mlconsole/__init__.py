"""A terminal console that takes a machine-learning model from a git commit to ready pods."""

__version__ = "0.1.0"
