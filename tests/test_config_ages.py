"""Configs of every age: whatever a version of the libraries wrote beside the sizes, the model is the same."""

import json
import shutil
from pathlib import Path

import pytest
import transformers
from checkpoints import assert_clean, load, warnings_in
from reference import TINY, assert_same, batch_of, reference_model

import minibert
from minibert.checkpoint.files import CheckpointError

SIZES = {**TINY, "type_vocab_size": 2, "initializer_range": 0.02}
DROPOUT = {"hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
GOOGLE = SIZES | DROPOUT
EPS = {"layer_norm_eps": 1e-12}
LABELS = {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}}
OUTPUTS = {"output_attentions": False, "output_hidden_states": False}
GENERATION = {
    **{"bad_words_ids": None, "bos_token_id": None, "decoder_start_token_id": None, "do_sample": False},
    **{"early_stopping": False, "eos_token_id": None, "length_penalty": 1.0, "max_length": 20, "min_length": 0},
    **{"no_repeat_ngram_size": 0, "num_beams": 1, "num_return_sequences": 1, "prefix": None},
    **{"repetition_penalty": 1.0, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "task_specific_params": None},
}
MORE_GENERATION = {
    **{"begin_suppress_tokens": None, "cross_attention_hidden_size": None, "diversity_penalty": 0.0},
    **{"encoder_no_repeat_ngram_size": 0, "exponential_decay_length_penalty": None, "forced_bos_token_id": None},
    **{"forced_eos_token_id": None, "num_beam_groups": 1, "output_scores": False, "remove_invalid_values": False},
    **{"return_dict_in_generate": False, "suppress_tokens": None, "tf_legacy_loss": False, "typical_p": 1.0},
}
TRANSFORMERS_1 = GOOGLE | EPS | OUTPUTS | {"finetuning_task": None, "num_labels": 2, "torchscript": False}
TRANSFORMERS_2 = TRANSFORMERS_1 | {"pruned_heads": {}, "use_bfloat16": False}
TRANSFORMERS_2_3 = TRANSFORMERS_2 | LABELS | {"is_decoder": False, "output_past": True}
TRANSFORMERS_2_11 = {
    **{name: value for name, value in TRANSFORMERS_2_3.items() if name not in ("num_labels", "output_past")},
    **{"architectures": None, "is_encoder_decoder": False, "model_type": "bert", "pad_token_id": 0},
    **{"use_cache": True, "xla_device": None, **GENERATION},
}
TRANSFORMERS_3 = TRANSFORMERS_2_11 | {"gradient_checkpointing": False}
TRANSFORMERS_3_5 = {
    **TRANSFORMERS_3,
    **{"_name_or_path": "", "add_cross_attention": False, "chunk_size_feed_forward": 0, "return_dict": False},
    **{"sep_token_id": None, "tie_encoder_decoder": False, "tie_word_embeddings": True, "tokenizer_class": None},
}
TRANSFORMERS_4_30 = {
    **{name: value for name, value in TRANSFORMERS_3_5.items() if name not in ("xla_device", "gradient_checkpointing")},
    **{"classifier_dropout": None, "position_embedding_type": "absolute", "problem_type": None, "return_dict": True},
    **{"torch_dtype": "float32", "transformers_version": "4.30.2", **MORE_GENERATION},
}
TRANSFORMERS_5 = {
    **GOOGLE,
    **{**EPS, **OUTPUTS, **LABELS, "_name_or_path": "", "add_cross_attention": False, "architectures": ["BertModel"]},
    **{"bos_token_id": None, "chunk_size_feed_forward": 0, "classifier_dropout": None, "dtype": "bfloat16"},
    **{"eos_token_id": None, "is_decoder": False, "is_encoder_decoder": False, "model_type": "bert"},
    **{"pad_token_id": 0, "problem_type": None, "return_dict": True, "tie_word_embeddings": True, "use_cache": True},
    "transformers_version": "5.23.0",
}
MULTILINGUAL = {
    **{"directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3},
    **{"pooler_size_per_head": 128, "pooler_type": "first_token_transform"},
}

# All fields that these versions of these libraries write; of each line of versions the first that differs.
CONFIGS: dict[str, dict] = {
    "google-research/bert 2018": GOOGLE,
    "google-research/bert, multilingual": GOOGLE | MULTILINGUAL,
    "pytorch-transformers 1.0": TRANSFORMERS_1,
    "transformers 2.0": TRANSFORMERS_2,
    "transformers 2.3": TRANSFORMERS_2_3,
    "transformers 2.11": TRANSFORMERS_2_11,
    "transformers 3.0": TRANSFORMERS_3,
    "transformers 3.5": TRANSFORMERS_3_5,
    "transformers 4.0": TRANSFORMERS_3_5 | {"return_dict": True},
    "transformers 4.30": TRANSFORMERS_4_30,
    "transformers 5": TRANSFORMERS_5,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of today, written by the reference."""
    folder = tmp_path_factory.mktemp("reference")
    reference_model("BertModel").save_pretrained(folder)
    return folder


@pytest.mark.parametrize("file", ["config.json", "bert_config.json"])
@pytest.mark.parametrize("fields", CONFIGS.values(), ids=CONFIGS)
def test_configs_of_every_age(fields: dict, file: str, written: Path, tmp_path: Path, caplog):
    (tmp_path / file).write_text(json.dumps(fields))
    shutil.copy(written / "model.safetensors", tmp_path)
    config = minibert.BertConfig.from_pretrained(tmp_path)
    assert config == minibert.BertConfig(**TINY, architectures=fields.get("architectures"))
    model, info = load("BertModel", tmp_path)
    assert_clean(info)
    assert warnings_in(caplog) == []
    theirs = transformers.BertModel.from_pretrained(written)
    batch = batch_of(config)
    assert_same(model(**batch).last_hidden_state, theirs(**batch).last_hidden_state)


def test_the_fields_of_the_installed_version_are_those_of_the_table():
    fields = json.loads(transformers.BertConfig(**TINY).to_json_string(use_diff=False))
    unknown = fields.keys() - set().union(*CONFIGS.values())
    assert minibert.BertConfig.from_dict(fields) == minibert.BertConfig(**TINY)
    if transformers.__version__.startswith("5."):
        assert unknown == set(), "a new field: what does it mean, and does it concern us?"


@pytest.mark.parametrize("value", ["relative_key", "relative_key_query"])
def test_relative_positions_are_refused(value: str, written: Path, tmp_path: Path):
    config = json.loads((written / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"position_embedding_type": value}))
    with pytest.raises(CheckpointError, match=f"position_embedding_type is '{value}', but .* only 'absolute'"):
        minibert.BertModel.from_pretrained(tmp_path)
