"""What we train best with: sizes and recipes that were found by measuring (docs/recipe.md)."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A size of model, and how to pretrain it in minutes."""

    config: dict[str, Any]  # fields of BertConfig
    max_length: int = 128
    masking_rate: float = 0.3  # the paper's is 0.15
    batch_size: int = 16
    arguments: dict[str, Any] = field(default_factory=dict)  # fields of TrainingArguments


_FAST = {
    "learning_rate": 2e-3,
    "adam_beta2": 0.98,
    "weight_decay": 0.01,
    "warmup_ratio": 0.05,
    # Most batches then are full rectangles, all of one shape: bfloat16 on a CPU compiles every new one.
    "group_by_length": True,
}

# Four times the usual: a small model with weights as small as a large one's hardly moves at first.
_WIDE = {"initializer_range": 0.08}

PRESETS = {
    "tiny": Preset(
        config=_WIDE | {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 512},
        arguments=_FAST,
    ),
    "mini": Preset(
        config=_WIDE
        | {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 8, "intermediate_size": 1024},
        arguments=_FAST | {"learning_rate": 1e-3, "optim": "muon"},
    ),
}
