"""The training loop. It knows a model only as something that is called with a batch and returns a `.loss`."""
