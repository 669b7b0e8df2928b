"""`scripts/predict.py`: a JSON object for each line, or one line that says what was wrong."""

import json
import os
import subprocess
import sys
import threading

import pytest
import script_runs
from pipeline_runs import checkpoint

from minibert import pipeline


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("a [MASK] b\n\n[MASK] cde\n")
    return path


def printed(ending):
    assert ending.code == 0 and not ending.err, ending
    return [json.loads(line) for line in ending.out.splitlines()]


def test_an_answer_for_every_line_as_it_comes(tmp_path):
    """Whoever waits for an answer before the next question gets it."""
    arguments = ("--task", "text-classification", "--model", checkpoint("BertForSequenceClassification"))
    command = [sys.executable, script_runs.ROOT / "scripts" / "predict.py", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # Buffered, as for most people: a variable may say otherwise.
    environment = os.environ | {"PYTHONPATH": str(script_runs.ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""}
    with subprocess.Popen([*map(str, command)], **pipes, env=environment) as process:
        patience = threading.Timer(60, process.kill)
        patience.start()
        for question in ("a", "", "b c"):
            process.stdin.write(f"{question}\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert answer["text"] == question and (answer["prediction"] is None) == (not question)
        process.stdin.close()
        assert process.wait() == 0
        patience.cancel()


def test_a_process_of_its_own(lines):
    folder = checkpoint("BertForMaskedLM")
    arguments = ("--task", "fill-mask", "--model", folder, "--precision", "fp32", "--top-k", 2)
    found = printed(script_runs.start("predict", lines, *arguments))
    texts = ["a [MASK] b", "[MASK] cde"]
    expected = pipeline("fill-mask", folder, precision="fp32")(texts, top_k=2)
    assert found.pop(1) == {"text": "", "prediction": None}
    assert [record["text"] for record in found] == texts
    for record, candidates in zip(found, expected, strict=True):
        assert [c["token_str"] for c in record["prediction"]] == [c["token_str"] for c in candidates]


@pytest.mark.parametrize(
    ("task", "class_name", "record", "options", "kind"),
    [
        ("text-classification", "BertForSequenceClassification", {"text": "a", "text_pair": "b"}, [], dict),
        ("text-classification", "BertForSequenceClassification", {"text": "a"}, ["--top-k", 2], list),
        (
            "token-classification",
            "BertForTokenClassification",
            {"text": "a b"},
            ["--aggregation-strategy", "first"],
            list,
        ),
        ("question-answering", "BertForQuestionAnswering", {"question": "a", "context": "b c"}, [], dict),
        ("feature-extraction", "BertModel", {"text": "a"}, [], list),
        ("sentence-similarity", "BertModel", {"source_sentence": "a", "sentences": ["b", "c"]}, [], list),
    ],
)
def test_every_task(capsys, tmp_path, task, class_name, record, options, kind):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(record | {"id": 1}) + "\n")
    arguments = ("predict", path, "--task", task, "--model", checkpoint(class_name), *options)
    (found,) = printed(script_runs.call(capsys, *arguments))
    assert type(found.pop("prediction")) is kind
    assert found == record | {"id": 1}


@pytest.mark.parametrize(
    ("line", "options", "message"),
    [
        ("no mask", [], "lines.txt, line 4: the text has no [MASK]"),
        ("[MASK] " * 40, [], "lines.txt, line 4: the text has 42 tokens, but the model reads only 24"),
        ("[MASK]", ["--jsonl"], "lines.txt, line 1: not JSON"),
        ("[MASK]", ["--aggregation-strategy", "first"], "--aggregation-strategy is for token-classification"),
        ("[MASK]", ["--top-k", "0"], "top_k must be at least 1, got 0"),
    ],
)
def test_bad_input(capsys, lines, line, options, message):
    with lines.open("a") as file:
        file.write(line + "\n")
    arguments = ("predict", lines, "--task", "fill-mask", "--model", checkpoint("BertForMaskedLM"), *options)
    ending = script_runs.call(capsys, *arguments)
    assert message in ending.only_error
    assert ending.out.count("\n") == (3 if "line 4" in message else 0)  # what was right is not lost


def test_a_model_without_the_head(capsys, lines):
    ending = script_runs.call(capsys, "predict", lines, "--task", "fill-mask", "--model", checkpoint("BertModel"))
    assert "fill-mask needs a checkpoint of BertForMaskedLM or BertForPreTraining" in ending.only_error


def test_int8_is_for_who_asks(lines, capsys):
    folder = checkpoint("BertForSequenceClassification")
    arguments = ("--task", "text-classification", "--model", folder, "--precision")
    found, exact = (printed(script_runs.call(capsys, "predict", lines, *arguments, name)) for name in ("int8", "fp32"))
    assert found[0]["prediction"] == pipeline("text-classification", folder, precision="int8")("a [MASK] b")[0]
    scores = [records[0]["prediction"]["score"] for records in (found, exact)]
    assert 0 < abs(scores[0] - scores[1]) < 0.01


def test_several_processes_answer_in_order_and_once(tmp_path):
    lines = [f"{'cd ' * (number % 5)}[MASK] e" if number % 7 else "" for number in range(40)]
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(lines) + "\n")
    arguments = (path, "--task", "fill-mask", "--model", checkpoint("BertForMaskedLM"), "--precision", "fp32")
    alone, together = (script_runs.start("predict", *arguments, processes=count) for count in (1, 2))
    assert together.code == 0, together.err
    expected, found = ([json.loads(line) for line in ending.out.splitlines()] for ending in (alone, together))
    assert [record["text"] for record in found] == lines
    assert [r["prediction"] and [c["token"] for c in r["prediction"]] for r in found] == [
        r["prediction"] and [c["token"] for c in r["prediction"]] for r in expected
    ]


def test_several_processes_end_where_one_would(tmp_path):
    """All before the bad line is answered, and one line says what is wrong."""
    path = tmp_path / "lines.txt"
    path.write_text("[MASK] a\n" * 5 + "no mask\n" + "[MASK] b\n" * 5)
    arguments = ("--task", "fill-mask", "--model", checkpoint("BertForMaskedLM"))
    ending = script_runs.start("predict", path, *arguments, processes=2)
    assert ending.code and len(ending.out.splitlines()) == 5
    errors = [line for line in ending.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "lines.txt, line 6: " in errors[0]
