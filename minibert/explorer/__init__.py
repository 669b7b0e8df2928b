"""A page that shows a BERT at work on one sentence: `routes` serves it, `insight` computes its numbers."""
