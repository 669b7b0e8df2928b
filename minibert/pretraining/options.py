"""What a user may choose about a pretraining run, what does not go together, and the command that goes on."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from minibert.model.config import BertConfig
from minibert.pretraining.initialization import POSITION_DIMS
from minibert.pretraining.presets import PRESETS, SIZES, Preset, preset_of

DEFAULT_FOLDER = Path("runs/pretrain")

# About five minutes of "tiny" on two cores with bfloat16 instructions, and eight without. Minutes may be a handful of
# steps on a machine that is slow, or busy with something else; tokens teach the same everywhere.
DEFAULT_TOKENS = 5_300_000
DEFAULT_LIMIT = 10.0  # minutes, after which a run that was not told how long it may be ends all the same

# A trained model forgets what it knows at the rate at which a fresh one learns; google-research/bert's README advises
# 2e-5 for going on with theirs. That is a rate for AdamW, and the optimizer is AdamW then.
ADAPTING_RATE = 5e-5

DEFAULT_VOCAB_SIZE = 8192
DEFAULT_PRESET = "tiny"

_SIZE = ("layers", "hidden_size", "heads")
_RECIPE = ("learning_rate", "batch_size", "max_length", "warmup_ratio", "weight_decay", "masking_rate")
_LENGTH = ("tokens", "minutes", "epochs")


@dataclass(frozen=True)
class PretrainingOptions:
    """What a user may choose about a run; see `minibert pretrain --help`."""

    corpus: list[str] | None = None  # None: Python's own documentation
    data: str | None = None  # instead of a corpus: what `minibert prepare` made of it
    tokenizer: str | None = None  # None: train a vocabulary on the corpus
    model: str | None = None  # None: start from fresh weights
    preset: str | None = None  # None: DEFAULT_PRESET
    vocab_size: int | None = None  # None: DEFAULT_VOCAB_SIZE

    # None: what the preset says, or follows from the size.
    layers: int | None = None
    hidden_size: int | None = None
    heads: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    max_length: int | None = None
    warmup_ratio: float | None = None
    weight_decay: float | None = None
    masking_rate: float | None = None
    whole_word_masking: bool = False

    # How long: at most one of them; none: DEFAULT_TOKENS, and no more than DEFAULT_LIMIT minutes.
    tokens: int | None = None
    minutes: float | None = None
    epochs: float | None = None

    seed: int = 42
    output_dir: Path | None = None  # None: DEFAULT_FOLDER, with a number where that is used
    resume: bool = False  # go on from the last checkpoint in output_dir

    def check(self) -> None:
        """Raise `ValueError`, naming the option, for what cannot be, or would have no effect."""
        if self.preset is not None and self.preset not in PRESETS:
            raise ValueError(f"--preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        for name in (*_SIZE, *_LENGTH, "batch_size", "learning_rate", "vocab_size"):
            self._require(name, lambda number: 0 < number < float("inf"), "above 0")
        for name in ("tokens", "vocab_size"):
            self._require(name, lambda number: number < 10**15, "below 10^15")
        self._require("seed", lambda number: 0 <= number < 2**63, "at least 0 and below 2^63")
        enough = f"above {POSITION_DIMS}, which the positions begin with"
        self._require("hidden_size", lambda number: number > POSITION_DIMS, enough)
        self._require("masking_rate", lambda number: 0 < number <= 1, "a share above 0 and at most 1")
        self._require("warmup_ratio", lambda number: 0 <= number < 1, "a share of the run, at least 0 and below 1")
        self._require("weight_decay", lambda number: 0 <= number < float("inf"), "at least 0")
        self._require("max_length", lambda number: number >= 8, "at least 8 tokens, three of which are special")
        if self.data is not None and self.corpus is not None:
            raise ValueError("--data and --corpus are both text to train on: give one of them")
        has_one = next((name for name in ("data", "tokenizer", "model") if getattr(self, name) is not None), None)
        if has_one and self.vocab_size is not None:
            raise ValueError(
                f"--vocab-size is that of a new vocabulary, but --{has_one} has one: leave one of them out"
            )
        if len(given := [_flag(name) for name in _LENGTH if getattr(self, name) is not None]) > 1:
            raise ValueError(f"{' and '.join(given)} both say how long the run is: give one of them")
        sizes = [_flag(name) for name in ("preset", *_SIZE) if getattr(self, name) is not None]
        if self.model is not None and sizes:
            raise ValueError(f"{sizes[0]} is the size of a new model, but --model has one: leave one of them out")
        if self.model is None:
            self._check_size()

    def _require(self, name: str, is_good: Any, expected: str) -> None:
        number = getattr(self, name)
        if number is not None and not is_good(number):
            raise ValueError(f"{_flag(name)} must be {expected}, got {number}")

    def _check_size(self) -> None:
        _, hidden_size, heads = self._size
        if hidden_size % heads or hidden_size == heads:
            raise ValueError(
                f"--hidden-size {hidden_size} cannot be shared by {heads} heads, at least two dimensions each: change"
                " it, or --heads"
            )

    @property
    def _size(self) -> tuple[int, int, int]:
        layers, hidden_size, heads = SIZES[self.preset or DEFAULT_PRESET]
        return self.layers or layers, self.hidden_size or hidden_size, self.heads or heads

    def recipe(self, config: BertConfig | None = None) -> Preset:
        """The preset with all that was chosen instead; what depends on the size follows the size that was chosen.

        config: of the model that the run goes on with; None: it begins with a new one
        """
        recipe = preset_of(*self._size).with_changes(**{name: getattr(self, name) for name in _RECIPE})
        if config is None:
            return recipe
        if self.max_length and self.max_length > config.max_position_embeddings:
            raise ValueError(
                f"--max-length {self.max_length}: the model of --model has only"
                f" {config.max_position_embeddings} positions; give no more"
            )
        fitting = min(recipe.max_length, config.max_position_embeddings)
        rate = self.learning_rate or ADAPTING_RATE
        return recipe.with_changes(max_length=fitting, learning_rate=rate, optim="adamw_torch_fused")

    @property
    def is_default(self) -> bool:
        """Whether a new model of the default size reads the default text."""
        elsewhere = ("corpus", "data", "tokenizer", "model", "preset", "vocab_size", *_SIZE)
        return all(getattr(self, name) is None for name in elsewhere)

    @property
    def has_default_length(self) -> bool:
        """Whether the user leaves it to us how long the run is."""
        return all(getattr(self, name) is None for name in _LENGTH)

    @property
    def length(self) -> dict[str, Any]:
        """How long the run is, as fields of `TrainingArguments`."""
        if self.has_default_length:
            return {"max_tokens": DEFAULT_TOKENS, "max_minutes": DEFAULT_LIMIT}
        if self.epochs is not None:
            return {"num_train_epochs": self.epochs}
        return {"max_tokens": self.tokens, "max_minutes": self.minutes}

    def settings(self, recipe: Preset) -> dict[str, Any]:
        """All numbers that make a run the same run, those of the preset among them; its length is none of them."""
        numbers = {name: getattr(recipe, name, recipe.arguments.get(name)) for name in _RECIPE}
        preset = {"preset": self.preset or DEFAULT_PRESET}
        size = preset | dict(zip(_SIZE, self._size, strict=True)) if self.model is None else {}
        chosen = {"whole_word_masking": self.whole_word_masking, "seed": self.seed}
        return {"model": self.model} | size | numbers | chosen

    @property
    def length_settings(self) -> dict[str, Any]:
        """How long the run is, by the names of the options."""
        if self.has_default_length:
            return {"tokens": DEFAULT_TOKENS, "minutes": DEFAULT_LIMIT, "epochs": None}
        return {name: getattr(self, name) for name in _LENGTH}

    def with_length_of(self, settings: Mapping[str, Any]) -> "PretrainingOptions":
        """The same, but where they say nothing of the length, with that of a run with such `settings`."""
        begun: dict[str, Any] = {name: settings.get(name) for name in _LENGTH}
        has_default = sum(number is not None for number in begun.values()) != 1
        return self if has_default or not self.has_default_length else replace(self, **begun)

    def command(self, **changes: Any) -> str:
        """What to type for a run with these options, and with some `changes`."""
        words = ["minibert", "pretrain"]
        values = asdict(self) | changes
        for option in fields(self):
            value = values[option.name]
            if value != option.default:
                parts = value if isinstance(value, list) else [] if value is True else [value]
                words += [_flag(option.name), *map(str, parts)]
        return shlex.join(words)


def _flag(name: str) -> str:
    """Of "batch_size", "--batch-size"."""
    return f"--{name.replace('_', '-')}"
