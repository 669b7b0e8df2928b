"""`BertConfig`: refusals name the field, files round-trip, labels settle as in `transformers`."""

import json
import math

import pytest
import transformers

from minibert import BertConfig, BertModel
from minibert.checkpoint.files import CheckpointError

ODD = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "intermediate_size": 50,
    "hidden_act": "gelu_new",
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.3,
    "max_position_embeddings": 40,
    "type_vocab_size": 3,
    "initializer_range": 0.05,
    "layer_norm_eps": 1e-7,
    "pad_token_id": 5,
    "classifier_dropout": 0.4,
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, value) for name in ("vocab_size", "hidden_size", "type_vocab_size") for value in (0, -1, 2.0, "2")),
        *((name, 0) for name in ("num_hidden_layers", "num_attention_heads", "intermediate_size")),
        ("max_position_embeddings", True),
        ("num_attention_heads", 7),
        *((name, 1.0) for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")),
        *((name, math.nan) for name in ("hidden_dropout_prob", "layer_norm_eps", "initializer_range")),
        ("hidden_dropout_prob", -0.1),
        ("hidden_dropout_prob", None),
        ("attention_probs_dropout_prob", "0.1"),
        ("layer_norm_eps", 0.0),
        ("initializer_range", math.inf),
        ("pad_token_id", 30522),
        ("pad_token_id", -1),
        ("pad_token_id", 0.0),
        ("hidden_act", "gelu_fast"),
        ("hidden_act", None),
        ("problem_type", "classification"),
        ("attn_implementation", "flash_attention_2"),
        ("tie_word_embeddings", "yes"),
        ("output_attentions", 1),
        ("output_hidden_states", None),
        ("num_labels", 0),
        ("num_labels", 2.5),
        ("id2label", {}),
        ("id2label", {0: "a", 2: "b"}),
        ("id2label", {"zero": "a"}),
        ("id2label", ["a", "b"]),
    ],
)
def test_an_impossible_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        BertConfig(**{field: value})


def test_contradicting_numbers_of_labels_are_refused():
    with pytest.raises(ValueError, match="num_labels is 3, but id2label names 2"):
        BertConfig(num_labels=3, id2label={0: "no", 1: "yes"})


def test_defaults_are_the_reference_s():
    ours, theirs = BertConfig(), transformers.BertConfig()
    for name in ("num_labels", "id2label", "label2id", "problem_type", "output_attentions", *ODD):
        assert getattr(ours, name) == getattr(theirs, name), name


# (layers, hidden, heads) of the published miniatures; heads have 64 dimensions, the feed-forward layer is 4 D wide.
@pytest.mark.parametrize(
    ("name", "layers", "hidden", "heads"),
    [
        ("tiny", 2, 128, 2),
        ("mini", 4, 256, 4),
        ("small", 4, 512, 8),
        ("medium", 8, 512, 8),
        ("base", 12, 768, 12),
        ("large", 24, 1024, 16),
    ],
)
def test_named_sizes(name, layers, hidden, heads):
    config = getattr(BertConfig, name)(num_labels=3)
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (layers, hidden, heads)
    assert (config.intermediate_size, config.vocab_size, config.num_labels) == (4 * hidden, 30522, 3)
    assert getattr(BertConfig, name)(num_hidden_layers=1).num_hidden_layers == 1


# --- from_dict

HARMLESS = {
    "use_cache": True,
    "transformers_version": "4.1.0",
    "gradient_checkpointing": False,
    "torch_dtype": "float16",
}
ENCODER = {
    "model_type": "bert",
    "is_decoder": False,
    "add_cross_attention": None,
    "position_embedding_type": "absolute",
    "pruned_heads": {},
}


def test_fields_that_concern_no_encoder_are_passed_over():
    assert BertConfig.from_dict({**HARMLESS, **ENCODER, "hidden_size": 36}) == BertConfig(hidden_size=36)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_type", "roberta"),
        ("is_decoder", True),
        ("is_encoder_decoder", True),
        ("add_cross_attention", True),
        ("position_embedding_type", "relative_key_query"),
        ("pruned_heads", {"0": [1]}),
    ],
)
def test_another_model_than_an_encoder_is_refused(field, value):
    with pytest.raises(CheckpointError, match=f"here.json: {field} is {value!r}".replace("[", r"\[")):
        BertConfig.from_dict({field: value}, source="here.json")


@pytest.mark.parametrize(
    ("field", "value"), [("hidden_size", None), ("hidden_act", "gelu_fast"), ("id2label", ["a"]), ("id2label", 3)]
)
def test_a_bad_field_of_a_file_is_refused_with_the_file_s_name(field, value):
    with pytest.raises(CheckpointError, match=rf"here\.json: .*{field}"):
        BertConfig.from_dict({field: value}, source="here.json")


NAMES = {"id2label": {"0": "no", "1": "maybe", "2": "yes"}, "label2id": {"no": 0, "maybe": 1, "yes": 2}}


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ({}, {}),
        ({"num_labels": 4}, {}),
        (NAMES, {}),
        (NAMES, {"num_labels": 3}),
        (NAMES, {"num_labels": 5}),
        ({"num_labels": 4}, {"num_labels": 5}),
        ({}, {"num_labels": 1}),
    ],
)
def test_labels_settle_as_in_the_reference(values, changes):
    ours = BertConfig.from_dict(values, **changes)
    theirs = transformers.BertConfig.from_dict(values, **changes)
    assert ours.num_labels == theirs.num_labels
    assert ours.id2label == theirs.id2label
    assert ours.label2id == theirs.label2id


def test_a_file_that_holds_both_means_the_names():
    assert BertConfig.from_dict({**NAMES, "num_labels": 2}).num_labels == 3


def test_names_passed_by_the_caller_replace_those_of_the_file():
    config = BertConfig.from_dict({**NAMES, "num_labels": 3}, id2label={0: "down", 1: "up"})
    assert config.num_labels == 2
    assert config.label2id == {"down": 0, "up": 1}


# --- files


@pytest.mark.parametrize("changes", [{}, ODD, {**ODD, "pad_token_id": None}, {"id2label": {0: "a", 1: "b", 2: "c"}}])
def test_round_trip_through_the_reference(changes, tmp_path):
    ours = BertConfig(**changes, problem_type="regression", attn_implementation="eager")
    ours.save_pretrained(tmp_path / "ours")
    theirs = transformers.BertConfig.from_pretrained(tmp_path / "ours")
    for name in ("id2label", "label2id", "problem_type", "num_labels", *ODD):
        assert getattr(theirs, name) == getattr(ours, name), name
    theirs.save_pretrained(tmp_path / "theirs")
    # How attention is computed is the machine's business, not the checkpoint's.
    assert BertConfig.from_pretrained(tmp_path / "theirs", attn_implementation="eager") == ours
    assert BertConfig.from_pretrained(tmp_path / "ours").attn_implementation == "sdpa"


def test_the_oldest_checkpoints_call_the_file_bert_config(tmp_path):
    (tmp_path / "bert_config.json").write_text(json.dumps({"hidden_size": 36, "directionality": "bidi"}))
    assert BertConfig.from_pretrained(tmp_path, num_hidden_layers=2) == BertConfig(hidden_size=36, num_hidden_layers=2)


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        BertConfig.from_pretrained(tmp_path)


def test_saving_leaves_nothing_but_the_file(tmp_path):
    BertConfig(**ODD).save_pretrained(tmp_path / "new" / "folder")
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["config.json"]


# --- labels, their names and their number are one fact


def consistent(config: BertConfig) -> tuple[int, dict, dict]:
    assert list(config.id2label) == list(range(config.num_labels))
    assert config.label2id == {label: i for i, label in config.id2label.items()}
    return config.num_labels, config.id2label, config.label2id


@pytest.mark.parametrize(
    ("name", "value", "names"),
    [
        ("num_labels", 3, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ("id2label", {0: "a", 1: "b", 2: "c"}, ["a", "b", "c"]),
        ("id2label", {"0": "a", "1": "b", "2": "c"}, ["a", "b", "c"]),
        ("label2id", {"a": 0, "b": 1, "c": 2}, ["a", "b", "c"]),
    ],
)
def test_whichever_is_set_the_others_follow(name, value, names, tmp_path):
    later, at_once = BertConfig(), BertConfig(**{name: value})
    setattr(later, name, value)
    for config in (later, at_once):
        assert list(consistent(config)[1].values()) == names
        config.save_pretrained(tmp_path)
        for read in (BertConfig, transformers.BertConfig):
            again = read.from_pretrained(tmp_path)
            assert (again.num_labels, again.id2label, again.label2id) == consistent(config)
        assert consistent(BertConfig(**config.to_dict())) == consistent(config)


def test_names_stay_when_their_number_does():
    config = BertConfig(id2label={0: "no", 1: "yes"})
    config.num_labels = 2
    assert config.id2label == {0: "no", 1: "yes"}


@pytest.mark.parametrize(
    ("name", "value"), [("num_labels", 0), ("num_labels", "5"), ("id2label", {1: "a"}), ("id2label", [])]
)
def test_labels_that_cannot_be_are_refused_when_they_are_set(name, value):
    with pytest.raises(ValueError, match=name):
        setattr(BertConfig(), name, value)


def test_labels_changed_in_place_are_refused_when_they_disagree(tmp_path):
    config = BertConfig()
    config.id2label[2] = "third"
    with pytest.raises(ValueError, match="num_labels is 2, but id2label names 3"):
        config.save_pretrained(tmp_path)


# --- what is not a number of a BERT


def test_own_attributes_survive(tmp_path):
    config = BertConfig(vocab_size=50, my_pooling="mean")
    config.my_weights = {"a": 1}
    config.save_pretrained(tmp_path)
    for again in (BertConfig.from_pretrained(tmp_path), BertConfig(**config.to_dict())):
        assert (again.my_pooling, again.my_weights, again.vocab_size) == ("mean", {"a": 1}, 50)
    assert transformers.BertConfig.from_pretrained(tmp_path).my_weights == {"a": 1}


def test_a_dict_of_the_reference_makes_the_config():
    theirs = transformers.BertConfig(hidden_size=36, num_attention_heads=3)
    config = BertConfig(**theirs.to_dict())
    assert config.hidden_size == 36 and config.model_type == "bert" and not config.is_decoder


def test_a_misspelt_field_is_said(caplog):
    assert BertConfig(hiden_size=3).hidden_size == 768
    assert "no field 'hiden_size', so it changes nothing; is 'hidden_size' meant?" in caplog.text
    caplog.clear()
    assert BertConfig(pooling="mean").pooling == "mean" and not caplog.text


@pytest.mark.parametrize("name", ["is_decoder", "add_cross_attention", "is_encoder_decoder"])
def test_what_no_bert_here_can_be_is_refused_when_it_is_set(name):
    assert getattr(BertConfig(**{name: False}), name) is False
    for make in (lambda: BertConfig(**{name: True}), lambda: setattr(BertConfig(), name, True)):
        with pytest.raises(ValueError, match=f"{name} is True, but minibert's BERT has only False"):
            make()


@pytest.mark.parametrize(
    ("name", "value"),
    [("attn_implementation", "flash"), ("hidden_act", "mish"), ("hidden_dropout_prob", 1.5), ("problem_type", "x")],
)
def test_a_value_without_a_meaning_is_refused_when_it_is_set(name, value):
    config = BertConfig()
    before = getattr(config, name)
    with pytest.raises(ValueError, match=name):
        setattr(config, name, value)
    assert getattr(config, name) == before


def test_sizes_that_do_not_fit_are_refused_when_a_model_is_built():
    config = BertConfig()
    config.hidden_size = 100
    with pytest.raises(ValueError, match=r"hidden_size \(100\) must be a multiple of num_attention_heads \(12\)"):
        BertModel(config)


def test_an_older_way_to_ask_for_gradient_checkpointing():
    sizes = {"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 8, "num_hidden_layers": 1}
    assert BertModel(BertConfig(**sizes, gradient_checkpointing=True)).is_gradient_checkpointing
    assert not BertModel(BertConfig(**sizes)).is_gradient_checkpointing
