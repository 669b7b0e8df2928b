"""Presets: every one of them describes a model and a run that can be."""

import pytest

import minibert
from minibert.pretraining.presets import PRESETS
from minibert.training.arguments import TrainingArguments


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_possible(name):
    preset = PRESETS[name]
    config = minibert.BertConfig(vocab_size=100, max_position_embeddings=preset.max_length, **preset.config)
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.1  # fine-tuning relies on it
    TrainingArguments("run", per_device_train_batch_size=preset.batch_size, max_minutes=1, **preset.arguments)
    assert 0 < preset.masking_rate < 1


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_sizes_are_those_of_the_published_miniatures(name):
    published = getattr(minibert.BertConfig, name)()
    for field, value in PRESETS[name].config.items():
        # More and smaller heads: one for each near neighbour.
        if field not in ("num_attention_heads", "initializer_range"):
            assert value == getattr(published, field)
