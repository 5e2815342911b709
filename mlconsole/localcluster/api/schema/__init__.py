"""Which fields the served kinds have, of what type, and how lists and maps of them are merged."""
