"""Checkpoints: which files there are, what is in them, and what the tensors are called.

Read `key_map` first; then `files`, `soundness`, `opened`, `tensorflow`.
"""
