"""A pytest plugin for `other_suites.py`: this package's classes where another suite looks for those of `transformers`.

Nothing in the suite is changed: it imports `transformers`, and finds there what the environment variable `SWAPPED` asks
for. The tokenizer's folder is `VOCABULARY`. The outcome of every test goes to the file `OUTCOMES`, as lines of JSON.
"""

import importlib
import json
import os
from types import ModuleType

import pytest

import minibert
from minibert.model.pretrained import BertPreTrainedModel

# Where a suite may import from: the package, and the modules that define BERT.
PARTS = ("configuration", "modeling", "tokenization")
PLACES = ("", ".models.bert", *(f".models.{m}.{part}_{m}" for m in ("bert", "auto") for part in PARTS))


def tied_names(model: BertPreTrainedModel) -> dict[str, str]:
    """Which names of a state dict stand for one tensor."""
    tied = hasattr(model, "mlm_head") and model.config.tie_word_embeddings
    return {f"cls.predictions.decoder.{k}": v for k, v in TIED.items()} if tied else {}


def from_config(model_class: type, config: minibert.BertConfig, **changes) -> BertPreTrainedModel:
    """A fresh model, with changes of the config."""
    return model_class(minibert.BertConfig(**{**config.to_dict(), **changes}))


TIED = {"weight": "bert.embeddings.word_embeddings.weight", "bias": "cls.predictions.bias"}

# What the suite asks a class about its insides before it tests anything; no program of a user does.
INSIDES = {
    "_supports_sdpa": True,
    "_supports_flash_attn": False,
    "_supports_flex_attn": False,
    "_supports_attention_backend": False,
    "_can_compile_fullgraph": False,
    "_can_set_attn_implementation": classmethod(lambda model_class: True),
    "_is_stateful": False,
    "_no_split_modules": None,
    "_tp_plan": None,
    "_pp_plan": None,
    "_keep_in_fp32_modules": None,
    "_keep_in_fp32_modules_strict": None,
    "_keys_to_ignore_on_load_missing": None,
    "_keys_to_ignore_on_load_unexpected": None,
    "_keys_to_ignore_on_save": None,
    "_tied_weights_keys": property(tied_names),
    "_from_config": classmethod(from_config),
}
INSIDES_OF_CONFIG = {
    "sub_configs": {},
    "_attn_implementation": property(
        lambda config: config.attn_implementation,
        lambda config, value: setattr(config, "attn_implementation", value),
    ),
}

SWAPPED = os.environ.get("SWAPPED") == "1"


def swap() -> None:
    """Put every public name of this package in the place of the same name there."""
    for place in PLACES:
        module: ModuleType = importlib.import_module(f"transformers{place}")
        for name in minibert.__all__:
            if hasattr(module, name):
                setattr(module, name, getattr(minibert, name))
    for owner, insides in ((BertPreTrainedModel, INSIDES), (minibert.BertConfig, INSIDES_OF_CONFIG)):
        for name, value in insides.items():
            if not hasattr(owner, name):
                setattr(owner, name, value)


if SWAPPED:
    swap()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Loops over all classes go over ours: what we do not have (a decoder) would stop each of them at once."""
    for test_case in {item.cls for item in items if getattr(item, "cls", None) is not None}:
        if hasattr(test_case, "from_pretrained_id"):  # a name on the hub
            test_case.from_pretrained_id = [os.environ["VOCABULARY"]]
        if SWAPPED and hasattr(test_case, "all_model_classes"):
            ours = [c for c in test_case.all_model_classes if issubclass(c, BertPreTrainedModel)]
            test_case.all_model_classes = tuple(ours)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Remember which class first wrote a test down: the mixins are about different things."""
    owner = [c.__name__ for c in item.cls.__mro__ if item.originalname in vars(c)][-1]
    item.user_properties.append(("name", f"{owner}.{item.name}"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write one line for every phase of a test and for every subtest; a reader takes the worst."""
    line = {"test": report.nodeid, "outcome": report.outcome, "why": _why(report), **dict(report.user_properties)}
    with open(os.environ["OUTCOMES"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _why(report: pytest.TestReport) -> str:
    """The message of a skip or an error, with its place."""
    if report.outcome == "passed":
        return ""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return f"{crash.message.splitlines()[0]} ({crash.path}:{crash.lineno})" if crash else str(report.longrepr)[-300:]
