"""The docstrings of the standard library: no name in them, and nothing in the test that pretraining has read."""

from collections import Counter
from pathlib import Path

import pytest

from minibert.finetuning import docstrings
from minibert.finetuning.docstrings import docstring_examples, largest_packages, sentences_of, without_names
from minibert.text.packed import PackedCorpus
from minibert.text.stdlib_docs import python_documentation
from minibert.text.tokenizer import BertTokenizer


@pytest.fixture(scope="module")
def examples(stdlib_modules):
    return docstring_examples(stdlib_modules)


def test_sizes(examples):
    counts = {split: Counter(e.label for e in part) for split, part in examples.items()}
    assert len(counts["train"]) == 10 and counts["train"].total() == 1000
    assert counts["eval"].total() == 300
    assert 100 <= counts["test"].total() <= 400 and len(counts["test"]) == 10


def test_no_text_is_in_two_splits(examples):
    texts = [example.text for part in examples.values() for example in part]
    assert len(set(texts)) > 0.98 * len(texts)  # names apart, a few are the same


def test_no_name_is_left(examples):
    packages = {example.label for example in examples["train"]}
    for example in (e for part in examples.values() for e in part):
        assert not any(package in example.text.lower() for package in packages), example.text


def test_pretraining_has_read_no_sentence_of_the_test(stdlib_modules, examples):
    """What pretraining reads is asked of `PackedCorpus.split` itself, and the texts are looked for as they are."""
    documents = list(python_documentation(stdlib_modules))
    sentences = [sentence for document in documents for sentence in document]
    corpus = PackedCorpus.from_documents(documents, BertTokenizer.from_pretrained("minibert-tiny"))
    train, held_out = corpus.split()
    read = {sentence for first, end in train.documents for sentence in sentences[first:end]}
    assert corpus.n_sentences == len(sentences) and held_out.n_documents == corpus.n_documents // 20
    names = largest_packages(stdlib_modules)
    nameless = {without_names(sentence, names) for sentence in read}
    assert len(read) > 10_000
    for example in examples["test"]:
        assert not sentences_of(example.text) & nameless, example
    # That a docstring can be found this way at all:
    assert sum(bool(sentences_of(e.text) & nameless) for e in examples["train"]) > 0.5 * len(examples["train"])


def test_another_python_than_the_one_minibert_tiny_has_read(stdlib_modules, monkeypatch):
    """There, what is held out here may have been read: only what is never read is left for the test."""
    monkeypatch.setattr(docstrings, "TINY_READ", (2, 7))
    modules = stdlib_modules[::4]
    read = {sentence for document in python_documentation(modules) for sentence in document}
    test = docstring_examples(modules)["test"]
    names = largest_packages(modules)
    nameless = {without_names(sentence, names) for sentence in read}
    assert len(test) > 20 and not any(sentences_of(example.text) & nameless for example in test)


def test_the_same_at_every_call(stdlib_modules):
    first, again, other = (docstring_examples(stdlib_modules[::8], seed) for seed in (1, 1, 2))
    assert first == again and first["train"] != other["train"]


def test_names_are_removed_inside_words():
    assert without_names("An EmailMessage\n   of the email  package.", ["email", "xml"]) == "An Message of the package."


def test_largest_packages():
    words = [(Path(f"p{i}") / "a.py", ["word " * i]) for i in range(14)] + [(Path("alone.py"), ["word " * 99])]
    assert largest_packages(words) == sorted(f"p{i}" for i in range(4, 14))


def test_docstrings_that_packages_share_tell_nothing():
    shared = [
        (Path("a/x.py"), ["Return the value of it.", "Only in a."]),
        (Path("b/x.py"), ["Return the value of it."]),
    ]
    assert docstrings._labelled(shared, ["a", "b"]) == [("Only in a.", "a")]
