"""What a batch must look like, checked before anything is computed: every error names the argument."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from minibert.model.config import BertConfig
from minibert.model.packing import is_on_gpu


@dataclass(frozen=True)
class Inputs:
    """The arguments of a forward pass, checked and completed; the shapes are those of the padded batch."""

    words: Tensor  # (B, S) token ids, or (B, S, D) vectors in their place
    attention_mask: Tensor | None  # (B, S)
    segment_ids: Tensor  # (B, S)
    position_ids: Tensor  # (B, S)

    @classmethod
    def check(
        cls,
        config: BertConfig,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
    ) -> Self:
        """Raises `ValueError` naming the argument, what was expected and what came."""
        words = _check_words(config, input_ids, inputs_embeds)
        shape, device = words.shape[:2], words.device
        if shape[1] > config.max_position_embeddings and position_ids is None:
            raise ValueError(
                f"the sequences have {shape[1]} tokens, but this model has only max_position_embeddings="
                f"{config.max_position_embeddings}; truncate them (truncation=True, max_length=...)"
            )
        if 0 in shape:
            raise ValueError(f"the input must hold at least one sequence and one position, got shape {tuple(shape)}")
        if attention_mask is not None:
            _check_shape("attention_mask", attention_mask, [tuple(shape)])
        if token_type_ids is None:
            token_type_ids = torch.zeros(shape, dtype=torch.long, device=device)
        _check_shape("token_type_ids", token_type_ids, [tuple(shape), (1, shape[1])])
        _check_range("token_type_ids", token_type_ids, config.type_vocab_size, "type_vocab_size")
        if position_ids is None:
            position_ids = torch.arange(shape[1], device=device)[None]
        else:
            _check_shape("position_ids", position_ids, [tuple(shape), (1, shape[1])])
            _check_range("position_ids", position_ids, config.max_position_embeddings, "max_position_embeddings")
        return cls(words, attention_mask, token_type_ids.expand(shape), position_ids.expand(shape))


def _check_words(config: BertConfig, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("pass exactly one of input_ids and inputs_embeds")
    if inputs_embeds is not None:
        _check_tensor("inputs_embeds", inputs_embeds)
        if not inputs_embeds.is_floating_point():
            raise ValueError(f"inputs_embeds must hold floating-point numbers, got {inputs_embeds.dtype}")
        if inputs_embeds.ndim != 3 or inputs_embeds.shape[2] != config.hidden_size:
            raise ValueError(
                f"inputs_embeds must have shape (batch, sequence, hidden_size={config.hidden_size}),"
                f" got {tuple(inputs_embeds.shape)}"
            )
        return inputs_embeds
    assert input_ids is not None  # one of them is there
    _check_tensor("input_ids", input_ids)
    if input_ids.ndim != 2:
        raise ValueError(f"input_ids must have shape (batch, sequence), got {tuple(input_ids.shape)}")
    _check_range("input_ids", input_ids, config.vocab_size, "vocab_size")
    return input_ids


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} must be a tensor, got {type(value).__name__}; try return_tensors='pt'")


def _check_shape(name: str, tensor: Tensor, allowed: list[tuple[int, ...]]) -> None:
    _check_tensor(name, tensor)
    if tuple(tensor.shape) not in allowed:
        expected = " or ".join(map(str, allowed))
        raise ValueError(f"{name} must have shape {expected} like the input, got {tuple(tensor.shape)}")


def _check_range(name: str, ids: Tensor, limit: int, limit_name: str) -> None:
    if ids.dtype not in (torch.long, torch.int):
        raise ValueError(f"{name} must hold whole numbers (torch.long), got {ids.dtype}")
    if torch.compiler.is_compiling() or ids.numel() == 0:
        return  # a check that looks at values cannot be traced
    if is_on_gpu(ids):
        torch._assert_async(((ids >= 0) & (ids < limit)).all(), f"{name} must lie in [0, {limit_name}={limit})")
        return
    low, high = ids.aminmax()
    if low < 0 or high >= limit:
        wrong = int(low) if low < 0 else int(high)
        raise ValueError(f"{name} must lie in [0, {limit_name}={limit}), got {wrong}")
