"""Programs that run in pods, sent there as text: each one file that needs nothing but Python."""
