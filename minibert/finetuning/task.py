"""What fine-tuning needs to know of a task: which model, what it reads, and how its predictions are scored."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from minibert.finetuning.examples import Example
from minibert.model.pretrained import BertPreTrainedModel
from minibert.text.batch_encoding import BatchEncoding
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

PART = 1000  # texts tokenized at a time, so that progress can be shown


@dataclass(frozen=True)
class Split:
    """Examples as the model reads them, and the scores of what it predicts for them, in their order."""

    items: list[dict[str, Any]]
    score: Callable[[EvalPrediction], dict[str, float]]
    lost: tuple[str, ...] = ()  # what the model does not see of the file, one sentence for each kind


@dataclass(frozen=True)
class Task:
    """A task with its data: `splits` has "train" and "eval", and perhaps "test"."""

    description: str
    unit: str  # what the splits' items are: "examples"
    model_class: type[BertPreTrainedModel]
    metric: str  # the score by which the best checkpoint is known: larger is better
    splits: dict[str, Split]
    config: dict[str, Any] = field(default_factory=dict)  # further arguments of from_pretrained: labels, for example
    wrap: Callable[[Any], Any] = lambda model: model  # into what is trained; it must save the model


def encode_in_parts(
    tokenizer: BertTokenizer, texts: Sequence, pairs: Sequence[str] | None = None, **options: Any
) -> Iterator[BatchEncoding]:
    """The tokenizer's rows of all texts, or pairs of texts, some at a time, with a progress bar; lists, not padded.

    Raises `ValueError` for a `max_length` (of the tokenizer's options, which it must be among) without room for text.
    """
    kind, least = ("a text", 3) if pairs is None else ("a pair of texts", 5)  # a token of each, and the special ones
    if options["max_length"] < least:
        raise ValueError(f"--max-length must be at least {least} for {kind}, got {options['max_length']}")
    for start in tqdm(range(0, len(texts), PART), desc="tokenizing", delay=2, leave=False):
        part = slice(start, start + PART)
        second = None if pairs is None else list(pairs[part])
        yield tokenizer(list(texts[part]), second, return_attention_mask=False, **options)


def encode_texts(
    tokenizer: BertTokenizer, texts: Sequence[str], max_length: int, pairs: Sequence[str] | None = None
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """An item for every text, or pair of texts: `input_ids` and `token_type_ids`, at most `max_length` of them.

    Returns also what was lost by that, for `Split`.
    """
    items, n_cut = [], 0
    for part in encode_in_parts(tokenizer, texts, pairs, truncation=True, max_length=max_length):
        items += rows_of(part)
        n_cut += count_cut(part)
    return items, lost(n_cut, len(texts), f"longer than {max_length} tokens, and cut")


def encode_examples(
    tokenizer: BertTokenizer, examples: Sequence[Example], max_length: int
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The same for examples, all of which have a pair, or none."""
    pairs = None if examples[0].pair is None else [example.pair or "" for example in examples]
    return encode_texts(tokenizer, [example.text for example in examples], max_length, pairs)


def rows_of(encoded: BatchEncoding) -> list[dict[str, list[int]]]:
    """An item for every row of a batch: what the model reads of it."""
    columns = zip(encoded["input_ids"], encoded["token_type_ids"], strict=True)
    return [{"input_ids": ids, "token_type_ids": segments} for ids, segments in columns]


def count_cut(encoded: BatchEncoding) -> int:
    """How many texts of a batch were longer than the tokenizer was allowed to make them."""
    return sum(bool(encoding.overflowing) for encoding in encoded.encodings or ())


def lost(count: int, total: int, what: str, noun: str = "texts") -> tuple[str, ...]:
    """A sentence for `Split.lost`, or none if there is nothing to tell."""
    return (f"{count:,} of {total:,} {noun} are {what}",) if count else ()


def first_few(names: Iterable[str], count: int = 10) -> str:
    """Names to show in a line: all of them, or the first ones and how many more there are."""
    names = list(names)
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
