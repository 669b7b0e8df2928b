"""The reference in the small: tiny random `transformers` models, the same weights in ours, and batches for both."""

import contextlib
import copy
import functools
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

import minibert
from minibert.model.packing import Packing

transformers.utils.logging.disable_progress_bar()

IS_VERSION_5 = int(transformers.__version__.split(".")[0]) >= 5

# For what the reference has done in this way only since then.
since_version_5 = pytest.mark.skipif(not IS_VERSION_5, reason="transformers 4 does this in another way")

TASKS = (
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertForMultipleChoice",
)
ATTENTIONS = ("eager", "sdpa")

TINY = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 56,
    "max_position_embeddings": 24,
}

# What default configs do not show: every field that changes a number is somewhere not what it usually is.
ODD_CONFIGS: dict[str, dict[str, Any]] = {
    "default": {},
    "one head, gelu_new": {"num_attention_heads": 1, "hidden_act": "gelu_new"},
    "heads of 5, gelu_pytorch_tanh": {
        "hidden_size": 35,
        "num_attention_heads": 7,
        "intermediate_size": 51,
        "hidden_act": "gelu_pytorch_tanh",
    },
    "heads of 1, one layer": {"hidden_size": 24, "num_attention_heads": 24, "num_hidden_layers": 1},
    "large eps, relu": {"layer_norm_eps": 0.05, "hidden_act": "relu"},
    "one segment, silu": {"type_vocab_size": 1, "hidden_act": "silu", "num_hidden_layers": 3},
    "three segments, swish": {"type_vocab_size": 3, "hidden_act": "swish", "intermediate_size": 7},
    "untied, tanh": {"tie_word_embeddings": False, "hidden_act": "tanh", "layer_norm_eps": 1e-5},
    "no padding row": {"pad_token_id": None},
    "padding row 7, untied": {"pad_token_id": 7, "tie_word_embeddings": False},
}

# Which tokens are real, 4 sequences of 11 positions. The pooler reads column 0, which "left" and "empty row" lack.
MASKS: dict[str, list[str]] = {
    "right": ["11111111100", "11110000000", "11111110000", "11110000000"],
    "gaps": ["10110111001", "11010101010", "11111111111", "11100000111"],
    "left": ["00000001111", "11111111111", "00110101101", "00000000001"],
    "empty row": ["11111000000", "00000000000", "11111111111", "01000000001"],
}


def mask_of(name: str) -> Tensor:
    """`MASKS[name]` as a (4, 11) tensor."""
    return torch.tensor([[int(c) for c in row] for row in MASKS[name]])


def reference_model(class_name: str, dtype: torch.dtype = torch.float32, **changes) -> transformers.PreTrainedModel:
    """A tiny model of `transformers` in eval mode in which no parameter has the value that a fresh one has."""
    config = transformers.BertConfig(**{**TINY, **changes})
    model = getattr(transformers, class_name)(config)
    if not IS_VERSION_5 and hasattr(model, "cls") and hasattr(model.cls, "predictions"):
        predictions = model.cls.predictions
        if not config.tie_word_embeddings:  # version 4 ties these two none the less
            predictions.decoder.bias = nn.Parameter(predictions.decoder.bias.detach().clone())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # As wide as keeps activations near 1 and attention far from uniform.
            scale = 1.5 * parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 0.3
            middle = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            parameter.copy_(middle + scale * torch.randn(parameter.shape, generator=generator))
    return model.to(dtype).eval()


def ours_of(theirs: transformers.PreTrainedModel, **changes) -> minibert.BertModel:
    """The same model here, by way of a saved checkpoint; `changes` go to `from_pretrained`."""
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = getattr(minibert, type(theirs).__name__).from_pretrained(folder, dtype=theirs.dtype, **changes)
        # Copies, so that nothing refers to the folder's memory-mapped file any more.
        ours.load_state_dict({name: tensor.clone() for name, tensor in ours.state_dict().items()}, assign=True)
    ours.tie_weights()
    return ours


def model_pair(class_name: str, dtype: torch.dtype = torch.float32, **changes) -> tuple[nn.Module, nn.Module]:
    """(reference model, our model) with the same weights, to do with as one likes."""
    return copy.deepcopy(_pair(class_name, dtype, tuple(changes.items())))


@functools.cache
def _pair(class_name: str, dtype: torch.dtype, changes: tuple) -> tuple[nn.Module, nn.Module]:
    theirs = reference_model(class_name, dtype, **dict(changes))
    return theirs, ours_of(theirs)


def our_model(class_name: str, **changes) -> nn.Module:
    """A fresh tiny model of ours without dropout, its initial weights far enough from zero to show differences."""
    return getattr(minibert, class_name)(tiny_config(**{"initializer_range": 0.2, **no_dropout(), **changes}))


def use_attention(name: str, *models: nn.Module) -> None:
    """Let all `models` compute attention in the way `name`."""
    for model in models:
        if isinstance(model, transformers.PreTrainedModel):
            _use_attention_of_reference(name, model)
        else:
            model.config.attn_implementation = name


def _use_attention_of_reference(name: str, model: transformers.PreTrainedModel) -> None:
    if IS_VERSION_5:
        model.set_attn_implementation(name)
        return
    # Version 4 decides once and for all when a model is built, by the class of a module.
    classes = transformers.models.bert.modeling_bert.BERT_SELF_ATTENTION_CLASSES
    for module in model.modules():
        if isinstance(module, tuple(classes.values())):
            module.__class__ = classes[name]
        if isinstance(module, transformers.BertModel):
            module.attn_implementation = name


@contextlib.contextmanager
def rectangular(on: bool = True) -> Iterator[None]:
    """Inside, our models keep padding in the batch and hide it, as they do while they are traced."""

    def rectangle(mask: Tensor | None, batch_size: int, seq_len: int, **form: bool) -> Packing:
        return Packing(batch_size, seq_len, None if mask is None else mask != 0)

    with pytest.MonkeyPatch.context() as patch:
        if on:
            patch.setattr(Packing, "from_mask", rectangle)
        yield


def batch_of(config, shape: tuple[int, ...] = (4, 11), mask: Tensor | None = None, seed: int = 2) -> dict[str, Tensor]:
    """Random arguments of `BertModel.forward`, the same for both."""
    generator = torch.Generator().manual_seed(seed)
    batch = {
        "input_ids": torch.randint(config.vocab_size, shape, generator=generator),
        "token_type_ids": torch.randint(config.type_vocab_size, shape, generator=generator),
    }
    return batch if mask is None else {**batch, "attention_mask": mask}


def task_batch(class_name: str, config, mask: Tensor | None = None, seed: int = 2) -> dict[str, Tensor]:
    """`batch_of` with labels for `class_name`: none at masked positions, some of those at real ones missing."""
    shape = (4, 3, 11) if class_name == "BertForMultipleChoice" else (4, 11)
    if class_name == "BertForMultipleChoice" and mask is not None:
        mask = torch.stack([mask, mask.roll(1, 0), mask.roll(2, 0)], dim=1)
    return {**batch_of(config, shape, mask, seed), **labels_of(class_name, config, mask, seed)}


def labels_of(class_name: str, config, mask: Tensor | None = None, seed: int = 2) -> dict[str, Tensor]:
    """Random labels for a batch of 4 sequences of 11 positions."""
    generator = torch.Generator().manual_seed(seed + 1)
    real = torch.ones(4, 11) if mask is None or mask.ndim != 2 else mask

    def draw(limit: int, *shape: int) -> Tensor:
        return torch.randint(limit, shape, generator=generator)

    def per_token(limit: int) -> Tensor:
        kept = (real != 0) & (torch.rand(4, 11, generator=generator) < 0.6)
        return draw(limit, 4, 11).masked_fill(~kept, -100)

    if class_name == "BertForPreTraining":
        return {"labels": per_token(config.vocab_size), "next_sentence_label": draw(2, 4)}
    if class_name == "BertForQuestionAnswering":
        spans = real.float().multinomial(2, generator=generator) if real.sum(1).min() > 1 else draw(11, 4, 2)
        return {"start_positions": spans.amin(1), "end_positions": spans.amax(1)}
    if class_name == "BertForSequenceClassification":
        return {"labels": sequence_labels(config, generator)}
    limits = {"BertForMaskedLM": config.vocab_size, "BertForTokenClassification": config.num_labels}
    if class_name in limits:
        return {"labels": per_token(limits[class_name])}
    return {"labels": draw(3 if class_name == "BertForMultipleChoice" else 2, 4)}


def sequence_labels(config, generator: torch.Generator) -> Tensor:
    """Labels of 4 sequences in the form that `config.problem_type` and `config.num_labels` ask for."""
    if config.problem_type == "regression" or (config.problem_type is None and config.num_labels == 1):
        shape = (4,) if config.num_labels == 1 else (4, config.num_labels)
        return torch.randn(shape, generator=generator)
    if config.problem_type == "multi_label_classification":
        return torch.randint(2, (4, config.num_labels), generator=generator).float()
    return torch.randint(config.num_labels, (4,), generator=generator)


def as_dtype(batch: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """`batch` with its floating-point labels in `dtype`."""
    return {name: x.to(dtype) if x.is_floating_point() else x for name, x in batch.items()}


def assert_same(ours: Tensor, theirs: Tensor, what: str = "") -> None:
    """Equal to the last bit; before version 5, whose explicit attention divides where it now multiplies, nearly so."""
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, what
    if not IS_VERSION_5 and ours.is_floating_point():
        return assert_near(ours, theirs, 1e-12 if ours.dtype == torch.float64 else 1e-5, what)
    assert torch.equal(ours, theirs), f"{what}: differs by up to {(ours - theirs).abs().max():.3g}"


def assert_near(ours: Tensor, theirs: Tensor, tolerance: float, what: str = "") -> None:
    """Equal up to `tolerance` times the reference's largest number (or 1, if that is larger)."""
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, what
    ours, theirs = ours.detach(), theirs.detach()
    if theirs.numel():
        difference, scale = float((ours - theirs).abs().max()), max(1.0, float(theirs.abs().max()))
        assert difference <= tolerance * scale, f"{what}: differs by {difference:.3g} at a scale of {scale:.3g}"


def assert_all_same(found, expected) -> None:
    """Two outputs have the same fields, equal to the last bit."""
    assert list(found) == list(expected)
    for key in found.keys():  # noqa: SIM118
        pairs = zip(found[key], expected[key], strict=True) if key == "hidden_states" else [(found[key], expected[key])]
        for x, y in pairs:
            assert_same(x, y, key)


def gradient_difference(ours: nn.Module, theirs: nn.Module) -> float:
    """The largest difference of any gradient, relative to the model's largest gradient.

    Not tensor by tensor: in exact arithmetic the gradients of the key biases are zero, so theirs are rounding alone.
    """
    expected = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    found = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    largest = max(float(grad.abs().max()) for grad in expected.values())
    return max(float((found[key] - expected[key]).abs().max()) for key in expected) / largest


def tiny_config(**changes) -> minibert.BertConfig:
    """Our config of the reference models."""
    return minibert.BertConfig(**{**TINY, **changes})


def no_dropout(**changes) -> dict[str, Any]:
    """Changes of a config that turn all dropout off."""
    return {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **changes}
