"""What minibert-tiny computes, measured with the reference and stored: `python tests/golden.py` measures anew.

The numbers may change only when the checkpoint does.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import minibert
from minibert.checkpoint.key_map import from_reference
from minibert.checkpoint.opened import SHIPPED

FILE = Path(__file__).parent / "data" / "golden_minibert_tiny.json"
CHECKPOINT = SHIPPED / "minibert-tiny"
LABELS = {
    "BertModel": (),
    "BertForPreTraining": ("labels", "next_sentence_label"),
    "BertForMaskedLM": ("labels",),
    "BertForNextSentencePrediction": ("labels",),
    "BertForSequenceClassification": ("labels",),
    "BertForTokenClassification": ("labels",),
    "BertForQuestionAnswering": ("start_positions", "end_positions"),
    "BertForMultipleChoice": ("labels",),
}
LENGTHS = (14, 9)


def ours(class_name: str, dtype: torch.dtype) -> nn.Module:
    """Our model; heads that the checkpoint lacks have the weights of `fill`."""
    model_class = getattr(minibert, class_name)
    model, info = model_class.from_pretrained(CHECKPOINT, dtype=dtype, output_loading_info=True)
    for name in from_reference(info["missing_keys"])[0]:
        fill(model.get_parameter(name))
    return model


def reference(class_name: str) -> nn.Module:
    """The same model of `transformers`, in float64."""
    import transformers

    model, info = getattr(transformers, class_name).from_pretrained(
        CHECKPOINT, dtype=torch.float64, output_loading_info=True
    )
    for name in info["missing_keys"]:
        fill(model.get_parameter(name))
    return model.eval()


@torch.no_grad()
def fill(parameter: nn.Parameter) -> None:
    """Weights that no generator draws: those differ between versions."""
    numbers = torch.arange(1, parameter.numel() + 1, dtype=torch.float64)
    parameter.copy_(0.3 * numbers.sin().view_as(parameter))


def batch_for(class_name: str) -> dict[str, Tensor]:
    """Two sequences, the second one padded; all numbers from formulas."""
    width = LENGTHS[0]
    positions = torch.arange(2 * width).view(2, width)
    mask = (torch.arange(width) < torch.tensor(LENGTHS)[:, None]).long()
    batch = {
        "input_ids": (positions * 613 + 101) % 8192 * mask,
        "token_type_ids": (positions % width > 5).long() * mask,
        "attention_mask": mask,
    }
    per_token = torch.where((positions % 3 == 0) & (mask == 1), positions * 97 % 8192, -100)
    if class_name == "BertForTokenClassification":
        per_token = torch.where(per_token == -100, -100, per_token % 2)
    if class_name == "BertForMultipleChoice":  # (B, choices, S)
        batch = {name: torch.stack([x, x.flip(0)], dim=1) for name, x in batch.items()}
    if class_name == "BertForQuestionAnswering":
        del batch["attention_mask"]  # the reference lets padding into this loss
    is_per_token = class_name in ("BertForPreTraining", "BertForMaskedLM", "BertForTokenClassification")
    values = {name: torch.tensor([1, 0]) for name in ("labels", "next_sentence_label")}
    values |= {"start_positions": torch.tensor([2, 5]), "end_positions": torch.tensor([4, 11])}
    values |= {"labels": per_token} if is_per_token else {}
    return batch | {name: values[name] for name in LABELS[class_name]}


def measure(model: nn.Module, class_name: str) -> dict[str, Any]:
    """The outputs, the loss, and the norm of its gradient (without a loss: of the outputs' mean squares)."""
    batch = batch_for(class_name)
    outputs = dict(model(**batch))
    loss = outputs.pop("loss", None)
    for name, x in outputs.items():
        if x.shape[:2] == batch["input_ids"].shape and "attention_mask" in batch:
            outputs[name] = x[batch["attention_mask"] != 0]  # where there is padding, the reference's mean nothing
    target = sum((x**2).mean() for x in outputs.values()) if loss is None else loss
    target.backward()
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    measured = {"gradient norm": norm.item()} | ({} if loss is None else {"loss": loss.item()})
    return measured | {name: summary(x) for name, x in outputs.items()}


def summary(x: Tensor) -> list[float]:
    """The norm of a tensor, and up to 24 of its numbers from all over it."""
    flat = x.detach().flatten()
    chosen = torch.linspace(0, len(flat) - 1, min(24, len(flat)), dtype=torch.float64).long()
    return [flat.norm().item(), *flat[chosen].tolist()]


def stored() -> dict[str, dict[str, Any]]:
    """What `FILE` holds: by class, then by name."""
    return json.loads(FILE.read_text())


def assert_close(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    """Equal up to `tolerance` times the largest number of each output, or 1 if that is larger."""
    assert found.keys() == expected.keys()
    for name in expected:
        wanted = torch.tensor(expected[name], dtype=torch.float64).view(-1)
        difference = (torch.tensor(found[name], dtype=torch.float64).view(-1) - wanted).abs()
        # The first number of an output is its norm, which is larger than the others.
        scale = wanted[1:].abs().max().clamp(min=1) if len(wanted) > 1 else wanted.abs()
        assert difference[-len(wanted) + 1 :].max() <= tolerance * scale, name
        assert difference[0] <= tolerance * wanted[0].abs(), f"norm of {name}"


if __name__ == "__main__":
    measured = {class_name: measure(reference(class_name), class_name) for class_name in LABELS}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(measured, indent=1) + "\n")
