"""Fine-tuning: labelled examples in, a checkpoint with a trained head out, and its score."""
