"""What the tensors of a file must be before they become weights: a file from somewhere may say anything."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from minibert.checkpoint.files import CheckpointError

WEIGHT_TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def check_weights(tensors: Mapping[str, Tensor], key_of: Mapping[str, str], path: Path) -> None:
    """Raise `CheckpointError` for a tensor that cannot be a weight.

    Args:
        key_of: which of `tensors` are to be weights: our names, and the keys of the file `path`.
    """
    for key in key_of.values():
        tensor = tensors[key]
        # A pickle may also hold a sparse tensor, or one without any content.
        if tensor.dtype not in WEIGHT_TYPES or tensor.layout != torch.strided or tensor.is_meta:
            kind = "without content" if tensor.is_meta else f"of {tensor.dtype}, {tensor.layout}"
            raise CheckpointError(
                f"{path}: {key} must hold plain floating-point numbers of 16, 32 or 64 bits, found a tensor {kind};"
                " if the checkpoint is quantized or pruned, look for the original"
            )


def check_layers(key_of: Mapping[str, str], num_hidden_layers: int, path: Path) -> None:
    """Raise `CheckpointError` if the file has nothing of one of the layers that the config asks for.

    Drawing them would take as much memory as a false number says, and give a model that knows nothing.
    """
    held = {int(layer[1]) for name in key_of if (layer := re.search(r"\.layer\.(\d+)\.", name))}
    absent = next((i for i in range(num_hidden_layers) if i not in held), None)
    if absent is not None:
        raise CheckpointError(
            f"{path}: holds no tensor of layer {absent}, but the config says num_hidden_layers={num_hidden_layers};"
            f" expected at most {len(held)}"
        )


def check_shapes(mismatched: list[tuple[str, tuple, tuple]], path: Path) -> None:
    """Raise `CheckpointError` if there is a tensor of another shape than the config's.

    Args:
        mismatched: the key of each such tensor, the shape that the file has, and the one that the model has.
    """
    if not mismatched:
        return
    shown = mismatched[:3]
    rows = [f"  {key}: the file has {found}, the model {expected}" for key, found, expected in shown]
    if len(mismatched) > len(shown):
        rows.append(f"  and {len(mismatched) - len(shown)} more")
    advice = "If a head of another size is meant, pass ignore_mismatched_sizes=True to draw it anew."
    raise CheckpointError("\n".join([f"{path}: tensors of another shape than the config's:", *rows, advice]))


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors in which there is a NaN or an infinity."""
    # The extremes say it in one pass without a copy: a NaN makes both of them NaN.
    return [name for name, x in tensors.items() if x.numel() and not torch.stack(x.aminmax()).isfinite().all()]
