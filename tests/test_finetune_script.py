"""`scripts/finetune.py`: each task from files to a checkpoint, or one line that says what was wrong."""

import json
import re
import sys

import matplotlib.image
import pytest
import transformers
from finetuning_runs import checkpoint, classification_files, sentences, write_table
from script_runs import call

from minibert.finetuning import demonstration
from minibert.finetuning.examples import Example

SQUAD = {
    "context": "Here is the key of it.",
    "question": "What is here?",
    "answers": [{"text": "the key", "answer_start": 8}],
}


def finetune(capsys, folder, *arguments):
    return call(capsys, "finetune", "--model", checkpoint(), "--output-dir", folder / "run", *arguments)


def topics(ending):
    assert ending.code == 0, ending.err
    return [line[:11].strip() for line in ending.out.splitlines()]


# --- the tasks


def test_classification(capsys, tmp_path):
    files = classification_files(tmp_path)
    arguments = [argument for split, path in files.items() for argument in (f"--{split}", path)]
    ending = finetune(capsys, tmp_path, *arguments, "--epochs", 2)
    assert topics(ending) == ["task", "examples", "tokens", "model", "training", "epochs", "eval", "test", "written"]
    assert "which of 2 classes a text is: good, poor; 54% are poor" in ending.out
    assert "48 train, 16 eval, 16 test" in ending.out and "to train on; 0.00% are [UNK]\n" in ending.out
    assert re.search(r"epochs +accuracy \d+\.\d%, \d+\.\d%\n", ending.out)
    assert re.search(r"eval +loss \d\.\d{3}, accuracy \d+\.\d%\n", ending.out)
    run = tmp_path / "run"
    theirs, info = transformers.BertForSequenceClassification.from_pretrained(run, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert theirs.config.id2label == {0: "good", 1: "poor"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(run)
    assert tokenizer.model_max_length == theirs.config.max_position_embeddings
    results = json.loads((run / "results.json").read_text())
    assert results["task"] == "classification" and len(results["runs"][0]["epochs"]) == 2
    assert matplotlib.image.imread(run / "curves.png").shape[1] > 600


def test_seeds_are_averaged(capsys, tmp_path):
    files = classification_files(tmp_path)
    arguments = ("--train", files["train"], "--eval", files["eval"], "--seeds", 2, "--epochs", 1)
    ending = finetune(capsys, tmp_path, *arguments)
    assert topics(ending)[5:] == ["seed 42", "seed 43", "mean", "written"]
    values = [float(x) for x in re.findall(r"seed \d+ +eval accuracy (\d+\.\d)%", ending.out)]
    (mean, deviation) = map(float, re.search(r"mean +eval accuracy (\S+)% ± (\S+)%", ending.out).groups())
    assert mean == pytest.approx(sum(values) / 2, abs=0.11)
    assert deviation == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=0.11)


def test_regression(capsys, tmp_path):
    rows = [({"good": 1.5, "poor": 4}[label], "A list.", text) for label, text in sentences(24, 0)]
    file = write_table(tmp_path / "a.tsv", rows, ("score", "sentence1", "sentence2"))
    ending = finetune(capsys, tmp_path, "--task", "regression", "--train", file, "--eval", file, "--epochs", 1)
    assert re.search(r"eval +loss \d+\.\d{3}, pearson -?\d\.\d{3}, spearman -?\d\.\d{3}\n", ending.out), ending
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["problem_type"] == "regression" and len(config["id2label"]) == 1


def test_tagging(capsys, tmp_path):
    (tmp_path / "a.txt").write_text("The B-NP\nlist I-NP\nstops B-VP\n. O\n\n" * 10)
    arguments = ("--task", "tagging", "--train", tmp_path / "a.txt", "--eval", tmp_path / "a.txt", "--epochs", 4)
    ending = finetune(capsys, tmp_path, *arguments, "--lr", 0.01, "--batch-size", 2)
    (f1,) = re.findall(r"eval .*precision .*recall .* f1 (\S+)%, accuracy", ending.out)
    assert float(f1) > 90  # one sentence, learnt by heart
    config = transformers.BertForTokenClassification.from_pretrained(tmp_path / "run").config
    assert config.id2label == {0: "B-NP", 1: "B-VP", 2: "I-NP", 3: "O"}


@pytest.mark.parametrize("blank", ["", " "])
def test_questions(capsys, tmp_path, blank):
    """Also those whose answers begin with a blank."""
    answer = SQUAD["answers"][0]
    answer = {"text": blank + answer["text"], "answer_start": answer["answer_start"] - len(blank)}
    qas = [{"id": f"q{i}", "question": SQUAD["question"], "answers": [answer]} for i in range(8)]
    content = {"data": [{"paragraphs": [{"context": SQUAD["context"], "qas": qas}]}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    arguments = ("--task", "qa", "--train", tmp_path / "a.json", "--eval", tmp_path / "a.json", "--epochs", 8)
    ending = finetune(capsys, tmp_path, *arguments, "--lr", 0.01)
    assert topics(ending)[:2] == ["task", "windows"]
    assert re.search(r"eval +loss \S+, exact match 100\.0%, f1 100\.0%\n", ending.out), ending


def test_what_is_not_seen_is_told(capsys, tmp_path):
    rows = [("good", "A list. " * 40), *sentences(7, 0), ("poor", "ネコ ✿ " * 9)]
    file = write_table(tmp_path / "a.tsv", rows)
    ending = finetune(capsys, tmp_path, "--train", file, "--eval", file, "--epochs", 1, "--max-length", 32)
    assert re.findall(r"lost +(.*)", ending.out) == [
        f"{name}: 1 of 9 texts are longer than 32 tokens, and cut" for name in ("train", "eval")
    ]
    assert re.search(r"tokens +\d+ to train on; \d\d\.\d\d% are \[UNK\]\n", ending.out)
    assert re.search(r"warning +\d+% of the text is unknown to the vocabulary", ending.out)


def test_contrastive(capsys, tmp_path):
    (tmp_path / "train.txt").write_text("".join(f"{text}\n" for _, text in sentences(20, 0)))
    rows = [(i, "A list.", text) for i, (_, text) in enumerate(sentences(6, 1))]
    pairs = write_table(tmp_path / "pairs.tsv", rows, ("score", "sentence1", "sentence2"))
    arguments = ("--task", "contrastive", "--train", tmp_path / "train.txt", "--eval", pairs, "--epochs", 1)
    ending = finetune(capsys, tmp_path, *arguments)
    assert re.search(r"eval +spearman -?\d\.\d{3}\n", ending.out), ending
    _, info = transformers.BertModel.from_pretrained(
        tmp_path / "run", add_pooling_layer=False, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]


@pytest.mark.parametrize("freeze", ["encoder", "embeddings", "1"])
def test_freezing(capsys, tmp_path, freeze):
    file = classification_files(tmp_path)["train"]
    ending = finetune(capsys, tmp_path, "--train", file, "--eval", file, "--epochs", 1, "--freeze", freeze)
    (trained,) = re.findall(r"model .*parameters, ([\d,]+) of them trained", ending.out)
    layer, pooler_and_head = 4 * (16 * 16 + 16) + 2 * 16 * 32 + 32 + 16 + 4 * 16, 16 * 16 + 16 + 2 * 16 + 2
    expected = {"encoder": 2 * 16 + 2, "embeddings": 2 * layer + pooler_and_head, "1": layer + pooler_and_head}
    assert int(trained.replace(",", "")) == expected[freeze]


# --- no arguments


def test_what_pretraining_buys(capsys, tmp_path, monkeypatch):
    examples = {
        split: [Example(text, None, label, "here") for label, text in sentences(count, count)]
        for split, count in (("train", 32), ("eval", 8), ("test", 12))
    }
    monkeypatch.setattr(demonstration, "docstring_examples", lambda: examples)
    ending = finetune(capsys, tmp_path, "--epochs", 1)
    fixed = [
        "task",
        "classes",
        "examples",
        "tokens",
        "guessing",
        "model",
        "training",
        "pretrained",
        "random",
        "written",
    ]
    assert topics(ending) == [*fixed, *["guess"] * 5]
    assert re.search(r"random +test accuracy \d+\.\d%, the same model from random weights\n", ending.out)
    assert re.search(r"guess +This is the .*  →  (good|poor) \d+% \((right|no, (good|poor))\)\n", ending.out)
    for folder in (tmp_path / "run", tmp_path / "run" / "from-random-weights"):
        assert {"model.safetensors", "results.json", "metrics.jsonl"} <= {path.name for path in folder.iterdir()}


# --- what cannot be


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "a.tsv"], "--train and --eval belong together"),
        (["--eval", "a.tsv"], "--train and --eval belong together"),
        (["--task", "qa"], "--task and --test need --train FILE and --eval FILE"),
        (["--text-column", "body"], "--text-column: has no meaning for docstrings, without --train FILE"),
        (["--epochs", "0"], "--epochs must be above 0, got 0.0"),
        (["--lr", "nan"], "--lr must be above 0, got nan"),
        (["--batch-size", "0"], "--batch-size must be above 0, got 0"),
        (["--seeds", "0"], "--seeds must be above 0, got 0"),
        (["--seed", "-1"], "--seed must be at least 0 and below 2^63, got -1"),
        (["--layer-decay", "1.5"], "--layer-decay must be above 0 and at most 1, got 1.5"),
        (["--train", "nowhere.tsv", "--eval", "nowhere.tsv"], "nowhere.tsv: no such file"),
    ],
)
def test_options_that_cannot_be(capsys, tmp_path, arguments, message):
    ending = finetune(capsys, tmp_path, *arguments)
    assert message in ending.only_error and not (tmp_path / "run").exists()


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_folder_in_which_a_job_was_is_not_taken(capsys, tmp_path, seeds):
    file = write_table(tmp_path / "a.tsv", sentences(8, 0))
    arguments = ("--train", file, "--eval", file, "--epochs", 1, "--seeds", seeds)
    assert finetune(capsys, tmp_path, *arguments).code == 0
    error = finetune(capsys, tmp_path, *arguments).only_error
    assert "an earlier run left checkpoint-1 there" in error and "choose another folder" in error
    assert finetune(capsys, tmp_path, *arguments, "--resume").code == 0


def test_another_job_is_not_gone_on_with(capsys, tmp_path):
    file, other = (write_table(tmp_path / f"{count}.tsv", sentences(count, 0)) for count in (8, 9))
    arguments = ("--train", file, "--eval", file, "--epochs", 1)
    assert finetune(capsys, tmp_path, *arguments).code == 0
    before = (tmp_path / "run" / "config.json").read_bytes()
    changes = [
        (("--model", "minibert-tiny"), rf"model was {checkpoint()}, is minibert-tiny"),
        (("--train", other), "train was 8 examples, .* tokens, is 9 examples"),
        (("--max-length", 4), "train was .* tokens, is 8 examples, 32 tokens"),
        (("--lr", 0.1), "lr was None, is 0.1"),
        (("--seeds", 2), "seeds was 1, is 2"),
    ]
    for options, message in changes:
        ending = finetune(capsys, tmp_path, *arguments, "--resume", *options)
        assert ending.code == 2 and re.search(f"another run: .*{message}", ending.err.splitlines()[-1]), ending
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    assert finetune(capsys, tmp_path, *arguments, "--resume", "--epochs", 2).code == 0  # more of the same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--freeze", "everything"], "freeze must be 'none'"),
        (["--freeze", "7"], "from 0 to 2, got 7"),
        (["--resume"], "--resume: no checkpoint to go on from in --output-dir"),
        (["--text-column", "body"], "a.tsv: --text-column body: no such column, only label, text"),
        (["--task", "regression"], "a.tsv, line 2: expected a number as label, found"),
        (["--task", "regression", "--label-separator", ","], "--label-separator: has no meaning for regression"),
        (["--task", "contrastive", "--label-separator", ","], "--label-separator: has no meaning for contrastive"),
        (["--task", "tagging", "--label-column", "label"], "expected the number of a column"),
        (["--max-length", 2], "--max-length must be at least 3 for a text, got 2"),
        (["--max-length", 1000], "--max-length must be at most the 128 that "),
    ],
)
def test_files_and_options_that_do_not_fit(capsys, tmp_path, arguments, message):
    file = write_table(tmp_path / "a.tsv", sentences(8, 0))
    ending = finetune(capsys, tmp_path, "--train", file, "--eval", file, *arguments)
    assert ending.code == 2 and message in ending.err.splitlines()[-1]


def test_pairs_need_more_room(capsys, tmp_path):
    rows = [("yes", "A list.", "A tuple."), ("no", "A list.", "A file.")]
    file = write_table(tmp_path / "a.tsv", rows, ("label", "sentence1", "sentence2"))
    arguments = ("--train", file, "--eval", file, "--epochs", 1, "--max-length")
    assert "at least 5 for a pair of texts, got 4" in finetune(capsys, tmp_path, *arguments, 4).only_error
    assert finetune(capsys, tmp_path, *arguments, 5).code == 0


@pytest.mark.parametrize("task", ["regression", "tagging", "contrastive", "classification"])
def test_a_library_for_the_score_is_asked_for_at_once(capsys, tmp_path, monkeypatch, task):
    for module in ("scipy.stats", "seqeval.metrics", "sklearn.metrics"):
        monkeypatch.setitem(sys.modules, module, None)
    content = {
        "tagging": "The B-NP\nstops O\n",
        "classification": "labels\ttext\na,b\tOne.\na\tTwo.\n",
    }.get(task, "score\tsentence1\tsentence2\n1\tOne.\tTwo.\n2\tOne.\tThree.\n")
    (tmp_path / "a.tsv").write_text(content)
    files = ("--train", tmp_path / "a.tsv", "--eval", tmp_path / "a.tsv")
    several = ("--label-separator", ",") if task == "classification" else ()
    ending = finetune(capsys, tmp_path, "--task", task, *files, *several)
    assert "pip install 'minibert[finetune]'" in ending.only_error and not ending.out


def test_scores_that_are_taken_for_classes(capsys, tmp_path):
    rows = [(i / 5, "A list.") for i in range(12)]
    files = [write_table(tmp_path / f"{count}.tsv", rows[:count]) for count in (12, 10)]
    hints = [
        re.findall(r"hint +(.*)", finetune(capsys, tmp_path / f.stem, "--train", f, "--eval", f, "--epochs", 1).out)
        for f in files
    ]
    assert hints == [["all 12 classes are numbers; if they are scores: --task regression"], []]


def test_an_unknown_label(capsys, tmp_path):
    train = write_table(tmp_path / "a.tsv", sentences(8, 0))
    other = write_table(tmp_path / "b.tsv", [*sentences(8, 0), ("fair", "This is it.")])
    error = finetune(capsys, tmp_path, "--train", train, "--eval", other).only_error
    assert "b.tsv, line 10: expected a label that was trained (good, poor), found 'fair'" in error


def test_contrastive_training_needs_dropout(capsys, tmp_path):
    (tmp_path / "train.txt").write_text("One.\nTwo.\n")
    pairs = write_table(tmp_path / "p.tsv", [(1, "a", "b"), (2, "c", "d")], ("score", "sentence1", "sentence2"))
    model = tmp_path / "model"
    model.mkdir()
    for path in checkpoint().iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    config = json.loads((model / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (model / "config.json").write_text(json.dumps(config))
    arguments = ("--task", "contrastive", "--train", tmp_path / "train.txt", "--eval", pairs, "--model", model)
    ending = finetune(capsys, tmp_path, *arguments)
    assert ending.code == 2 and "needs dropout" in ending.err.splitlines()[-1]
