"""Decisions only: what to launch, what to stop, when to finish. Pure functions; no I/O and no clock of their own."""
