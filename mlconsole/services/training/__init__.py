"""Training: the project's own Python, the command to run in it, and what its output says."""
