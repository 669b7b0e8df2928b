"""`BertConfig`: every number that defines a BERT, under the names of Hugging Face's `config.json`."""

import difflib
import functools
import json
import logging
from dataclasses import KW_ONLY, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from minibert.checkpoint.files import CheckpointError, write_text
from minibert.checkpoint.opened import Checkpoint, open_from
from minibert.model.config_checks import check_config, check_meanings

logger = logging.getLogger(__name__)

# What a config.json may say only in this way: any other value asks for a model that is not BERT's encoder.
_ENCODER_ONLY = {
    "model_type": "bert",
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "pruned_heads": {},
}


_MOST_LABELS = 1_000_000

# What files say of the program that wrote them; the older name of a field.
_NOT_KEPT = {"transformers_version", "torch_dtype"}


def _with_own_attributes(cls: type) -> type:
    """Let a config be made with values that are no fields: they become attributes, and are saved with it."""
    make = cls.__init__  # type: ignore[misc]

    @functools.wraps(make)
    def __init__(self: Any, *values: Any, **named: Any) -> None:
        known = {f.name for f in fields(cls)}
        own = {name: named.pop(name) for name in list(named) if name not in known}
        for name in own:
            if similar := difflib.get_close_matches(name, known, cutoff=0.85):
                logger.warning("BertConfig has no field %r, so it changes nothing; is %r meant?", name, similar[0])
        make(self, *values, **named)
        for name, value in own.items():
            setattr(self, name, value)

    cls.__init__ = __init__  # type: ignore[misc]
    return cls


@_with_own_attributes
@dataclass
class BertConfig:
    """The shape and the constants of a BERT (Devlin et al. 2019, sections 3 and A.2); defaults: BERT-base.

    Labels, their names and their number are one fact: whichever of `num_labels`, `id2label` and `label2id` is set, the
    others follow. Other attributes may be added, and are saved with the config.

    Raises `ValueError`, naming the field, for a config that no BERT can have.
    """

    vocab_size: int = 30522  # V
    hidden_size: int = 768  # D
    num_hidden_layers: int = 12  # L
    num_attention_heads: int = 12  # H
    intermediate_size: int = 3072  # F
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    classifier_dropout: float | None = None  # None: the hidden one
    tie_word_embeddings: bool = True
    _: KW_ONLY
    # C, and the classes' names; None: as many as id2label has, else 2. Set one of them, and the others follow.
    num_labels: int = None  # type: ignore[assignment]
    id2label: dict[int, str] = None  # type: ignore[assignment]
    label2id: dict[str, int] = None  # type: ignore[assignment]
    problem_type: str | None = None  # None: told from the labels
    architectures: list[str] | None = None
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = field(default=True, metadata={"saved": False})  # False: models return tuples
    attn_implementation: str = field(default="sdpa", metadata={"saved": False})

    def __post_init__(self) -> None:
        self._settle_labels()
        check_config(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ENCODER_ONLY:
            if value not in (None, _ENCODER_ONLY[name]):
                raise ValueError(f"{name} is {value!r}, but minibert's BERT has only {_ENCODER_ONLY[name]!r}")
            return
        name = "attn_implementation" if name == "_attn_implementation" else name
        made = "attn_implementation" in vars(self)  # the last field: all are there
        if made and name in ("num_labels", "id2label", "label2id"):
            self._set_labels(name, value)
            return
        before = vars(self).get(name)
        super().__setattr__(name, value)
        if made:
            try:
                check_meanings(self)
            except ValueError:
                super().__setattr__(name, before)
                raise

    def __getattr__(self, name: str) -> Any:
        if name in _ENCODER_ONLY:  # what every BERT here has, under the names of the file
            return _ENCODER_ONLY[name]
        if name == "_attn_implementation":
            return self.attn_implementation
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @classmethod
    def tiny(cls, **changes: Any) -> Self:
        """BERT-tiny of the published miniatures (Turc et al. 2019, table 1)."""
        return cls._published(2, 128, **changes)

    @classmethod
    def mini(cls, **changes: Any) -> Self:
        """BERT-mini of the published miniatures."""
        return cls._published(4, 256, **changes)

    @classmethod
    def small(cls, **changes: Any) -> Self:
        """BERT-small of the published miniatures."""
        return cls._published(4, 512, **changes)

    @classmethod
    def medium(cls, **changes: Any) -> Self:
        """BERT-medium of the published miniatures."""
        return cls._published(8, 512, **changes)

    @classmethod
    def base(cls, **changes: Any) -> Self:
        """BERT-base (Devlin et al. 2019, section 3)."""
        return cls._published(12, 768, **changes)

    @classmethod
    def large(cls, **changes: Any) -> Self:
        """BERT-large (Devlin et al. 2019, section 3)."""
        return cls._published(24, 1024, **changes)

    @classmethod
    def _published(cls, layers: int, hidden: int, **changes: Any) -> Self:
        # All published sizes have heads of 64 dimensions and a feed-forward layer four times as wide.
        sizes = {
            "num_hidden_layers": layers,
            "hidden_size": hidden,
            "num_attention_heads": hidden // 64,
            "intermediate_size": 4 * hidden,
        }
        return cls(**{**sizes, **changes})

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "config", **changes: Any) -> Self:
        """A config from the fields of a `config.json`; `changes` win, and are checked like any argument.

        Fields that are no numbers of a BERT (`use_cache`, ...) become attributes; a field that asks for another model
        than BERT's encoder raises `CheckpointError` naming it.
        """
        for name, expected in _ENCODER_ONLY.items():
            found = values.get(name)
            if found not in (None, expected):
                raise CheckpointError(f"{source}: {name} is {found!r}, but minibert's BERT has only {expected!r}")
        unsaved = {f.name for f in fields(cls) if not f.metadata.get("saved", True)} | _NOT_KEPT | _ENCODER_ONLY.keys()
        values = {"dtype": values.get("torch_dtype"), **values}
        saved = {name: value for name, value in values.items() if name not in unsaved and not name.startswith("_")}
        names_given = saved.get("id2label")
        if names_given or "id2label" in changes:
            saved.pop("num_labels", None)
        same_number = isinstance(names_given, dict) and len(names_given) == changes.get("num_labels")
        if "id2label" in changes or ("num_labels" in changes and not same_number):
            saved = {name: value for name, value in saved.items() if name not in ("id2label", "label2id")}
        known = {f.name for f in fields(cls)}
        try:
            config = cls(**{**{name: value for name, value in saved.items() if name in known}, **changes})
        except (ValueError, AttributeError) as error:
            raise CheckpointError(f"{source}: {error}") from error
        for name in sorted(saved.keys() - known - changes.keys()):
            if saved[name] is not None:
                setattr(config, name, saved[name])
        return config

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path | Checkpoint, **options: Any) -> Self:
        """Read `config.json` (in the oldest checkpoints `bert_config.json`) of a folder or hub name.

        options: where it is, as for `Checkpoint.open`; all others are fields to change.
        Raises `CheckpointError` when there is none, or when it does not describe a BERT encoder.
        """
        values, path = open_from(pretrained_model_name_or_path, options).config()
        return cls.from_dict(values, source=str(path), **options)

    def to_dict(self) -> dict[str, Any]:
        """The fields of `config.json`, in the form that `transformers` reads."""
        values = asdict(self)
        for f in fields(self):
            if not f.metadata.get("saved", True) or values[f.name] is None:
                del values[f.name]
        del values["num_labels"]  # the ecosystem keeps the number of labels as the length of id2label
        values["pad_token_id"] = self.pad_token_id  # None means "no padding row", not "the default"
        own = {name: value for name, value in vars(self).items() if name not in {f.name for f in fields(self)}}
        return {"model_type": "bert", **own, **values}

    to_diff_dict = to_dict  # theirs leaves defaults out

    def to_json_string(self) -> str:
        """The content of `config.json`."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def get_text_config(self, **_: Any) -> Self:
        """This config: of models with several parts, the one that reads text."""
        return self

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write `config.json` into a folder."""
        self._settle_labels()
        write_text(Path(save_directory) / "config.json", self.to_json_string())

    def _set_labels(self, name: str, value: Any) -> None:
        """Set one of `num_labels`, `id2label` and `label2id`; the others follow."""
        if name == "num_labels" and value == len(self.id2label or {}):
            return
        vars(self).update({"num_labels": None, "id2label": None, "label2id": None, name: value})
        self._settle_labels()

    def _settle_labels(self) -> None:
        """Bring `num_labels`, `id2label` and `label2id` into agreement."""
        count, names = self.num_labels, self.id2label
        if names is None and self.label2id and count in (None, len(self.label2id)):
            names = {number: label for label, number in sorted(self.label2id.items(), key=lambda item: item[1])}
        if names is None:
            count = 2 if count is None else count
            if not isinstance(count, int) or not 1 <= count <= _MOST_LABELS:
                raise ValueError(f"num_labels must be a positive whole number, at most {_MOST_LABELS:,}, got {count!r}")
            names = {i: f"LABEL_{i}" for i in range(count)}
        try:
            names = {int(i): str(label) for i, label in names.items()}  # JSON knows only string keys
        except (AttributeError, ValueError) as error:
            raise ValueError(f"id2label must map 0, 1, ... to names, got {names!r}") from error
        if sorted(names) != list(range(len(names))) or not names:
            raise ValueError(f"id2label must have the keys 0, 1, ..., got {sorted(names)}")
        if count not in (None, len(names)):
            raise ValueError(f"num_labels is {count}, but id2label names {len(names)} labels")
        numbers = {label: i for i, label in names.items()} if self.label2id is None else self.label2id
        vars(self).update(num_labels=len(names), id2label=names, label2id=numbers)
