"""What a folder of sentence-transformers says beside its model.

`modules.json` lists the steps: a Transformer, a Pooling, then any of Dense, Dropout and Normalize, each with a folder
of its own. `sentence_bert_config.json` says how sentences are read, `config_sentence_transformers.json` what stands
before them and how vectors are compared. All of it is obeyed, or refused by name: a vector that was pooled in another
way than in training looks like any other.
"""

import json
import logging
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from torch import nn

from minibert.checkpoint.files import CheckpointError, read_json
from minibert.checkpoint.opened import Checkpoint
from minibert.inference.sentence_modules import POOLINGS, SIMILARITIES, Normalize, SentenceModules

logger = logging.getLogger(__name__)

MODULES_FILE = "modules.json"
READING_FILE = "sentence_bert_config.json"
COMPARING_FILE = "config_sentence_transformers.json"

# The older form of a pooling: a key for each kind, true or false. Several are concatenated in this order.
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}

ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid")

# What these files may say beside what is obeyed: `...` is any value. So is, of any key, what stands for "no".
USUAL: dict[str, Any] = {
    "__version__": ...,
    "requirements": ...,
    "unpad_inputs": ...,
    "model_type": "SentenceTransformer",
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
}


def read_sentence_modules(checkpoint: Checkpoint) -> SentenceModules:
    """What the files of `checkpoint` say. Raises `CheckpointError` naming file and key of what cannot be obeyed."""
    if not checkpoint.has(MODULES_FILE):
        if checkpoint.note:
            logger.warning("%s: no %s found%s; taking the mean", checkpoint.name, MODULES_FILE, checkpoint.note)
        return SentenceModules()
    path = checkpoint.path(MODULES_FILE)
    modules = _listed(path)
    if [kind for kind, _ in modules[:2]] != ["Transformer", "Pooling"]:
        found = ", ".join(kind for kind, _ in modules) or "nothing"
        raise CheckpointError(f"{path}: expected a Transformer and a Pooling first, found {found}")
    folder = modules[0][1]
    transformer = checkpoint.inside(folder)
    read = SentenceModules(folder=folder, **_reading(transformer), **_comparing(checkpoint))
    size = int(transformer.config()[0].get("hidden_size") or 0)
    pooling = _pooling(_Settings(checkpoint.inside(modules[1][1])), size, read.prompt)
    steps: list[nn.Module] = []
    size *= len(pooling)
    for kind, folder in modules[2:]:
        if kind == "Dense":
            dense, size = _dense(checkpoint.inside(folder), size)
            steps.append(dense)
        elif kind == "Normalize":
            _Settings(checkpoint.inside(folder)).of_sentences().done()
            steps.append(Normalize())
        elif kind != "Dropout":  # which does nothing after training
            raise CheckpointError(
                f"{path}: {kind} after the Pooling is not supported, only Dense, Dropout and Normalize"
            )
    return replace(read, pooling=pooling, steps=nn.Sequential(*steps).eval())


class _Settings:
    """The settings of a file, taken out one by one; what is left at the end is not supported."""

    def __init__(self, checkpoint: Checkpoint, file: str = "config.json") -> None:
        self.path = checkpoint.path(file) if checkpoint.has(file) else Path(checkpoint.name) / file
        self.values = read_json(self.path) if checkpoint.has(file) else {}

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """A value of this kind, or of one of them; `default` if there is none."""
        value = self.values.pop(key, None)
        if value is None:
            return default
        if not isinstance(value, kind):
            kinds = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise CheckpointError(f"{self.path}: {key}: expected {kinds}, found {value!r:.80}")
        return value

    def of_sentences(self) -> "_Settings":
        """The same, of a module that takes and gives the vectors of sentences, not those of tokens."""
        for key in ("module_input_name", "module_output_name"):
            if (value := self.take(key, str, "sentence_embedding")) != "sentence_embedding":
                raise CheckpointError(f"{self.path}: {key} {value!r} is not supported, only 'sentence_embedding'")
        return self

    def done(self) -> None:
        """Raise `CheckpointError` for a setting that nobody took, unless it is usual or says no."""
        for key, value in self.values.items():
            if value and USUAL.get(key) not in (..., value):
                raise CheckpointError(
                    f"{self.path}: {key} {value!r:.80} is not supported; remove it only if vectors do not depend on it"
                )


def _listed(path: Path) -> list[tuple[str, str]]:
    """The kind and the folder of each module. Raises `CheckpointError` for what is no such list, or other code."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected a JSON file, but it cannot be read: {error}") from error
    modules = []
    for entry in entries if isinstance(entries, list) else [entries]:
        kind, folder = (entry.get(key) if isinstance(entry, dict) else None for key in ("type", "path"))
        if not isinstance(kind, str) or not isinstance(folder, str):
            raise CheckpointError(f"{path}: expected a list of modules, each with type and path, found {entry!r:.80}")
        if not kind.startswith("sentence_transformers."):
            raise CheckpointError(f"{path}: the module {kind} has code of its own, which is never executed")
        if PurePosixPath(folder).is_absolute() or ".." in folder.split("/") or "\\" in folder or ":" in folder:
            raise CheckpointError(f"{path}: path {folder!r} must be a folder inside this one")
        modules.append((kind.rpartition(".")[2], str(PurePosixPath(folder))))
    return modules


def _reading(transformer: Checkpoint) -> dict[str, Any]:
    settings = _Settings(transformer, READING_FILE)
    lower, longest = settings.take("do_lower_case", bool, False), settings.take("max_seq_length", int)
    if longest is not None and longest < 3:
        raise CheckpointError(f"{settings.path}: max_seq_length must leave room for a token, found {longest}")
    name = settings.take("module_output_name", str, "token_embeddings")
    if name != "token_embeddings":
        raise CheckpointError(f"{settings.path}: module_output_name {name!r} is not supported, only 'token_embeddings'")
    settings.done()
    return {"max_length": longest, "do_lower_case": lower}


def _comparing(checkpoint: Checkpoint) -> dict[str, Any]:
    settings = _Settings(checkpoint, COMPARING_FILE)
    prompts, name = settings.take("prompts", dict, {}), settings.take("default_prompt_name", str)
    similarity = settings.take("similarity_fn_name", str, "cosine")
    if similarity not in SIMILARITIES:
        raise CheckpointError(
            f"{settings.path}: similarity_fn_name {similarity!r} is none of {', '.join(SIMILARITIES)}"
        )
    if name is not None and not isinstance(prompts.get(name), str):
        raise CheckpointError(f"{settings.path}: default_prompt_name {name!r} is none of the prompts {prompts!r:.80}")
    truncate_dim = settings.take("truncate_dim", int)
    settings.done()
    return {"prompt": prompts.get(name, ""), "similarity": similarity, "truncate_dim": truncate_dim}


def _pooling(settings: _Settings, size: int, prompt: str) -> tuple[str, ...]:
    for key in ("word_embedding_dimension", "embedding_dimension"):
        if (found := settings.take(key, int, size)) != size:
            raise CheckpointError(f"{settings.path}: {key} is {found}, but the model's hidden_size is {size}")
    flagged = [name for flag, name in FLAGS.items() if settings.take(flag, bool)]
    chosen = settings.take("pooling_mode", (str, list), flagged or ["mean"])
    chosen = [chosen] if isinstance(chosen, str) else chosen
    if unknown := [name for name in chosen if name not in POOLINGS]:
        raise CheckpointError(f"{settings.path}: pooling_mode {unknown[0]!r} is none of {', '.join(POOLINGS)}")
    if not settings.take("include_prompt", bool, True) and prompt:
        raise CheckpointError(f"{settings.path}: include_prompt false is not supported with the prompt {prompt!r:.80}")
    settings.done()
    return tuple(chosen)


def _dense(checkpoint: Checkpoint, size: int) -> tuple[nn.Sequential, int]:
    """A linear map of vectors of this size with its activation, and the size that it gives."""
    settings = _Settings(checkpoint).of_sentences()
    if (wide := settings.take("in_features", int)) != size:
        raise CheckpointError(
            f"{settings.path}: in_features must be {size}, the size of what comes before, found {wide}"
        )
    narrow = settings.take("out_features", int)
    has_bias = settings.take("bias", bool, True)
    activation = settings.take("activation_function", str, "torch.nn.modules.activation.Tanh")
    module, _, name = activation.rpartition(".")
    if not module.startswith("torch.nn") or name not in ACTIVATIONS:
        raise CheckpointError(
            f"{settings.path}: activation_function {activation!r} is none of {', '.join(ACTIVATIONS)}"
        )
    settings.done()
    tensors = checkpoint.tensors()
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    expected = {"linear.weight": (narrow, size)} | ({"linear.bias": (narrow,)} if has_bias else {})
    if shapes != expected:
        raise CheckpointError(f"{settings.path}: expected the tensors {expected}, found {shapes}")
    linear = nn.Linear(size, narrow, bias=has_bias)
    linear.load_state_dict({key.removeprefix("linear."): tensor for key, tensor in tensors.items()})
    return nn.Sequential(linear, getattr(nn, name)()).requires_grad_(False), narrow
