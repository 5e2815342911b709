"""The cluster: connection, manifests, apply, watch, pods, rollout, diagnosis, logs.

The only place that speaks with the official client, and there only `connection` does; nothing is imported here, so
that a module without it stays cheap.
"""
