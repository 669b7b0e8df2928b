"""From text to a packed corpus: what `minibert prepare` does once, and the other commands on the fly."""

import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minibert.labels import IGNORE_INDEX, IS_NEXT
from minibert.report import NEEDS_ANOTHER_VOCABULARY, counted, say, say_unknown
from minibert.text.corpus import PSEUDO_DOCUMENT_SENTENCES, files_passed_over
from minibert.text.dataset import Example, PretrainingDataset
from minibert.text.lines import CorpusError
from minibert.text.packed import PackedCorpus, check_replaceable
from minibert.text.pairs import balance_warning, random_share, seen_share
from minibert.text.source import CorpusSource
from minibert.text.tokenizer import BertTokenizer
from minibert.text.vocabulary import MAX_ALPHABET, count_strings
from minibert.text.wordpiece import MAX_WORD_LENGTH
from minibert.training.distributed import Processes

# Characters of a word, on average; above, blanks do not stand between words. German has 6, Finnish 8.
LONG_WORDS = 20
MANY_MARKS = 0.02  # of the characters; Vietnamese and French in decomposed form have more, too, and lose as much

MANY_EPOCHS = 20  # what is not seen in so many will hardly ever be


def prepare(
    paths: Sequence[str | Path] | None,
    tokenizer: BertTokenizer | None,
    vocab_size: int,
    folder: str | Path,
    processes: int = 1,
    must_split: bool = False,
) -> tuple[PackedCorpus, BertTokenizer]:
    """Tokenize text into `folder` and print what it was; returns the opened corpus, and its tokenizer.

    The text is streamed, so a corpus may be larger than memory.

    Args:
        paths: text files or folders, as for `CorpusSource`; None for Python's own documentation.
        tokenizer: None to train a vocabulary of `vocab_size` word pieces, which reads the text once more.
        folder: where the arrays and the tokenizer go, see `PackedCorpus.build`.
        processes: how many share the work on files; what they write is the same for any number.
        must_split: refuse a single sentence, of which nothing can be held out, and leave `folder` as it is.

    Raises `CorpusError` for text or a folder that cannot be used, `ValueError` for an impossible `vocab_size`.
    """
    check_replaceable(Path(folder))  # rather now than after a vocabulary was trained
    source = CorpusSource(paths, processes)
    n_files = source.n_files  # before there are more of them, if `folder` lies among them
    if tokenizer is None:
        counts = tqdm(source.each(count_strings), desc="counting words", unit=" parts", delay=2, leave=False)
        tokenizer = BertTokenizer.train(counts, vocab_size)
    corpus = PackedCorpus.build(source, tokenizer, folder, must_split=must_split)
    sizes = {"document": source.n_documents, "sentence": source.n_sentences, "word": source.n_words}
    files = f", in {counted(n_files, 'file')}" if n_files > 1 else ""
    say("corpus", f"{source.name}: {', '.join(counted(size, noun) for noun, size in sizes.items())}{files}")
    _say_passed_over(files_passed_over(paths or []))
    if source.n_cuts:
        cut = f"cut after {PSEUDO_DOCUMENT_SENTENCES} sentences, {counted(source.n_cuts, 'time')}"
        say("documents", f"{cut}, in files without blank lines; put one between documents")
    _say_foreign(source, tokenizer)
    return corpus, tokenizer


def _say_passed_over(others: Sequence[Path]) -> None:
    """Print what was not read of the folders that were named."""
    files = [path for path in others if path.is_file()]
    links = [path for path in others if not path.is_file()]
    for some, noun, why in (
        (files, "file", "of no known suffix ({}); name a file to have it read"),
        (links, "link", "to folders or to nothing ({}); name a folder to have it read"),
    ):
        if some:
            names = f"{some[0].name}{', ...' if len(some) > 1 else ''}"
            say("passed over", f"{counted(len(some), noun)} {why.format(names)}")


@contextmanager
def prepared_once(
    paths: Sequence[str | Path] | None, tokenizer: BertTokenizer | None, vocab_size: int
) -> Iterator[tuple[PackedCorpus, BertTokenizer]]:
    """As `prepare`, into a folder that is there as long as this context is open, and for all processes of `torchrun`.

    The first process alone reads the text, so it alone needs it. Those on its machine open the same folder; other
    machines are sent a copy of it.
    """
    processes = Processes.join()
    # Windows cannot delete the arrays as long as they are mapped.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as parent:
        folder = Path(parent) / "corpus"
        tokenizer = processes.by_first(lambda: prepare(paths, tokenizer, vocab_size, folder)[1])
        corpus = PackedCorpus.open(processes.folder_of_first(folder), tokenizer)
        processes.wait()  # until all have it open: then nobody needs its name
        yield corpus, tokenizer


def _say_foreign(source: CorpusSource, tokenizer: BertTokenizer) -> None:
    """Warn of scripts that word pieces and sentences were not made for."""
    length, marks = source.n_characters / max(1, source.n_words), source.n_marks / max(1, source.n_characters)
    if length > LONG_WORDS:
        say(
            "warning",
            f"words of {length:.0f} characters on average: there are no blanks between them, as in Thai, Lao, Khmer or"
            " Burmese, so that what is learnt is whole phrases; put blanks between words first, with a word segmenter"
            " for the language, and every sentence on a line of its own",
        )
    normalizer = tokenizer.backend_tokenizer.normalizer
    if marks > MANY_MARKS and normalizer is not None and normalizer.normalize_str("\u0e01\u0e38") == "\u0e01":
        say(
            "warning",
            f"{marks:.0%} of the characters are marks on others (vowels and tones of Thai, vowels of Hindi or Arabic),"
            " and the vocabulary strips them, as it does with accents; make a --tokenizer that keeps"
            " them: docs/pretraining.md has the lines",
        )


def load_tokenizer(source: str | Path) -> BertTokenizer:
    """The tokenizer of a `vocab.txt`, of a `tokenizer.json`, of a folder or of a name on the hub."""
    return BertTokenizer(source) if Path(source).is_file() else BertTokenizer.from_pretrained(source)


def say_vocabulary(tokenizer: BertTokenizer, source: str | None) -> None:
    """Print how large the vocabulary is and where it comes from; `source` None: from this corpus."""
    say("vocabulary", f"{len(tokenizer):,} word pieces" + (f" of {source}" if source else ", trained on the corpus"))


def say_tokens(corpus: PackedCorpus, tokenizer: BertTokenizer, source: str | None) -> None:
    """Print how many tokens the text is, and how many of them the vocabulary does not know.

    source: where the vocabulary comes from; None: from this corpus
    """
    unknown = unknown_share(corpus, tokenizer.unk_token_id, len(tokenizer))
    advice = NEEDS_ANOTHER_VOCABULARY
    if source is None:
        advice = (
            f"words of more than {MAX_WORD_LENGTH} characters are, as in text without blanks, and all characters but"
            f" the {MAX_ALPHABET:,} most frequent ones"
        )
    per_sentence = corpus.n_tokens / corpus.n_sentences
    say_unknown(f"{corpus.n_tokens:,}, {per_sentence:.1f} a sentence", unknown, tokenizer.unk_token, advice)


def unknown_share(corpus: PackedCorpus, unk_token_id: int, vocab_size: int) -> float:
    """The share of the tokens that stand for what the vocabulary cannot spell.

    Raises `CorpusError` for a token that is none of the `vocab_size`.
    """
    unknown = 0
    with tqdm(total=corpus.n_tokens, desc="looking for unknown words", unit=" tokens", delay=2, leave=False) as bar:
        for ids in corpus.tokens_in_blocks():
            if ids.max() >= vocab_size or ids.min() < 0:
                file = getattr(corpus.ids.base, "filename", "ids")  # of what lies in memory, there is none
                raise CorpusError(f"{file}: damaged: it holds ids beyond {vocab_size:,}. Prepare the corpus again.")
            unknown += int(np.count_nonzero(ids == unk_token_id))
            bar.update(len(ids))
    return unknown / corpus.n_tokens


def say_held_out(corpus: PackedCorpus, held_out: PackedCorpus) -> None:
    """Print how much of the corpus is kept away from training."""
    share = held_out.n_tokens / corpus.n_tokens
    documents = counted(held_out.n_documents, "document")
    say("held out", f"{held_out.n_tokens:,} of the tokens, {share:.1%}, of {documents}")


def say_pairs(dataset: PretrainingDataset) -> None:
    """Print how many sentence pairs there are, the share of both labels, and how much of the text they show."""
    say("pairs", f"{len(dataset.pairs):,} an epoch, {1 - random_share(dataset.pairs):.0%} next and the rest random")
    once, often = (seen_share(dataset.corpus, dataset.max_length, dataset.seed, epochs) for epochs in (1, MANY_EPOCHS))
    say("seen", f"{once:.1%} of the tokens in an epoch, {often:.1%} in {MANY_EPOCHS}: pairs that are too long are cut")
    if warning := balance_warning(dataset.pairs, dataset.corpus):
        say("warning", warning)


# --- what the model sees --------------------------------------------------------------------------------


def show_examples(dataset: PretrainingDataset, tokenizer: BertTokenizer, count: int) -> Iterator[str]:
    """`count` examples (or all there are) from all over the epoch, each as a paragraph: what is read, what to say."""
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int).tolist():
        example = dataset[index]
        label = "B follows A" if example["next_sentence_label"] == IS_NEXT else "B is random"
        parts = {"reads": tokenizer.decode(example["input_ids"]), "answers": ", ".join(_answers(example, tokenizer))}
        lines = [f"example {index:,}: {label}"]
        for name, text in parts.items():
            indent: dict[str, Any] = {"initial_indent": f"  {name:<8} ", "subsequent_indent": " " * 11}
            lines.append(textwrap.fill(text, 110, **indent, break_long_words=False, break_on_hyphens=False))
        yield "\n".join(lines)


def _answers(example: Example, tokenizer: BertTokenizer) -> Iterator[str]:
    """For every labelled token, what stands in its place and what it was."""
    labelled = np.flatnonzero(example["labels"] != IGNORE_INDEX)
    seen = tokenizer.convert_ids_to_tokens(example["input_ids"][labelled])
    meant = tokenizer.convert_ids_to_tokens(example["labels"][labelled])
    for token, original in zip(seen, meant, strict=True):
        yield f"{original} (kept)" if token == original else f"{token} → {original}"
