"""What the tensors of Hugging Face's checkpoints, and of Google's, are called here, and the other way round.

The tables are data: one row per tensor, `{i}` stands for the number of a layer. Every key of a file that is not in
them is either one of the exceptions named below, or is reported.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial

# (our name, their name)
KEY_MAP = (
    ("bert.embeddings.word.weight", "bert.embeddings.word_embeddings.weight"),
    ("bert.embeddings.segment.weight", "bert.embeddings.token_type_embeddings.weight"),
    ("bert.embeddings.position.weight", "bert.embeddings.position_embeddings.weight"),
    ("bert.embeddings.norm.weight", "bert.embeddings.LayerNorm.weight"),
    ("bert.embeddings.norm.bias", "bert.embeddings.LayerNorm.bias"),
    ("bert.encoder.layer.{i}.attention.query.weight", "bert.encoder.layer.{i}.attention.self.query.weight"),
    ("bert.encoder.layer.{i}.attention.query.bias", "bert.encoder.layer.{i}.attention.self.query.bias"),
    ("bert.encoder.layer.{i}.attention.key.weight", "bert.encoder.layer.{i}.attention.self.key.weight"),
    ("bert.encoder.layer.{i}.attention.key.bias", "bert.encoder.layer.{i}.attention.self.key.bias"),
    ("bert.encoder.layer.{i}.attention.value.weight", "bert.encoder.layer.{i}.attention.self.value.weight"),
    ("bert.encoder.layer.{i}.attention.value.bias", "bert.encoder.layer.{i}.attention.self.value.bias"),
    ("bert.encoder.layer.{i}.attention.mix.weight", "bert.encoder.layer.{i}.attention.output.dense.weight"),
    ("bert.encoder.layer.{i}.attention.mix.bias", "bert.encoder.layer.{i}.attention.output.dense.bias"),
    ("bert.encoder.layer.{i}.attention_norm.weight", "bert.encoder.layer.{i}.attention.output.LayerNorm.weight"),
    ("bert.encoder.layer.{i}.attention_norm.bias", "bert.encoder.layer.{i}.attention.output.LayerNorm.bias"),
    ("bert.encoder.layer.{i}.feed_forward.up.weight", "bert.encoder.layer.{i}.intermediate.dense.weight"),
    ("bert.encoder.layer.{i}.feed_forward.up.bias", "bert.encoder.layer.{i}.intermediate.dense.bias"),
    ("bert.encoder.layer.{i}.feed_forward.down.weight", "bert.encoder.layer.{i}.output.dense.weight"),
    ("bert.encoder.layer.{i}.feed_forward.down.bias", "bert.encoder.layer.{i}.output.dense.bias"),
    ("bert.encoder.layer.{i}.feed_forward_norm.weight", "bert.encoder.layer.{i}.output.LayerNorm.weight"),
    ("bert.encoder.layer.{i}.feed_forward_norm.bias", "bert.encoder.layer.{i}.output.LayerNorm.bias"),
    ("bert.pooler.dense.weight", "bert.pooler.dense.weight"),
    ("bert.pooler.dense.bias", "bert.pooler.dense.bias"),
    ("mlm_head.dense.weight", "cls.predictions.transform.dense.weight"),
    ("mlm_head.dense.bias", "cls.predictions.transform.dense.bias"),
    ("mlm_head.norm.weight", "cls.predictions.transform.LayerNorm.weight"),
    ("mlm_head.norm.bias", "cls.predictions.transform.LayerNorm.bias"),
    ("mlm_head.decoder.weight", "cls.predictions.decoder.weight"),
    ("mlm_head.decoder.bias", "cls.predictions.decoder.bias"),
    ("mlm_head.bias", "cls.predictions.bias"),
    ("nsp_head.linear.weight", "cls.seq_relationship.weight"),
    ("nsp_head.linear.bias", "cls.seq_relationship.bias"),
    ("classifier.weight", "classifier.weight"),
    ("classifier.bias", "classifier.bias"),
    ("span_classifier.weight", "qa_outputs.weight"),
    ("span_classifier.bias", "qa_outputs.bias"),
)

# (our name, the name in google-research/bert); its word embeddings are always the decoder, too.
TENSORFLOW_KEY_MAP = (
    ("bert.embeddings.word.weight", "bert/embeddings/word_embeddings"),
    ("bert.embeddings.segment.weight", "bert/embeddings/token_type_embeddings"),
    ("bert.embeddings.position.weight", "bert/embeddings/position_embeddings"),
    ("bert.embeddings.norm.weight", "bert/embeddings/LayerNorm/gamma"),
    ("bert.embeddings.norm.bias", "bert/embeddings/LayerNorm/beta"),
    ("bert.encoder.layer.{i}.attention.query.weight", "bert/encoder/layer_{i}/attention/self/query/kernel"),
    ("bert.encoder.layer.{i}.attention.query.bias", "bert/encoder/layer_{i}/attention/self/query/bias"),
    ("bert.encoder.layer.{i}.attention.key.weight", "bert/encoder/layer_{i}/attention/self/key/kernel"),
    ("bert.encoder.layer.{i}.attention.key.bias", "bert/encoder/layer_{i}/attention/self/key/bias"),
    ("bert.encoder.layer.{i}.attention.value.weight", "bert/encoder/layer_{i}/attention/self/value/kernel"),
    ("bert.encoder.layer.{i}.attention.value.bias", "bert/encoder/layer_{i}/attention/self/value/bias"),
    ("bert.encoder.layer.{i}.attention.mix.weight", "bert/encoder/layer_{i}/attention/output/dense/kernel"),
    ("bert.encoder.layer.{i}.attention.mix.bias", "bert/encoder/layer_{i}/attention/output/dense/bias"),
    ("bert.encoder.layer.{i}.attention_norm.weight", "bert/encoder/layer_{i}/attention/output/LayerNorm/gamma"),
    ("bert.encoder.layer.{i}.attention_norm.bias", "bert/encoder/layer_{i}/attention/output/LayerNorm/beta"),
    ("bert.encoder.layer.{i}.feed_forward.up.weight", "bert/encoder/layer_{i}/intermediate/dense/kernel"),
    ("bert.encoder.layer.{i}.feed_forward.up.bias", "bert/encoder/layer_{i}/intermediate/dense/bias"),
    ("bert.encoder.layer.{i}.feed_forward.down.weight", "bert/encoder/layer_{i}/output/dense/kernel"),
    ("bert.encoder.layer.{i}.feed_forward.down.bias", "bert/encoder/layer_{i}/output/dense/bias"),
    ("bert.encoder.layer.{i}.feed_forward_norm.weight", "bert/encoder/layer_{i}/output/LayerNorm/gamma"),
    ("bert.encoder.layer.{i}.feed_forward_norm.bias", "bert/encoder/layer_{i}/output/LayerNorm/beta"),
    ("bert.pooler.dense.weight", "bert/pooler/dense/kernel"),
    ("bert.pooler.dense.bias", "bert/pooler/dense/bias"),
    ("mlm_head.dense.weight", "cls/predictions/transform/dense/kernel"),
    ("mlm_head.dense.bias", "cls/predictions/transform/dense/bias"),
    ("mlm_head.norm.weight", "cls/predictions/transform/LayerNorm/gamma"),
    ("mlm_head.norm.bias", "cls/predictions/transform/LayerNorm/beta"),
    ("mlm_head.bias", "cls/predictions/output_bias"),
    ("nsp_head.linear.weight", "cls/seq_relationship/output_weights"),
    ("nsp_head.linear.bias", "cls/seq_relationship/output_bias"),
    ("classifier.weight", "output_weights"),
    ("classifier.bias", "output_bias"),
    ("span_classifier.weight", "cls/squad/output_weights"),
    ("span_classifier.bias", "cls/squad/output_bias"),
)

# Checkpoints converted from TensorFlow in 2018 and 2019 use its names for the LayerNorm parameters.
LEGACY_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}

# A buffer 0, 1, 2, ... that older versions of transformers saved; and the optimizer's state in TensorFlow's files.
IGNORED_KEYS = ("embeddings.position_ids", "/adam_m", "/adam_v", "global_step")

# The encoder's own parts, as they are called in the file of a bare BertModel, which has no "bert." in front.
_ENCODER_PARTS = ("embeddings.", "encoder.", "pooler.")

# What stands before the keys when a wrapped model was saved: by DataParallel, torch.compile, a class of one's own.
_WRAPPERS = ("module.", "_orig_mod.", "model.")
_LAYER = re.compile(r"([./]layer[._])(\d+)(?=[./])")
_THEIRS = dict(KEY_MAP)
_MODULES = {ours.rpartition(".")[0]: theirs.rpartition(".")[0] for ours, theirs in KEY_MAP}
_OUR_MODULES = {theirs: ours for ours, theirs in _MODULES.items()}
_OURS = {theirs: ours for ours, theirs in KEY_MAP + TENSORFLOW_KEY_MAP} | {ours: ours for ours, _ in KEY_MAP}


def to_reference(name: str) -> str:
    """Our parameter name (with "bert." in front of the encoder's) -> the key in a Hugging Face file."""
    return _look_up(_THEIRS, name)


def part_to_reference(name: str) -> str:
    """The same for the name of a module, or of anything in one: a part that somebody put there keeps its own name."""
    return _in_layer(partial(_translate_module, _MODULES), name)


def part_from_reference(name: str) -> str:
    """The way back."""
    return _in_layer(partial(_translate_module, _OUR_MODULES), name)


def from_reference(keys: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The keys of a Hugging Face file, or of a TensorFlow one -> {our name: key}, and the keys that no BERT has.

    With or without "bert." in front of the encoder's parts, with old or new LayerNorm names, with what a wrapper put
    in front of all; our own names are known, too.
    """
    names, unexpected = {}, []
    for key in keys:
        try:
            name = _look_up(_OURS, _canonical(key))
        except KeyError:
            name = None
        if name is not None and name not in names:
            names[name] = key
        elif not key.endswith(IGNORED_KEYS):
            unexpected.append(key)
    return names, unexpected


def _canonical(key: str) -> str:
    while key.startswith(_WRAPPERS):
        key = key.partition(".")[2]
    for old, new in LEGACY_NAMES.items():
        key = f"{key.removesuffix(old)}{new}" if key.endswith(f".{old}") else key
    return f"bert.{key}" if key.startswith(_ENCODER_PARTS) else key


def _translate_module(table: dict[str, str], name: str) -> str:
    """Translate the longest beginning of `name` that is a module of the table; without one, it stays as it is."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        start = ".".join(parts[:end])
        if start in table:
            return ".".join([table[start], *parts[end:]])
    return name


def _look_up(table: dict[str, str], name: str) -> str:
    return _in_layer(table.__getitem__, name)


def _in_layer(translate: Callable[[str], str], name: str) -> str:
    """`translate` a name in which the number of a layer is {i}."""
    layer = _LAYER.search(name)
    if layer is None:
        return translate(name)
    return translate(_LAYER.sub(r"\1{i}", name, count=1)).replace("{i}", layer[2])
