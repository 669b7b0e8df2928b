"""The packed corpus: what goes in comes out, files that do not fit are refused, documents are held out."""

import errno
import json
import os
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from minibert.text import packed
from minibert.text.lines import CorpusError
from minibert.text.packed import MANIFEST, PackedCorpus, vocabulary_hash

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the cat dog sat ran on mat a big ##s . mask [ ]".split()  # noqa: SIM905 (reads as the text it is)
DOCUMENTS = [["the cats sat.", "a big dog ran"], ["on the mat."], ["the dog", "the cat", "a mat"]]


class StandIn:
    """As much of a tokenizer as packing needs, with exactly the vocabulary that a test asks for."""

    def __init__(self, words):
        vocabulary = {token: i for i, token in enumerate([*SPECIAL, *words])}
        self.backend_tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        self.backend_tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self.backend_tokenizer.add_special_tokens(SPECIAL)

    def __len__(self):
        return self.backend_tokenizer.get_vocab_size()

    def get_vocab(self):
        return self.backend_tokenizer.get_vocab()

    def save_pretrained(self, folder):
        self.backend_tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def tokenizer():
    return StandIn(WORDS)


def decode(corpus, tokenizer):
    """The documents of a packed corpus, as lists of sentences of tokens."""
    return [
        [
            [tokenizer.backend_tokenizer.id_to_token(i) for i in corpus.ids[slice(*corpus.sentence_starts[s : s + 2])]]
            for s in range(first, end)
        ]
        for first, end in corpus.documents
    ]


EXPECTED = [
    [["the", "cat", "##s", "sat", "."], ["a", "big", "dog", "ran"]],
    [["on", "the", "mat", "."]],
    [["the", "dog"], ["the", "cat"], ["a", "mat"]],
]


@pytest.mark.parametrize("batch_characters", [1, 30, 1000])
def test_round_trip(tmp_path, tokenizer, monkeypatch, batch_characters):
    monkeypatch.setattr(packed, "BATCH_CHARACTERS", batch_characters)
    built = PackedCorpus.build(iter(DOCUMENTS), tokenizer, tmp_path / "packed", show_progress=False)
    opened = PackedCorpus.open(tmp_path / "packed")
    in_memory = PackedCorpus.from_documents(DOCUMENTS, tokenizer)
    for corpus in [built, opened, in_memory]:
        assert decode(corpus, tokenizer) == EXPECTED
        assert (corpus.n_tokens, corpus.n_sentences, corpus.n_documents) == (19, 6, 3)
    assert opened.ids.dtype == np.uint16 and opened.sentence_starts.dtype == np.int64
    assert not opened.ids.flags.writeable and isinstance(opened.ids.base, np.memmap)
    manifest = json.loads((tmp_path / "packed" / MANIFEST).read_text())
    assert manifest == {
        "format_version": 1,
        "vocabulary_sha256": vocabulary_hash(tokenizer),
        "vocab_size": 19,
        "dtype": "<u2",
        "tokens": 19,
        "sentences": 6,
        "documents": 3,
    }


def test_the_tokenizer_lies_beside(tmp_path, tokenizer):
    PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "packed", show_progress=False)
    saved = Tokenizer.from_file(str(tmp_path / "packed" / "tokenizer.json"))
    assert saved.to_str() == tokenizer.backend_tokenizer.to_str()


@pytest.mark.parametrize(("size", "dtype"), [(2**16, np.uint16), (2**16 + 1, np.int32)])
def test_dtype_holds_the_largest_id(tmp_path, size, dtype):
    tokenizer = StandIn([f"w{i}" for i in range(size - len(SPECIAL))])
    corpus = PackedCorpus.build([[f"w{size - 6}"]], tokenizer, tmp_path / "packed", show_progress=False)
    assert corpus.ids.dtype == dtype and corpus.ids.tolist() == [size - 1]


def test_special_tokens_in_a_text_are_text(tokenizer):
    corpus = PackedCorpus.from_documents([["the [mask] sat", "[SEP]"]], tokenizer)
    assert decode(corpus, tokenizer) == [[["the", "[", "mask", "]", "sat"], ["[", "[UNK]", "]"]]]


def test_state_of_the_tokenizer_is_neither_used_nor_changed():
    tokenizer = StandIn(WORDS)
    tokenizer.backend_tokenizer.enable_truncation(1)
    tokenizer.backend_tokenizer.enable_padding(length=9)
    before = tokenizer.backend_tokenizer.to_str()
    assert decode(PackedCorpus.from_documents(DOCUMENTS, tokenizer), tokenizer) == EXPECTED
    assert tokenizer.backend_tokenizer.to_str() == before


def test_sentences_without_tokens_are_left_out(tokenizer):
    corpus = PackedCorpus.from_documents([[" ", "the cat"], ["\t"], ["a dog", ""]], tokenizer)
    assert decode(corpus, tokenizer) == [[["the", "cat"]], [["a", "dog"]]]
    for empty in [[], [[" "], ["\t"]]]:
        with pytest.raises(CorpusError, match="no sentence with a token"):
            PackedCorpus.from_documents(empty, tokenizer)


def test_documents_are_streamed(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(packed, "BATCH_CHARACTERS", 220)  # a document
    path = tmp_path / f".packed.{os.getpid()}.unfinished" / "ids.bin"
    written = []

    def documents():
        for _ in range(10_000):
            written.append(path.stat().st_size)
            yield ["the cat sat on the mat"] * 10

    PackedCorpus.build(documents(), tokenizer, tmp_path / "packed", show_progress=False)
    assert written[-1] > 0.9 * (tmp_path / "packed" / "ids.bin").stat().st_size


def test_interrupted_build_leaves_the_old_one(tmp_path, tokenizer):
    PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "packed", show_progress=False)

    def interrupted():
        yield ["a dog"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PackedCorpus.build(interrupted(), tokenizer, tmp_path / "packed", show_progress=False)
    assert decode(PackedCorpus.open(tmp_path / "packed"), tokenizer) == EXPECTED
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]

    PackedCorpus.build([["a dog"]], tokenizer, tmp_path / "packed", show_progress=False)
    assert decode(PackedCorpus.open(tmp_path / "packed"), tokenizer) == [[["a", "dog"]]]


def test_leftovers_of_a_killed_build_do_no_harm(tmp_path, tokenizer):
    left = tmp_path / f".packed.{os.getpid()}.unfinished"  # by one that happened to have the same number
    left.mkdir()
    (left / "ids.bin").write_bytes(b"half")
    PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "packed", show_progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]


def test_two_builds_of_one_folder_do_not_disturb_each_other(tmp_path, tokenizer, monkeypatch):
    def documents():
        yield from DOCUMENTS[:2]
        with monkeypatch.context() as other_process:
            other_process.setattr(os, "getpid", lambda: 0)
            PackedCorpus.build([["a dog"]], tokenizer, tmp_path / "packed", show_progress=False)
        yield from DOCUMENTS[2:]

    packed_last = PackedCorpus.build(documents(), tokenizer, tmp_path / "packed", show_progress=False)
    assert decode(packed_last, tokenizer) == EXPECTED
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]


def test_the_old_one_is_not_removed_before_the_new_one_is_there(tmp_path, tokenizer, monkeypatch):
    folder = tmp_path / "packed"
    PackedCorpus.build(DOCUMENTS, tokenizer, folder, show_progress=False)
    remove, removed = shutil.rmtree, []

    def watched(path, **options):
        if path.exists():
            removed.append(decode(PackedCorpus.open(path), tokenizer))
            assert decode(PackedCorpus.open(folder), tokenizer) == [[["a", "dog"]]]
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", watched)
    PackedCorpus.build([["a dog"]], tokenizer, folder, show_progress=False)
    assert removed == [EXPECTED]


def test_a_link_stays_one_and_what_it_leads_to_is_replaced(tmp_path, tokenizer):
    (tmp_path / "disk").mkdir()
    (tmp_path / "packed").symlink_to(tmp_path / "disk", target_is_directory=True)
    for documents in (DOCUMENTS, [["a dog"]]):
        PackedCorpus.build(documents, tokenizer, tmp_path / "packed", show_progress=False)
    assert decode(PackedCorpus.open(tmp_path / "disk"), tokenizer) == [[["a", "dog"]]]
    assert (tmp_path / "packed").is_symlink() and len(list(tmp_path.iterdir())) == 2


def test_the_current_folder_is_refused_before_anything_is_read(tmp_path, tokenizer, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, another in ((".", "data"), (str(tmp_path), str(tmp_path / "data"))):
        with pytest.raises(CorpusError, match=rf"{folder}: is the current folder, .*\. Name another: {another}$"):
            PackedCorpus.build(iter([]), tokenizer, folder, show_progress=False)


def test_other_folders_are_not_overwritten(tmp_path, tokenizer):
    (tmp_path / "thesis.txt").write_text("precious")
    for place in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(CorpusError, match=r"holds thesis\.txt, which is no part of a packed corpus"):
            PackedCorpus.build(DOCUMENTS, tokenizer, place, show_progress=False)
    assert (tmp_path / "thesis.txt").read_text() == "precious"
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / MANIFEST).write_text('{"name": "an app of mine"}')
    with pytest.raises(CorpusError, match=r"page: is there already, and is no packed corpus"):
        PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "page", show_progress=False)
    (tmp_path / "empty").mkdir()
    assert PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "empty", show_progress=False).n_tokens == 19


def test_a_run_inside_is_not_deleted(tmp_path, tokenizer):
    folder = tmp_path / "packed"
    PackedCorpus.build(DOCUMENTS, tokenizer, folder, show_progress=False)
    (folder / "run").mkdir()
    with pytest.raises(CorpusError, match="packed: is there already, and holds run, which is no part"):
        PackedCorpus.build(DOCUMENTS, tokenizer, folder, show_progress=False)
    assert (folder / "run").is_dir()


def test_a_folder_that_cannot_be_written_is_named(tmp_path, tokenizer, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"packed: no packed corpus can be written there \(Not a directory\)"):
        PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "file" / "packed", show_progress=False)
    monkeypatch.setattr(packed, "_write", full)
    with pytest.raises(OSError, match=r"packed: no packed corpus can be written there \(No space left.*TMPDIR"):
        PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "packed", show_progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_text_that_cannot_be_read_is_not_blamed_on_the_folder(tmp_path, tokenizer):
    def documents():
        yield ["a dog"]
        raise PermissionError(errno.EACCES, "Permission denied", "texts")

    with pytest.raises(CorpusError, match=r"^the text cannot be read \(.*Permission denied: 'texts'\)"):
        PackedCorpus.build(documents(), tokenizer, tmp_path / "packed", show_progress=False)
    assert not list(tmp_path.iterdir())


def test_the_sum_is_that_of_the_text(tmp_path, tokenizer):
    same = PackedCorpus.from_documents(DOCUMENTS, tokenizer).sha256
    assert PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "packed", show_progress=False).sha256 == same
    other = PackedCorpus.from_documents(DOCUMENTS[::-1], tokenizer)
    assert other.n_tokens == 19 and other.sha256 != same


@pytest.mark.parametrize("name", ["sentence_starts.bin", "document_starts.bin"])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_damaged_starts_are_refused(tmp_path, tokenizer, name, place):
    PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "packed", show_progress=False)
    path = tmp_path / "packed" / name
    starts = np.fromfile(path, "<i8")
    starts[place] = 1000
    starts.tofile(path)
    with pytest.raises(CorpusError, match=rf"{name}: damaged, its numbers do not rise from 0 to \d+\. Prepare"):
        PackedCorpus.open(tmp_path / "packed")


def test_other_vocabulary_is_refused(tmp_path, tokenizer):
    PackedCorpus.build(DOCUMENTS, tokenizer, tmp_path / "packed", show_progress=False)
    other = StandIn([*WORDS[1:], WORDS[0]])  # the same tokens in another order
    ours, theirs = vocabulary_hash(tokenizer)[:12], vocabulary_hash(other)[:12]
    assert ours != theirs
    PackedCorpus.open(tmp_path / "packed", tokenizer)
    with pytest.raises(CorpusError, match=f"packed: was tokenized with another.*{ours}.*{theirs}.*again"):
        PackedCorpus.open(tmp_path / "packed", other)


def test_broken_folders_are_refused(tmp_path, tokenizer):
    folder = tmp_path / "packed"
    with pytest.raises(CorpusError, match=r"packed: no manifest\.json there.*prepare"):
        PackedCorpus.open(folder)
    PackedCorpus.build(DOCUMENTS, tokenizer, folder, show_progress=False)
    whole = (folder / MANIFEST).read_text()
    manifest = json.loads(whole)
    for content, message in [
        ("{", "broken"),
        ("[]", "broken"),
        ("{}", "broken.*format_version"),
        (json.dumps(manifest | {"format_version": 2}), "format_version is 2, this minibert reads 1"),
        (json.dumps(manifest | {"dtype": "zz"}), "dtype must be '<u2' or '<i4', found 'zz'"),
        (json.dumps(manifest | {"tokens": "many"}), "tokens must be a count, found 'many'"),
        (json.dumps({"format_version": 1, "dtype": "<u2"}), "lacks documents, sentences, tokens"),
        (json.dumps(manifest | {"tokens": 20}), r"ids\.bin: expected 40 bytes .* found 38"),
        (json.dumps(manifest | {"sentences": 5}), r"sentence_starts\.bin: expected 48 bytes .* found 56"),
        (json.dumps(manifest | {"documents": 4}), r"document_starts\.bin: expected 40 bytes .* found 32"),
    ]:
        (folder / MANIFEST).write_text(content)
        with pytest.raises(CorpusError, match=message):
            PackedCorpus.open(folder)
    (folder / MANIFEST).write_text(whole)
    (folder / "ids.bin").unlink()
    with pytest.raises(CorpusError, match=r"ids\.bin: expected 38 bytes .* found 0"):
        PackedCorpus.open(folder)


def test_a_long_document_is_tokenized_in_parts(monkeypatch):
    monkeypatch.setattr(packed, "BATCH_CHARACTERS", 10)
    batches = list(packed._batches([["four"] * 100, ["four"], ["four"] * 100]))
    assert max(len(batch) for batch in batches) == 3  # as many as it takes to have 10 characters
    assert [number for batch in batches for number, _ in batch] == [0] * 100 + [1] + [2] * 100


def test_split_shares_the_arrays(tokenizer):
    corpus = PackedCorpus.from_documents(DOCUMENTS, tokenizer)
    parts = corpus.split()
    assert all(part.ids is corpus.ids and part.sentence_starts is corpus.sentence_starts for part in parts)
    assert sum(part.n_tokens for part in parts) == 19 and all(part.n_tokens for part in parts)


@pytest.mark.parametrize("block_tokens", [1, 7, 1000])
def test_the_tokens_and_sentences_are_those_of_the_documents(tokenizer, monkeypatch, block_tokens):
    monkeypatch.setattr(packed, "BLOCK_TOKENS", block_tokens)
    corpus = PackedCorpus.from_documents(DOCUMENTS, tokenizer)
    some = PackedCorpus(corpus.ids, corpus.sentence_starts, corpus.documents[[0, 2]])
    for part, ids, sentences in (
        (corpus, corpus.ids.tolist(), [0, 1, 2, 3, 4, 5]),
        (some, [*corpus.ids[:9].tolist(), *corpus.ids[13:].tolist()], [0, 1, 3, 4, 5]),
    ):
        blocks = list(part.tokens_in_blocks())
        assert np.concatenate(blocks).tolist() == ids
        assert len(blocks) == {1: part.n_documents, 7: 2, 1000: 1}[block_tokens]
        assert part.sentences.tolist() == sentences


def test_split_of_one_sentence_is_refused(tokenizer):
    with pytest.raises(CorpusError, match="single sentence"):
        PackedCorpus.from_documents([["the cat sat"]], tokenizer).split()
