"""What the numbers of a config must be: a file from somewhere may say anything."""

from typing import Any

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")

# Far more than any BERT has. A config that says more is broken, or meant to take all of our memory and time.
_LARGEST = {
    "vocab_size": 10_000_000,
    "hidden_size": 100_000,
    "num_hidden_layers": 1_000,
    "num_attention_heads": 10_000,
    "intermediate_size": 1_000_000,
    "max_position_embeddings": 1_000_000,
    "type_vocab_size": 10_000,
}


def check_config(config: Any) -> None:
    """Raise `ValueError`, naming the field, for a config that no BERT can have."""
    _check_sizes(config)
    _check_probabilities(config)
    _check_choices(config)


def check_meanings(config: Any) -> None:
    """The same for what can be set alone; sizes change together, and are checked when a model is built."""
    _check_probabilities(config)
    _check_choices(config)


def _check_sizes(config: Any) -> None:
    for name, largest in _LARGEST.items():
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
            raise ValueError(f"{name} must be a positive whole number, at most {largest:,}, got {value!r}")
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size ({config.hidden_size}) must be a multiple of num_attention_heads"
            f" ({config.num_attention_heads}): every head gets an equal share"
        )
    pad = config.pad_token_id
    if pad is not None and not (isinstance(pad, int) and 0 <= pad < config.vocab_size):
        raise ValueError(f"pad_token_id must be None or lie in [0, vocab_size={config.vocab_size}), got {pad!r}")


def _check_probabilities(config: Any) -> None:
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
        value = getattr(config, name)
        if value is None and name == "classifier_dropout":
            continue
        if not _is_number(value) or not 0 <= value < 1:
            raise ValueError(f"{name} must be a probability in [0, 1), got {value!r}")
    for name in ("initializer_range", "layer_norm_eps"):
        value = getattr(config, name)
        if not _is_number(value) or not 0 < value < float("inf"):
            raise ValueError(f"{name} must be a positive number, got {value!r}")


def _check_choices(config: Any) -> None:
    choices = {
        "hidden_act": ACTIVATIONS,
        "problem_type": (None, *PROBLEM_TYPES),
        "attn_implementation": ("eager", "sdpa"),
    }
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {getattr(config, name)!r}")
    for name in ("tie_word_embeddings", "output_attentions", "output_hidden_states"):
        if not isinstance(getattr(config, name), bool):
            raise ValueError(f"{name} must be true or false, got {getattr(config, name)!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
