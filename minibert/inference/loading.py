"""A checkpoint made ready for a task: its model, its tokenizer, and the certainty that its head was trained."""

from pathlib import Path

import torch

from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.opened import Checkpoint
from minibert.model.config import BertConfig
from minibert.model.precision import dtype_of
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.weights import quiet_loading
from minibert.text.tokenizer import BertTokenizer


def load_for(
    task: str,
    model_class: type[BertPreTrainedModel],
    trained_as: tuple[str, ...],
    name: str | Path,
    precision: str = "auto",
    device: torch.device | str | int | None = None,
) -> tuple[BertPreTrainedModel, BertTokenizer]:
    """The model and the tokenizer of the checkpoint `name`, in eval mode.

    Args:
        task: what it is for, for the error.
        trained_as: the classes (`architectures` in the config) of checkpoints that have the head; empty: any will do.
        precision, device: as for `pipelines.pipeline`.

    Raises: `CheckpointError` for a checkpoint that was not trained for the task, or whose tokenizer has more tokens
    than the model.
    """
    dtype = dtype_of(precision)
    checkpoint = Checkpoint.open(name)
    said = saved_as(checkpoint)
    # Two classes call their head `classifier`, so that its name alone proves nothing.
    if trained_as and said.startswith("BertFor") and said not in trained_as:
        raise CheckpointError(_not_trained(checkpoint, task, trained_as, f"{said} and has another head"))
    with quiet_loading():  # heads that the task does not need are no news here
        arguments = {} if trained_as else {"add_pooling_layer": False}
        model, info = model_class.from_pretrained(checkpoint, output_loading_info=True, **arguments)
    if missing := info["missing_keys"]:
        raise CheckpointError(_not_trained(checkpoint, task, trained_as, f"{said} and lacks {', '.join(missing)}"))
    compute_layers_in(model, dtype)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to("cpu" if device == -1 else device)
    return model, load_tokenizer_for(model, checkpoint)


def saved_as(checkpoint: Checkpoint) -> str:
    """The class that the checkpoint's config names; `BertModel` if it names none."""
    return (BertConfig.from_pretrained(checkpoint).architectures or ["BertModel"])[0]


def load_tokenizer_for(model: BertPreTrainedModel, checkpoint: Checkpoint) -> BertTokenizer:
    """The tokenizer of the checkpoint, whose `model_max_length` is what `model` can read at most.

    Raises `CheckpointError` if it has more tokens than `model`.
    """
    tokenizer = BertTokenizer.from_pretrained(checkpoint)
    tokenizer.model_max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    if len(tokenizer) > model.config.vocab_size:
        raise CheckpointError(
            f"{checkpoint.name}: the tokenizer has {len(tokenizer):,} word pieces, the model"
            f" {model.config.vocab_size:,}; put the tokenizer there that the model was trained with"
        )
    return tokenizer


def compute_layers_in(model: BertPreTrainedModel, dtype: torch.dtype) -> None:
    """Convert the encoder's layers, where nearly all the work is, to `dtype`; what is around them stays fp32.

    Logits in bfloat16 would have two digits: a probability could be wrong by some percent, and neighbours be equal.
    """
    if dtype == torch.float32:
        return
    encoder = model.base_model.encoder.to(dtype)
    encoder.register_forward_pre_hook(lambda _, args: (args[0].to(dtype), *args[1:]))
    encoder.register_forward_hook(
        lambda _, args, output: (output[0].float(), *([x.float() for x in states] for states in output[1:]))
    )


def _not_trained(checkpoint: Checkpoint, task: str, trained_as: tuple[str, ...], found: str) -> str:
    expected = f"a checkpoint of {' or '.join(trained_as)}" if trained_as else "a whole encoder"
    return (
        f"{checkpoint.name}: {task} needs {expected}, but this one is {found}:"
        " its predictions would be random. Fine-tune it for the task first, or choose another"
    )
