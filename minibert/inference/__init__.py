"""Using a trained model.

Read `fill_mask` with `base` and `batching` first; every other pipeline is a file, and `pipelines` knows them all. What
a folder of sentence-transformers says is in `sentence_folder`, what that means in `sentence_modules`; `fast_layers`
computes in bfloat16. Then come `export`, and what looks into a model: `plots`, `parity`, `pseudo_likelihood`.
"""
