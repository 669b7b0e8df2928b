"""Fine-tuning: labelled examples in, a checkpoint with a trained head out, and its score.

Read `task` and `classification` first, then `runs` and `job`; each other task is a file, and so are its metrics. Files
are read by `examples`, `conll` and `squad`.
"""
