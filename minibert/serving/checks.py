"""What the options of a request would make of it: refused before it is computed if that is too much."""

import math
from collections.abc import Sequence
from typing import Any

from minibert.inference.base import Pipeline, check_texts
from minibert.serving.limits import Limits, Refused

SHOWN = 5  # of words that are wrong


def check_targets(head: Pipeline, targets: Sequence[str] | None) -> None:
    """Raise `Refused` for words that are not in the vocabulary: the pipeline would take their first pieces instead."""
    if targets is None:
        return
    vocabulary = head.tokenizer.get_vocab()
    if unknown := [word for word in targets if word not in vocabulary]:
        named = ", ".join(f"{word!r:.40}" for word in unknown[:SHOWN])
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        raise Refused(422, f"targets: not in the vocabulary: {named}{more}; name words that are in it, spelt as there")


def check_candidates(head: Pipeline, limits: Limits, rows: Sequence[Sequence[int]], options: dict[str, Any]) -> None:
    """Raise `Refused` for more candidates than are written for one request. rows: the input_ids of its texts."""
    top_k, targets = options["top_k"], options["targets"]
    if targets is not None:
        top_k = min(top_k, len(set(targets)))
    masks = sum(row.count(head.tokenizer.mask_token_id) for row in rows)
    if masks * top_k > limits.candidates:
        raise Refused(
            413,
            f"{masks:,} masks with {top_k} candidates each (top_k) are {masks * top_k:,} candidates, at most"
            f" {limits.candidates:,} are given for a request; split it, or ask for fewer",
        )


def check_windows(head: Pipeline, limits: Limits, task: str, inputs: list, options: dict[str, Any]) -> None:
    """Raise `Refused` for texts whose windows would have more tokens than may wait; `InputError` for what is no text.

    Windows that share all but a token with the next one turn a text of n tokens into n windows.
    """
    texts = _texts(task, inputs)
    check_texts(texts)
    lengths = [len(ids) - 2 for ids in head.tokenizer(texts)["input_ids"]]  # without [CLS] and [SEP]
    if task == "question-answering":
        window = min(options["max_seq_len"], head.max_length)
        shared = min(options["doc_stride"], window // 2)
        questions = [item["question"] for item in inputs]
        check_texts(questions)
        rooms = [window - len(ids) - 1 for ids in head.tokenizer(questions)["input_ids"]]
    else:
        window, shared = head.max_length, options["stride"] or 0
        rooms = [window - 2] * len(inputs)
    # The last window is left out: it may be short.
    full = (math.ceil((n - shared) / max(room - shared, 1)) - 1 for n, room in zip(lengths, rooms, strict=True))
    tokens = window * sum(max(windows, 0) for windows in full)
    if tokens > limits.waiting_tokens:
        raise Refused(
            413,
            f"in windows of {window} tokens that share {shared}, the request has more than {tokens:,} tokens, at most"
            f" {limits.waiting_tokens:,} may wait; let windows share fewer, or split it",
        )


def _texts(task: str, inputs: list) -> list[str]:
    return [item["context"] for item in inputs] if task == "question-answering" else inputs
