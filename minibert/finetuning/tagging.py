"""Tagging: a label for every word of a sentence (named entities, chunks, parts of speech)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minibert.finetuning.examples import Columns
from minibert.finetuning.metrics import accuracy, chunk_f1, library, one_array
from minibert.finetuning.task import Split, Task, encode_in_parts, first_few, rows_of
from minibert.labels import IGNORE_INDEX
from minibert.model.tasks import BertForTokenClassification
from minibert.text.lines import numbered_lines
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

_CHUNK_TAG = re.compile(r"O|[BIES]-.+")


@dataclass(frozen=True)
class Sentence:
    """Words with their tags, and the line of the file at which each stands."""

    words: list[str]
    tags: list[str]
    lines: list[int]


def tagging_task(
    files: Mapping[str, str],
    columns: Columns,
    tokenizer: BertTokenizer,
    max_length: int,
    labels: Sequence[str] | None = None,
) -> Task:
    """The task in `files`, named by their splits; `columns` are numbers, from 1.

    labels: the tags, in their order; None: those of the training file.
    Raises `ValueError` naming file and line of what cannot be used.
    """
    places = _column_number("text", columns.text), _column_number("label", columns.label)
    sentences = {split: read_conll(path, *places) for split, path in files.items()}
    names = (
        sorted({tag for sentence in sentences["train"] for tag in sentence.tags}) if labels is None else list(labels)
    )
    if len(names) < 2:
        raise ValueError(f"{files['train']}: expected two tags or more, but all words have {names[0]!r}")
    numbers = {name: number for number, name in enumerate(names)}
    for split, path in files.items():
        _check_tags(path, sentences[split], numbers)
    has_chunks = all(_CHUNK_TAG.fullmatch(name) for name in names)
    if has_chunks:
        library("seqeval.metrics")
    splits = {split: _split(part, tokenizer, max_length, names, has_chunks) for split, part in sentences.items()}
    kinds = sorted({name[2:] for name in names if name != "O"}) if has_chunks else names
    return Task(
        description=f"{len(kinds)} kinds of {'chunks' if has_chunks else 'words'}: {first_few(kinds)}",
        unit="sentences",
        model_class=BertForTokenClassification,
        metric="f1" if has_chunks else "accuracy",
        splits=splits,
        config={"num_labels": len(names), "id2label": dict(enumerate(names)), "label2id": numbers},
    )


def _column_number(option: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"--{option}-column: expected the number of a column, from 1, for tagging; found {value!r}")
    return int(value)


def read_conll(path: str | Path, word_column: int | None = None, tag_column: int | None = None) -> list[Sentence]:
    """Sentences of a file with a word a line, its columns between blanks or tabs, a blank line between sentences.

    Lines that begin with -DOCSTART- are passed over, as conlleval does.

    Args:
        word_column, tag_column: from 1; None: the first and the last.

    Raises `ValueError` naming file and line where a column is missing, or the file if it has no sentence.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    needed = max(2, word_column or 1, tag_column or 1)
    width = 0
    sentences = [Sentence([], [], [])]
    for number, line in numbered_lines(file):
        fields = line.split()
        if not fields or fields[0].startswith("-DOCSTART-"):
            sentences.append(Sentence([], [], []))
            continue
        width = width or len(fields)
        if len(fields) != width or width < needed:
            expected = f"at least {needed} columns" if width < needed else f"{width} columns as in the first line"
            raise ValueError(f"{file}, line {number}: expected {expected}, found {len(fields)}: {line.strip():.80}")
        sentences[-1].words.append(fields[(word_column or 1) - 1])
        sentences[-1].tags.append(fields[(tag_column or width) - 1])
        sentences[-1].lines.append(number)
    sentences = [sentence for sentence in sentences if sentence.words]
    if not sentences:
        raise ValueError(f"{file}: no sentence in this file; expected a word and its tag in every line")
    return sentences


def _check_tags(path: str, sentences: Sequence[Sentence], numbers: Mapping[str, int]) -> None:
    for sentence in sentences:
        for tag, line in zip(sentence.tags, sentence.lines, strict=True):
            if tag not in numbers:
                raise ValueError(
                    f"{path}, line {line}: expected a tag that was trained ({first_few(numbers)}), found {tag!r}"
                )


def _split(
    sentences: Sequence[Sentence], tokenizer: BertTokenizer, max_length: int, names: Sequence[str], has_chunks: bool
) -> Split:
    numbers = {name: number for number, name in enumerate(names)}
    options: dict[str, Any] = {"is_split_into_words": True, "truncation": True, "max_length": max_length}
    items: list[dict[str, Any]] = []
    words: list[list[int]] = []
    for part in encode_in_parts(tokenizer, [s.words for s in sentences], **options):
        for row, item in enumerate(rows_of(part)):
            tags = [numbers[tag] for tag in sentences[len(items)].tags]
            labels, labelled = first_token_labels(part.word_ids(row), tags)
            items.append(item | {"labels": labels})
            words.append(labelled)
    return Split(items, lambda prediction: _score(prediction, sentences, words, names, has_chunks))


def first_token_labels(word_ids: Sequence[int | None], labels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Labels of tokens from labels of words: the first token of a word has the word's (Devlin et al. 2019, 5.3).

    Args:
        word_ids: for every token the number of its word, None for special tokens.
        labels: for every word its label.

    Returns: for every token its label, or IGNORE_INDEX; and the numbers of the words that have a token.
    """
    of_tokens: list[int] = []
    words: list[int] = []
    for word in word_ids:
        if word is None or word in words[-1:]:
            of_tokens.append(IGNORE_INDEX)
        else:
            of_tokens.append(labels[word])
            words.append(word)
    return of_tokens, words


def _score(
    prediction: EvalPrediction,
    sentences: Sequence[Sentence],
    words: Sequence[Sequence[int]],
    names: Sequence[str],
    has_chunks: bool,
) -> dict[str, float]:
    """Scores over all words, from logits (N, S, C) and labels (N, S).

    A word without a token, beyond `max_length` or of characters that the tokenizer drops, counts as tagged O (where
    there is no O, as wrong): it must be found, and was not.
    """
    predicted = []
    chosen = one_array(prediction.predictions).argmax(-1)  # (N, S)
    for sentence, labelled, row, labels in zip(sentences, words, chosen, prediction.label_ids, strict=True):
        tags = ["O"] * len(sentence.words)
        for word, number in zip(labelled, row[labels != IGNORE_INDEX], strict=True):
            tags[word] = names[number]
        predicted.append(tags)
    expected = [sentence.tags for sentence in sentences]
    of_words = {"accuracy": accuracy(np.concatenate(predicted), np.concatenate(expected))}
    return (chunk_f1(predicted, expected) if has_chunks else {}) | of_words
