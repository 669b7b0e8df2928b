"""Text to token ids: tokenizer, corpus, sentence pairs, masking.

Read `wordpiece` and `tokenizer` first; then `corpus`, `packed`, `pairs`, `masking` and `dataset`, the way of a corpus
into the model.
"""
