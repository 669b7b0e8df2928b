"""Minimal pairs: what is read, what is refused, and how the preferences are counted."""

import gzip
import json

import pytest

from minibert.inference.minimal_pairs import MinimalPair, minimal_pair_accuracy, read_minimal_pairs
from minibert.text.lines import CorpusError


def line(good="It is.", bad="It are.", **more):
    return json.dumps({"sentence_good": good, "sentence_bad": bad, **more})


def test_paradigms_come_from_the_uid_or_the_files_name(tmp_path):
    (tmp_path / "agreement.jsonl").write_text(f"{line()}\n\n{line('I am.', 'I is.')}\n")
    (tmp_path / "two.jsonl.gz").write_bytes(
        gzip.compress(f"{line(UID='b')}\n{line(UID='a')}\n{line(UID='b')}".encode())
    )
    found = read_minimal_pairs([tmp_path / "agreement.jsonl", str(tmp_path / "two.jsonl.gz")])
    pair = MinimalPair("It is.", "It are.")
    assert found == {"agreement": [pair, MinimalPair("I am.", "I is.")], "b": [pair, pair], "a": [pair]}
    assert list(found) == ["agreement", "b", "a"]


@pytest.mark.parametrize("name", ["z.jsonl", "z.jsonl.gz", "z.JSONL.GZ", "z.txt"])
def test_the_name_is_that_without_its_suffixes(tmp_path, name):
    text = f"{line()}\n{line(UID=None)}".encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.lower().endswith(".gz") else text)
    assert read_minimal_pairs([tmp_path / name]) == {"z": [MinimalPair("It is.", "It are.")] * 2}


@pytest.mark.parametrize(("uid", "name"), [({}, "agreement"), ({"UID": "a"}, "a")])
def test_a_paradigm_of_two_files_is_refused(tmp_path, uid, name):
    files = [tmp_path / folder / "agreement.jsonl" for folder in "pq"]
    for file in files:
        file.parent.mkdir()
        file.write_text(line(**uid))
    for first, second in (files, files[:1] * 2):
        with pytest.raises(CorpusError, match=f"^{second}: the paradigm '{name}' comes from {first} already"):
            read_minimal_pairs([first, second])


def test_a_folder_is_its_files(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "notes.txt"):
        (tmp_path / name).write_text(line())
    assert list(read_minimal_pairs([tmp_path])) == ["a", "b"]


def test_the_limit_is_one_of_pairs_a_paradigm(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(line(f"{i}.", UID="ab"[i % 2]) for i in range(10)))
    found = read_minimal_pairs([tmp_path / "a.jsonl"], limit=3)
    assert [[pair.good for pair in pairs] for pairs in found.values()] == [["0.", "2.", "4."], ["1.", "3.", "5."]]
    with pytest.raises(ValueError, match="--blimp-pairs must be at least 1, got 0"):
        read_minimal_pairs([tmp_path / "a.jsonl"], limit=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"a\.jsonl: no minimal pair"),
        (f"{line()}\n{{", r"a\.jsonl, line 2: not JSON"),
        ("[1]", r"a\.jsonl, line 1: expected a JSON object, found list"),
        ('{"sentence_good": "It is."}', r"line 1: expected a sentence in the field 'sentence_bad', found None"),
        (line(good=" "), r"line 1: expected a sentence in the field 'sentence_good', found ' '"),
        (line(good=3), r"'sentence_good', found 3"),
    ],
)
def test_what_is_no_pair_is_refused(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(CorpusError, match=message):
        read_minimal_pairs([tmp_path / "a.jsonl"])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"nowhere\.jsonl"):
        read_minimal_pairs([tmp_path / "nowhere.jsonl"])


def test_ties_count_half():
    def judge(model, tokenizer, ids):
        """For whom a sentence is as likely as the number in it."""
        return [-float(i) for i in ids]

    def tokenizer(texts):
        return {"input_ids": texts}

    paradigms = {
        "half": [MinimalPair("1", "2"), MinimalPair("2", "1")],
        "ties": [MinimalPair("1", "1"), MinimalPair("1", "2"), MinimalPair("3", "2"), MinimalPair("1", "2")],
        "all": [MinimalPair("1", "9")],
    }
    assert minimal_pair_accuracy(None, tokenizer, paradigms, judge) == {"half": 0.5, "ties": 0.625, "all": 1.0}
