"""Trials as processes on this machine, with GPUs and CPU threads shared out."""
