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


def test_the_rule_gives_what_was_measured():
    """The two sizes that docs/recipe.md speaks of."""
    for name, rate in (("tiny", 2e-3), ("mini", 1e-3)):
        preset = PRESETS[name]
        assert preset.arguments["learning_rate"] == rate and preset.arguments["warmup_ratio"] == 0.05
        assert preset.arguments["optim"] == "muon"
        assert (preset.config["initializer_range"], preset.masking_rate, preset.batch_size) == (0.08, 0.3, 16)


@pytest.mark.parametrize("name", PRESETS)
def test_sizes_are_those_of_the_published_miniatures(name):
    published = getattr(minibert.BertConfig, name)()
    for field, value in PRESETS[name].config.items():
        # More and smaller heads in the smallest two: one for each near neighbour.
        if field != "initializer_range" and (field != "num_attention_heads" or name not in ("tiny", "mini")):
            assert value == getattr(published, field)
