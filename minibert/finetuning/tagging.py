"""Tagging: a label for every word of a sentence (named entities, chunks, parts of speech)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minibert.finetuning.conll import Sentence, TaggedFile, read_conll
from minibert.finetuning.examples import Columns
from minibert.finetuning.metrics import accuracy, chunk_f1, library, one_array
from minibert.finetuning.task import Split, Task, encode_in_parts, first_few, lost, rows_of
from minibert.labels import IGNORE_INDEX
from minibert.model.tasks import BertForTokenClassification
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

# The marks of chunks: B(egin), I(nside), E(nd), S(ingle); others write L(ast), U(nit) or W(hole), M(iddle).
_CHUNK_TAG = re.compile(r"O|[BIESLUWM]-.+")
_AS_SCORED = {"L-": "E-", "U-": "S-", "W-": "S-", "M-": "I-"}


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
    columns.refuse("tagging", "pair", "label_separator")
    places = _column_number("text", columns.text), _column_number("label", columns.label)
    tagged = {split: read_conll(path, *places) for split, path in files.items()}
    train = tagged["train"]
    names = train.tags if labels is None else list(labels)
    if len(names) < 2:
        raise ValueError(f"{train.path}: expected two tags or more, but all words have {names[0]!r}")
    has_chunks = _has_chunks(train)
    for other in tagged.values():
        _check_tags(other, names)
    if has_chunks:
        library("seqeval.metrics")
    splits = {split: _split(part, tokenizer, max_length, names, has_chunks) for split, part in tagged.items()}
    kinds = sorted({name[2:] for name in names if name != "O"}) if has_chunks else names
    where = f"column {train.tag_column} of {train.n_columns} tags the words in column {train.word_column}"
    return Task(
        description=f"{len(kinds)} kinds of {'chunks' if has_chunks else 'words'}: {first_few(kinds)}; {where}",
        unit="sentences",
        model_class=BertForTokenClassification,
        metric="f1" if has_chunks else "accuracy",
        splits=splits,
        config={
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {name: number for number, name in enumerate(names)},
        },
    )


def _column_number(option: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"--{option}-column: expected the number of a column, from 1, for tagging; found {value!r}")
    return int(value)


def _has_chunks(train: TaggedFile) -> bool:
    """Whether the tags mark chunks, which are scored as wholes. Raises `ValueError` if all do but some."""
    wrong = {tag for tag in train.tags if not _CHUNK_TAG.fullmatch(tag)}
    if wrong and "O" in train.tags and any(tag[:2] in ("B-", "I-") for tag in train.tags):
        tag, line = next((t, n) for s in train.sentences for t, n in zip(s.tags, s.lines, strict=True) if t in wrong)
        raise ValueError(
            f"{train.path}, line {line}: expected O or a tag of a chunk such as B-PER, as others are, found {tag!r}; is"
            f" column {train.tag_column} of {train.n_columns} the right one? Else pass --label-column with its number"
        )
    return not wrong


def _check_tags(other: TaggedFile, names: Sequence[str]) -> None:
    for sentence in other.sentences:
        for tag, line in zip(sentence.tags, sentence.lines, strict=True):
            if tag not in names:
                raise ValueError(
                    f"{other.path}, line {line}: expected a tag that was trained ({first_few(names)}), found {tag!r}"
                )


def _split(
    tagged: TaggedFile, tokenizer: BertTokenizer, max_length: int, names: Sequence[str], has_chunks: bool
) -> Split:
    sentences = tagged.sentences
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
    n_words = sum(len(sentence.words) for sentence in sentences)
    n_unseen = n_words - sum(map(len, words))
    counted_as = "tagged O" if "O" in names else "wrong"
    told = lost(n_unseen, n_words, f"beyond {max_length} tokens, or have none, and count as {counted_as}", "words")
    n_passed_over = tagged.n_passed_over
    told += lost(n_passed_over, n_passed_over + n_words, "comments or the like, and passed over", "lines")
    return Split(items, lambda prediction: _score(prediction, sentences, words, names, has_chunks), told)


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
    return (chunk_f1(_as_scored(predicted), _as_scored(expected)) if has_chunks else {}) | of_words


def _as_scored(tags: list[list[str]]) -> list[list[str]]:
    """The same with the marks that the score knows."""
    return [[_AS_SCORED.get(tag[:2], tag[:2]) + tag[2:] for tag in sentence] for sentence in tags]
