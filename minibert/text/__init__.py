"""Text to token ids: tokenizer, corpus, sentence pairs, masking.

Read `wordpiece` and `tokenizer` first; then the way of a corpus into the model: `lines`, `sentences`, `corpus`,
`packed`, `holdout`, `pairs`, `masking` and `dataset`. The files called `tokenizer_...` make the tokenizer
robust, and answer to the names that other people's code uses.
"""
