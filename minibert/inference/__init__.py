"""Using a trained model.

Read `fill_mask` with `base` and `batching` first; every other pipeline is a file, and `pipelines` knows them all.
"""
