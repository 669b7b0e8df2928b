"""Checkpoints: which files there are, what is in them, and what the tensors are called.

Read `opened` first: a name becomes files there. Then `files` (read safely, written whole), `key_map` (the names of
tensors), `soundness` and `tensorflow`.
"""
