"""What is particular to the kinds: their defaults, what is allowed in them, what an update may change."""
