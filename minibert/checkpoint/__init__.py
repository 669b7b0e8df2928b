"""Checkpoints: which files there are, what is in them, and what the tensors are called."""
