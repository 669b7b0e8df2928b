"""Presets: every one of them describes a model and a run that can be."""

import pytest
import torch

import minibert
from minibert.pretraining.presets import PRESETS, has_fast_bf16
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
        if field != "num_attention_heads":  # more and smaller heads: one for each near neighbour
            assert value == getattr(published, field)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks the processor only where there is no GPU")
@pytest.mark.parametrize(("bf16", "amx"), [(True, False), (False, True), (False, False)])
def test_bf16_where_the_processor_has_it(monkeypatch, bf16, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert has_fast_bf16() == (bf16 or amx)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks the processor only where there is no GPU")
def test_no_bf16_where_nobody_can_say(monkeypatch):
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, probe, raising=False)
    assert has_fast_bf16() is False
