"""The one room that knows Prometheus: its text format, and what trials say in it."""
