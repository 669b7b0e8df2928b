"""`BertPreTrainedModel`: what all models share: initial weights, loading and saving."""

import logging
from dataclasses import fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Literal, Self, overload

import torch
from torch import Tensor, nn

from minibert.checkpoint.files import read_tensors, write_tensors
from minibert.checkpoint.opened import Checkpoint, open_from
from minibert.model import weights
from minibert.model.changes import ModelChanges
from minibert.model.config import BertConfig
from minibert.model.config_checks import check_config
from minibert.model.heads import MLMHead
from minibert.model.reference_names import ReferenceNames
from minibert.model.skeleton import skeleton

logger = logging.getLogger(__name__)


class BertPreTrainedModel(ModelChanges, ReferenceNames):
    """Base class. A model with a task holds its encoder as `self.bert`; `BertModel` is the encoder itself.

    A subclass of your own makes its parts in `__init__`, and calls `self.post_init()` at the end.
    """

    config_class = BertConfig
    base_model_prefix = "bert"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        check_config(config)
        self.config = config
        self.register_load_state_dict_post_hook(_tie_again)

    # --- initial weights

    @torch.no_grad()
    def post_init(self) -> None:
        """Tie what is shared, and draw fresh weights from PyTorch's global generator, as `transformers` does.

        The released code of Devlin et al. 2019 draws again what is beyond two standard deviations. What came from a
        checkpoint stays as it is.
        """
        self.tie_weights()
        self.connect()
        for module in self.modules():
            if "_keeps_weights" not in vars(module):
                self._init_weights(module)

    init_weights = post_init  # the older name

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Matrices: normal(0, initializer_range); LayerNorm: 1 and 0; biases and the padding row: 0.

        Called for each module. A user's subclass may replace it, for modules of its own.
        """
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.normal_(0.0, self.config.initializer_range)
        elif isinstance(module, nn.LayerNorm):
            module.weight.fill_(1)
        if isinstance(module, nn.Linear | nn.LayerNorm | MLMHead) and module.bias is not None:
            module.bias.zero_()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            module.weight[module.padding_idx] = 0

    def tie_weights(self) -> None:
        """Share the MLM decoder with the word embeddings, in models that have one and if the config says so."""
        if hasattr(self, "mlm_head") and self.config.tie_word_embeddings:
            self.mlm_head.tie(self.get_input_embeddings())

    # --- loading and saving

    @overload
    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *args: Any, output_loading_info: Literal[True], **options: Any
    ) -> tuple[Self, dict[str, Any]]: ...

    @overload
    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **options: Any) -> Self: ...

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path | Checkpoint | None,
        *model_args: Any,
        config: BertConfig | None = None,
        dtype: torch.dtype | str = torch.float32,
        torch_dtype: torch.dtype | str | None = None,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        device_map: str | torch.device | None = None,
        use_safetensors: bool | None = None,
        state_dict: dict[str, Tensor] | None = None,
        **options: Any,
    ) -> Self | tuple[Self, dict[str, Any]]:
        """Load a checkpoint: a folder, a checkpoint that ships with minibert, or a name on the hub.

        Args:
            model_args: further arguments of the model's class.
            config: use this config instead of the checkpoint's.
            dtype: the parameters' type, a `torch.dtype` or its name; "auto": the type in the file.
            torch_dtype: the older name of `dtype`.
            ignore_mismatched_sizes: draw a head whose size differs anew, instead of raising an error.
            output_loading_info: also return {"missing_keys", "unexpected_keys", "mismatched_keys"}.
            device_map: a device to put the whole model on.
            use_safetensors: as for `Checkpoint.weights`.
            state_dict: load these tensors instead of the checkpoint's; with `config`, no checkpoint is needed.
            options: where it is, as for `Checkpoint.open`; fields of the config to change (`num_labels=3`,
                `attn_implementation="eager"`); or arguments of the model's class (`add_pooling_layer=False`).

        Returns: the model in eval mode; tensors that the checkpoint lacks are newly initialised, and reported.
        Raises: `CheckpointError` naming the file and the key.
        """
        if torch.get_default_device().type == "meta":
            raise RuntimeError("from_pretrained inside torch.device('meta') would load nothing; call it outside")
        wanted = weights.as_dtype(torch_dtype or dtype)
        # Open the checkpoint,
        config, tensors, path = _open(pretrained_model_name_or_path, config, state_dict, use_safetensors, options)
        # map the names of the file to those of the model,
        model = cls._unfilled(config, *model_args, **options)
        key_of, unexpected = weights.match_names(model.state_dict(), tensors, model.is_encoder, path)
        # and put the tensors in their place.
        info = weights.put_in_place(model, tensors, key_of, path, wanted, ignore_mismatched_sizes)
        info["unexpected_keys"] = unexpected + weights.left_over(model, key_of)
        weights.report(info, path, cls.__name__)
        model.eval().to(weights.whole_device(device_map))
        return (model, info) if output_loading_info else model

    @classmethod
    def from_config(cls, config: BertConfig, **changes: Any) -> Self:
        """A new model, drawn from random; `changes` are fields of its config."""
        if changes:
            config = BertConfig(**{**config.to_dict(), "attn_implementation": config.attn_implementation, **changes})
        return cls(config)

    _from_config = from_config  # the name that other people's tests reach for

    @classmethod
    def _unfilled(cls, *args: Any, **options: Any) -> Self:
        """A model whose parameters wait for a file's tensors: no memory is taken, and nothing is drawn twice.

        A user's subclass may do anything in its `__init__`, so that one is made as usual.
        """
        takes = signature(cls.__init__).parameters.values()
        if not any(p.kind is Parameter.VAR_KEYWORD for p in takes):
            known = [p.name for p in takes][2:]
            for name in options.keys() - set(known):
                raise TypeError(
                    f"from_pretrained has no argument {name!r}, and it is neither a field of the config nor an argument"
                    f" of {cls.__name__} ({', '.join(known) or 'which takes none'})"
                )
        if not weights.is_ours(cls):
            return cls(*args, **options)
        with skeleton():
            return cls(*args, **options)

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: dict[str, Tensor] | None = None,
        safe_serialization: bool = True,
    ) -> None:
        """Write `config.json` and `model.safetensors` in the form that `transformers` loads.

        Args:
            is_main_process: False: another process writes, and this call does nothing.
            state_dict: write these tensors instead of the model's.
            safe_serialization: must be True; a format that can hold code is not written.

        Raises: `ValueError` for a model that would not come back from the file: see `weights.check_fits`.
        """
        if not safe_serialization:
            raise ValueError("safe_serialization=False: minibert writes only safetensors, which cannot hold code")
        if not is_main_process:
            return
        weights.check_fits(self)
        tensors = weights.tensors_to_save(self) if state_dict is None else state_dict
        self.config.architectures = [type(self).__name__]
        self.config.dtype = str(self.dtype).removeprefix("torch.")
        write_tensors(Path(save_directory) / "model.safetensors", tensors)
        self.config.save_pretrained(save_directory)


def _tie_again(model: BertPreTrainedModel, incompatible: Any) -> None:
    """`load_state_dict(..., assign=True)` puts two parameters where one was shared."""
    if not weights.tied_names(model):
        return
    decoder, words = model.mlm_head.decoder.weight, model.get_input_embeddings().weight
    if decoder is words or decoder.is_meta:
        return
    if torch.equal(decoder, words) and torch.equal(model.mlm_head.decoder.bias, model.mlm_head.bias):
        model.tie_weights()
    else:
        logger.warning("the decoder that was loaded is not the word embeddings: the model is no longer tied")
        model.config.tie_word_embeddings = False


def _open(
    name: str | Path | Checkpoint | None,
    config: BertConfig | None,
    state_dict: dict[str, Tensor] | None,
    use_safetensors: bool | None,
    options: dict[str, Any],
) -> tuple[BertConfig, dict[str, Tensor], Path]:
    """The config, the tensors, and the file that they come from; takes what it uses out of `options`."""
    if name is None and (config is None or state_dict is None):
        raise ValueError("from_pretrained(None): pass a folder or a name, or both config= and state_dict=")
    checkpoint = None if name is None else open_from(name, options)
    changes = {f.name: options.pop(f.name) for f in fields(BertConfig) if f.name in options}
    if config is None:
        config = BertConfig.from_pretrained(checkpoint, **changes)  # type: ignore[arg-type] # it is there
    elif changes:
        raise ValueError(f"pass either config= or {', '.join(changes)}=, not both")
    if state_dict is not None or checkpoint is None:
        return config, state_dict or {}, Path("state_dict")
    path = checkpoint.weights(use_safetensors)
    return config, read_tensors(path), path
