"""The Kubernetes API in small: discovery, objects, watches, logs and the service proxy over HTTP."""
