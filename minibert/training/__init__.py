"""The training loop. It knows a model only as something that is called with a batch and returns a loss.

Read `trainer` first: it is the loop. It stands on `evaluator`, which measures and holds what a subclass may override,
and on `resumable`, which writes a run down and goes on with it. Then `arguments`, `batches` and `collation` (from
examples to batches), `optimization`, `clock`, `callbacks` and `evaluation_loop`. The others are small: a guard, a
report or a file each. `not_here` says what of `transformers.Trainer` is refused, and why.
"""
