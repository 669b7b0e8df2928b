"""A labelled data set that every machine has: which package of the standard library does a docstring come from?"""

import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from minibert.finetuning.examples import Example
from minibert.text.packed import PackedCorpus
from minibert.text.sentences import split_sentences
from minibert.text.stdlib_docs import module_docstrings, prose_paragraphs, python_documentation
from minibert.text.tokenizer import BertTokenizer

PACKAGES = 10
SHORTEST = 4  # words
# Docstrings of each package, at most. Few to train on: labels are dear, and what pretraining is worth shows where they
# are rare. In the test, two large modules would else decide the score.
TRAIN_SHARE, EVAL_SHARE, TEST_SHARE = 100, 30, 40

# Pretraining holds out documents of the Python that runs it; minibert-tiny has met this one, and read none of those.
TINY_READ = (3, 11)

Modules = Sequence[tuple[Path, list[str]]]


def docstring_examples(modules: Modules | None = None, seed: int = 42) -> dict[str, list[Example]]:
    """Docstrings of the ten largest packages, labelled with their package: splits "train", "eval" and "test".

    The packages' names are taken out of the texts, wherever they stand. What pretraining has read would flatter a
    pretrained model, so the test set holds only docstrings of which it has not read a sentence: those of the modules
    that it holds out, and those that were too little like English for it.

    Args:
        modules: what `module_docstrings` has found; None: look for them now, which takes seconds.
        seed: which docstrings are taken.
    """
    modules = list(module_docstrings()) if modules is None else modules
    packages = largest_packages(modules)
    seen = pretraining_sentences(modules)
    read: dict[str, list[Example]] = {package: [] for package in packages}
    unseen: dict[str, list[Example]] = {package: [] for package in packages}
    for text, package in _labelled(modules, packages):
        example = Example(without_names(text, packages), None, package, f"the package {package}")
        if len(example.text.split()) >= SHORTEST:
            (read if sentences_of(text) & seen else unseen)[package].append(example)
    generator = random.Random(seed)
    splits: dict[str, list[Example]] = {"train": [], "eval": [], "test": []}
    for package in packages:
        generator.shuffle(unseen[package])
        splits["test"] += unseen[package][:TEST_SHARE]
        others = read[package] + unseen[package][TEST_SHARE:]
        generator.shuffle(others)
        splits["eval"] += others[:EVAL_SHARE]
        splits["train"] += others[EVAL_SHARE : EVAL_SHARE + TRAIN_SHARE]
    return splits


def largest_packages(modules: Modules) -> list[str]:
    """The packages with most words in their docstrings, sorted by name."""
    words: Counter[str] = Counter()
    for path, docstrings in modules:
        if len(path.parts) > 1:
            words[path.parts[0]] += sum(len(docstring.split()) for docstring in docstrings)
    return sorted(package for package, _ in words.most_common(PACKAGES))


def pretraining_sentences(modules: Modules) -> set[str]:
    """All sentences of Python's documentation that pretraining reads, here or when minibert-tiny was made."""
    documents = list(python_documentation(modules))
    sentences = [sentence for document in documents for sentence in document]
    if sys.version_info[:2] != TINY_READ:
        return set(sentences)  # here others are held out than were from minibert-tiny
    corpus = PackedCorpus.from_documents(documents, BertTokenizer.from_pretrained("minibert-tiny"))
    assert corpus.n_sentences == len(sentences)  # each has a token, so that they can be told by their numbers
    return {sentence for first, end in corpus.split()[0].documents for sentence in sentences[first:end]}


def sentences_of(docstring: str) -> set[str]:
    """The sentences that pretraining would make of a docstring."""
    return {sentence for paragraph in prose_paragraphs(docstring) for sentence in split_sentences(paragraph)}


def without_names(text: str, packages: Iterable[str]) -> str:
    """The text on one line without the names, also inside of words ("EmailMessage" becomes "Message")."""
    return " ".join(re.sub("|".join(map(re.escape, packages)), "", text, flags=re.IGNORECASE).split())


def _labelled(modules: Modules, packages: Sequence[str]) -> list[tuple[str, str]]:
    """Each docstring of the packages with its package, once; without those that several packages share."""
    package_of: dict[str, set[str]] = {}
    for path, docstrings in modules:
        if path.parts[0] in packages and len(path.parts) > 1:
            for docstring in docstrings:
                package_of.setdefault(docstring, set()).add(path.parts[0])
    return [(docstring, name) for docstring, names in package_of.items() if len(names) == 1 for name in names]
