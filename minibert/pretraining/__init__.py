"""The main job: from a corpus to a pretrained BERT.

Read `job` first, then `presets`, `preparation`, `initialization`, `evaluation`.
"""
