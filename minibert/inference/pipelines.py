"""`pipeline`: from the name of a task and a model to something that answers texts."""

from pathlib import Path
from typing import Any

import torch

from minibert.checkpoint.opened import Checkpoint, open_from
from minibert.inference.base import Pipeline
from minibert.inference.embedding import FeatureExtractionPipeline, SentenceSimilarityPipeline
from minibert.inference.fill_mask import FillMaskPipeline
from minibert.inference.int8 import check_device
from minibert.inference.loading import check_tokenizer, load_for, load_tokenizer_for, saved_as
from minibert.inference.question_answering import QuestionAnsweringPipeline
from minibert.inference.sentence_folder import read_sentence_modules
from minibert.inference.text_classification import TextClassificationPipeline
from minibert.inference.token_classification import TokenClassificationPipeline
from minibert.model.bert import BertModel
from minibert.model.precision import dtype_of
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.tasks import (
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minibert.text.tokenizer import BertTokenizer

# The pipeline of each task, its model, and what the config of a checkpoint that has the head says in `architectures`.
TASKS: dict[str, tuple[type[Pipeline], type[BertPreTrainedModel], tuple[str, ...]]] = {
    "fill-mask": (FillMaskPipeline, BertForMaskedLM, ("BertForMaskedLM", "BertForPreTraining")),
    "text-classification": (
        TextClassificationPipeline,
        BertForSequenceClassification,
        ("BertForSequenceClassification",),
    ),
    "token-classification": (TokenClassificationPipeline, BertForTokenClassification, ("BertForTokenClassification",)),
    "question-answering": (QuestionAnsweringPipeline, BertForQuestionAnswering, ("BertForQuestionAnswering",)),
    "feature-extraction": (FeatureExtractionPipeline, BertModel, ()),
    "sentence-similarity": (SentenceSimilarityPipeline, BertModel, ()),
}
ALIASES = {"ner": "token-classification", "sentiment-analysis": "text-classification"}

# Arguments of the reference's `pipeline` with the values that ask for nothing else than what is done here, and why.
FIXED: dict[str, tuple[tuple, str]] = {
    "framework": (("pt", None), "everything is PyTorch"),
    "use_fast": ((True, None), "there is one tokenizer, and it is the fast one"),
    "trust_remote_code": ((False, None), "code of a checkpoint is never executed"),
    "config": ((None,), "fields of the config can be changed with model_kwargs"),
    "feature_extractor": ((None,), "texts need none"),
    "image_processor": ((None,), "texts need none"),
    "processor": ((None,), "pass tokenizer"),
    "pipeline_class": ((None,), "call the class itself, with a model and a tokenizer"),
}


def pipeline(
    task: str | None = None,
    model: str | Path | Checkpoint | BertPreTrainedModel | None = None,
    precision: str = "auto",
    device: torch.device | str | int | None = None,
    *,
    tokenizer: str | Path | BertTokenizer | None = None,
    dtype: torch.dtype | str | None = None,
    torch_dtype: torch.dtype | str | None = None,
    device_map: str | int | dict | None = None,
    model_kwargs: dict[str, Any] | None = None,
    **options: Any,
) -> Pipeline:
    """Make a model ready for a task: `pipeline("fill-mask", "minibert-tiny")("A list is a mutable [MASK].")`.

    Args:
        task: one of `TASKS`, or of their `ALIASES`; None: the one that the model has the head of.
        model: a folder, a checkpoint that ships with minibert, a name on the hub, or a model.
        precision: "fp32"; "bf16", faster on hardware that has it, the third digit of a score may differ; "int8", for
            CPUs that have no bf16, where the second digit may differ; "auto": bf16 where the hardware has it, else
            fp32. Only the encoder's layers are computed in it; `model` stays fp32.
        device: None: a CUDA GPU if there is one; -1: the CPU, as in the reference. The model is moved there.
        tokenizer: a tokenizer, a folder or a name; None: that of the checkpoint.
        dtype, torch_dtype: load and compute all of the model in it, as in the reference, instead of `precision`.
        device_map: `device` under another name; "auto": None.
        model_kwargs: arguments of `from_pretrained`: fields of the config to change, for example.
        options: where the checkpoint is, as for `Checkpoint.open`; `batch_size`; and what `run` of the task takes, for
            all calls.

    Returns: an object to call with one text or with many; what it takes and gives is told by the `run` of its class.
    Raises: `ValueError` for an unknown task, precision or device, `TypeError` for an unknown option, `CheckpointError`
        for a checkpoint that cannot be found, was not trained for the task, or has another model's tokenizer.
    """
    _check_fixed(options)
    place, fast = _device(device, device_map), dtype_of(precision)  # what is wrong is told before anything is loaded
    if fast == torch.int8:
        check_device(torch.device(place))
    loading = dict(model_kwargs or {}) | ({"dtype": dtype or torch_dtype} if dtype or torch_dtype else {})
    checkpoint = _opened(model, options, loading)
    task = _task_of(model, checkpoint) if task is None else ALIASES.get(task, task)
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join([*TASKS, *ALIASES])}, got {task!r}")
    pipeline_class, model_class, trained_as = TASKS[task]
    if checkpoint is None:
        ready = _with_head(task, model, trained_as)
    else:
        if not trained_as:
            options["modules"] = read_sentence_modules(checkpoint)
            checkpoint = checkpoint.inside(options["modules"].folder)
        ready = load_for(task, model_class, trained_as, checkpoint, **loading)
    options["layers_dtype"] = None if fast == ready.dtype else fast
    if loading.keys() & {"dtype", "torch_dtype"} or ready.dtype != torch.float32:
        if precision != "auto":
            raise ValueError(f"precision: the model is to be computed in its own dtype, {ready.dtype}; leave it out")
        options["layers_dtype"] = None
    return pipeline_class(ready.to(place), _tokenizer(tokenizer, ready, checkpoint), **options)


def _check_fixed(options: dict[str, Any]) -> None:
    """Take the arguments out of `options` that can have but one value. Raises `ValueError` for another one."""
    for name in FIXED.keys() & options.keys():
        values, why = FIXED[name]
        if (value := options.pop(name)) not in values:
            raise ValueError(f"{name} must be {values[0]!r}, or left out: {why}; got {value!r:.80}")


def _opened(model: Any, options: dict[str, Any], loading: dict[str, Any]) -> Checkpoint | None:
    """The checkpoint `model`; None if it is a model already. What says where it is leaves `options` and `loading`."""
    if isinstance(model, str | Path | Checkpoint):
        rest = {**loading, **options}
        checkpoint = open_from(model, rest)
        for given in (loading, options):
            for key in given.keys() - rest.keys():
                del given[key]
        return checkpoint
    if not isinstance(model, BertPreTrainedModel):
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        raise TypeError(f"model: expected a folder, a name, or a model of minibert (there is no default), found {kind}")
    if loading:
        raise ValueError(f"{', '.join(loading)}: only for loading a checkpoint, and this model is already loaded")
    return None


def _task_of(model: Any, checkpoint: Checkpoint | None) -> str:
    """The task that the model has the head of. Raises `ValueError` if it has none, or that of a task without name."""
    said = type(model).__name__ if checkpoint is None else saved_as(checkpoint)
    found = [task for task, (_, _, trained_as) in TASKS.items() if said in trained_as]
    if not found:
        raise ValueError(f"task: the model is a {said}, which does not tell; pass one of {', '.join(TASKS)}")
    return found[0]


def _with_head(task: str, model: Any, trained_as: tuple[str, ...]) -> BertPreTrainedModel:
    """The model, or its encoder if that is all that the task needs. Raises `TypeError` if it has not the head."""
    if not trained_as:
        return model.base_model
    if not any(kind.__name__ in trained_as for kind in type(model).__mro__):
        raise TypeError(f"model: {task} needs a {' or '.join(trained_as)}, found a {type(model).__name__}")
    return model


def _tokenizer(given: Any, model: BertPreTrainedModel, checkpoint: Checkpoint | None) -> BertTokenizer:
    """The tokenizer that was given, or else that of the checkpoint."""
    if given is None:
        if checkpoint is None:
            raise ValueError("tokenizer: a model does not bring one; pass that which it was trained with")
        return load_tokenizer_for(model, checkpoint)
    if isinstance(given, str | Path):
        return load_tokenizer_for(model, Checkpoint.open(given))
    if not isinstance(given, BertTokenizer):
        kind = f"{type(given).__module__}.{type(given).__qualname__}"
        raise TypeError(f"tokenizer: expected a folder, a name, or a BertTokenizer of minibert, found {kind}")
    check_tokenizer(model, given, "tokenizer")
    return given


def _device(device: torch.device | str | int | None, device_map: str | int | dict | None) -> torch.device | str | int:
    """Where the model belongs. Raises `ValueError` for a GPU that is not there."""
    if device_map is not None:
        if device is not None:
            raise ValueError("device and device_map say the same; pass only one")
        if isinstance(device_map, dict) and list(device_map) != [""]:
            raise ValueError(f"device_map: a model is on one device, whole; expected its name, got {device_map!r:.80}")
        device = device_map[""] if isinstance(device_map, dict) else None if device_map == "auto" else device_map
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device("cpu" if device == -1 else f"cuda:{device}" if isinstance(device, int) else device)
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device: {device!r} is not there, {torch.cuda.device_count()} CUDA GPUs are; leave it out")
    return place
