"""The four kinds of PATCH: JSON, merge, strategic merge and server-side apply."""
