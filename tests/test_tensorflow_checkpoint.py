"""Google's original checkpoints: read without TensorFlow, they give the numbers that TensorFlow computed.

`tests/data/tensorflow_bert` was written by TensorFlow 2.21 itself, running the code of google-research/bert (commit
eedf571) for one training step. This made it, in a folder with that code and the `bert_config.json`; the parts of
TensorFlow 1 that are gone by now are replaced first:

    import os, sys, types
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # the package tf_keras
    import numpy as np
    import tensorflow.compat.v1 as tf

    def layer_norm(inputs, begin_norm_axis, begin_params_axis, scope):
        with tf.variable_scope(scope, default_name="LayerNorm"):
            beta = tf.get_variable("beta", inputs.shape[-1:], initializer=tf.zeros_initializer())
            gamma = tf.get_variable("gamma", inputs.shape[-1:], initializer=tf.ones_initializer())
            mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-12)

    tf.disable_eager_execution()
    tf.contrib = types.SimpleNamespace(layers=types.SimpleNamespace(layer_norm=layer_norm))
    sys.modules["tensorflow"] = tf
    import modeling, optimization, run_pretraining

    config = modeling.BertConfig.from_json_file("bert_config.json")
    random = np.random.RandomState(0)
    ids, segments = random.randint(config.vocab_size, size=(3, 8)), random.randint(2, size=(3, 8))
    mask = np.array([[1] * 8, [1] * 5 + [0] * 3, [1] * 2 + [0] * 6])
    model = modeling.BertModel(config, True, tf.constant(ids), tf.constant(mask), tf.constant(segments))
    positions = tf.constant([[*range(8)]] * 3)
    mlm_loss, _, mlm = run_pretraining.get_masked_lm_output(
        config, model.get_sequence_output(), model.get_embedding_table(), positions, tf.constant(ids),
        tf.constant(mask, tf.float32))
    nsp_loss, _, nsp = run_pretraining.get_next_sentence_output(
        config, model.get_pooled_output(), tf.constant([0, 1, 1]))
    train = optimization.create_optimizer(mlm_loss + nsp_loss, 1e-3, 10, 0, False)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for v in tf.trainable_variables():
            v.load(random.randn(*v.shape).astype(np.float32) * 0.4 + v.name.endswith("gamma:0"), session)
        session.run(train)
        outputs = session.run({"sequence": model.get_sequence_output(), "pooled": model.get_pooled_output(),
                               "mlm": mlm, "nsp": nsp})
        tf.train.Saver().save(session, "bert_model.ckpt", write_meta_graph=False)
    np.savez("expected.npz", input_ids=ids, token_type_ids=segments, attention_mask=mask, **outputs)
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from checkpoints import CLASSES, assert_clean, load, warnings_in
from reference import assert_near, assert_same, batch_of
from torch import Tensor

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.files import read_tensors
from minibert.checkpoint.key_map import KEY_MAP, TENSORFLOW_KEY_MAP, from_reference

WRITTEN_BY_TENSORFLOW = Path(__file__).parent / "data" / "tensorflow_bert"
INDEX = "bert_model.ckpt.index"
OPTIMIZER = ("/adam_m", "/adam_v")


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    """A batch, and what the original code computed for it."""
    with np.load(WRITTEN_BY_TENSORFLOW / "expected.npz") as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


# --- the model


def test_it_gives_the_numbers_of_tensorflow(expected: dict[str, Tensor]):
    # What Google's code calls "gelu" is the tanh formula; the rest of the world computes the erf form for this name.
    model, info = load("BertForPreTraining", WRITTEN_BY_TENSORFLOW, hidden_act="gelu_new")
    assert_clean(info)
    batch = {name: expected[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
    hidden, pooled = model.bert(**batch)[:2]
    outputs = model(**batch)
    real = batch["attention_mask"] != 0
    assert_near(hidden[real], expected["sequence"][real], 1e-5, "hidden states")
    assert_near(pooled, expected["pooled"], 1e-5, "pooled")
    assert_near(outputs.seq_relationship_logits.log_softmax(-1), expected["nsp"], 1e-5, "NSP")
    mlm = expected["mlm"].view(3, 8, -1)
    assert_near(outputs.prediction_logits.log_softmax(-1)[real], mlm[real], 1e-5, "MLM")


def test_the_optimizers_state_is_passed_over_in_silence(caplog):
    names = read_tensors(WRITTEN_BY_TENSORFLOW / INDEX).keys()
    assert sum(name.endswith(OPTIMIZER) for name in names) == 92 and "global_step" in names
    _, info = load("BertForPreTraining", WRITTEN_BY_TENSORFLOW)
    assert_clean(info)
    assert warnings_in(caplog) == []


@pytest.mark.parametrize("class_name", CLASSES)
def test_every_model_loads_it(class_name: str):
    model, info = load(class_name, WRITTEN_BY_TENSORFLOW)
    assert all(key.startswith(("classifier.", "qa_outputs.")) for key in info["missing_keys"])
    assert all(key.startswith(("cls/", "bert/pooler/")) for key in info["unexpected_keys"])
    encoder = model.base_model
    kernel = read_tensors(WRITTEN_BY_TENSORFLOW / INDEX)["bert/encoder/layer_1/intermediate/dense/kernel"]
    assert_same(encoder.encoder.layer[1].feed_forward.up.weight, kernel)
    assert all(parameter.is_contiguous() for parameter in model.parameters())


def test_from_tensorflow_to_transformers(tmp_path: Path):
    ours = BertForPreTraining.from_pretrained(WRITTEN_BY_TENSORFLOW)
    ours.save_pretrained(tmp_path)
    theirs, info = transformers.BertForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    batch = batch_of(ours.config, (2, 7))
    assert_same(ours(**batch).prediction_logits, theirs(**batch).prediction_logits)


def test_its_tokenizer():
    tokenizer = BertTokenizer.from_pretrained(WRITTEN_BY_TENSORFLOW)
    assert tokenizer.tokenize("The CAT sees our dogs.") == ["the", "cat", "sees", "o", "##u", "##r", "dog", "##s", "."]


# --- the table of names


def test_the_table_is_invertible_and_complete():
    ours, theirs = zip(*TENSORFLOW_KEY_MAP, strict=True)
    assert len(set(ours)) == len(ours) and len(set(theirs)) == len(theirs)
    in_our_files = {name for name, _ in KEY_MAP}
    assert in_our_files - set(ours) == {"mlm_head.decoder.weight", "mlm_head.decoder.bias"}, "always tied"
    for layer in (0, 23):
        for name, key in ((a.replace("{i}", str(layer)), b.replace("{i}", str(layer))) for a, b in TENSORFLOW_KEY_MAP):
            assert from_reference([key]) == ({name: key}, [])


def test_every_tensor_of_the_file_has_its_row():
    keys = [key for key in read_tensors(WRITTEN_BY_TENSORFLOW / INDEX) if not key.endswith((*OPTIMIZER, "global_step"))]
    names, unexpected = from_reference(keys)
    assert len(names) == len(keys) and unexpected == []


@pytest.mark.parametrize("key", ["bert/encoder/layer_x/output/dense/bias", "bert/pooler/dense/kernel/lamb_m", "bert"])
def test_other_keys_are_unexpected(key: str):
    assert from_reference([key]) == ({}, [key])
