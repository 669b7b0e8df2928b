"""Questions: windows over long texts, the place of the answer in each, and the best span of all."""

import json

import numpy as np
import pytest

from minibert.finetuning.examples import Columns
from minibert.finetuning.question_answering import (
    NOWHERE,
    Window,
    answer_positions,
    best_span,
    question_answering_task,
)
from minibert.finetuning.squad import Question
from minibert.text.tokenizer import BertTokenizer
from minibert.training.batch import label_count
from minibert.training.collation import DataCollatorWithPadding
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
NEXT = Window(0, [None, None, None, (8, 11), (12, 15), None])


@pytest.mark.parametrize(
    ("answer", "start", "positions"),
    [
        ("bc efg", 1, [(3, 4), (0, 0)]),
        ("ijk", 8, [(5, 5), (3, 3)]),
        ("ijk lmn", 8, [(0, 0), (3, 4)]),
        ("lmn", 12, [(0, 0), (4, 4)]),
        (" efg ", 3, [(4, 4), (0, 0)]),
        (" lmn", 11, [(0, 0), (4, 4)]),
        ("efg ijk lmn", 4, [(NOWHERE, NOWHERE)] * 2),  # longer than what both windows share
        (" ", 7, [(NOWHERE, NOWHERE)] * 2),
    ],
)
def test_positions(answer, start, positions):
    """The context is "abc efg ijk lmn", and no window holds all of it: whole answers only."""
    assert answer_positions([WINDOW, NEXT], Question("?", "abc efg ijk lmn", [answer], start, "here")) == positions


def test_a_character_of_several_tokens():
    """One half, which is read as 1, a stroke and 2."""
    window = Window(0, [None, None, (0, 2), (3, 4), (3, 4), (3, 4), None])
    assert answer_positions([window], Question("?", "a ½", ["½"], 3, "here")) == [(3, 5)]


@pytest.mark.parametrize("edge", [" ", "\n\t", "\u00a0", "\u200b", "\x00", " \u2028 "])
def test_what_is_no_token_at_the_edges_of_an_answer(tmp_path, tokenizer, edge):
    file = squad_file(tmp_path / "a.json", [f"{FILLER}Here is {edge}the key{edge} and nothing else."])
    content = json.loads((tmp_path / "a.json").read_text())
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"][0] = {
        "text": f"{edge}the key{edge}",
        "answer_start": len(FILLER) + len("Here is "),
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    split = question_answering_task({"train": file}, Columns(), tokenizer, 128).splits["train"]
    (item,) = split.items
    answer = item["input_ids"][item["start_positions"] : item["end_positions"] + 1]
    assert tokenizer.decode(answer) == "the key" and not split.lost


def test_what_is_lost_is_told(tmp_path, tokenizer):
    contexts = [FILLER + "It is the key.", f"Here is the key {FILLER * 20}", "\u200b\u200b the key"]
    file = squad_file(tmp_path / "a.json", contexts)
    content = json.loads((tmp_path / "a.json").read_text())
    entries = [paragraph["qas"][0] for paragraph in content["data"][0]["paragraphs"]]
    entries[0]["question"] = FILLER * 20
    entries[1]["answers"] = [{"text": contexts[1][8:-9], "answer_start": 8}]
    entries[2]["answers"] = [{"text": "\u200b\u200b", "answer_start": 0}]
    (tmp_path / "a.json").write_text(json.dumps(content))
    split = question_answering_task({"train": file}, Columns(), tokenizer, 128).splits["train"]
    assert split.lost == (
        "1 of 3 questions are longer than 64 tokens, and cut",
        "2 of 3 answers are in no window as a whole, and not learnt",
    )
    whole = question_answering_task({"train": file}, Columns(), tokenizer, 512).splits["train"]
    assert whole.lost[1:] == (
        "1 of 3 answers are in no window as a whole, and not learnt",
        "1 of 3 answers are longer than 30 tokens, as no prediction is",
    )
    batch = DataCollatorWithPadding(tokenizer)(split.items)
    assert label_count(batch) == 2  # the loss ignores all windows but the first
    assert all(item["start_positions"] == NOWHERE for item in split.items[1:])


def test_answers_of_which_none_can_be_learnt(tmp_path, tokenizer):
    file = squad_file(tmp_path / "a.json", [f"the key{FILLER * 20}"])
    text = (tmp_path / "a.json").read_text().replace('"text": "the key"', f'"text": "the key{FILLER * 20}"')
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(
        ValueError, match="question q0, and all that follow: expected answers that a window of 128 tokens"
    ):
        question_answering_task({"train": file}, Columns(), tokenizer, 128)


def test_there_are_no_columns(tokenizer):
    with pytest.raises(ValueError, match="--label-column: has no meaning for questions"):
        question_answering_task({"train": "a.json"}, Columns(label="a"), tokenizer, 128)


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
