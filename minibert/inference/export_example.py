"""The program that is written beside an exported model: it answers a text without PyTorch, for each kind of head."""

from string import Template

from minibert.inference.sentence_modules import Normalize, SentenceModules
from minibert.model.config import BertConfig
from minibert.text.tokenizer import BertTokenizer

_BEGINNING = """# $what, without PyTorch: python example.py $arguments

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path(__file__).parent
config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation($max_length)
session = onnxruntime.InferenceSession(str(folder / "$file"))
texts = sys.argv[1:] or $texts
"""

# One text, or one pair of texts.
_ONE = """encoding = tokenizer.encode(*texts)
columns = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}
outputs = session.run(None, {name: np.array([column], dtype=np.int64) for name, column in columns.items()})
"""

# Several, padded to one length.
_SEVERAL = """tokenizer.enable_padding()
rows = tokenizer.encode_batch($rows)
columns = [(row.ids, row.attention_mask, row.type_ids) for row in rows]
names = ("input_ids", "attention_mask", "token_type_ids")
inputs = dict(zip(names, np.array(columns, dtype=np.int64).transpose(1, 0, 2)))
"""

_CLASSES = """scores = $scores
for label in np.argsort(-scores).tolist():
    print(f"{scores[label]:.3f}", config["id2label"][str(label)])
"""

_NUMBER = """print(*(f"{number:.3f}" for number in outputs[0][0]))
"""

# The first piece of a word was trained to know its tag.
_TAGS = """labels = outputs[0][0].argmax(axis=1).tolist()
for word in sorted({number for number in encoding.word_ids if number is not None}):
    start, end = encoding.word_to_chars(word)
    print(texts[0][start:end], config["id2label"][str(labels[encoding.word_to_tokens(word)[0]])])
"""

_ANSWER = """in_context = [sequence == 1 for sequence in encoding.sequence_ids]
starts, ends = (np.where(in_context, logits[0], -np.inf) for logits in outputs)
scores = starts[:, None] + ends[None, :]
scores[np.tril_indices(len(starts), -1)] = -np.inf  # an answer cannot end before it starts
first, last = divmod(int(scores.argmax()), len(starts))
print(texts[1][encoding.offsets[first][0] : encoding.offsets[last][1]])
"""

_WORDS = """logits = outputs[0][0, encoding.tokens.index("$mask")]
for token in np.argsort(-logits)[:5].tolist():
    print(f"{np.exp(logits[token]) / np.exp(logits).sum():.3f}", tokenizer.id_to_token(token))
"""

_NEXT = """is_next, is_random = np.exp(outputs[0][0])
print(f"{is_next / (is_next + is_random):.3f}", "that the second text follows the first")
"""

_CHOICES = """(logits,) = session.run(None, {name: column[None] for name, column in inputs.items()})
for choice, score in zip(texts[1:], np.exp(logits[0]) / np.exp(logits[0]).sum()):
    print(f"{score:.3f}", choice)
"""

_VECTORS = """hidden = session.run(["last_hidden_state"], inputs)[0]  # (N, S, D), zero in the padding
n = inputs["attention_mask"].sum(axis=1, keepdims=True)  # how many tokens each text has
vectors = $pooling
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
for text, vector in zip(texts, vectors):
    print(f"{vectors[0] @ vector:.3f}", text)
"""

_SOFTMAX = "np.exp(outputs[0][0]) / np.exp(outputs[0][0]).sum()"
_SIGMOID = "1 / (1 + np.exp(-outputs[0][0]))"

# How the hidden states become one vector for each text, as `sentence_modules.POOLINGS` has it.
_POOLINGS = {
    "cls": "hidden[:, 0]",
    "max": "np.where((np.arange(hidden.shape[1]) < n)[..., None], hidden, -np.inf).max(axis=1)",
    "mean": "hidden.sum(axis=1) / n",
    "mean_sqrt_len_tokens": "hidden.sum(axis=1) / n**0.5",
    "weightedmean": "(hidden * np.arange(1, hidden.shape[1] + 1)[:, None]).sum(axis=1) / (n * (n + 1) / 2)",
    "lasttoken": "hidden[np.arange(len(hidden)), n[:, 0] - 1]",
}

# What it shows, texts to show it on, how they are read, and what is made of the outputs.
_PROGRAMS = {
    "BertModel": (
        "How similar texts are to the first",
        ["A cat sleeps.", "A kitten naps.", "The market fell."],
        _SEVERAL,
        _VECTORS,
    ),
    "BertForPreTraining": ("What fills the mask", ["The $mask statement raises an exception."], _ONE, _WORDS),
    "BertForMaskedLM": ("What fills the mask", ["The $mask statement raises an exception."], _ONE, _WORDS),
    "BertForNextSentencePrediction": ("Which text follows", ["It rained.", "We got wet."], _ONE, _NEXT),
    "BertForSequenceClassification": (
        "The class of a text, or of two texts that make a pair",
        ["A wonderful film."],
        _ONE,
        _CLASSES,
    ),
    "BertForTokenClassification": ("The tags of a text", ["Anna lives in Rome."], _ONE, _TAGS),
    "BertForQuestionAnswering": (
        "The answer to a question",
        ["Who sleeps?", "The old cat sleeps on the mat."],
        _ONE,
        _ANSWER,
    ),
    "BertForMultipleChoice": (
        "The best of several continuations",
        ["It rained.", "We got wet.", "We got rich."],
        _SEVERAL.replace("$rows", "[(texts[0], choice) for choice in texts[1:]]"),
        _CHOICES,
    ),
}
_REGRESSION = ("A number for a text, or for two texts that make a pair", ["A wonderful film."], _ONE, _NUMBER)


def example_program(
    class_name: str, config: BertConfig, tokenizer: BertTokenizer, file: str, modules: SentenceModules | None = None
) -> str:
    """A Python program that needs onnxruntime, tokenizers, and what lies beside it: `file`, the model; its config.

    Args:
        class_name: the model's class, which says what its outputs mean.
        modules: how an encoder's vectors are made.

    Raises: `ValueError` for vectors that take more to compare than a pooling and a cosine.
    """
    modules = modules or SentenceModules()
    is_regression = class_name == "BertForSequenceClassification" and config.problem_type == "regression"
    what, texts, read, answer = _REGRESSION if is_regression else _PROGRAMS[class_name]
    is_one_of_many = config.problem_type != "multi_label_classification" and config.num_labels > 1
    values = {
        "what": what,
        "arguments": " ".join(f'"{text}"' for text in texts),
        "texts": repr(texts),
        "scores": _SOFTMAX if is_one_of_many else _SIGMOID,
        "file": file,
        "max_length": min(tokenizer.model_max_length, config.max_position_embeddings),
        "pooling": _pooling(modules),
        "rows": f"[{modules.prompt!r} + text for text in texts]" if modules.prompt else "texts",
    }
    program = Template(_BEGINNING + read + answer).substitute(values, mask="$mask")
    return program.replace("$mask", tokenizer.mask_token)


def _pooling(modules: SentenceModules) -> str:
    is_plain = all(isinstance(step, Normalize) for step in modules.steps) and modules.truncate_dim is None
    if not is_plain or len(modules.pooling) > 1 or modules.similarity != "cosine":
        raise ValueError("vectors of this checkpoint take more to compare than a pooling and a cosine")
    return _POOLINGS[modules.pooling[0]]
