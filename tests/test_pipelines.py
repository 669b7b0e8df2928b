"""`pipeline`: a task and a checkpoint by name."""

import pytest
import torch
import transformers
from pipeline_runs import checkpoint, our_tokenizer

import minibert
from minibert.checkpoint.files import CheckpointError
from minibert.inference.pipelines import TASKS


def test_from_a_shipped_checkpoint():
    fill = minibert.pipeline("fill-mask", "minibert-tiny", precision="fp32")
    assert fill("A list is a mutable [MASK].")[0].keys() == {"score", "token", "token_str", "sequence"}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_pipeline(task):
    class_name = {"fill-mask": "BertForMaskedLM"}.get(task, TASKS[task][1].__name__)
    found = minibert.pipeline(task, checkpoint(class_name), device="cpu")
    assert type(found) is TASKS[task][0]


def test_precision(monkeypatch):
    def dtypes(precision, **options):
        found = minibert.pipeline("fill-mask", checkpoint("BertForMaskedLM"), precision, **options)
        (of_model,) = {x.dtype for x in found.model.parameters()}
        return of_model, found.layers_dtype

    assert dtypes("fp32") == (torch.float32, None)
    assert dtypes("bf16") == (torch.float32, torch.bfloat16)
    for fast, expected in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr("minibert.model.precision.has_fast_bf16", lambda fast=fast: fast)
        assert dtypes("auto") == (torch.float32, expected)
    for dtype in (torch.float32, torch.float64, "bfloat16", "auto"):
        expected = torch.float32 if dtype == "auto" else getattr(torch, str(dtype).removeprefix("torch."))
        for options in ({"dtype": dtype}, {"torch_dtype": dtype}, {"model_kwargs": {"torch_dtype": dtype}}):
            assert dtypes("auto", **options) == (expected, None), "the dtype that was asked for, and nothing else"
    with pytest.raises(ValueError, match="precision: the model is to be computed in its own dtype, torch.float64"):
        dtypes("bf16", dtype=torch.float64)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_in_another_dtype_answers_in_plain_numbers(task, dtype):
    folder = checkpoint({"fill-mask": "BertForMaskedLM"}.get(task, TASKS[task][1].__name__))
    found = minibert.pipeline(task, folder, device="cpu", dtype=dtype)(INPUTS.get(task, "a b"))
    expected = minibert.pipeline(task, folder, "fp32", device="cpu")(INPUTS.get(task, "a b"))
    assert shape(found) == shape(expected)


INPUTS = {
    "fill-mask": "a [MASK]",
    "question-answering": {"question": "a", "context": "b c"},
    "sentence-similarity": {"source_sentence": "a", "sentences": ["b", "c"]},
}


def shape(result):
    """The kinds of all that a result is made of."""
    if isinstance(result, list):
        return [shape(item) for item in result]
    return {key: type(value) for key, value in result.items()} if isinstance(result, dict) else type(result)


def test_devices():
    def place(**options):
        return minibert.pipeline("fill-mask", checkpoint("BertForMaskedLM"), **options).device

    for options in ({"device": -1}, {"device": "cpu"}, {"device_map": "cpu"}, {"device_map": {"": "cpu"}}):
        assert place(**options) == torch.device("cpu")
    assert place(device_map="auto") == place()
    assert place(device="meta").type == "meta"
    with pytest.raises(ValueError, match="device: 'cuda:77' is not there, \\d CUDA GPUs are; leave it out"):
        place(device="cuda:77")
    with pytest.raises(ValueError, match="device: 77 is not there"):
        place(device=77)
    with pytest.raises(ValueError, match="device and device_map say the same"):
        place(device="cpu", device_map="auto")
    with pytest.raises(ValueError, match="device_map: a model is on one device, whole"):
        place(device_map={"bert": 0, "mlm_head": "cpu"})


@pytest.mark.parametrize(
    ("alias", "name"), [("ner", "token-classification"), ("sentiment-analysis", "text-classification")]
)
def test_aliases(alias, name):
    folder = checkpoint(TASKS[name][1].__name__)
    found = minibert.pipeline(task=alias, model=folder, device="cpu")
    assert type(found) is TASKS[name][0] and found("a b") == minibert.pipeline(name, folder, device="cpu")("a b")


@pytest.mark.parametrize("task", TASKS)
def test_a_model_and_a_tokenizer(task):
    _, model_class, _ = TASKS[task]
    folder = checkpoint(model_class.__name__)
    model, tokenizer = model_class.from_pretrained(folder), minibert.BertTokenizer.from_pretrained(folder)
    inputs = INPUTS.get(task, "a b")
    expected = minibert.pipeline(task, folder, device="cpu")(inputs)
    before = {name: x.clone() for name, x in model.state_dict().items()}
    for given in (tokenizer, folder, str(folder)):
        found = minibert.pipeline(task, model=model, tokenizer=given, device="cpu")
        assert found.model is model and found(inputs) == expected
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert minibert.pipeline(task, folder, tokenizer=tokenizer, device="cpu")(inputs) == expected


def test_the_task_that_a_model_has_the_head_of():
    for task, (pipeline_class, _, trained_as) in TASKS.items():
        for name in trained_as:
            assert type(minibert.pipeline(model=checkpoint(name), device="cpu")) is pipeline_class
            model = getattr(minibert, name).from_pretrained(checkpoint(name))
            found = minibert.pipeline(model=model, tokenizer=our_tokenizer(), device="cpu")
            assert type(found) is pipeline_class and task in TASKS
    for model in (checkpoint("BertModel"), minibert.BertModel.from_pretrained(checkpoint("BertModel"))):
        with pytest.raises(
            ValueError, match="task: the model is a BertModel, which does not tell; pass one of fill-mask"
        ):
            minibert.pipeline(model=model, tokenizer=our_tokenizer())


class Own(minibert.BertForSequenceClassification):
    """Somebody's own kind of it."""


def test_models_that_do_not_fit():
    model = minibert.BertForMaskedLM.from_pretrained(checkpoint("BertForMaskedLM"))
    tokenizer = our_tokenizer()
    with pytest.raises(
        TypeError, match="model: ner needs|token-classification needs a BertForTokenClassification, found a"
    ):
        minibert.pipeline("ner", model, tokenizer=tokenizer)
    own = Own.from_pretrained(checkpoint("BertForSequenceClassification"))
    assert minibert.pipeline("text-classification", own, tokenizer=tokenizer, device="cpu")("a")
    with pytest.raises(ValueError, match="tokenizer: a model does not bring one; pass that which it was trained with"):
        minibert.pipeline("fill-mask", model)
    with pytest.raises(CheckpointError, match="tokenizer: the tokenizer has 98 word pieces, the model 97"):
        minibert.pipeline("fill-mask", model, tokenizer=our_tokenizer(added_tokens=["longer"]))
    theirs = transformers.AutoTokenizer.from_pretrained(checkpoint("BertModel"))
    with pytest.raises(TypeError, match="tokenizer: expected .* a BertTokenizer of minibert, found transformers"):
        minibert.pipeline("fill-mask", model, tokenizer=theirs)
    theirs = transformers.BertForMaskedLM.from_pretrained(checkpoint("BertForMaskedLM"))
    with pytest.raises(TypeError, match="model: expected .* a model of minibert .*, found transformers"):
        minibert.pipeline("fill-mask", theirs, tokenizer=tokenizer)
    with pytest.raises(TypeError, match="model: expected a folder, a name, .*there is no default"):
        minibert.pipeline("sentiment-analysis")
    for options in ({"dtype": "float16"}, {"model_kwargs": {"attn_implementation": "eager"}}):
        with pytest.raises(ValueError, match="only for loading a checkpoint, and this model is already loaded"):
            minibert.pipeline("fill-mask", model, tokenizer=tokenizer, **options)
    with pytest.raises(TypeError, match="FillMaskPipeline takes .*; got revision"):
        minibert.pipeline("fill-mask", model, tokenizer=tokenizer, revision="main")


def test_arguments_of_the_reference():
    folder = checkpoint("BertForMaskedLM")
    found = minibert.pipeline(
        "fill-mask",
        model=folder,
        framework="pt",
        use_fast=True,
        trust_remote_code=False,
        config=None,
        model_kwargs={"attn_implementation": "eager", "cache_dir": folder},
        revision="main",
        token=None,
        batch_size=8,
    )
    assert found.model.config.attn_implementation == "eager" and found.batch_size == 8
    below = {"subfolder": folder.name}
    for options in (below, {"model_kwargs": below}):
        assert minibert.pipeline("fill-mask", folder.parent, device="cpu", **options)("[MASK]")
    for option, why in (
        ({"framework": "tf"}, "framework must be 'pt', or left out: everything is PyTorch; got 'tf'"),
        ({"trust_remote_code": True}, "trust_remote_code must be False, or left out: code .* is never executed"),
        ({"use_fast": False}, "use_fast must be True"),
        ({"image_processor": "x"}, "image_processor must be None"),
    ):
        with pytest.raises(ValueError, match=why):
            minibert.pipeline("fill-mask", folder, **option)


def test_what_is_not_there():
    with pytest.raises(ValueError, match="task must be one of fill-mask, .*, got 'translation'"):
        minibert.pipeline("translation", "minibert-tiny")
    with pytest.raises(ValueError, match="precision must be one of auto, fp32, bf16, int8, got 'int4'"):
        minibert.pipeline("fill-mask", "minibert-tiny", "int4")
    with pytest.raises(CheckpointError, match="no/such/folder"):
        minibert.pipeline("fill-mask", "no/such/folder")


@pytest.mark.parametrize("task", TASKS)
def test_a_config_that_wants_tuples_and_more_outputs(task):
    folder = checkpoint({"fill-mask": "BertForMaskedLM"}.get(task, TASKS[task][1].__name__))
    expected = minibert.pipeline(task, folder, device="cpu")(INPUTS.get(task, "a b"))
    wanted = {"return_dict": False, "output_hidden_states": True}
    assert minibert.pipeline(task, folder, device="cpu", model_kwargs=wanted)(INPUTS.get(task, "a b")) == expected
