"""A checkpoint made ready for a task: its model, its tokenizer, and the certainty that its head was trained."""

import logging
from typing import Any

from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.opened import Checkpoint
from minibert.model.config import BertConfig
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.weights import quiet_loading
from minibert.text.tokenizer import BertTokenizer

# Many a checkpoint has rows for a few tokens that do not exist, so that their number is a multiple of 8, 64 or 128.
_MOST_PADDING = 0.01  # of the rows

logger = logging.getLogger(__name__)


def load_for(
    task: str,
    model_class: type[BertPreTrainedModel],
    trained_as: tuple[str, ...],
    checkpoint: Checkpoint,
    **options: Any,
) -> BertPreTrainedModel:
    """The model of the checkpoint, in eval mode.

    Args:
        task: what it is for, for the error.
        trained_as: the classes (`architectures` in the config) of checkpoints that have the head; empty: any will do.
        options: of `from_pretrained`.

    Raises: `CheckpointError` for a checkpoint that was not trained for the task.
    """
    said = saved_as(checkpoint)
    # Two classes call their head `classifier`, so that its name alone proves nothing.
    if trained_as and said.startswith("BertFor") and said not in trained_as:
        raise CheckpointError(_not_trained(checkpoint, task, trained_as, f"{said} and has another head"))
    with quiet_loading():  # heads that the task does not need are no news here
        arguments = {} if trained_as else {"add_pooling_layer": False}
        model, info = model_class.from_pretrained(checkpoint, output_loading_info=True, **arguments, **options)
    if missing := info["missing_keys"]:
        raise CheckpointError(_not_trained(checkpoint, task, trained_as, f"{said} and lacks {', '.join(missing)}"))
    return model


def saved_as(checkpoint: Checkpoint) -> str:
    """The class that the checkpoint's config names; `BertModel` if it names none."""
    return (BertConfig.from_pretrained(checkpoint).architectures or ["BertModel"])[0]


def load_tokenizer_for(model: BertPreTrainedModel, checkpoint: Checkpoint) -> BertTokenizer:
    """The tokenizer of the checkpoint, whose `model_max_length` is what `model` can read at most.

    Raises `CheckpointError` if it has more tokens than `model`; warns if it has clearly fewer.
    """
    tokenizer = BertTokenizer.from_pretrained(checkpoint)
    tokenizer.model_max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    check_tokenizer(model, tokenizer, checkpoint.name)
    return tokenizer


def check_tokenizer(model: BertPreTrainedModel, tokenizer: BertTokenizer, name: str) -> None:
    """Raise `CheckpointError` if the tokenizer, that of `name`, has more tokens than `model`; warn of clearly fewer."""
    if len(tokenizer) > model.config.vocab_size:
        raise CheckpointError(
            f"{name}: the tokenizer has {len(tokenizer):,} word pieces, the model"
            f" {model.config.vocab_size:,}; put the tokenizer there that the model was trained with"
        )
    if len(tokenizer) < (1 - _MOST_PADDING) * model.config.vocab_size:
        logger.warning(
            "%s: the tokenizer has %s word pieces, the model %s; is its vocabulary whole?",
            name,
            f"{len(tokenizer):,}",
            f"{model.config.vocab_size:,}",
        )


def _not_trained(checkpoint: Checkpoint, task: str, trained_as: tuple[str, ...], found: str) -> str:
    expected = f"a checkpoint of {' or '.join(trained_as)}" if trained_as else "a whole encoder"
    return (
        f"{checkpoint.name}: {task} needs {expected}, but this one is {found}:"
        " its predictions would be random. Fine-tune it for the task first, or choose another"
    )
