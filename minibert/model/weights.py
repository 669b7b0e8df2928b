"""Between a model and its file: which tensor goes where, what is shared, and what does not fit.

Names here are those of `state_dict`: the ecosystem's (`model.reference_names`).
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.key_map import from_reference, to_reference
from minibert.checkpoint.soundness import check_layers, check_shapes, check_weights, not_finite
from minibert.model.changes import keep_weights
from minibert.model.config import BertConfig
from minibert.model.skeleton import skeleton

logger = logging.getLogger(__name__)

# The decoder of a tied model, and what it is tied to.
DECODER, WORDS = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
DECODER_BIAS, BIAS = "cls.predictions.decoder.bias", "cls.predictions.bias"

# Of the ways in which two configs of one model may differ, those that change what it computes.
ENCODER_FIELDS = ("hidden_act", "layer_norm_eps", "num_attention_heads", "pad_token_id", "type_vocab_size")


# --- out of a file


def match_names(
    wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], is_encoder: bool, path: Path
) -> tuple[dict[str, str], list[str]]:
    """({name of the model: key of the file}, the keys that are no part of a BERT).

    A file of any age, of a bare encoder or of a whole model, of TensorFlow: see `key_map.from_reference`. A layer of
    one's own is found under its own name.
    """
    found, unknown = from_reference(tensors)
    names = {to_reference(name): key for name, key in found.items()}
    if is_encoder:
        names = {name.removeprefix("bert."): key for name, key in names.items()}
    names |= {key: key for key in tensors if key in wanted}
    if not names:
        raise CheckpointError(f"{path}: holds no tensor of a BERT; its keys are {sorted(tensors)[:3]} ...")
    biases = [name for name in (BIAS, DECODER_BIAS) if name in names]
    if len(biases) == 1:  # one stands for both: which one depends on the version that wrote the file
        names[BIAS] = names[DECODER_BIAS] = names[biases[0]]
    return names, [key for key in unknown if key not in wanted]


def put_in_place(
    model: Any,
    tensors: Mapping[str, Tensor],
    key_of: dict[str, str],
    path: Path,
    dtype: torch.dtype | None,
    ignore_mismatched_sizes: bool,
) -> dict[str, Any]:
    """Make the file's tensors the parameters (not copies of them), and draw those that it lacks.

    Args:
        model: a `BertPreTrainedModel`.
        key_of: as from `match_names`.
        dtype: None: as in the file.

    Returns: what was missing in the file, and what had another shape.
    """
    check_weights(tensors, key_of, path)
    check_layers(key_of, model.config.num_hidden_layers, path)
    untie_if_file_is(model, tensors, key_of, path)
    dtype = dtype or common_dtype(tensors[key] for key in key_of.values())
    wanted = model.state_dict()
    tied = tied_names(model)
    missing, mismatched, loaded = [], [], {}
    for name, expected in wanted.items():
        key = key_of.get(name)
        if name in tied:
            continue
        if key is None:
            missing.append(name)
        elif tensors[key].shape != expected.shape:
            mismatched.append((key, tuple(tensors[key].shape), tuple(expected.shape)))
        else:
            loaded[name] = tensors[key].to(dtype).contiguous()
    if not ignore_mismatched_sizes:
        check_shapes(mismatched, path)
    if spoiled := not_finite({name: x for name, x in loaded.items() if x.is_floating_point()}):
        logger.warning("%s: not all numbers are finite (NaN, infinity) in %s", path, ", ".join(spoiled))
    _assign(model, loaded, dtype)
    return {"missing_keys": missing, "mismatched_keys": mismatched}


def _assign(model: Any, loaded: dict[str, Tensor], dtype: torch.dtype) -> None:
    places = set()
    for name, tensor in loaded.items():
        if tensor.data_ptr() in places:  # one tensor of the file stands for two, which training will part
            loaded[name] = tensor.clone()
        places.add(tensor.data_ptr())
    model.load_state_dict(loaded, strict=False, assign=True)
    model.tie_weights()
    lacking: dict[nn.Module, set[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            module, attribute = owner_of(model, parameter), name.rpartition(".")[2]
            setattr(module, attribute, nn.Parameter(torch.empty(parameter.shape, dtype=dtype)))
            lacking.setdefault(module, set()).add(attribute)
        elif name not in loaded:
            parameter.data = parameter.data.to(dtype)  # of a user's subclass, which has drawn it
    model.tie_weights()
    for module, attributes in lacking.items():
        draw(model, module, attributes)
    for module in model.modules():
        keep_weights(module)


def owner_of(model: nn.Module, parameter: Tensor) -> nn.Module:
    """The module that holds a parameter itself."""
    return next(m for m in model.modules() if any(p is parameter for p in m._parameters.values()))


@torch.no_grad()
def draw(model: Any, module: nn.Module, attributes: set[str]) -> None:
    """Draw some of a module's parameters, as in a new model, and leave the others alone."""
    kept = {name: p.clone() for name, p in module.named_parameters(recurse=False) if name not in attributes}
    model._init_weights(module)
    for name, value in kept.items():
        getattr(module, name).copy_(value)


def common_dtype(tensors: Iterator[Tensor]) -> torch.dtype:
    """The narrowest type that holds all of them: a model computes in one."""
    dtypes = list(dict.fromkeys(tensor.dtype for tensor in tensors))
    common = dtypes[0]
    for dtype in dtypes[1:]:
        common = torch.promote_types(common, dtype)
    if len(dtypes) > 1:
        logger.warning("the file holds %s: all is loaded as %s", " and ".join(map(str, dtypes)), common)
    return common


def left_over(model: Any, key_of: Mapping[str, str]) -> list[str]:
    """The keys of a file that belong to a BERT, but not to this one."""
    used = {key_of[name] for name in model.state_dict() if name in key_of}
    return list(dict.fromkeys(key for key in key_of.values() if key not in used))


# --- what was asked for


def as_dtype(dtype: torch.dtype | str) -> torch.dtype | None:
    """A `torch.dtype` from itself or its name; None for "auto": as the file has it."""
    if dtype == "auto":
        return None
    found = getattr(torch, str(dtype).removeprefix("torch."), None)  # str(torch.float16) is its name, too
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype must be 'auto', a floating-point torch.dtype or its name, got {dtype!r}")
    return found


def whole_device(device_map: str | torch.device | dict | None) -> torch.device | str | None:
    """The one device that a `device_map` names; None: where the model is."""
    if isinstance(device_map, dict) and list(device_map) == [""]:
        device_map = device_map[""]
    if device_map in ("auto", "balanced"):
        return "cuda" if torch.cuda.is_available() else None
    if isinstance(device_map, dict):
        raise ValueError("device_map: a BERT fits on one device, and is not spread over several; name that one")
    return device_map


def is_ours(cls: type) -> bool:
    """Whether a class is the package's, and so known to make nothing but what its config says."""
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


# --- what is shared


def tied_names(model: Any) -> set[str]:
    """The names of the decoder in a model whose config ties it to the word embeddings."""
    tied = hasattr(model, "mlm_head") and model.config.tie_word_embeddings
    return {DECODER, DECODER_BIAS} if tied else set()


def untie_if_file_is(model: Any, tensors: Mapping[str, Tensor], key_of: Mapping[str, str], path: Path) -> None:
    """A file with a decoder of its own is an untied model's, also where the config leaves this to the default."""
    if not tied_names(model):
        return
    for name, twin in ((DECODER, WORDS), (DECODER_BIAS, BIAS)):
        keys = [key_of[n] for n in (name, twin) if n in key_of]
        if len(keys) == 2 and not _equal(tensors[keys[0]], tensors[keys[1]]):
            model.config.tie_word_embeddings = False
            logger.warning("%s: %s and %s differ: loaded untied, although the config says tied", path, *keys)
            return


def _equal(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b.to(a.dtype))  # which may differ within a file


# --- into a file


def tensors_to_save(model: Any) -> dict[str, Tensor]:
    """All tensors that a file must hold for the model to come back as it is; none shares memory with another.

    What is shared is seen in memory, not in the config, which is set right where it says something else.
    """
    tensors = dict(model.state_dict())
    if hasattr(model, "mlm_head"):
        pairs = [(tensors[DECODER], tensors[WORDS]), (tensors[DECODER_BIAS], tensors[BIAS])]
        tied = all(a.data_ptr() == b.data_ptr() and a.shape == b.shape for a, b in pairs)
        if tied != model.config.tie_word_embeddings:
            logger.warning(
                "the decoder %s the word embeddings' memory: saved with tie_word_embeddings=%s",
                *("shares" if tied else "does not share", tied),
            )
            model.config.tie_word_embeddings = tied
        if tied:
            del tensors[DECODER], tensors[DECODER_BIAS]
    places: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in places else tensor
        places.add(place)
    return tensors


def check_fits(model: Any) -> None:
    """Raise `ValueError` if the model could not come back from a file: its parts do not fit its config.

    A user's subclass is taken as it is; what such a class adds to ours, and what was put in the place of a part, is
    saved under its own name.
    """
    config, cls = model.config, type(model)
    inner = getattr(getattr(model, "bert", None), "config", config)
    for name in ENCODER_FIELDS:
        if getattr(inner, name) != getattr(config, name):
            raise ValueError(
                f"model.bert was made with {name}={getattr(inner, name)!r}, model.config says"
                f" {getattr(config, name)!r}: set one of them right before saving"
            )
    layers = len(model.base_model.encoder.layer) if hasattr(model.base_model, "encoder") else config.num_hidden_layers
    if layers != config.num_hidden_layers:
        raise ValueError(
            f"the model has {layers} layers, model.config says {config.num_hidden_layers}: set"
            " model.config.num_hidden_layers before saving"
        )
    if not is_ours(cls):
        return
    with skeleton():
        expected = cls(BertConfig(**config.to_dict())).state_dict()
    tensors = model.state_dict()
    for name in tensors.keys() & expected.keys():
        found, wanted = tuple(tensors[name].shape), tuple(expected[name].shape)
        if found != wanted:
            raise ValueError(
                f"{name} has shape {found}, but by model.config it would have {wanted}; set the config right"
                f" ({_field_of(name)}), or put a part of the right size there, before saving"
            )
    if own := [name for name in tensors if name not in expected]:
        logger.warning(
            "%s has no %s: saved, but only a class of your own will load it", cls.__name__, ", ".join(own[:5])
        )


def _field_of(name: str) -> str:
    fields = {"word_embeddings": "vocab_size", "decoder": "vocab_size", "cls.predictions.bias": "vocab_size"}
    fields |= {"classifier": "num_labels", "position_emb": "max_position_embeddings", "layer": "hidden_size, ..."}
    return next((field for part, field in fields.items() if part in name), "hidden_size, ...")


# --- what is said


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Inside, `from_pretrained` does not report what a file lacks or has too much: the caller looks at it."""
    usual, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = usual


def report(info: dict[str, Any], path: Path, model_name: str) -> None:
    """Say, in one message, what the file lacked and what it had in excess."""
    drawn = [*info["missing_keys"], *(key for key, _, _ in info["mismatched_keys"])]
    lines = []
    if drawn:
        lines.append(f"newly initialised, train before use: {', '.join(drawn)}")
    if info["unexpected_keys"]:
        lines.append(f"in the file, but not part of this model: {', '.join(info['unexpected_keys'])}")
    if lines:
        logger.warning("%s loaded from %s\n  %s", model_name, path, "\n  ".join(lines))
