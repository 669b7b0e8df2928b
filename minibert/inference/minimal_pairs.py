"""Minimal pairs: two sentences that differ in one thing, one of them wrong. Does the model prefer the right one?

The judge is the pseudo-log-likelihood, the data are BLiMP's (Warstadt et al. 2020): one file for each paradigm, such
as the agreement of a subject with its verb. A model that knows nothing is right half of the time.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from minibert.inference.pseudo_likelihood import Likelihoods, pseudo_log_likelihoods
from minibert.model.tasks import BertForMaskedLM, BertForPreTraining
from minibert.text.corpus import find_files
from minibert.text.lines import CorpusError, numbered_lines, parse_record
from minibert.text.tokenizer import BertTokenizer

SUFFIXES = (".jsonl", ".jsonl.gz")


class MinimalPair(NamedTuple):
    """The right sentence and the wrong one."""

    good: str
    bad: str


def read_minimal_pairs(paths: Sequence[str | Path], limit: int | None = None) -> dict[str, list[MinimalPair]]:
    """The pairs of each paradigm, in the order of the files, and at most the first `limit` of each.

    A path is a file, perhaps gzipped, or a folder of `.jsonl` files. A line of a file is a JSON object with
    `sentence_good` and `sentence_bad`, and with the paradigm in `UID`; without that, the file's name is the paradigm.
    Raises `CorpusError` naming file and line, and both files where a paradigm comes from two, or from one named twice.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"--blimp-pairs must be at least 1, got {limit}")
    paradigms: dict[str, list[MinimalPair]] = {}
    places: dict[str, Path] = {}
    for path in chain.from_iterable(find_files(str(path), SUFFIXES) for path in paths):
        for name, pairs in _read_file(path).items():
            if name in places:
                raise CorpusError(
                    f"{path}: the paradigm {name!r} comes from {places[name]} already. Leave one of them out, or give"
                    " it another name, in the field 'UID' or as that of the file."
                )
            paradigms[name], places[name] = pairs[:limit], path
    return paradigms


def _read_file(path: Path) -> dict[str, list[MinimalPair]]:
    file_name = Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem
    paradigms = defaultdict(list)
    for number, line in numbered_lines(path):
        if line.strip():
            record = parse_record(path, number, line)
            pair = MinimalPair(*(_sentence(path, number, record, f"sentence_{name}") for name in MinimalPair._fields))
            uid = record.get("UID")
            paradigms[file_name if uid is None else str(uid)].append(pair)
    if not paradigms:
        raise CorpusError(f"{path}: no minimal pair in this file: it is empty or all blank. Leave it out.")
    return paradigms


def _sentence(path: Path, number: int, record: Mapping, name: str) -> str:
    sentence = record.get(name)
    if not isinstance(sentence, str) or not sentence.strip():
        raise CorpusError(f"{path}, line {number}: expected a sentence in the field {name!r}, found {sentence!r}.")
    return sentence


def minimal_pair_accuracy(
    model: BertForMaskedLM | BertForPreTraining,
    tokenizer: BertTokenizer,
    paradigms: Mapping[str, Sequence[MinimalPair]],
    likelihoods: Likelihoods = pseudo_log_likelihoods,
) -> dict[str, float]:
    """For each paradigm, the share of pairs whose right sentence is the likelier one; a tie counts half.

    likelihoods: instead of `pseudo_log_likelihoods`, one that shares the work.
    Raises `ValueError` for a sentence that is longer than the model.
    """
    sentences = chain.from_iterable(chain.from_iterable(paradigms.values()))
    scores = iter(likelihoods(model, tokenizer, tokenizer(list(sentences))["input_ids"]))
    accuracy = {}
    for name, pairs in paradigms.items():
        differences = [next(scores) - next(scores) for _ in pairs]  # good - bad
        accuracy[name] = sum((d > 0) + 0.5 * (d == 0) for d in differences) / len(pairs)
    return accuracy
