"""The one room that knows the Kubernetes API: Jobs, what became of them, status, events."""
