"""A Kubernetes cluster for tests and for trying things out: upstream's own programs, built from their Go modules."""
