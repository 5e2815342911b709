"""A small server that speaks the Kubernetes API on loopback and runs containers as local processes."""
