"""Records: lines in, predictions out, in order and some at a time; a bad line is named."""

import gzip
import io
import json
import sys
from types import SimpleNamespace

import pytest

from minibert.inference import records
from minibert.inference.base import InputError, Pipeline
from minibert.inference.pipelines import TASKS
from minibert.inference.records import FIELDS, Record, RecordError, chunks, predict, read_records
from minibert.text.lines import CorpusError


def test_every_task_has_fields():
    assert FIELDS.keys() == TASKS.keys()


@pytest.mark.parametrize("compressed", [False, True])
def test_lines_of_text(tmp_path, compressed):
    path = tmp_path / ("texts.txt.gz" if compressed else "texts.txt")
    path.write_bytes((gzip.compress if compressed else bytes)("one\r\n  \n two é \n{3}".encode()))
    expected = [(1, "one", False), (2, "", True), (3, "two é", False), (4, "{3}", False)]
    (found,) = read_records(str(path), False)
    assert found == [Record(f"{path}, line {n}", {"text": text}, blank) for n, text, blank in expected]


def test_lines_of_json(tmp_path):
    path = tmp_path / "texts"
    path.write_text('{"text": "a", "id": 7}\n\n{"text": 3}\n')
    (found,) = read_records(str(path), True)
    assert [record.fields for record in found] == [{"text": "a", "id": 7}, {}, {"text": 3}]
    assert [record.is_blank for record in found] == [False, True, False]


def standard_input(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_standard_input(monkeypatch):
    standard_input(monkeypatch, b'\xef\xbb\xbf{"text": "a"}\n')
    assert [r for chunk in read_records("-", True) for r in chunk] == [Record("standard input, line 1", {"text": "a"})]


def test_standard_input_is_read_as_it_comes(monkeypatch):
    """In pieces of a pipe, which end anywhere: in a line, and in a character."""
    pieces = iter([b"one\ntwo\nth", "ré".encode()[:-1], "ré".encode()[-1:] + b"e\n", b"four"])
    buffer = SimpleNamespace(read1=lambda size: next(pieces, b""))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))
    found = [chunk for chunk in read_records("-", False) if chunk]
    assert [[(r.place.split()[-1], r.fields["text"]) for r in chunk] for chunk in found] == [
        [("1", "one"), ("2", "two")],
        [("3", "thrée")],
        [("4", "four")],
    ]


def test_a_long_line_of_standard_input_is_put_together_once(monkeypatch):
    """Not anew with every piece of it that comes."""
    added = []

    class Piece(bytes):
        def __radd__(self, before):
            added.append(len(before))
            return bytes(before) + bytes(self)

    pieces = iter([Piece(b"x" * 10)] * 999 + [Piece(b"\n")] + [Piece(b"y" * 10)] * 1000)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read1=lambda size: next(pieces, b""))))
    found = [record for chunk in read_records("-", False) for record in chunk]
    assert [len(record.fields["text"]) for record in found] == [9_990, 10_000] and sum(added) < 20_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n{', "line 2: not JSON"),
        (b'{"text": "a"}\n[1]', "line 2: expected a JSON object, found list"),
        (b'{"text": "a"}\n\xff', "line 2: not UTF-8"),
    ],
)
def test_bad_lines(monkeypatch, tmp_path, content, message):
    """Each is named, after the line before it has had its answer."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    standard_input(monkeypatch, content)
    for name, place in ((str(path), "bad.jsonl"), ("-", "standard input")):
        results = predict(Shouting(), "fill-mask", read_records(name, True))
        assert next(results) == {"text": "a", "prediction": "A"}
        with pytest.raises(CorpusError, match=f"{place}, {message}"):
            next(results)


def test_json_is_not_taken_for_text(monkeypatch, tmp_path):
    content = b'\n \n{"text": "a"}\n'
    standard_input(monkeypatch, content)
    (tmp_path / "a.txt").write_bytes(content)
    for name, place in ((str(tmp_path / "a.txt"), "a.txt"), ("-", "standard input")):
        with pytest.raises(CorpusError, match=f"{place}, line 3: expected text, found a JSON object. Pass --jsonl"):
            list(read_records(name, False))
    (tmp_path / "a.txt").write_bytes(b"text\n" + content)  # a log, perhaps
    (found,) = read_records(str(tmp_path / "a.txt"), False)
    assert found[-1].fields == {"text": '{"text": "a"}'}


@pytest.mark.parametrize("name", ["a.tsv", "a.json"])
def test_a_table_is_not_taken_for_text(tmp_path, name):
    (tmp_path / name).write_text("label\ttext\n1\tgood\n")
    with pytest.raises(CorpusError, match=f"{name}: expected lines of text, found a .{name[2:]} file. Pass --jsonl"):
        list(read_records(str(tmp_path / name), False))


def test_no_such_file(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        list(read_records(str(tmp_path / "nowhere"), False))


class Shouting(Pipeline):
    """Stands for any pipeline."""

    def __init__(self):
        super().__init__(None, None)
        self.calls = []

    def run(self, inputs, **options):
        self.calls.append(inputs)
        return [str(item).upper() for item in inputs]


def texts(count):
    for i in range(count):
        yield Record(f"file, line {i + 1}", {"text": f"t{i}", "id": i})


def test_some_records_at_a_time(monkeypatch):
    monkeypatch.setattr(records, "CHUNK", 4)
    shouting, source = Shouting(), texts(10)
    results = predict(shouting, "fill-mask", chunks(source))
    assert next(results) == {"text": "t0", "id": 0, "prediction": "T0"}
    assert shouting.calls == [["t0", "t1", "t2", "t3"]] and next(source).fields["id"] == 4
    assert [result["id"] for result in results] == [1, 2, 3, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("task", "fields", "expected"),
    [
        ("text-classification", {"text": "a", "id": 1}, {"text": "a"}),
        ("text-classification", {"text": "a", "text_pair": "b", "id": 1}, {"text": "a", "text_pair": "b"}),
        ("question-answering", {"context": "c", "question": "q", "id": 1}, {"question": "q", "context": "c"}),
        ("feature-extraction", {"text": "a", "text_pair": "b"}, "a"),
        (
            "sentence-similarity",
            {"source_sentence": "s", "sentences": ["a"]},
            {"source_sentence": "s", "sentences": ["a"]},
        ),
    ],
)
def test_what_a_pipeline_gets(task, fields, expected):
    shouting = Shouting()
    (result,) = predict(shouting, task, [[Record("here", fields)]])
    assert shouting.calls == [[expected]]
    assert result == fields | {"prediction": str(expected).upper()} and json.dumps(result)


def test_a_missing_field():
    with pytest.raises(RecordError, match="line 1: question-answering needs the field 'question', found 'text', 'id'"):
        list(predict(Shouting(), "question-answering", chunks(texts(1))))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([None, "b"], "line 2: expected a single text as in file, line 1, found a pair of texts"),
        (["b", None], "line 2: expected a pair of texts as in file, line 1, found a single text"),
    ],
)
@pytest.mark.parametrize("size", [1, 2])
def test_pairs_and_single_texts_do_not_mix(monkeypatch, pairs, message, size):
    """Whether the field is null or is not there, and however the records are divided."""
    monkeypatch.setattr(records, "CHUNK", size)
    for fields in ({"text": "a", "text_pair": pair} for pair in (None, "b")):
        same = predict(Shouting(), "text-classification", chunks([Record("file, line 1", fields)] * 2))
        assert len(list(same)) == 2
    for null in ({}, {"text_pair": None}):
        mixed = [{"text": "a"} | (null if pair is None else {"text_pair": pair}) for pair in pairs]
        source = [Record(f"file, line {n}", fields) for n, fields in enumerate(mixed, start=1)]
        results = predict(Shouting(), "text-classification", chunks(source))
        assert next(results)["text"] == "a"
        with pytest.raises(RecordError, match=message):
            next(results)


def test_a_blank_line_has_no_prediction():
    shouting = Shouting()
    source = [[Record("1", {"text": "a"}), Record("2", {"text": ""}, is_blank=True), Record("3", {"text": "b"})]]
    assert [r["prediction"] for r in predict(shouting, "fill-mask", source)] == ["A", None, "B"]
    assert shouting.calls == [["a", "b"]]


class Picky(Shouting):
    """Sees the last of the bad ones first, as a pipeline does whose checks come one after the other."""

    def run(self, inputs, **options):
        if bad := [index for index, item in enumerate(inputs) if item == "bad"]:
            raise InputError(bad[-1], "no good")
        return super().run(inputs)


def test_what_comes_before_a_bad_record_is_not_lost():
    names = ["a", "", "b", "bad", "c", "bad"]
    source = [[Record(f"file, line {n}", {"text": name}, not name) for n, name in enumerate(names, start=1)]]
    results = predict(Picky(), "fill-mask", source)
    assert [next(results)["prediction"] for _ in range(3)] == ["A", None, "B"]
    with pytest.raises(RecordError, match="file, line 4: no good"):
        next(results)
