"""Looking into a model and changing it: its embeddings, which parts are trained, how much memory that takes."""

import re
from typing import Any, Self

import torch
from torch import Tensor, nn

from minibert.model.config import BertConfig


class ModelChanges(nn.Module):
    """What every model can do besides computing; a part of `BertPreTrainedModel`."""

    config: BertConfig
    bert: Any
    mlm_head: Any

    # --- where it is, and how large

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the word embeddings."""
        return self.get_input_embeddings().weight.dtype

    @property
    def base_model(self) -> Any:
        """The `BertModel` inside: `self.bert`, or the model itself."""
        return self.bert if hasattr(self, "bert") else self

    @classmethod
    def can_generate(cls) -> bool:
        """False: a BERT fills in words, and does not continue a text."""
        return False

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """How attention is computed, "eager" or "sdpa"."""
        self.config.attn_implementation = attn_implementation

    @property
    def vocab_size(self) -> int:
        """V, of the config."""
        return self.config.vocab_size

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many parameters the model has; a shared one counts once."""
        left_out = {id(p) for p in self.get_input_embeddings().parameters()} if exclude_embeddings else set()
        counted = (p for p in self.parameters() if id(p) not in left_out)
        return sum(p.numel() for p in counted if p.requires_grad or not only_trainable)

    # --- embeddings

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings, (V, D)."""
        return self.base_model.embeddings.word

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put other word embeddings in their place; a tied decoder follows."""
        self.base_model.embeddings.word = keep_weights(value)
        self.tie_weights()  # type: ignore[operator]

    def get_output_embeddings(self) -> nn.Linear | None:
        """The MLM decoder, (D, V), or None in a model without one."""
        return self.mlm_head.decoder if hasattr(self, "mlm_head") else None

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Put another MLM decoder in its place; a decoder of its own is no longer tied to the word embeddings."""
        self.mlm_head.decoder = new_embeddings
        self.config.tie_word_embeddings = new_embeddings.weight is self.get_input_embeddings().weight

    @torch.no_grad()
    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Give the vocabulary `new_num_tokens` entries: drop the last ones, or add new ones.

        The word embeddings, the MLM decoder and its bias change together.

        Args:
            new_num_tokens: None: as many as there are.
            pad_to_multiple_of: round up to a multiple of this.
            mean_resizing: new rows are the mean of the old ones (Hewitt 2021, "Initializing New Word Embeddings"), so
                that they change no prediction much; False: drawn like those of a new model.

        Raises `ValueError` for a size that the config cannot have.
        """
        if pad_to_multiple_of is not None and not isinstance(pad_to_multiple_of, int):
            raise ValueError(f"pad_to_multiple_of must be a whole number, got {pad_to_multiple_of!r}")
        size = self.config.vocab_size if new_num_tokens is None else new_num_tokens
        size += -size % (pad_to_multiple_of or 1)
        if size == self.config.vocab_size:
            return self.get_input_embeddings()
        BertConfig(**{**self.config.to_dict(), "vocab_size": size})  # refused here, if at all
        words, head = self.get_input_embeddings(), getattr(self, "mlm_head", None)
        words.weight = self._resized(words.weight, size, mean_resizing)
        words.num_embeddings = size
        if head is not None:
            if not self.config.tie_word_embeddings:
                head.decoder.weight = self._resized(head.decoder.weight, size, mean_resizing)
                head.decoder.bias = self._resized(head.decoder.bias, size, mean_resizing)
            head.bias = self._resized(head.bias, size, mean_resizing)
            head.decoder.out_features = size
        self.config.vocab_size = size
        for module in (words, head, getattr(head, "decoder", words)):
            keep_weights(module)
        self.tie_weights()  # type: ignore[operator]
        return self.get_input_embeddings()

    def _resized(self, old: Tensor, size: int, mean_resizing: bool) -> nn.Parameter:
        """(V, ...) -> (size, ...)"""
        new = old.new_zeros(size, *old.shape[1:])
        kept = min(len(old), size)
        if mean_resizing:
            new[kept:] = old.float().mean(0).to(old.dtype)
        elif old.ndim > 1:
            new[kept:].normal_(0.0, self.config.initializer_range)
        new[:kept] = old[:kept]
        return nn.Parameter(new, requires_grad=old.requires_grad)

    # --- what is trained

    def freeze(self, what: str | int) -> Self:
        """Choose what is trained.

        Args:
            what: "none": everything is trained. "embeddings": all but the embeddings. "encoder": the head alone.
                A number N: the top N layers, the pooler and the head.
        """
        encoder = self.base_model
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
            frozen = 0 if isinstance(what, str) else len(layers) - what
            for layer in layers[:frozen]:
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

    def enable_input_require_grads(self) -> None:
        """Let the embeddings' output require gradients, also where the embeddings themselves are frozen."""
        self.disable_input_require_grads()
        self._input_grads = self.get_input_embeddings().register_forward_hook(_require_grad)

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        if (hook := self.__dict__.pop("_input_grads", None)) is not None:
            hook.remove()

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Compute activations again in the backward pass instead of keeping them: less memory, more time.

        gradient_checkpointing_kwargs: `{"use_reentrant": False}`, which is how it is done; anything else is refused.
        """
        if gradient_checkpointing_kwargs not in (None, {}, {"use_reentrant": False}):
            raise ValueError(
                f"gradient_checkpointing_kwargs: only use_reentrant=False is done here, got"
                f" {gradient_checkpointing_kwargs}"
            )
        self.base_model.encoder.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations for the backward pass, as usual."""
        self.base_model.encoder.gradient_checkpointing = False

    def compile(self, **options: Any) -> None:
        """Compile every layer of the encoder in place, where nearly all the work is: one program for all batches.

        What the layers have between them stays readable, for a debugger and for hooks; files and names stay as they
        are. The first batch, with gradients and without, takes the time of a compilation.

        Args:
            options: of `torch.compile`: `backend`, `mode`, ...
        """
        for layer in self.base_model.encoder.layer:
            layer.compile(fullgraph=True, dynamic=True, **options)

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activations are computed again in the backward pass."""
        return self.base_model.encoder.gradient_checkpointing


def keep_weights(module: Any) -> Any:
    """Mark a module (not what is inside it) as one whose weights mean something: `post_init` draws no others."""
    if module is not None:
        vars(module)["_keeps_weights"] = True
    return module


def _require_grad(module: nn.Module, args: Any, output: Tensor) -> None:
    output.requires_grad_(True)
