"""Compare a model with its reference, module by module, so that a difference shows where it begins.

Nothing here knows the reference but by the names of its modules (`checkpoint.key_map`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from minibert.checkpoint.key_map import from_reference, to_reference
from minibert.checkpoint.opened import VOCABULARY_FILES, Checkpoint
from minibert.inference.loading import saved_as
from minibert.model import tasks
from minibert.model.bert import BertModel
from minibert.model.pretrained import BertPreTrainedModel
from minibert.text.tokenizer import BertTokenizer

FAULT = 1e-3  # standard deviation of the noise that `plant_fault` adds

TEXT = "The quick brown fox jumps over the lazy dog."
TEXT_PAIR = "It has done so for more than a hundred years, in every shop that sold typewriters."
RANDOM_LENGTH = 24  # tokens that are drawn when the checkpoint has no tokenizer


@dataclass(frozen=True)
class Comparison:
    """How far the output of one module, or of the whole model, is from the reference's."""

    name: str
    difference: float  # largest absolute one
    ulp: int  # largest one in units in the last place: how many steps of fp32 lead from one number to the other


def choose_class(checkpoint: Checkpoint) -> tuple[type[BertPreTrainedModel], dict[str, Any]]:
    """The class that uses most of the weights that the checkpoint has, and arguments for it."""
    said = getattr(tasks, saved_as(checkpoint), None)
    names, _ = from_reference(checkpoint.tensors())
    parts = {our_name.split(".")[0] for our_name in names}
    has_pooler = "bert.pooler.dense.weight" in names
    if {"mlm_head", "nsp_head"} <= parts and has_pooler:
        return tasks.BertForPreTraining, {}
    has_task = bool(parts & {"nsp_head", "classifier", "span_classifier"})
    if has_task and isinstance(said, type) and issubclass(said, BertPreTrainedModel):
        return said, {}  # three classes have a "classifier": only the config can tell which one it is
    if "mlm_head" in parts:
        return tasks.BertForMaskedLM, {}
    return BertModel, {"add_pooling_layer": has_pooler}


def make_inputs(
    checkpoint: Checkpoint, model: BertPreTrainedModel, text: str | None, seed: int = 0
) -> dict[str, Tensor]:
    """One sequence without padding: `input_ids` and `token_type_ids`, (1, S), or of a single choice (1, 1, S).

    text: None for two sentences, or for random ids drawn with `seed` if the checkpoint has no tokenizer.
    """
    config = model.config
    limit = config.max_position_embeddings
    if text is None and not checkpoint.first(VOCABULARY_FILES):
        generator = torch.Generator().manual_seed(seed)
        sizes = {"input_ids": config.vocab_size, "token_type_ids": config.type_vocab_size}
        shape = (1, min(RANDOM_LENGTH, limit))
        inputs = {key: torch.randint(size, shape, generator=generator) for key, size in sizes.items()}
    else:
        texts = [TEXT, TEXT_PAIR][: config.type_vocab_size] if text is None else [text]
        tokenizer = BertTokenizer.from_pretrained(checkpoint)
        encoded = tokenizer(*texts, truncation=True, max_length=limit, return_tensors="pt")
        inputs = {key: encoded[key] for key in ("input_ids", "token_type_ids")}
    return {key: ids[:, None] if isinstance(model, tasks.BertForMultipleChoice) else ids for key, ids in inputs.items()}


@torch.no_grad()
def compare_modules(ours: BertPreTrainedModel, reference: nn.Module, inputs: dict[str, Tensor]) -> list[Comparison]:
    """Run both fp32 models on `inputs` (without padding) and compare what every module with a weight gives.

    Returns: one comparison for each module, in the order of the forward pass, then one for each output of the model.
    """
    names = module_names(ours)
    found = _record(ours, names, inputs)
    expected = _record(reference, {short: _reference_name(ours, name) for short, name in names.items()}, inputs)
    return [_compare(name, output, expected[name]) for name, output in found.items()]


def plant_fault(model: BertPreTrainedModel, module: str, seed: int = 0) -> None:
    """Add normal noise of standard deviation `FAULT` to the weight of one module, and of no other.

    module: its name, as in a `Comparison`. Raises `ValueError` for one that the model does not have.
    """
    names = module_names(model)
    if module not in names:
        first_layer = [name for name in names if not name.startswith("layer.") or name.startswith("layer.0.")]
        layers = f"layer.0-{model.config.num_hidden_layers - 1}."
        known = ", ".join(name.replace("layer.0.", layers) for name in first_layer)
        raise ValueError(f"this model has no module {module!r}; it has {known}")
    weight = model.get_parameter(f"{names[module]}.weight").detach()
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
    # A new parameter, because the old one may be shared: a tied decoder's fault must not be the embeddings' as well.
    model.get_submodule(names[module]).weight = nn.Parameter(weight + FAULT * noise)


def module_names(model: BertPreTrainedModel) -> dict[str, str]:
    """{name without what all names begin with: full name} of all modules that have a weight."""
    names = [name for name, module in _own_modules(model) if isinstance(getattr(module, "weight", None), Tensor)]
    return {name.removeprefix("bert.").removeprefix("encoder."): name for name in names}


def _own_modules(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """All modules below, by the names that they have in the source: `named_modules` speaks the reference's."""
    for name, child in module.named_children():
        yield f"{prefix}{name}", child
        yield from _own_modules(child, f"{prefix}{name}.")


def _reference_name(model: BertPreTrainedModel, name: str) -> str:
    """What the reference calls our module `name`."""
    if hasattr(model, "bert"):
        return to_reference(f"{name}.weight").removesuffix(".weight")
    return to_reference(f"bert.{name}.weight").removesuffix(".weight").removeprefix("bert.")


def _record(model: nn.Module, names: dict[str, str], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The outputs of the modules `names` ({short name: full name}) as they come, then those of the model."""
    outputs: dict[str, Tensor] = {}

    def keep_as(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, args, output: outputs.update({name: output})

    hooks = [model.get_submodule(name).register_forward_hook(keep_as(short)) for short, name in names.items()]
    try:
        result = model(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs | {name: result[name] for name in result.keys()}  # noqa: SIM118 (both kinds of output have keys())


def _compare(name: str, found: Tensor, expected: Tensor) -> Comparison:
    expected = expected.reshape(found.shape)  # inside our model batch and position are one dimension
    difference = (found - expected).abs().max().item()
    return Comparison(name, difference, int((_ordinal(found) - _ordinal(expected)).abs().max()))


def _ordinal(x: Tensor) -> Tensor:
    """Number all fp32 values in their order: neighbours differ by 1, and 0 and -0 by nothing."""
    bits = x.contiguous().view(torch.int32).long()
    return torch.where(bits < 0, -(2**31) - bits, bits)
