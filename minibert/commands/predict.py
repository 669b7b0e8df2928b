"""Predict for every line of a file, or of standard input, and print a JSON object for each, in the same order.

A line is a text. With --jsonl, or in a file called .jsonl, it is a JSON object with the field `text` (and `text_pair`
for a pair to classify); for question-answering with `question` and `context`; for sentence-similarity with
`source_sentence` and `sentences`. All its fields are printed again, so that results find their way back, with a
`prediction` beside them, which is null for a blank line. Lines of standard input are answered as they come. Memory does
not grow with the file. Several processes of `torchrun` share the work; the first one reads and prints.
"""

import argparse
import json
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from tqdm import tqdm

from minibert import pipeline
from minibert.inference.base import Pipeline
from minibert.inference.pipelines import TASKS
from minibert.inference.records import (
    CHUNK,
    FIELDS,
    STANDARD_INPUT,
    predict_chunk,
    read_records,
    with_first,
)
from minibert.inference.token_classification import STRATEGIES
from minibert.model.precision import PRECISIONS
from minibert.text.lines import is_jsonl
from minibert.training.distributed import Processes

# Which tasks take which option, and what the pipeline calls it.
OPTIONS = {
    "top_k": ("fill-mask", "text-classification", "question-answering"),
    "aggregation_strategy": ("token-classification",),
}


def main(args: argparse.Namespace) -> None:
    options = chosen_options(args)
    is_json = args.jsonl or is_jsonl(args.input) or "text" not in FIELDS[args.task]
    processes = Processes.join()
    model = pipeline(args.task, args.model, args.precision)
    if not processes.is_first:
        help_predict(model, args.task, options, processes)
        return
    with closing(predict_together(model, args.task, args.input, is_json, options, processes)) as results:
        try:
            # A bar for a person who waits; not where the results themselves run over the screen.
            hidden = None if not sys.stdout.isatty() else True
            for result in tqdm(results, desc=args.task, unit=" lines", disable=hidden):
                print(json.dumps(result, ensure_ascii=False), flush=True)  # somebody may wait for just this one
        except BrokenPipeError:  # the reader, `head` for example, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def predict_together(
    model: Pipeline, task: str, path: str, is_json: bool, options: dict[str, Any], processes: Processes
) -> Generator[dict[str, Any], None, None]:
    """In the first process: as `records.predict`, but every process works on its share of each chunk."""
    count, failed = processes.count, True
    try:
        for chunk, first in with_first(read_records(path, is_json, CHUNK * count)):
            # Every n-th record: their lengths, and so the work, are about the same for all.
            own, _ = processes.scatter([(chunk[rank::count], first) for rank in range(count)])
            shares = processes.gather(predict_chunk(model, task, own, first, **options))
            yield from _in_order([results for results, _ in shares], len(chunk))
            if errors := [(len(results), rank, error) for rank, (results, error) in enumerate(shares) if error]:
                raise min(errors, key=lambda found: found[:2])[2]
        failed = False
    except GeneratorExit:  # nobody wants more
        failed = False
        raise
    finally:
        processes.scatter([2 if failed else 0] * count)


def help_predict(model: Pipeline, task: str, options: dict[str, Any], processes: Processes) -> None:
    """In the other processes: work on what the first one sends, until it sends how it has ended."""
    sent: Any = processes.scatter(None)
    while not isinstance(sent, int):
        processes.gather(predict_chunk(model, task, *sent, **options))
        sent = processes.scatter(None)
    if sent:
        sys.exit(sent)  # without a word: the first one says why


def _in_order(shares: list[list], length: int) -> Iterator[Any]:
    """What was dealt out one by one, up to the first that is missing."""
    for number in range(length):
        share, place = shares[number % len(shares)], number // len(shares)
        if place == len(share):
            return
        yield share[place]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", nargs="?", default=STANDARD_INPUT, help="a file, perhaps .gz (default: standard input)"
    )
    parser.add_argument("--task", required=True, choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--model", required=True, metavar="NAME", help="a folder or a hub name")
    parser.add_argument("--jsonl", action="store_true", help="lines are JSON objects, whatever the file is called")
    parser.add_argument("--top-k", type=int, metavar="N", help="so many candidates, classes or answers")
    parser.add_argument(
        "--aggregation-strategy", choices=STRATEGIES, help="of tags: none (tokens), simple, or by word (first, ...)"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="(auto: bf16 where it is fast; int8: CPUs without it)"
    )


def chosen_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options that were given. Raises `ValueError` for one that the task does not have."""
    given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    for name in given:
        if args.task not in OPTIONS[name]:
            raise ValueError(f"--{name.replace('_', '-')} is for {', '.join(OPTIONS[name])}, not for {args.task}")
    return given
