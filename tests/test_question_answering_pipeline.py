"""Question answering: the best span of all that are possible, in whole words, wherever it stands in a long context."""

import pytest
import torch
import transformers
from pipeline_runs import checkpoint, our_tokenizer

from minibert import pipeline
from minibert.inference.base import InputError
from minibert.inference.question_answering import best_spans, probabilities

CONTEXT = "ab cde. f Zürich, gh ij-kl mn"
QUESTIONS = ["wo ab", "q", "wer war es?"]


def folder():
    return checkpoint("BertForQuestionAnswering", max_position_embeddings=64)


@pytest.fixture(scope="module")
def answerer():
    return pipeline("question-answering", folder(), precision="fp32", device="cpu")


def by_hand(question, context, max_answer_len):
    """{(start, end): score} of all possible answers in one window, from the reference's model, the plain way."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder())
    model = transformers.BertForQuestionAnswering.from_pretrained(folder()).eval()
    encoded = tokenizer(question, context, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**encoded)
    allowed = [i for i, sequence in enumerate(encoded.sequence_ids(0)) if sequence == 1]
    start, end = (x[0, [0, *allowed]].softmax(0).tolist()[1:] for x in (outputs.start_logits, outputs.end_logits))
    found = {}
    for i in range(len(allowed)):
        for j in range(i, min(i + max_answer_len, len(allowed))):
            first, last = (encoded.word_to_chars(encoded.token_to_word(allowed[n]), sequence_index=1) for n in (i, j))
            place = (first.start, last.end)
            found[place] = max(found.get(place, 0), start[i] * end[j])
    return found


@pytest.mark.parametrize("options", [{}, {"max_answer_len": 1}, {"max_answer_len": 4}])
def test_the_best_of_all_spans(answerer, options):
    found = answerer([{"question": q, "context": CONTEXT} for q in QUESTIONS], **options)
    for question, answer in zip(QUESTIONS, found, strict=True):
        spans = by_hand(question, CONTEXT, options.get("max_answer_len", 15))
        (start, end), score = max(spans.items(), key=lambda item: item[1])
        expected = {"score": pytest.approx(score, rel=1e-4), "start": start, "end": end, "answer": CONTEXT[start:end]}
        assert answer == expected
        assert answerer(question=question, context=CONTEXT, **options) == expected
        assert answerer({"question": question, "context": CONTEXT}, **options) == expected


def test_forms_of_a_call(answerer):
    pair = {"question": QUESTIONS[0], "context": CONTEXT}
    expected = answerer(pair)
    assert answerer(QUESTIONS[0], CONTEXT) == expected
    two = [expected, answerer(question="q", context=CONTEXT)]
    assert answerer(question=[QUESTIONS[0], "q"], context=CONTEXT) == two
    assert answerer(question=(QUESTIONS[0], "q"), context=[CONTEXT, CONTEXT]) == two
    found = answerer(question=QUESTIONS[0], context=[CONTEXT, "a"])
    assert [answer["answer"] for answer in found] == [expected["answer"], "a"]
    assert answerer([pair]) == answerer(question=[QUESTIONS[0]], context=[CONTEXT]) == [expected]
    assert list(answerer(pair for _ in range(2))) == [expected, expected]
    with pytest.raises(ValueError, match="question and context: expected as many of both, got 1 and 2"):
        answerer(question=["a"], context=["b", "c"])
    with pytest.raises(InputError, match="context: expected a text, found None"):
        answerer(question="a")


@pytest.mark.parametrize("side", ["left", "right"])
def test_windows_of_a_tokenizer_of_any_settings(answerer, side):
    tokenizer = our_tokenizer(truncation_side=side, padding_side=side, model_max_length=40)
    found = pipeline("question-answering", folder(), "fp32", "cpu", tokenizer=tokenizer)
    questions = [{"question": "ab c", "context": " ".join(["a b c d e f ghi jk l m"] * n)} for n in (1, 5, 12)]
    options = {"max_seq_len": 40, "doc_stride": 7, "top_k": 3}
    assert found(questions, **options) == answerer(questions, **options)


def test_no_answer_is_an_answer_if_it_may_be(answerer):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder())
    model = transformers.BertForQuestionAnswering.from_pretrained(folder()).eval()
    for context in (CONTEXT, "a b c. " * 30):
        cut = {"truncation": "only_second", "max_length": 64, "stride": 32, "return_overflowing_tokens": True}
        encoded = tokenizer("q", context, **cut)
        scores = []
        for row, ids in enumerate(encoded["input_ids"]):
            with torch.no_grad():
                outputs = model(torch.tensor([ids]), token_type_ids=torch.tensor([encoded["token_type_ids"][row]]))
            seen = [0, *(i for i, sequence in enumerate(encoded.sequence_ids(row)) if sequence == 1)]
            first, last = (x[0, seen].softmax(0)[0].item() for x in (outputs.start_logits, outputs.end_logits))
            scores.append(first * last)
        options = {"top_k": 10_000, "max_seq_len": 64, "doc_stride": 32}
        usual = answerer("q", context, **options)
        found = answerer("q", context, handle_impossible_answer=True, **options)
        (none,) = [answer for answer in found if answer["answer"] == ""]
        assert none == {"score": pytest.approx(min(scores), rel=1e-4), "start": 0, "end": 0, "answer": ""}
        assert [answer for answer in found if answer != none] == usual
        assert [answer["score"] for answer in found] == sorted((answer["score"] for answer in found), reverse=True)
    best = answerer("q", context, handle_impossible_answer=True)
    assert best == found[0]


def test_answers_that_are_parts_of_words(answerer):
    found = answerer("q", "abc", top_k=99, align_to_words=False)
    assert {(answer["answer"], answer["start"]) for answer in found} == {
        ("a", 0), ("b", 1), ("c", 2), ("ab", 0), ("bc", 1), ("abc", 0)
    }  # fmt: skip
    assert [answer["answer"] for answer in answerer("q", "abc", top_k=99)] == ["abc"]


def test_several_answers_are_different_ones(answerer):
    (found,) = answerer([{"question": QUESTIONS[0], "context": CONTEXT}], top_k=500)
    spans = by_hand(QUESTIONS[0], CONTEXT, 15)
    assert {(answer["start"], answer["end"]) for answer in found} == set(spans)
    expected = sorted(spans.values(), reverse=True)
    assert [answer["score"] for answer in found] == pytest.approx(expected, rel=1e-4)
    three = answerer(question=QUESTIONS[0], context=CONTEXT, top_k=3)
    assert 1 < len(three) <= 3 and three[0] == found[0]


def test_an_answer_far_down(answerer, monkeypatch):
    """A model that knows by heart that "zz" is the answer finds it in whichever of many windows it stands."""

    def point(batch):
        is_start = batch["input_ids"] == answerer.tokenizer.convert_tokens_to_ids("z")
        is_end = batch["input_ids"] == answerer.tokenizer.convert_tokens_to_ids("##z")
        counts = batch["attention_mask"].sum(1).tolist()
        return [(9.0 * a[:n], 9.0 * b[:n]) for a, b, n in zip(is_start.float(), is_end.float(), counts, strict=True)]

    monkeypatch.setattr(answerer, "_point", point)
    for before in (0, 3, 17, 18, 40, 99, 100, 101):
        context = "a b. " * before + "zz" + " c d" * 50
        answer = answerer(question="q", context=context, max_seq_len=32, doc_stride=8)
        assert (answer["answer"], answer["start"]) == ("zz", 5 * before)
        assert answer["score"] > 0.9


def test_best_spans():
    start, end = torch.tensor([0.0, 9, 1, 2, 5]), torch.tensor([0.0, 9, 5, 1, 0])
    in_context = torch.tensor([False, False, True, True, True])
    first, last = probabilities(start, end, in_context)
    found = best_spans(first, last, in_context, max_tokens=2, count=9)
    assert {(2, 2), (2, 3), (3, 3), (3, 4), (4, 4)} == {(span.first, span.last) for span in found}
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)
    p, q = (x[[0, 2, 3, 4]].double().softmax(0) for x in (start, end))
    scores = {(span.first, span.last): span.score for span in found}
    assert scores[2, 2] == pytest.approx(float(p[1] * q[1])) and scores[3, 4] == pytest.approx(float(p[2] * q[3]))
    assert len(best_spans(first, last, in_context, max_tokens=1, count=2)) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("a", "expected a dict of question and context"),
        ({"question": "a"}, "expected a dict of question and context"),
        ({"question": "a", "context": " \n"}, "context: expected a text"),
        ({"question": "a", "context": "\u200b"}, "context: expected words"),
        ({"question": 3, "context": "a"}, "question: expected a text, found 3"),
        ({"question": "a " * 60, "context": "a"}, "question: 60 tokens leave no room"),
    ],
)
def test_what_is_no_question(answerer, wrong, message):
    with pytest.raises(InputError, match=message) as error:
        answerer([{"question": "a", "context": "b"}, wrong])
    assert error.value.index == 1


@pytest.mark.parametrize("option", ["top_k", "max_answer_len", "max_seq_len"])
def test_options(answerer, option):
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        answerer(question="a", context="b", **{option: 0})
