"""`scripts/prepare.py`: a folder for `pretrain.py --data`, or one line that says what was wrong."""

import random
import re

import pytest
import script_runs

from minibert.pretraining import job
from minibert.pretraining.preparation import show_examples
from minibert.pretraining.presets import PRESETS, Preset
from minibert.text import source
from minibert.text.dataset import PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    rng = random.Random(0)

    def sentence():
        return f"The {rng.choice(['cat', 'dog', 'bird'])} sees the {rng.choice(['fish', 'corn', 'grass'])} every day."

    path = tmp_path_factory.mktemp("corpus") / "farm.txt"
    path.write_text("\n\n".join("\n".join(sentence() for _ in range(8)) for _ in range(40)))
    return path


@pytest.fixture(scope="module")
def prepared(corpus):
    """(how it ended, the folder it wrote) of a real run."""
    folder = corpus.parent / "data"
    arguments = ("--vocab-size", 300, "--output", folder, "--show", 2)
    return script_runs.start("prepare", "--corpus", corpus, *arguments), folder


def prepare(capsys, *arguments):
    return script_runs.call(capsys, "prepare", *arguments)


def pretrain(capsys, folder, *arguments):
    return script_runs.call(capsys, "pretrain", "--minutes", 0.003, "--output-dir", folder, *arguments)


# --- preparing


def test_what_a_user_sees(prepared, corpus):
    ending, folder = prepared
    assert ending.code == 0 and not ending.err
    topics = [line.split()[0] for line in ending.out.splitlines() if line and not line.startswith(" ")]
    assert topics == ["corpus", "vocabulary", "tokens", "pairs", "seen", "example", "example", "written"]
    assert f"{corpus}: 40 documents, 320 sentences, 2,240 words" in ending.out
    assert "tokens      2,560, 8.0 a sentence; 0.00% are [UNK]\n" in ending.out
    assert re.search(r"pairs .*\d+ an epoch, \d\d% next and the rest random", ending.out)
    assert re.search(r"seen +\d+\.\d% of the tokens in an epoch, \d+\.\d% in 20: ", ending.out)
    assert len(re.findall(r"reads    \[CLS\] .*\[MASK\]", ending.out)) == 2
    assert f"train on it: minibert pretrain --data {folder}" in ending.out


def test_the_examples_are_those_of_training(prepared):
    ending, folder = prepared
    tokenizer = BertTokenizer.from_pretrained(folder)
    packed, rate = PackedCorpus.open(folder, tokenizer), PRESETS["tiny"].masking_rate
    dataset = PretrainingDataset(packed, tokenizer, Preset.max_length, 42, masking_rate=rate)
    shown = list(show_examples(dataset, tokenizer, 2))
    assert len(shown) == 2 and all(paragraph in ending.out for paragraph in shown)


def test_what_lies_in_the_folder(prepared):
    _, folder = prepared
    tokenizer = BertTokenizer.from_pretrained(folder)
    packed = PackedCorpus.open(folder, tokenizer)
    assert (packed.n_documents, packed.n_sentences, packed.n_tokens) == (40, 320, 8 * 320)
    assert re.fullmatch(r"the \w+ sees the \w+ every day\.", tokenizer.decode(packed.ids[:8]))
    names = {"ids.bin", "sentence_starts.bin", "document_starts.bin", "manifest.json"}
    assert {path.name for path in folder.iterdir()} == names | {"tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    assert {path.name for path in folder.parent.iterdir()} == {"farm.txt", "data"}


def test_a_vocabulary_of_ones_own(capsys, corpus, prepared, tmp_path):
    vocabulary = prepared[1] / "vocab.txt"
    ending = prepare(capsys, "--corpus", corpus, "--tokenizer", vocabulary, "--output", tmp_path / "data")
    assert ending.code == 0 and f"word pieces of {vocabulary}" in ending.out and "example" not in ending.out
    assert (tmp_path / "data" / "ids.bin").read_bytes() == (prepared[1] / "ids.bin").read_bytes()


def test_pythons_documentation_is_the_default(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "python_documentation", lambda: iter([["Print it.", "Return it."]] * 3))
    ending = prepare(capsys, "--vocab-size", 300, "--output", tmp_path / "data")
    assert ending.code == 0 and "Python's own documentation: 3 documents, 6 sentences, 12 words" in ending.out


def test_labels_out_of_balance_are_warned_about(capsys, tmp_path):
    (tmp_path / "lines.txt").write_text("\n\n".join(f"Alone in document {i}." for i in range(50)))
    arguments = ("--corpus", tmp_path / "lines.txt", "--vocab-size", 300, "--output", tmp_path / "data")
    ending = prepare(capsys, *arguments)
    assert "0% next and the rest random" in ending.out
    assert re.search("warning .*100% .*random.* because the documents are short, 1.0 sentences on average", ending.out)


def test_text_without_stops_is_read_whole(capsys, tmp_path):
    """A paragraph a line, of 1,500 words, and no stop."""
    rng = random.Random(0)
    words = ["cat", "dog", "bird", "sees", "the", "fish", "corn", "grass"]
    paragraphs = [" ".join(rng.choice(words) for _ in range(1500)) for _ in range(60)]
    (tmp_path / "lines.txt").write_text("\n".join(paragraphs))
    arguments = ("--corpus", tmp_path / "lines.txt", "--vocab-size", 100, "--output", tmp_path / "data")
    ending = prepare(capsys, *arguments)
    (once, often) = map(float, re.search(r"seen +(\S+)% .* epoch, (\S+)% in 20", ending.out).groups())
    assert once > 85 and often > 99.9 and "blank lines separate" not in ending.out


def test_unknown_words_are_told_of(capsys, prepared, tmp_path):
    (tmp_path / "foreign.txt").write_text("Кот ест the fish. Собака ест corn.\n\nКошка спит.")
    arguments = ("--corpus", tmp_path / "foreign.txt", "--tokenizer", prepared[1], "--output", tmp_path / "data")
    ending = prepare(capsys, *arguments)
    assert "tokens      12, 4.0 a sentence; 50.00% are [UNK]\n" in ending.out
    assert "warning     50% of the text is unknown to the vocabulary" in ending.out


def test_why_words_are_unknown_to_a_vocabulary_of_the_text_itself(capsys, tmp_path):
    (tmp_path / "blankless.txt").write_text("\n".join(f"กขฃคฅฆงจ{'ฉชซฌ' * 50} ญฎฏ {'ฐฑฒ' * 40}" for _ in range(30)))
    arguments = ("--corpus", tmp_path / "blankless.txt", "--vocab-size", 300, "--output", tmp_path / "data")
    ending = prepare(capsys, *arguments)
    why = "words of more than 100 characters are, as in text without blanks, and all characters but the 1,000 most"
    assert re.search(f"warning .*unknown to the vocabulary, so nothing is learnt of it: {why}", ending.out)


def test_documents_without_ends_are_told_of(capsys, corpus, tmp_path):
    arguments = ("--vocab-size", 300, "--output", tmp_path / "data")
    (tmp_path / "lines.txt").write_text("".join(f"Line {i} of a text.\n" for i in range(100)))
    ending = prepare(capsys, "--corpus", tmp_path / "lines.txt", *arguments)
    assert "documents   cut after 40 sentences, 2 times, in files without blank lines" in ending.out
    assert "documents  " not in prepare(capsys, "--corpus", corpus, *arguments).out


def test_what_cannot_be_trained_on_is_refused(capsys, tmp_path):
    (tmp_path / "one.txt").write_text("Only one sentence.")
    ending = prepare(capsys, "--corpus", tmp_path / "one.txt", "--vocab-size", 300, "--output", tmp_path / "data")
    assert "single sentence" in ending.only_error
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "no sentence"), (b"\xff\xfe", "line 1: not UTF-8"), (b"\n \n", "no sentence")],
    ids=["missing", "empty", "binary", "blank"],
)
def test_bad_corpus(capsys, prepared, tmp_path, content, message):
    if content is not None:
        (tmp_path / "corpus.txt").write_bytes(content)
    arguments = ("--corpus", tmp_path / "corpus.txt", "--tokenizer", prepared[1], "--output", tmp_path / "data")
    assert message in prepare(capsys, *arguments).only_error
    assert not (tmp_path / "data").exists()


def test_bad_arguments(capsys, corpus, prepared, tmp_path):
    given = ("--corpus", corpus, "--output", tmp_path / "data")
    assert "vocab_size 3 is too small" in prepare(capsys, *given, "--vocab-size", 3).only_error
    assert "nowhere" in prepare(capsys, *given, "--tokenizer", tmp_path / "nowhere").only_error
    assert (
        "which is no part of a packed corpus"
        in prepare(capsys, "--corpus", corpus, "--output", corpus.parent).only_error
    )
    ending = prepare(capsys, *given, "--tokenizer", prepared[1], "--vocab-size", 400)
    assert ending.code == 2 and "not allowed with" in ending.err


# --- training from the folder


def test_training_from_the_folder_is_training_from_the_text(capsys, corpus, prepared, tmp_path):
    data = pretrain(capsys, tmp_path / "a", "--data", prepared[1])
    text = pretrain(capsys, tmp_path / "b", "--corpus", corpus, "--tokenizer", prepared[1])
    assert data.code == text.code == 0, data.err + text.err
    assert f"{prepared[1]}: 40 documents, 320 sentences, 2,560 tokens" in data.out
    lines = [
        [line for line in ending.out.splitlines() if line.startswith(("vocab", "pairs", "before"))]
        for ending in (data, text)
    ]
    assert lines[0] == lines[1] and len(lines[0]) == 3
    assert len(re.findall(r"fill .*\[MASK\].*→", data.out)) == 5
    assert (tmp_path / "a" / "vocab.txt").read_bytes() == (prepared[1] / "vocab.txt").read_bytes()


def test_of_a_large_corpus_a_smaller_share_is_held_out(capsys, prepared, tmp_path, monkeypatch):
    def held_out_documents():
        kept = []
        monkeypatch.setattr(job, "initialise_from_corpus", lambda model, train: kept.append(train.n_documents))
        pretrain(capsys, tmp_path / f"run-{job.HELD_OUT_TOKENS}", "--data", prepared[1])
        return 40 - kept[0]

    assert held_out_documents() == 2  # one of 20
    monkeypatch.setattr(job, "HELD_OUT_TOKENS", 64)  # as many as a document has
    assert held_out_documents() == 1


def test_going_on_from_a_model_with_the_folder(capsys, prepared, tmp_path):
    pretrain(capsys, tmp_path / "a", "--data", prepared[1])
    ending = pretrain(capsys, tmp_path / "b", "--data", prepared[1], "--model", tmp_path / "a")
    assert ending.code == 0 and f"word pieces of {tmp_path / 'a'}" in ending.out


def test_data_and_corpus_are_too_much(capsys, corpus, prepared, tmp_path):
    error = pretrain(capsys, tmp_path / "run", "--data", prepared[1], "--corpus", corpus).only_error
    assert "--data and --corpus" in error


def test_data_of_another_vocabulary_are_refused(capsys, corpus, prepared, tmp_path):
    other = prepare(capsys, "--corpus", corpus, "--vocab-size", 60, "--output", tmp_path / "other")
    assert other.code == 0
    error = pretrain(capsys, tmp_path / "run", "--data", prepared[1], "--tokenizer", tmp_path / "other").only_error
    assert str(prepared[1]) in error and "another vocabulary" in error


def test_data_that_are_none(capsys, corpus, prepared, tmp_path):
    for folder in (tmp_path / "nowhere", corpus.parent):
        assert "no manifest.json there" in pretrain(capsys, tmp_path / "run", "--data", folder).only_error
    (tmp_path / "data").mkdir()
    for file in prepared[1].iterdir():
        if "token" not in file.name and file.name != "vocab.txt":
            (tmp_path / "data" / file.name).write_bytes(file.read_bytes())
    assert "found neither tokenizer.json" in pretrain(capsys, tmp_path / "run", "--data", tmp_path / "data").only_error
