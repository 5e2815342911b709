"""Model files: stored by digest, scanned without being loaded, compared in a child process."""
