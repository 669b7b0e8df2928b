"""What we train best with: sizes, and the rule by which the other numbers follow from them (docs/recipe.md)."""

from dataclasses import dataclass, field, replace
from typing import Any

# Layers, hidden size and heads; the feed-forward part is four times as wide. The sizes are the published ones. So are
# the heads, of 64, from "small" on; in the two smallest more and smaller ones win: one for each near neighbour.
SIZES = {"tiny": (2, 128, 4), "mini": (4, 256, 8), "small": (4, 512, 8), "medium": (8, 512, 8), "base": (12, 768, 12)}


@dataclass(frozen=True)
class Preset:
    """A size of model, and how to pretrain it in minutes."""

    config: dict[str, Any]  # fields of BertConfig
    max_length: int = 128
    masking_rate: float = 0.3  # the paper's is 0.15
    batch_size: int = 16
    arguments: dict[str, Any] = field(default_factory=dict)  # fields of TrainingArguments

    def with_changes(self, **changes: float | str | None) -> "Preset":
        """The same with other values in some places; None leaves the preset's."""
        chosen: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
        arguments = {name: chosen.pop(name) for name in self.arguments if name in chosen}
        return replace(self, arguments=self.arguments | arguments, **chosen)


def preset_of(layers: int, hidden_size: int, heads: int) -> Preset:
    """How we train a model of this size.

    The rule: the peak learning rate falls as the width grows, 2e-3 at 128, 1e-3 at 256 and so on. The weights start
    with four times the usual deviation, because a small model with weights as small as a large one's hardly moves at
    first; beyond a width of 256 that falls with the width, too, towards the usual 0.02 at 768. All else is the same for
    every size: 16 pairs of 128 tokens, 30 % of them hidden, 5 % of the run for the warm-up, a weight decay of 0.01, and
    Muon for the matrices of the layers.

    "tiny" and "mini" were measured; what the rule says of the larger ones is an extrapolation, and a place to start.
    """
    return Preset(
        config={
            "num_hidden_layers": layers,
            "hidden_size": hidden_size,
            "num_attention_heads": heads,
            "intermediate_size": 4 * hidden_size,
            "initializer_range": 0.08 * min(1, 256 / hidden_size),
        },
        arguments={
            "learning_rate": 2e-3 * 128 / hidden_size,
            "adam_beta2": 0.98,
            "weight_decay": 0.01,
            "warmup_ratio": 0.05,
            # Most batches then are full rectangles, all of one shape: bfloat16 on a CPU compiles every new one.
            "group_by_length": True,
            "optim": "muon",
        },
    )


PRESETS = {name: preset_of(*size) for name, size in SIZES.items()}
