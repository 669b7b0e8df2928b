"""The layer-by-layer comparison: silent on equal models, and pointing at the right place on others."""

import json
import re
import sys
from pathlib import Path

import pytest
import script_runs
import torch
import transformers
from reference import IS_VERSION_5, TASKS, batch_of, model_pair, reference_model
from safetensors.torch import load_file, save_file
from torch import nn

from minibert.inference.parity import compare_modules, module_names, plant_fault

CLASSES = ("BertModel", *TASKS)


# --- the comparison


def test_rows_come_in_the_order_of_the_forward_pass():
    theirs, ours = model_pair("BertForPreTraining", num_hidden_layers=2)
    rows = compare_modules(ours, theirs, batch_of(ours.config, (1, 9)))
    layer = [
        *("attention.query", "attention.key", "attention.value", "attention.mix", "attention_norm"),
        *("feed_forward.up", "feed_forward.down", "feed_forward_norm"),
    ]
    assert [row.name for row in rows] == [
        *(f"embeddings.{part}" for part in ("word", "segment", "position", "norm")),
        *(f"layer.{i}.{part}" for i in (0, 1) for part in layer),
        *("pooler.dense", "mlm_head.dense", "mlm_head.norm", "mlm_head.decoder", "nsp_head.linear"),
        *("prediction_logits", "seq_relationship_logits"),
    ]
    assert all(row.difference == row.ulp == 0 for row in rows)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("class_name", ["BertModel", "BertForPreTraining"])
def test_a_fault_is_located_wherever_it_is(class_name: str, tied: bool):
    theirs, ours = model_pair(class_name, tie_word_embeddings=tied)
    batch = batch_of(ours.config, (1, 9))
    for module in module_names(ours):
        owner = ours.get_submodule(module_names(ours)[module])
        weight = owner.weight
        plant_fault(ours, module)
        differing = [row.name for row in compare_modules(ours, theirs, batch) if row.ulp]
        assert differing[0] == module
        owner.weight = weight
    assert not any(row.ulp for row in compare_modules(ours, theirs, batch))


def test_what_has_no_weight_is_compared_by_the_outputs():
    theirs, ours = model_pair("BertModel")
    theirs.pooler.activation = nn.Identity()
    rows = compare_modules(ours, theirs, batch_of(ours.config, (1, 9)))
    assert [row.name for row in rows if row.ulp] == ["pooler_output"]


@pytest.mark.parametrize(("steps", "start"), [(1, 1.0), (3, -2.5), (7, 0.0), (0, 1.0)])
def test_ulps_count_the_numbers_between(steps: int, start: float):
    theirs, ours = model_pair("BertForQuestionAnswering")
    for model, moved in ((ours.span_classifier, steps), (theirs.qa_outputs, 0)):
        bias = torch.full((2,), start)
        for _ in range(moved):
            bias = torch.nextafter(bias, torch.tensor(torch.inf))
        nn.init.zeros_(model.weight)
        model.bias = nn.Parameter(bias)
    row = compare_modules(ours, theirs, batch_of(ours.config, (1, 9)))[-3]
    moved_by = (ours.span_classifier.bias[0] - theirs.qa_outputs.bias[0]).item()
    assert (row.name, row.ulp, row.difference) == ("span_classifier", steps, moved_by)


def test_ulps_across_zero():
    theirs, ours = model_pair("BertForQuestionAnswering")
    smallest = torch.tensor([1e-45, 0.0])
    for model, bias in ((ours.span_classifier, smallest), (theirs.qa_outputs, -smallest)):
        nn.init.zeros_(model.weight)
        model.bias = nn.Parameter(bias)
    assert compare_modules(ours, theirs, batch_of(ours.config, (1, 9)))[-3].ulp == 2


def test_hooks_are_taken_away():
    theirs, ours = model_pair("BertModel")
    compare_modules(ours, theirs, batch_of(ours.config, (1, 9)))
    with pytest.raises(ValueError, match="input_ids"):
        compare_modules(ours, theirs, {"input_ids": torch.full((1, 3), 10_000)})
    assert not any(module._forward_hooks for model in (ours, theirs) for module in model.modules())


def test_a_fault_is_small_seeded_and_alone():
    _, ours = model_pair("BertForMaskedLM")
    before = {name: p.detach().clone() for name, p in ours.named_parameters(remove_duplicate=False)}
    plant_fault(ours, "mlm_head.decoder", seed=1)
    after = dict(ours.named_parameters(remove_duplicate=False))
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["cls.predictions.decoder.weight"]
    noise = after["cls.predictions.decoder.weight"] - before["cls.predictions.decoder.weight"]
    assert 0.9e-3 < noise.std() < 1.1e-3
    _, again = model_pair("BertForMaskedLM")
    plant_fault(again, "mlm_head.decoder", seed=1)
    assert torch.equal(again.mlm_head.decoder.weight, ours.mlm_head.decoder.weight)
    plant_fault(again, "mlm_head.decoder", seed=2)
    assert not torch.equal(again.mlm_head.decoder.weight, ours.mlm_head.decoder.weight)


# --- the script


@pytest.fixture
def parity(capsys: pytest.CaptureFixture):
    """Run the script with these arguments: exit code, standard output, standard error."""
    verbosity = transformers.logging.get_verbosity()

    def call(*arguments: object) -> tuple[int, str, str]:
        ending = script_runs.call(capsys, "parity", *arguments)
        return ending.code, ending.out, ending.err

    yield call
    transformers.logging.set_verbosity(verbosity)
    transformers.logging.enable_progress_bar()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reference_model("BertForPreTraining").save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def table(output: str) -> list[list[str]]:
    """The rows of the printed table: module, max abs difference, max ULP, equal to here."""
    return [row.split() for row in output.split("\n\n")[1].splitlines()[1:]]


def write_vocab(folder: Path) -> None:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("class_name", CLASSES)
def test_equal_models(class_name: str, attention: str, tmp_path: Path, parity):
    if attention == "eager" and not IS_VERSION_5:
        pytest.skip("transformers 4 divides where 5 multiplies: other bits")
    reference_model(class_name).save_pretrained(tmp_path)
    code, out, err = parity("--model", tmp_path, "--attn", attention)
    assert (code, err) == (0, "")
    assert out.startswith(f"{class_name} of {tmp_path}: attention {attention}, 24 tokens\n")
    assert out.endswith("\neverything is equal to the last bit\n")
    rows = table(out)
    assert rows[0][0] == "embeddings.word" and len(rows) > 20
    assert all(row[1:] == ["0", "0", "yes"] for row in rows)


@pytest.mark.parametrize(
    "module", ["embeddings.position", "layer.1.attention.key", "layer.0.feed_forward_norm", "nsp_head.linear"]
)
def test_an_injected_fault_is_located(module: str, folder: Path, parity):
    code, out, err = parity("--model", folder, "--inject", module)
    assert (code, err) == (1, "")
    assert out.endswith(f"planted a fault in {module}; the first difference is in {module}\n")
    rows = table(out)
    place = [row[0] for row in rows].index(module)
    assert {row[3] for row in rows[:place]} == {"yes"} and {row[3] for row in rows[place:]} == {"no"}
    assert float(rows[place][1]) > 0 and int(rows[place][2].replace(",", "")) > 0


def test_models_that_differ(folder: Path, parity, monkeypatch: pytest.MonkeyPatch):
    original = transformers.BertForPreTraining.from_pretrained

    def broken(*args, **kwargs):
        model = original(*args, **kwargs)
        model.bert.encoder.layer[1].output.LayerNorm.eps = 1e-3
        return model

    monkeypatch.setattr(transformers.BertForPreTraining, "from_pretrained", broken)
    code, out, _ = parity("--model", folder)
    assert code == 1
    assert out.endswith("\nthe first difference is in layer.1.feed_forward_norm\n")


@pytest.mark.parametrize(
    ("drop", "architecture", "expected"),
    [
        (r"cls\.seq_relationship", "BertForPreTraining", "BertForMaskedLM"),
        (r"bert\.pooler", "BertForMaskedLM", "BertForMaskedLM"),
        (r"cls\.", "BertForMaskedLM", "BertModel"),
        (r"cls\.|bert\.pooler", None, "BertModel"),
        (r"cls\.predictions", "BertForNextSentencePrediction", "BertForNextSentencePrediction"),
        (r"cls\.predictions", "SomethingElse", "BertModel"),
        (r"nothing", "BertForMaskedLM", "BertForPreTraining"),
    ],
)
def test_the_class_is_what_the_weights_allow(drop: str, architecture, expected: str, folder: Path, parity):
    tensors = load_file(folder / "model.safetensors")
    kept = {key: tensor for key, tensor in tensors.items() if not re.match(drop, key)}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = architecture and [architecture]
    (folder / "config.json").write_text(json.dumps(config))
    code, out, err = parity("--model", folder)
    assert (code, err) == (0, "")
    assert out.startswith(f"{expected} of ")


def test_a_text_is_read_with_the_checkpoints_tokenizer(folder: Path, parity):
    write_vocab(folder)
    code, out, _ = parity("--model", folder, "--text", "abc d")
    assert code == 0 and ", 6 tokens" in out  # [CLS] a ##b ##c d [SEP]
    code, out, _ = parity("--model", folder)
    assert code == 0 and ", 24 tokens" in out  # two sentences, cut to the 24 positions of the model


def test_random_ids_come_from_the_seed(folder: Path, parity):
    outputs = [parity("--model", folder, "--seed", seed, "--inject", "embeddings.word")[1] for seed in (0, 0, 1)]
    assert outputs[0] == outputs[1] != outputs[2]


def one_line(error: str) -> str:
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_bad_input_is_one_line(folder: Path, tmp_path: Path, parity, monkeypatch: pytest.MonkeyPatch):
    for arguments, expected in (
        (["--model", tmp_path / "absent"], "is not a folder here"),
        (["--model", "owner/absent"], "'owner/absent' is not a folder here"),
        (["--model", tmp_path], "no config.json found"),
        (["--model", folder, "--text", "abc"], "found neither tokenizer.json nor vocab.txt"),
        (["--model", folder, "--inject", "layer.2.attention.key"], "layer.0-1.attention.key, "),
        (["--model", folder, "--inject", "attention"], "has no module 'attention'; it has embeddings.word, "),
    ):
        code, out, err = parity(*arguments)
        assert (code, out) == (2, "")
        assert expected in one_line(err)
    monkeypatch.setitem(sys.modules, "transformers", None)
    code, _, err = parity("--model", folder)
    assert code == 2 and "pip install 'minibert[test]'" in one_line(err)


def test_broken_checkpoints_are_one_line(folder: Path, parity):
    weights = folder / "model.safetensors"
    whole, tensors = weights.read_bytes(), load_file(weights)
    del tensors["bert.encoder.layer.1.output.dense.bias"]
    save_file(tensors, weights, metadata={"format": "pt"})
    code, _, err = parity("--model", folder)
    assert code == 2 and "the checkpoint lacks bert.encoder.layer.1.output.dense.bias" in one_line(err)
    weights.write_bytes(whole[:1000])
    code, _, err = parity("--model", folder)
    assert code == 2 and "model.safetensors: not a readable safetensors file" in one_line(err)
    (folder / "config.json").write_text("{")
    code, _, err = parity("--model", folder)
    assert code == 2 and "config.json: expected a JSON file" in one_line(err)


@pytest.mark.parametrize("arguments", [[], ["--model"], ["--model", "x", "--attn", "flash"]])
def test_bad_usage_ends_with_2(arguments: list[str], parity):
    code, out, err = parity(*arguments)
    assert (code, out) == (2, "") and "usage: " in err
