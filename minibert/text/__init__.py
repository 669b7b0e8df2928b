"""Text to token ids: tokenizer, corpus, sentence pairs, masking."""
