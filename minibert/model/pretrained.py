"""`BertPreTrainedModel`: what all models share: initial weights, loading, saving, resizing, freezing."""

import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from minibert.checkpoint.files import CheckpointError, read_tensors, write_tensors
from minibert.checkpoint.key_map import from_reference, to_reference
from minibert.checkpoint.opened import Checkpoint, open_from
from minibert.checkpoint.soundness import check_layers, check_shapes, check_weights, not_finite
from minibert.model.config import BertConfig
from minibert.model.skeleton import skeleton

logger = logging.getLogger(__name__)


class BertPreTrainedModel(nn.Module):
    """Base class. A model with a task holds its encoder as `self.bert`; `BertModel` is the encoder itself."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config

    # --- initial weights

    def init_weights(self) -> None:
        """Draw fresh weights from PyTorch's global generator, as `transformers` does.

        The released code of Devlin et al. 2019 draws again what is beyond two standard deviations.
        """
        self.tie_weights()
        for name, parameter in self.named_parameters():
            self._init_parameter(name, parameter)

    @torch.no_grad()
    def _init_parameter(self, name: str, parameter: Tensor) -> None:
        """Matrices: normal(0, initializer_range); LayerNorm: 1 and 0; biases and the padding row: 0."""
        if parameter.ndim > 1:
            parameter.normal_(0.0, self.config.initializer_range)
            if name.endswith("embeddings.word.weight") and self.config.pad_token_id is not None:
                parameter[self.config.pad_token_id] = 0
        elif name.endswith("norm.weight"):
            parameter.fill_(1)
        else:
            parameter.zero_()

    def tie_weights(self) -> None:
        """Share the MLM decoder with the word embeddings, in models that have one and if the config says so."""
        if hasattr(self, "mlm_head") and self.config.tie_word_embeddings:
            self.mlm_head.tie(self.get_input_embeddings())

    # --- loading and saving

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path | Checkpoint,
        *,
        config: BertConfig | None = None,
        dtype: torch.dtype | str = torch.float32,
        torch_dtype: torch.dtype | str | None = None,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        **options: Any,
    ) -> Self | tuple[Self, dict[str, list]]:
        """Load a checkpoint: a folder, a checkpoint that ships with minibert, or a name on the hub.

        Args:
            config: use this config instead of the checkpoint's.
            dtype: the parameters' type, a `torch.dtype` or its name; "auto": as the file has it.
            torch_dtype: the older name of `dtype`.
            ignore_mismatched_sizes: initialise a head of another size anew instead of raising.
            output_loading_info: also return {"missing_keys", "unexpected_keys", "mismatched_keys"}.
            options: where it is, as for `Checkpoint.open`; fields of the config to change (`num_labels=3`,
                `attn_implementation="eager"`); or arguments of the model's class (`add_pooling_layer=False`).

        Returns: the model in eval mode; tensors that the checkpoint lacks are newly initialised, and reported.
        Raises: `CheckpointError` naming the file and the key.
        """
        checkpoint = open_from(pretrained_model_name_or_path, options)
        of_config = {f.name for f in fields(BertConfig)} & options.keys()
        changes = {name: options.pop(name) for name in of_config}
        if config is None:
            config = BertConfig.from_pretrained(checkpoint, **changes)
        elif changes:
            raise ValueError(f"pass either config= or {', '.join(changes)}=, not both")
        path = checkpoint.weights()
        with skeleton():  # no memory is taken and nothing is initialised twice
            model = cls(config, **options)
        info = model._load_tensors(read_tensors(path), path, _as_dtype(torch_dtype or dtype), ignore_mismatched_sizes)
        model.eval()
        _report(info, path, cls.__name__)
        return (model, info) if output_loading_info else model

    def _load_tensors(
        self, tensors: dict[str, Tensor], path: Path, dtype: torch.dtype | None, ignore_mismatched_sizes: bool
    ) -> dict[str, list]:
        """Put a file's tensors in the place of the parameters, and draw those that it lacks."""
        key_of, unexpected = from_reference(tensors)
        if not key_of:
            raise CheckpointError(f"{path}: holds no tensor of a BERT; its keys are {sorted(tensors)[:3]} ...")
        biases = [name for name in ("mlm_head.bias", "mlm_head.decoder.bias") if name in key_of]
        if len(biases) == 1:  # one stands for both: which one depends on the version that wrote the file
            key_of["mlm_head.bias"] = key_of["mlm_head.decoder.bias"] = key_of[biases[0]]
        check_weights(tensors, key_of, path)
        check_layers(key_of, self.config.num_hidden_layers, path)
        self._untie_if_file_is(tensors, key_of, path)
        missing, mismatched, loaded = [], [], {}
        for name, expected in self._saved_parameters().items():
            key = key_of.pop(self._with_prefix(name), None)
            if key is None:
                missing.append(to_reference(self._with_prefix(name)))
            elif tensors[key].shape != expected.shape:
                mismatched.append((key, tuple(tensors[key].shape), tuple(expected.shape)))
            else:
                loaded[name] = tensors[key].to(dtype).contiguous()
        if not ignore_mismatched_sizes:
            check_shapes(mismatched, path)
        if spoiled := not_finite({to_reference(self._with_prefix(name)): x for name, x in loaded.items()}):
            logger.warning("%s: not all numbers are finite (NaN, infinity) in %s", path, ", ".join(spoiled))
        self._assign(loaded, dtype)
        tied = {self._with_prefix(name) for name in self._tied_names()}
        unexpected += dict.fromkeys(key for name, key in key_of.items() if name not in tied)
        return {"missing_keys": missing, "unexpected_keys": unexpected, "mismatched_keys": mismatched}

    def _untie_if_file_is(self, tensors: dict[str, Tensor], key_of: dict[str, str], path: Path) -> None:
        """A file with a decoder of its own is an untied model's, also where the config leaves this to the default."""
        twins = {"mlm_head.decoder.weight": "bert.embeddings.word.weight", "mlm_head.decoder.bias": "mlm_head.bias"}
        for name in self._tied_names():
            keys = [key_of[n] for n in (name, twins[name]) if n in key_of]
            if len(keys) == 2 and not _equal(*(tensors[key] for key in keys)):
                self.config.tie_word_embeddings = False
                logger.warning("%s: %s and %s differ: loaded untied, although the config says tied", path, *keys)
                return

    def _assign(self, loaded: dict[str, Tensor], dtype: torch.dtype | None) -> None:
        """Make `loaded` the parameters (not copies of it); parameters without one are drawn."""
        like = next(iter(loaded.values()), torch.empty(0)).dtype if dtype is None else dtype
        places = set()
        for name, tensor in loaded.items():
            if tensor.data_ptr() in places:  # one tensor of the file stands for two, which training will part
                loaded[name] = tensor.clone()
            places.add(tensor.data_ptr())
        for name, parameter in self._saved_parameters().items():
            if name not in loaded:
                loaded[name] = torch.empty(parameter.shape, dtype=like)
                self._init_parameter(name, loaded[name])
        self.load_state_dict(loaded, strict=False, assign=True)
        self.tie_weights()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` in the form that `transformers` loads."""
        self.config.architectures = [type(self).__name__]
        tensors = {to_reference(self._with_prefix(name)): p for name, p in self._saved_parameters().items()}
        if not hasattr(self, "bert"):  # the file of a bare encoder has no prefix
            tensors = {key.removeprefix("bert."): tensor for key, tensor in tensors.items()}
        write_tensors(Path(folder) / "model.safetensors", tensors)
        self.config.save_pretrained(folder)

    def _saved_parameters(self) -> dict[str, nn.Parameter]:
        """All parameters that a file holds, by our name: each once."""
        tied = self._tied_names()
        return {n: p for n, p in self.named_parameters(remove_duplicate=False) if n not in tied}

    def _tied_names(self) -> tuple[str, ...]:
        tied = hasattr(self, "mlm_head") and self.config.tie_word_embeddings
        return ("mlm_head.decoder.weight", "mlm_head.decoder.bias") if tied else ()

    def _with_prefix(self, name: str) -> str:
        return name if hasattr(self, "bert") else f"bert.{name}"

    # --- looking into a model, and changing it

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the word embeddings; a pipeline may compute the layers in another."""
        return self.get_input_embeddings().weight.dtype

    @property
    def encoder_model(self) -> "BertPreTrainedModel":
        """The `BertModel` inside: `self.bert`, or the model itself."""
        return self.bert if hasattr(self, "bert") else self

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings, (V, D)."""
        return self.encoder_model.embeddings.word

    @torch.no_grad()
    def resize_token_embeddings(self, new_num_tokens: int) -> nn.Embedding:
        """Give the vocabulary `new_num_tokens` entries: drop the last ones, or add freshly drawn ones.

        The word embeddings, the MLM decoder and its bias change together. Raises `ValueError` for a size that the
        config cannot have.
        """
        config = BertConfig(**{**vars(self.config), "vocab_size": new_num_tokens})
        self.config.vocab_size = config.vocab_size
        names = ("embeddings.word.weight", "mlm_head.decoder.weight", "mlm_head.decoder.bias", "mlm_head.bias")
        for name, old in self._saved_parameters().items():
            if name.endswith(names):
                new = old.new_empty(new_num_tokens, *old.shape[1:])
                self._init_parameter(name, new)
                kept = min(len(old), new_num_tokens)
                new[:kept] = old[:kept]
                owner = self.get_submodule(name.rpartition(".")[0])
                setattr(owner, name.rpartition(".")[2], nn.Parameter(new, requires_grad=old.requires_grad))
        self.get_input_embeddings().num_embeddings = new_num_tokens
        if hasattr(self, "mlm_head"):
            self.mlm_head.decoder.out_features = new_num_tokens
        self.tie_weights()
        return self.get_input_embeddings()

    def freeze(self, what: str | int) -> Self:
        """Choose what is trained.

        Args:
            what: "none": everything is trained. "embeddings": all but the embeddings. "encoder": the head alone.
                A number N: the top N layers, the pooler and the head.
        """
        encoder = self.encoder_model
        layers = list(encoder.encoder.layer)
        if what not in ("none", "embeddings", "encoder") and not (
            isinstance(what, int) and not isinstance(what, bool) and 0 <= what <= len(layers)
        ):
            raise ValueError(
                f"freeze must be 'none', 'embeddings', 'encoder', or a number of top layers to train"
                f" from 0 to {len(layers)}, got {what!r}"
            )
        self.requires_grad_(True)
        if what == "encoder":
            encoder.requires_grad_(False)
        elif what != "none":
            encoder.embeddings.requires_grad_(False)
            for layer in layers[: 0 if what == "embeddings" else len(layers) - what]:
                layer.requires_grad_(False)
        return self

    def depth_below_head(self, parameter_name: str) -> int:
        """How deep a parameter lies: 0 in head and pooler, 1 in the top layer, L in the lowest, L + 1 in embeddings.

        The power of the learning rate's layer-wise decay (Sun et al. 2019, "How to Fine-Tune BERT").
        """
        depth = self.config.num_hidden_layers
        if layer := re.search(r"\bencoder\.layer\.(\d+)\.", parameter_name):
            return depth - int(layer[1])
        return depth + 1 if "embeddings." in parameter_name else 0

    def gradient_checkpointing_enable(self) -> None:
        """Compute activations again in the backward pass instead of keeping them: less memory, more time."""
        self.encoder_model.encoder.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations for the backward pass, as usual."""
        self.encoder_model.encoder.gradient_checkpointing = False

    def num_parameters(self, only_trainable: bool = False) -> int:
        """How many numbers the model has; a shared one counts once."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not only_trainable)


def _as_dtype(dtype: torch.dtype | str) -> torch.dtype | None:
    """A `torch.dtype` from itself or its name; None for "auto"."""
    if dtype == "auto":
        return None
    found = getattr(torch, str(dtype).removeprefix("torch."), None)  # str(torch.float16) is its name, too
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype must be 'auto', a floating-point torch.dtype or its name, got {dtype!r}")
    return found


def _equal(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b.to(a.dtype))  # which may differ within a file


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Inside, `from_pretrained` does not report what a file lacks or has too much: the caller looks at it."""
    usual, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = usual


def _report(info: dict[str, list], path: Path, model_name: str) -> None:
    """Say, in one message, what the file lacked and what it had too much."""
    drawn = info["missing_keys"] + [key for key, _, _ in info["mismatched_keys"]]
    lines = []
    if drawn:
        lines.append(f"newly initialised, train before use: {', '.join(drawn)}")
    if info["unexpected_keys"]:
        lines.append(f"in the file, but not part of this model: {', '.join(info['unexpected_keys'])}")
    if lines:
        logger.warning("%s loaded from %s\n  %s", model_name, path, "\n  ".join(lines))
