"""The main job: from a corpus to a pretrained BERT."""
