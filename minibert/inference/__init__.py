"""Using a trained model.

Read `fill_mask` with `base` and `batching` first. Each of the other pipelines has a file, and `pipelines` lists them
all. `sentence_folder` reads the settings of sentence-transformers, `sentence_modules` carries them out; `fast_layers`
computes in bfloat16. Then come `export` and the tools that look into a model: `plots`, `parity`, `pseudo_likelihood`.
"""
