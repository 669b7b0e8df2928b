"""`scripts/export.py`: files that are whole, what int8 costs, or one line that says what was wrong."""

import json
import re
import shutil

import onnxruntime
import pytest
import script_runs
import torch
from pipeline_runs import checkpoint, our_tokenizer
from safetensors.torch import load_file, save_file
from sentence_folders import older_folder, write

from minibert import BertForSequenceClassification, pipeline

WRITTEN = {"model.onnx", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "config.json", "example.py"}


def labelled():
    """A classifier of one layer, and examples of its two classes."""
    return checkpoint("BertForSequenceClassification", num_hidden_layers=1)


@pytest.fixture
def examples(tmp_path):
    path = tmp_path / "examples.tsv"
    rows = [(f"LABEL_{i % 2}", f"{'abcdef'[i % 6]} {'ghijk'[i % 5]}") for i in range(20)]
    path.write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in rows))
    return path


def test_files_and_scores(capsys, tmp_path, examples):
    output = tmp_path / "out"
    arguments = ("--model", labelled(), "--output", output, "--int8", "--eval", examples)
    ending = script_runs.call(capsys, "export", *arguments)
    assert ending.code == 0, ending
    assert {path.name for path in output.iterdir()} == WRITTEN | {"model.int8.onnx"}
    assert re.search(r"^fp32 .* onnxruntime's outputs are within \de-0[67] of ours$", ending.out, re.MULTILINE)
    before, after = map(float, re.search(r"accuracy (0\.\d+) → (0\.\d+)", ending.out).groups())
    assert abs(before - after) < 0.3 and json.loads((output / "config.json").read_text())["id2label"]
    assert "model.int8.onnx" in (output / "example.py").read_text()


def balanced_model(texts):
    """A classifier that gives half of the texts each of its two classes, if it reads five tokens of them."""
    model = BertForSequenceClassification.from_pretrained(labelled())
    encoded = our_tokenizer()(texts, ["z"] * len(texts), truncation=True, max_length=5, return_tensors="pt")
    with torch.no_grad():
        logits = model(**encoded).logits
        model.classifier.bias[1] += (logits[:, 0] - logits[:, 1]).median()
    return model


def test_a_file_with_one_class_and_columns_of_its_own(capsys, tmp_path):
    """The score is that of the model, read as far as it says, or as far as is asked for."""
    folder = tmp_path / "model"
    texts = [f"{a} {b} " + "c d e f g " * 3 for a in "abcdefgh" for b in "klmnop"]
    balanced_model(texts).save_pretrained(folder)
    our_tokenizer(model_max_length=5).save_pretrained(folder)
    path = tmp_path / "x.csv"
    path.write_text("one,two,y\n" + "".join(f"{text},z,LABEL_1\n" for text in texts))
    columns = ("--text-column", "one", "--pair-column", "two", "--label-column", "y")
    found = {}
    for length in (None, 12):
        output = tmp_path / f"out-{length}"
        options = () if length is None else ("--max-length", length)
        ending = script_runs.call(
            capsys, "export", "--model", folder, "--output", output, "--eval", path, *columns, *options
        )
        assert ending.code == 0, ending
        found[length] = re.search(r"^score +accuracy (\d\.\d+)$", ending.out, re.MULTILINE).group(1)
        classify = pipeline("text-classification", folder, "fp32", max_length=length or 5, truncation=True)
        pairs = [{"text": text, "text_pair": "z"} for text in texts]
        right = [answer["label"] == "LABEL_1" for answer in classify(pairs)]
        assert found[length] == f"{sum(right) / len(right):.3f}"
    assert found[None] != found[12], "the length must make a difference for this to be a test"


def test_the_price_of_int8_in_hidden_words(capsys, tmp_path):
    folder = checkpoint("BertForMaskedLM", num_hidden_layers=1)
    ending = script_runs.call(capsys, "export", "--model", folder, "--output", tmp_path / "out", "--int8")
    assert ending.code == 0, ending
    assert re.search(r"the same word for \d+\.\d% of those that are hidden in 200 sentences$", ending.out, re.MULTILINE)


def test_a_folder_of_sentence_transformers(capsys, tmp_path):
    """Its pooling, its limit and its prompt are in the example; what the example cannot do is said."""
    prompt = {"prompts": {"q": "q: "}, "default_prompt_name": "q"}
    folder = older_folder(tmp_path / "st", **{"config_sentence_transformers.json": prompt})
    ending = script_runs.call(capsys, "export", "--model", folder, "--output", tmp_path / "out", "--int8")
    assert ending.code == 0 and "without an example" not in ending.out, ending
    example = (tmp_path / "out" / "example.py").read_text()
    assert "vectors = hidden[:, 0]" in example and "enable_truncation(12)" in example and "'q: ' + text" in example
    write(folder / "config_sentence_transformers.json", {"similarity_fn_name": "dot"})
    ending = script_runs.call(capsys, "export", "--model", folder, "--output", tmp_path / "dot")
    assert "without an example: vectors of this checkpoint take more to compare" in ending.out
    assert not (tmp_path / "dot" / "example.py").exists() and (tmp_path / "dot" / "model.onnx").exists()


def test_an_encoder_without_a_pooler(capsys, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("BertModel", num_hidden_layers=1), folder)
    tensors = load_file(folder / "model.safetensors")
    rest = {key: x.clone() for key, x in tensors.items() if not key.startswith("pooler.")}
    save_file(rest, folder / "model.safetensors", metadata={"format": "pt"})
    ending = script_runs.call(capsys, "export", "--model", folder, "--output", tmp_path / "out", "--int8")
    assert ending.code == 0, ending
    cosine = float(re.search(r"cosine to fp32 at least (\d\.\d+) for 200 sentences", ending.out).group(1))
    assert 0.9 < cosine <= 1
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    assert [output.name for output in session.get_outputs()] == ["last_hidden_state"]


@pytest.mark.parametrize(
    ("class_name", "rows", "message"),
    [
        (
            "BertForSequenceClassification",
            "label\ttext\ngood\ta\nbad\tb\n",
            r"expected a label that was trained .LABEL_0, LABEL_1., found 'good'",
        ),
        ("BertForSequenceClassification", "label\nLABEL_0\n", r"examples\.tsv"),
        ("BertForMaskedLM", "label\ttext\n", "--eval: BertForMaskedLM has no task with a score"),
    ],
)
def test_an_evaluation_file_that_does_not_fit(capsys, tmp_path, examples, class_name, rows, message):
    examples.write_text(rows)
    arguments = ("--model", checkpoint(class_name), "--output", tmp_path / "out", "--eval", examples)
    assert re.search(message, script_runs.call(capsys, "export", *arguments).only_error)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("BertForSequenceClassification", r"its config says BertForSequenceClassification, but it lacks classifier"),
        ("BertLMHeadModel", "its config says BertLMHeadModel, which is not a class of minibert"),
        ("Trainer", "its config says Trainer, which is not a class of minibert"),
    ],
)
def test_a_checkpoint_that_is_not_what_it_says(capsys, tmp_path, said, message):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("BertModel"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": [said]}))
    ending = script_runs.call(capsys, "export", "--model", folder, "--output", tmp_path / "out")
    assert re.search(message, ending.only_error)


@pytest.mark.parametrize("left", ["model.onnx", "model.int8.onnx"])
def test_the_folder_of_an_earlier_export(capsys, tmp_path, left):
    """An int8 file of another model would stay beside the new files."""
    (tmp_path / left).write_text("another model")
    ending = script_runs.call(capsys, "export", "--model", labelled(), "--output", tmp_path)
    assert re.search(f"--output {tmp_path}: an earlier export left {left} there; choose another", ending.only_error)
    assert [path.name for path in tmp_path.iterdir()] == [left]
