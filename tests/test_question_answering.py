"""Questions: windows over long texts, the place of the answer in each, and the best span of all."""

import json

import numpy as np
import pytest

from minibert.finetuning.examples import Columns
from minibert.finetuning.question_answering import Window, answer_positions, best_span, question_answering_task
from minibert.finetuning.squad import Question
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

FILLER = "The list of the items holds a reference to the object. "


@pytest.fixture(scope="module")
def tokenizer():
    return BertTokenizer.from_pretrained("minibert-tiny")


def squad_file(path, contexts):
    """A file that asks of every context where its word "key" is."""
    paragraphs = []
    for number, context in enumerate(contexts):
        answers = [{"text": "the key", "answer_start": context.index("the key")}]
        qas = [{"id": f"q{number}", "question": "What is found?", "answers": answers}]
        paragraphs.append({"context": context, "qas": qas})
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return str(path)


def split_of(tmp_path, tokenizer, *contexts, max_length=128):
    files = {"train": squad_file(tmp_path / "a.json", contexts)}
    return question_answering_task(files, Columns(), tokenizer, max_length).splits["train"]


def perfect(split):
    """The prediction of a model that points at the answers, and in windows without one is unsure."""
    longest = max(len(item["input_ids"]) for item in split.items)
    starts, ends = np.zeros((2, len(split.items), longest))
    for i, item in enumerate(split.items):
        if item["start_positions"]:
            starts[i, item["start_positions"]] = ends[i, item["end_positions"]] = 9
    return EvalPrediction((starts, ends), None)


def test_a_short_text_is_one_window(tmp_path, tokenizer):
    context = f"{FILLER}Here is the key, and nothing else."
    (item,) = split_of(tmp_path, tokenizer, context).items
    assert item["input_ids"] == tokenizer("What is found?", context)["input_ids"]
    answer = item["input_ids"][item["start_positions"] : item["end_positions"] + 1]
    assert tokenizer.decode(answer) == "the key"


def test_a_long_text_is_several(tmp_path, tokenizer):
    context = f"{FILLER * 12}Here is the key. {FILLER * 12}"
    split = split_of(tmp_path, tokenizer, FILLER + "It is the key.", context)
    assert len(split.items) > 4 and all(len(item["input_ids"]) <= 128 for item in split.items)
    with_answer = [item for item in split.items if item["start_positions"]]
    assert 2 <= len(with_answer) <= 3  # overlapping windows; in the others the answer is [CLS]
    for item in with_answer:
        answer = item["input_ids"][item["start_positions"] : item["end_positions"] + 1]
        assert tokenizer.decode(answer) == "the key"
    assert all(item["end_positions"] == 0 for item in split.items if not item["start_positions"])
    assert split.score(perfect(split)) == {"exact_match": 1.0, "f1": 1.0}


def test_the_answer_is_the_best_of_all_windows(tmp_path, tokenizer):
    split = split_of(tmp_path, tokenizer, f"It is the key. {FILLER * 24}")
    prediction = perfect(split)
    prediction.predictions[0][-1, 20] = prediction.predictions[1][-1, 20] = 10  # surer, and wrong
    assert split.score(prediction)["exact_match"] == 0.0


def test_a_long_question_is_cut(tmp_path, tokenizer):
    file = squad_file(tmp_path / "a.json", [FILLER + "It is the key."])
    content = json.loads((tmp_path / "a.json").read_text())
    content["data"][0]["paragraphs"][0]["qas"][0]["question"] = FILLER * 20
    (tmp_path / "a.json").write_text(json.dumps(content))
    split = question_answering_task({"train": file}, Columns(), tokenizer, 128).splits["train"]
    assert all(item["token_type_ids"].index(1) == 66 for item in split.items)  # [CLS], 64 tokens, [SEP]


def test_too_little_room(tmp_path, tokenizer):
    with pytest.raises(ValueError, match="--max-length must be at least 128 for questions, got 64"):
        split_of(tmp_path, tokenizer, "It is the key.", max_length=64)


WINDOW = Window(0, [None, None, None, (0, 3), (4, 7), (8, 11), None])


@pytest.mark.parametrize(
    ("answer", "start", "positions"),
    [("bc efg", 1, (3, 4)), ("ijk", 8, (5, 5)), ("ijk lmn", 8, (0, 0)), ("lmn", 12, (0, 0))],
)
def test_positions(answer, start, positions):
    """The context of the window is "abc efg ijk" of "abc efg ijk lmn": whole answers only."""
    found = answer_positions(WINDOW, Question("?", "abc efg ijk lmn", [answer], start, "here"))
    assert (found["start_positions"], found["end_positions"]) == positions


@pytest.mark.parametrize(
    ("starts", "ends", "span"),
    [
        ([9, 9, 9, 1, 0, 0, 9], [9, 9, 9, 0, 1, 0, 9], (3, 4)),  # never outside of the context
        ([0, 0, 0, 0, 0, 5, 0, 0], [0, 0, 0, 5, 0, 1, 0, 0], (5, 5)),  # never backwards; 6 > 5
    ],
)
def test_best_span(starts, ends, span):
    score, found = best_span(np.array(starts, float), np.array(ends, float), WINDOW)
    assert found == span and score == starts[span[0]] + ends[span[1]]


def test_long_spans_are_no_answers():
    window = Window(0, [(i, i + 1) for i in range(50)])
    starts, ends = np.zeros((2, 50))
    starts[0], ends[30], ends[29] = 5, 5, 1
    assert best_span(starts, ends, window)[1] == (0, 29)
