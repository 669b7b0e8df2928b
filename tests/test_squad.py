"""SQuAD's form and scores."""

import gzip
import json

import pytest

from minibert.finetuning.squad import normalize_answer, read_squad, squad_scores, word_f1

CONTEXT = "The cat sat on the mat in Paris."


def squad(path, **changes):
    entry = {"id": "q1", "question": "Where?", "answers": [{"text": "in Paris", "answer_start": 23}]} | changes
    qas = [{name: value for name, value in entry.items() if value is not None}]
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [{"context": CONTEXT, "qas": qas}]}]}))
    return path


def test_questions(tmp_path):
    answers = [{"text": "Paris", "answer_start": 26}, {"text": "in Paris", "answer_start": 23}]
    (question,) = read_squad(squad(tmp_path / "a.json", answers=answers))
    assert (question.text, question.context, question.answers) == ("Where?", CONTEXT, ["Paris", "in Paris"])
    assert question.start == 26


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": [{"text": "in Rome", "answer_start": 23}]}, "question q1: expected the answer 'in Rome' at"),
        ({"answers": [{"text": "in Rome", "answer_start": 23}]}, "found 'in Pari'; the context does not hold it"),
        ({"answers": [{"text": "in Paris", "answer_start": 22}]}, "found ' in Pari'; the context has it at 23"),
        ({"answers": [{"text": "in Paris", "answer_start": -9}]}, "found ''; the context has it at 23"),
        ({"answers": [{"text": "Paris.", "answer_start": -6}]}, "question q1: expected the answer 'Paris.' at"),
        ({"answers": [{"text": "", "answer_start": 0}]}, "question q1: expected the answer '' at"),
        ({"answers": []}, "question q1: has no answer"),
        ({"is_impossible": True}, "question q1: has no answer"),
        ({"question": "  "}, "question q1: the question is empty"),
        ({"question": None}, "question q1: expected str 'question', found None"),
        ({"id": None}, "data[0]: expected str 'id', found None"),
    ],
)
def test_questions_that_cannot_be(tmp_path, changes, message):
    with pytest.raises(ValueError) as error:
        read_squad(squad(tmp_path / "a.json", **changes))
    assert str(error.value).startswith(f"{tmp_path / 'a.json'}, ") and message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "expected list 'data', found None"),
        ('{"data": []}', "no question in this file"),
        ("{", "expected a JSON file"),
        ("[" * 100_000, "expected a JSON file"),
        ('{"context": "a"}\n{"context": "b"}', "expected a JSON file of SQuAD's form.*line 2"),
    ],
)
def test_files_that_cannot_be(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_squad(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in str(error.value)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_a_mark_and_compression_make_no_difference(tmp_path, name):
    content = b"\xef\xbb\xbf" + squad(tmp_path / "plain.json").read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert [q.answers for q in read_squad(tmp_path / name)] == [["in Paris"]]


def test_another_encoding_is_named(tmp_path):
    content = (
        squad(tmp_path / "a.json", question="Où?").read_text(encoding="utf-8").encode().replace(b"\\u00f9", b"\xf9")
    )
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json, line 1: not UTF-8 \(byte 0xf9 .*WINDOWS-1252"):
        read_squad(tmp_path / "a.json")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="nowhere.json: no such file"):
        read_squad(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("The  Cat's mat!", "cats mat"), ("a an the", ""), ("theory of a-n", "theory of"), ("U.S.", "us")],
)
def test_normal_form(text, expected):
    assert normalize_answer(text) == expected


@pytest.mark.parametrize(
    ("predicted", "expected", "score"),
    [
        ("in the Paris", "Paris", 2 / 3),  # one of two words, one of one
        ("the mat", "mat", 1.0),
        ("cat cat", "cat", 2 / 3),  # a word counts as often as both have it
        ("Rome", "Paris", 0.0),
        ("the", "a", 1.0),  # nothing is left of either
        ("the", "Paris", 0.0),
    ],
)
def test_word_f1(predicted, expected, score):
    assert word_f1(predicted, expected) == pytest.approx(score)


def test_scores_are_means_over_the_best_answers():
    found = squad_scores(["in Paris", "the mat", "Rome"], [["Paris", "In Paris!"], ["mat in Paris"], ["Paris"]])
    assert found == {"exact_match": pytest.approx(1 / 3), "f1": pytest.approx((1 + 2 * 1 / 4 + 0) / 3)}
