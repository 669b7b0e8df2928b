"""The training loop. It knows a model only as something that is called with a batch and returns a `.loss`.

Read `trainer` first; the rest are its parts, in the order of its imports.
"""
