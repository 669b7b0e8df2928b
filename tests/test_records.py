"""Records: lines in, predictions out, in order and some at a time; a bad line is named."""

import gzip
import io
import json
import sys
from types import SimpleNamespace

import pytest

from minibert.inference import records
from minibert.inference.base import Pipeline
from minibert.inference.pipelines import TASKS
from minibert.inference.records import FIELDS, Record, RecordError, predict, read_records
from minibert.text.corpus import CorpusError


def test_every_task_has_fields():
    assert FIELDS.keys() == TASKS.keys()


@pytest.mark.parametrize("compressed", [False, True])
def test_lines_of_text(tmp_path, compressed):
    path = tmp_path / ("texts.txt.gz" if compressed else "texts.txt")
    path.write_bytes((gzip.compress if compressed else bytes)("one\r\n\n  \n two é \n{3}".encode()))
    expected = [(1, "one"), (4, "two é"), (5, "{3}")]
    assert list(read_records(str(path), False)) == [Record(f"{path}, line {n}", {"text": t}) for n, t in expected]


def test_lines_of_json(tmp_path):
    path = tmp_path / "texts"
    path.write_text('{"text": "a", "id": 7}\n\n{"text": 3}\n')
    assert [record.fields for record in read_records(str(path), True)] == [{"text": "a", "id": 7}, {"text": 3}]


def standard_input(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_standard_input(monkeypatch):
    standard_input(monkeypatch, b'\xef\xbb\xbf{"text": "a"}\n')
    assert list(read_records("-", True)) == [Record("standard input, line 1", {"text": "a"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}\n{", "line 2: not JSON"),
        (b"\n[1]", "line 2: expected a JSON object, found list"),
        (b"{}\n{}\n\xff", "line 3: not UTF-8"),
    ],
)
def test_bad_lines(monkeypatch, tmp_path, content, message):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises((RecordError, CorpusError), match=f"bad.jsonl, {message}"):
        list(read_records(str(path), True))
    standard_input(monkeypatch, content)
    with pytest.raises(RecordError, match=f"standard input, {message}"):
        list(read_records("-", True))


def test_no_such_file(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        list(read_records(str(tmp_path / "nowhere"), False))


class Shouting(Pipeline):
    """Stands for any pipeline."""

    def __init__(self):
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
    results = predict(shouting, "fill-mask", source)
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
    (result,) = predict(shouting, task, [Record("here", fields)])
    assert shouting.calls == [[expected]]
    assert result == fields | {"prediction": str(expected).upper()} and json.dumps(result)


def test_a_missing_field():
    with pytest.raises(RecordError, match="line 1: question-answering needs the field 'question', found 'text', 'id'"):
        list(predict(Shouting(), "question-answering", texts(1)))
