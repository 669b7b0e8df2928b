"""From text to a packed corpus: streamed, with its tokenizer beside it, and shown as the model sees it."""

import re

import pytest

from minibert.pretraining.preparation import load_tokenizer, prepare, say_held_out, show_examples, unknown_share
from minibert.text import packed, source
from minibert.text.corpus import Part
from minibert.text.dataset import PretrainingDataset
from minibert.text.lines import CorpusError
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer

WORDS = [f"{a}{b}" for a in "bdfgk" for b in "aeiou"]


def known_words():
    return BertTokenizer({token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])})


class Document(list):
    """A document that counts how many of its kind there are at a time."""

    alive = most_alive = 0

    def __init__(self, sentences):
        super().__init__(sentences)
        Document.alive += 1
        Document.most_alive = max(Document.most_alive, Document.alive)

    def __del__(self):
        Document.alive -= 1


def test_text_is_streamed_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "BATCH_CHARACTERS", 140)  # ten documents
    readings = []

    def read_part(part):
        readings.append(part)
        return (Document(["ba be bi.", "bo bu."]) for _ in range(1000))

    (tmp_path / "somewhere").write_text("text")
    monkeypatch.setattr(source, "read_part", read_part)
    corpus, _ = prepare([tmp_path / "somewhere"], None, 300, tmp_path / "packed")
    assert readings == [Part(tmp_path / "somewhere")] * 2  # for the vocabulary, and for the arrays
    assert corpus.n_documents == 1000 and Document.most_alive <= 25


def test_the_folder_is_complete(tmp_path):
    (tmp_path / "corpus.txt").write_text("Ba be bi. Bo bu.\n\nDa de.")
    corpus, tokenizer = prepare([tmp_path / "corpus.txt"], None, 300, tmp_path / "packed")
    saved = load_tokenizer(tmp_path / "packed")
    assert saved.get_vocab() == tokenizer.get_vocab() == load_tokenizer(tmp_path / "packed" / "vocab.txt").get_vocab()
    assert saved.decode(PackedCorpus.open(tmp_path / "packed", saved).ids) == "ba be bi. bo bu. da de."
    assert (corpus.n_documents, corpus.n_sentences) == (2, 3)


def test_links_that_are_not_followed_are_told_of(tmp_path, capsys):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("Ba be bi. Bo bu.")
    (texts / "b.txt").symlink_to(tmp_path / "nowhere.txt")
    (texts / "c").symlink_to(texts, target_is_directory=True)
    prepare([texts], known_words(), 300, tmp_path / "a")
    told = "passed over 2 links to folders or to nothing (b.txt, ...); name a folder to have it read\n"
    assert told in capsys.readouterr().out


def test_too_little_text_leaves_what_was_there(tmp_path):
    (tmp_path / "one.txt").write_text("Ba be bi.")
    prepare([tmp_path / "one.txt"], known_words(), 300, tmp_path / "packed")
    with pytest.raises(CorpusError, match="single sentence"):
        prepare([tmp_path / "one.txt"], known_words(), 300, tmp_path / "packed", must_split=True)
    assert PackedCorpus.open(tmp_path / "packed").n_tokens == 4


def test_files_that_are_not_read_are_told_of(tmp_path, capsys):
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("a.txt", "b.md", "c.html"):
        (texts / name).write_text("Ba be bi. Bo bu.")
    prepare([texts], known_words(), 300, tmp_path / "a")
    told = "passed over 2 files of no known suffix (b.md, ...); name a file to have it read\n"
    assert told in capsys.readouterr().out
    prepare([texts / "a.txt", texts / "b.md"], known_words(), 300, tmp_path / "b")
    assert "passed over" not in capsys.readouterr().out


def test_the_files_are_counted(tmp_path, capsys):
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text("Ba be bi. Bo bu.")
    prepare([tmp_path], known_words(), 300, tmp_path / "packed")
    assert "30 documents, 60 sentences, 150 words, in 30 files\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words", "warnings"),
    [
        ("我们今天去公园。他在学校学习中文。", 15, []),
        (
            "วันนี้อากาศดีมากฉันชอบอ่านหนังสือที่ห้องสมุด เขาไปโรงเรียนทุกเช้าทุกวัน\nแมวนอนอยู่บนโต๊ะในห้องครัวของเรา",
            3,
            ["words of 34 characters on average", "22% of the characters are marks on others"],
        ),
        ("Été à la plage. Où est-il allé ?", 7, []),
    ],
    ids=["Chinese", "Thai", "French"],
)
def test_other_scripts(tmp_path, capsys, text, words, warnings):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    prepare([tmp_path / "a.txt"], None, 300, tmp_path / "packed")
    said = capsys.readouterr().out
    assert f" {words} words\n" in said
    assert said.count("warning ") == len(warnings) and all(warning in said for warning in warnings), said


def test_what_is_in_the_way_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(CorpusError, match=r"holds thesis\.txt, which is no part of a packed corpus"):
        prepare([tmp_path / "nowhere.txt"], None, 300, tmp_path)


def test_unknown_tokens_are_counted_where_they_are():
    documents = [["ba be"], ["x ba", "be x x"], ["ba"]]
    corpus = PackedCorpus.from_documents(documents, known_words())
    assert unknown_share(corpus, known_words().unk_token_id, len(known_words())) == 3 / 8
    first = PackedCorpus(corpus.ids, corpus.sentence_starts, corpus.documents[::2])
    assert unknown_share(first, known_words().unk_token_id, len(known_words())) == 0


def test_ids_beyond_the_vocabulary_are_refused_by_the_name_of_their_file(tmp_path):
    corpus = PackedCorpus.build([["ba be"], ["bi"]], known_words(), tmp_path / "packed", show_progress=False)
    file = re.escape(str(tmp_path / "packed" / "ids.bin"))
    for part in (corpus, *corpus.split()):
        with pytest.raises(CorpusError, match=rf"^{file}: damaged: it holds ids beyond 5\. Prepare"):
            unknown_share(part, known_words().unk_token_id, 5)


def test_what_is_held_out_is_told(capsys):
    corpus = PackedCorpus.from_documents([["ba be bi bo bu"] * 100] * 2, known_words())
    say_held_out(corpus, corpus.split()[1])
    assert capsys.readouterr().out == "held out    50 of the tokens, 5.0%, of 1 document\n"


@pytest.fixture
def dataset(tmp_path):
    """200 documents of single words; the words of a document follow each other in `WORDS`."""
    documents = [[WORDS[(start + i) % len(WORDS)] for i in range(12)] for start in range(200)]
    corpus = PackedCorpus.from_documents(documents, known_words())
    return PretrainingDataset(corpus, known_words(), max_length=16, seed=0)


def test_examples_show_what_the_model_sees(dataset):
    tokenizer = known_words()
    paragraphs = list(show_examples(dataset, tokenizer, 40))
    assert len(set(paragraphs)) == 40
    labels = [paragraph.splitlines()[0].split(": ")[1] for paragraph in paragraphs]
    assert set(labels) == {"B follows A", "B is random"}
    for paragraph in paragraphs:
        number, label, reads, answers = re.fullmatch(
            r"example (\d+): (.*)\n  reads    (.*)\n  answers  (.*)", paragraph
        ).groups()
        example = dataset[int(number)]
        assert label == ["B follows A", "B is random"][example["next_sentence_label"]]
        assert tokenizer.convert_tokens_to_ids(reads.split()) == example["input_ids"].tolist()
        # Whoever knows the answers can restore the text: put each in the place of what stands there.
        labelled = [i for i, original in enumerate(example["labels"].tolist()) if original >= 0]
        for position, answer in zip(labelled, answers.split(", "), strict=True):
            original = tokenizer.convert_ids_to_tokens(int(example["labels"][position]))
            seen = reads.split()[position]
            assert answer == (f"{original} (kept)" if seen == original else f"{seen} → {original}")


def test_no_example_more_than_asked_for(dataset):
    assert len(list(show_examples(dataset, known_words(), 1))) == 1
    assert not list(show_examples(dataset, known_words(), 0))
    every = list(show_examples(dataset, known_words(), 2 * len(dataset)))
    assert len(every) == len(set(every)) == len(dataset)
