"""The one room that knows Optuna: the space, samplers, pruners, storage, ask and tell, and resuming."""
