"""Exercises of notebook 1."""

import torch
import torch.nn.functional as F

from minibert.course.exercise import Case, Draw, Exercise, Mistake
from minibert.course.exercises.norms import FINISHED_NORMS, WRONG_NORMS, layer_norm
from minibert.text.tokenizer import BertTokenizer


def nearest_tokens(word, table, tokenizer, k):
    directions = F.normalize(table, dim=1)
    order = (directions @ directions[tokenizer.convert_tokens_to_ids(word)]).argsort(descending=True).tolist()
    return [token for token in tokenizer.convert_ids_to_tokens(order) if token != word][:k]


def _by_length(word, table, tokenizer, k):
    order = (table @ table[tokenizer.convert_tokens_to_ids(word)]).argsort(descending=True).tolist()
    return [token for token in tokenizer.convert_ids_to_tokens(order) if token != word][:k]


def _by_distance(word, table, tokenizer, k):
    order = (table - table[tokenizer.convert_tokens_to_ids(word)]).norm(dim=1).argsort().tolist()
    return [token for token in tokenizer.convert_ids_to_tokens(order) if token != word][:k]


def _with_itself(word, table, tokenizer, k):
    return [word, *nearest_tokens(word, table, tokenizer, k - 1)]


def _farthest(word, table, tokenizer, k):
    return nearest_tokens(word, table, tokenizer, len(table))[::-1][:k]


def _numbers() -> list[Case]:
    draw = Draw()
    weight, bias = draw.normal(4, middle=1), draw.normal(4)
    shapes = {"two tokens": (2, 4), "three sequences of two": (3, 2, 4), "four axes": (2, 3, 2, 4)}
    return [
        Case(name, {"x": draw.normal(*shape, middle=0.5), "weight": weight.clone(), "bias": bias.clone(), "eps": 0.1})
        for name, shape in shapes.items()
    ]


def _tables() -> list[Case]:
    words = ["the", "file", "stream", "list", "queue", "reads"]
    tokenizer = BertTokenizer.train([" ".join(words)] * 3, vocab_size=60, min_frequency=1)
    table = torch.zeros(len(tokenizer), 2)
    places = [[-1.0, 0.1], [2.0, 0.0], [9.0, 1.0], [0.3, 0.2], [0.0, 1.0], [1.5, 1.5]]
    table[tokenizer.convert_tokens_to_ids(words)] = torch.tensor(places)
    return [
        Case("near by angle, not by length", {"word": "file", "table": table, "tokenizer": tokenizer, "k": 2}),
        Case("another word", {"word": "queue", "table": table.clone(), "tokenizer": tokenizer, "k": 3}),
    ]


EXERCISES = (
    Exercise(
        name="embedding_parameters",
        notebook="1",
        difficulty=1,
        minutes=4,
        task="How many parameters does `Embeddings` of BERT-base have (`BertConfig.base()`)? Count the word, "
        "segment and position tables and the LayerNorm.",
        hint=r"A table of $n$ rows has $n \cdot D$ numbers. The LayerNorm has two vectors of $D$ numbers.",
        solution="(30_522 + 2 + 512 + 1 + 1) * 768",
        mistakes=(
            Mistake("the LayerNorm is missing, or the segment table: two rows of D numbers each", answer=31_036 * 768),
            Mistake("the LayerNorm has a bias, too", answer=31_037 * 768),
            Mistake("the position table, of 512 rows, is missing", answer=(30_522 + 2 + 2) * 768),
        ),
    ),
    Exercise(
        name="layer_norm",
        notebook="1",
        difficulty=2,
        minutes=8,
        task="Compute LayerNorm without `nn.LayerNorm`, for `x` of any shape `(..., D)`.",
        hint="The mean and the variance of the last axis; with `keepdim=True` they can be subtracted and "
        "divided by. Divide the variance by $D$, not by $D - 1$: `correction=0`.",
        solution=layer_norm,
        cases=_numbers,
        mistakes=tuple(Mistake(says, norm) for says, norm in WRONG_NORMS),
        finished=FINISHED_NORMS,
    ),
    Exercise(
        name="nearest_tokens",
        notebook="1",
        difficulty=2,
        minutes=10,
        task="Return the `k` nearest tokens of a word by the cosine of their vectors, the word itself left out, "
        "as a list of strings. `table` is `(V, D)`; `tokenizer` turns tokens into numbers and back.",
        hint="Divide every row by its length (`F.normalize`); then one product with the word's row gives all cosines.",
        solution=nearest_tokens,
        cases=_tables,
        mistakes=(
            Mistake("long vectors win: divide by their lengths", _by_length),
            Mistake("this is the distance; the cosine does not mind how long a vector is", _by_distance),
            Mistake("the word itself is to be left out", _with_itself),
            Mistake("these are the farthest: the largest cosine is the nearest", _farthest),
        ),
    ),
)
