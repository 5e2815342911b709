"""The Textual app: a rail of stages, a panel for each, and the evidence that a release waits for or stopped at."""
