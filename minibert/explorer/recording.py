"""One forward pass of a model, watched by hooks: what went through it, with heads and layers switched off."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from minibert.model.bert import BertModel
from minibert.model.encoder import EncoderLayer


@dataclass
class Recording:
    """What a forward pass over one sequence of S pieces left behind."""

    outputs: Any = None  # what the model returned
    embeddings: dict[str, Tensor] = field(default_factory=dict)  # word, segment, position, sum, normed: each (S, D)
    # The residual stream (S, D) after the embeddings, then after both halves of every layer: 1 + 2L of them.
    stream: list[Tensor] = field(default_factory=list)
    projections: list[dict[str, Tensor]] = field(default_factory=list)  # of each layer query, key, value: (S, D)


@torch.inference_mode()
def record(
    model: nn.Module,
    encoder: BertModel,
    inputs: dict[str, Tensor],
    heads_off: Sequence[tuple[int, int]] = (),
    layers_off: Sequence[int] = (),
) -> Recording:
    """Run `model`, of which `encoder` is a part, on one sequence, with the explicit attention.

    A head that is off adds nothing: its part of the context is zero (Michel, Levy and Neubig 2019, section 2.3). A
    layer that is off hands on what came to it. What the two compute is recorded nevertheless.
    """
    recording, hooks = Recording(), contextlib.ExitStack()
    with hooks:
        _watch_embeddings(encoder, recording, hooks)
        for number, layer in enumerate(cast(Iterable[EncoderLayer], encoder.encoder.layer)):
            heads = [head for of_layer, head in heads_off if of_layer == number]
            if heads:
                hooks.enter_context(_without_heads(layer, heads))
            _watch_layer(layer, number in layers_off, recording, hooks)
        recording.outputs = model(**inputs, output_attentions=True)
    return recording


@contextlib.contextmanager
def _without_heads(layer: EncoderLayer, heads: list[int]) -> Iterator[None]:
    """Inside, these heads give zeros to the projection that mixes all of them."""

    def clear(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        context = args[0].unflatten(-1, (layer.attention.num_heads, -1)).clone()  # (T, H, K)
        context[:, heads] = 0.0
        return (context.flatten(-2),)

    handle = layer.attention.mix.register_forward_pre_hook(clear)
    try:
        yield
    finally:
        handle.remove()


def _watch_embeddings(encoder: BertModel, recording: Recording, hooks: contextlib.ExitStack) -> None:
    embeddings = encoder.embeddings
    for name in ("word", "segment", "position"):
        _on_output(embeddings.get_submodule(name), hooks, _into(recording.embeddings, name))
    _on_output(embeddings.norm, hooks, lambda x: recording.embeddings.update(normed=x))
    _on_output(embeddings, hooks, recording.stream.append)

    def keep_sum(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        recording.embeddings["sum"] = args[0]

    hooks.callback(embeddings.norm.register_forward_pre_hook(keep_sum).remove)


def _into(record: dict[str, Tensor], name: str) -> Callable[[Tensor], None]:
    return lambda x: record.update({name: x})


def _watch_layer(layer: EncoderLayer, is_off: bool, recording: Recording, hooks: contextlib.ExitStack) -> None:
    projections: dict[str, Tensor] = {}
    recording.projections.append(projections)
    for name in ("query", "key", "value"):
        _on_output(layer.attention.get_submodule(name), hooks, _into(projections, name))
    if not is_off:
        for norm in (layer.attention_norm, layer.feed_forward_norm):
            _on_output(norm, hooks, recording.stream.append)
        return

    def skip(module: nn.Module, args: tuple, output: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        recording.stream.extend([args[0], args[0]])
        return args[0], output[1]

    hooks.callback(layer.register_forward_hook(skip).remove)


def _on_output(module: nn.Module, hooks: contextlib.ExitStack, keep: Callable[[Tensor], object]) -> None:
    """Call `keep` with what `module` returns, as long as `hooks` is open."""

    def watch(module: nn.Module, args: tuple, output: Tensor) -> None:
        keep(output)

    hooks.callback(module.register_forward_hook(watch).remove)
