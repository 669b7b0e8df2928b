"""Export: onnxruntime computes what the model does, whatever the shape; int8 is near; the example needs no PyTorch."""

import copy
import importlib.util
import subprocess
import sys

import onnx
import pytest
import torch
from checkpoints import CLASSES
from pipeline_runs import our_tokenizer
from reference import assert_near, mask_of, model_pair, our_model, tiny_config

import minibert
from minibert.inference import export
from minibert.inference.embedding import SentenceSimilarityPipeline
from minibert.inference.export import (
    ExportError,
    OnnxModel,
    agreement,
    example_batch,
    export_onnx,
    largest_difference,
    quantize_int8,
)
from minibert.inference.export_example import example_program
from minibert.inference.fill_mask import FillMaskPipeline
from minibert.inference.question_answering import QuestionAnsweringPipeline
from minibert.inference.sentence_modules import POOLINGS, SentenceModules
from minibert.inference.text_classification import TextClassificationPipeline
from minibert.inference.token_classification import TokenClassificationPipeline


@pytest.fixture(scope="module", params=CLASSES)
def exported(request, tmp_path_factory):
    """(our model, its file), of every class; one layer is enough, and an export takes seconds."""
    _, model = model_pair(request.param, num_hidden_layers=1)
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    assert export_onnx(model, path) < 1e-5
    return model, path


def test_the_same_outputs_for_any_shape(exported):
    model, path = exported
    file = OnnxModel(path)
    assert {i.name for i in file.session.get_inputs()} == set(export.INPUTS)
    for mask in (None, mask_of("right"), mask_of("gaps"), mask_of("empty row")):
        batch = example_batch(model, (4, 11), seed=3)
        if mask is not None:
            choices = isinstance(model, minibert.BertForMultipleChoice)
            batch["attention_mask"] = mask[:, None].expand(4, 2, 11) if choices else mask
        found = file(**batch, labels=torch.zeros(4))
        with torch.no_grad():
            expected = model(**batch)
        assert list(vars(found)) == list(expected.keys())
        for name in expected.keys():  # noqa: SIM118
            assert_near(getattr(found, name), expected[name], 1e-5, name)


def test_int8_is_smaller_and_near(exported, tmp_path):
    model, path = exported
    quantize_int8(path, tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < 0.9 * path.stat().st_size  # a model this small is mostly its graph
    operations = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert operations.count("MatMulInteger") >= 6  # every product with a weight
    batches = [example_batch(model, (1, length), seed=length) for length in range(3, 20)]
    assert agreement(model, OnnxModel(path), batches) > 0.999
    assert 0.75 < agreement(model, OnnxModel(tmp_path / "int8.onnx"), batches) <= 1


# What each example is asked.
QUESTIONS = {
    "BertModel": ["a bc d", "e", "a bd"],
    "BertForPreTraining": ["a [MASK] b"],
    "BertForMaskedLM": ["a [MASK] b"],
    "BertForNextSentencePrediction": ["a b", "c d e"],
    "BertForSequenceClassification": ["a bc d"],
    "BertForTokenClassification": ["a bcd ef [MASK]"],
    "BertForQuestionAnswering": ["a b", "c d e f g h"],
    "BertForMultipleChoice": ["a b", "c", "d e f"],
}


def answers(model, tokenizer, texts):
    """What the example should print, line by line."""
    if isinstance(model, minibert.BertForPreTraining | minibert.BertForMaskedLM):
        found = FillMaskPipeline(model, tokenizer)(texts[0])
        return [(f"{c['score']:.3f}", c["token_str"]) for c in found]
    if isinstance(model, minibert.BertForSequenceClassification):
        found = TextClassificationPipeline(model, tokenizer)(texts[0], top_k=None)
        return [(f"{c['score']:.3f}", c["label"]) for c in found]
    if isinstance(model, minibert.BertForTokenClassification):
        found = TokenClassificationPipeline(model, tokenizer)(texts[0], ignore_labels=[])
        words = [word for word in tokenizer(texts[0]).word_ids() if word is not None]
        first_pieces = {word: token["entity"] for word, token in reversed([*zip(words, found, strict=True)])}
        return [(text, first_pieces[word]) for word, text in enumerate(texts[0].split())]
    if isinstance(model, minibert.BertForQuestionAnswering):
        return [(QuestionAnsweringPipeline(model, tokenizer)(question=texts[0], context=texts[1])["answer"],)]
    if isinstance(model, minibert.BertModel):
        vectors = SentenceSimilarityPipeline(model, tokenizer).embed(texts)
        return [(f"{float(vectors[0] @ vector):.3f}", text) for text, vector in zip(texts, vectors, strict=True)]
    choices = isinstance(model, minibert.BertForMultipleChoice)
    inputs = tokenizer([texts[0]] * len(texts[1:]), texts[1:], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**{name: x[None] if choices else x for name, x in inputs.items()}).logits[0]
    shares = [f"{share:.3f}" for share in logits.softmax(0).tolist()]
    if choices:
        return list(zip(shares, texts[1:], strict=True))
    return [(shares[0], "that the second text follows the first")]


def test_the_example_answers_without_pytorch(exported, tmp_path):
    model, path = exported
    questions = QUESTIONS[type(model).__name__]
    found = run_without_torch(write_example(tmp_path, model, path), *questions)
    assert found.splitlines() == [" ".join(line) for line in answers(model, our_tokenizer(), questions)]


def write_example(folder, model, path, modules=None):
    """The program in `folder`, with all that it needs."""
    tokenizer = our_tokenizer()
    tokenizer.save_pretrained(folder)
    model.config.save_pretrained(folder)
    (folder / "model.onnx").write_bytes(path.read_bytes())
    program = example_program(type(model).__name__, model.config, tokenizer, "model.onnx", modules)
    (folder / "example.py").write_text(program)
    return folder / "example.py"


def run_without_torch(path, *texts):
    """What the program prints, where importing PyTorch or this package fails."""
    block = "import sys, runpy; sys.modules.update(torch=None, minibert=None, transformers=None)"
    command = f"{block}; sys.argv = {[str(path), *texts]!r}; runpy.run_path({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("changes", "scores"),
    [
        ({"num_labels": 3}, "scores = np.exp("),
        ({"problem_type": "multi_label_classification", "num_labels": 3}, "scores = 1 / (1 + np.exp("),
        ({"num_labels": 1}, "scores = 1 / (1 + np.exp("),
    ],
)
def test_the_example_knows_what_the_scores_are(changes, scores):
    tokenizer = our_tokenizer()
    program = example_program("BertForSequenceClassification", tiny_config(**changes), tokenizer, "m.onnx")
    assert scores in program and "$" not in program
    compile(program, "example.py", "exec")


@pytest.mark.parametrize("exported", ["BertForSequenceClassification"], indirect=True)
def test_the_example_of_a_regression_prints_the_number(exported, tmp_path):
    """Of a text, and of a pair."""
    model, path = copy.copy(exported[0]), exported[1]
    model.config = tiny_config(problem_type="regression", num_labels=model.config.num_labels)
    example = write_example(tmp_path, model, path)
    assert example.read_text().startswith("# A number for a text, or for two texts that make a pair, without PyTorch")
    for texts in (["a b"], ["a b", "c"]):
        with torch.no_grad():
            (numbers,) = model(**our_tokenizer()(*texts, return_tensors="pt")).logits.tolist()
        assert run_without_torch(example, *texts).split() == [f"{number:.3f}" for number in numbers]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("exported", ["BertModel"], indirect=True)
def test_the_example_pools_as_the_checkpoint_says(exported, tmp_path, pooling):
    model, path = exported
    modules = SentenceModules(pooling=(pooling,), prompt="x y ")
    found = run_without_torch(write_example(tmp_path, model, path, modules), "a bc d", "e", "a bd")
    compare = SentenceSimilarityPipeline(model, our_tokenizer(model_max_length=24), modules=modules)
    expected = compare({"source_sentence": "a bc d", "sentences": ["a bc d", "e", "a bd"]})
    assert [float(line.split()[0]) for line in found.splitlines()] == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"similarity": "dot"},
        {"truncate_dim": 3},
        {"pooling": ("cls", "mean")},
        {"steps": torch.nn.Sequential(torch.nn.Linear(2, 2))},
    ],
)
def test_no_example_for_what_it_would_get_wrong(changes):
    with pytest.raises(ValueError, match="take more to compare than a pooling and a cosine"):
        example_program("BertModel", tiny_config(), our_tokenizer(), "m.onnx", SentenceModules(**changes))


def test_a_file_that_differs_gets_no_name(monkeypatch, tmp_path, exported):
    model, file = exported
    monkeypatch.setattr(export, "largest_difference", lambda model, file: float("nan"))
    monkeypatch.setattr(torch.onnx, "export", lambda *a, **k: k["f"].write_bytes(file.read_bytes()))
    path = tmp_path / "model.onnx"
    path.write_text("the last good one")
    with pytest.raises(ExportError, match="not written, because what onnxruntime makes of it differs .* by nan"):
        export_onnx(model, path)
    assert path.read_text() == "the last good one" and len(list(tmp_path.iterdir())) == 1


def test_a_difference_is_seen(exported):
    model, path = exported
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.base_model.encoder.layer[0].feed_forward.down.bias[0] += 0.01
    assert largest_difference(changed, OnnxModel(path)) > export.TOLERANCE


def test_a_library_that_is_missing(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(ExportError, match=r"onnxscript not installed: pip install 'minibert\[export\]'"):
        export_onnx(our_model("BertModel"), tmp_path / "model.onnx")
