"""The model of a checkpoint with the head that it was saved with, whichever that is."""

import contextlib

from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.opened import Checkpoint
from minibert.inference.loading import load_for, load_tokenizer_for, saved_as
from minibert.model import tasks
from minibert.model.bert import BertModel
from minibert.model.pretrained import BertPreTrainedModel
from minibert.text.tokenizer import BertTokenizer

PURPOSE = "the explorer"
WITH_HEAD: dict[str, type[BertPreTrainedModel]] = {
    kind.__name__: kind
    for kind in (
        tasks.BertForPreTraining,
        tasks.BertForMaskedLM,
        tasks.BertForNextSentencePrediction,
        tasks.BertForSequenceClassification,
        tasks.BertForTokenClassification,
        tasks.BertForQuestionAnswering,
        tasks.BertForMultipleChoice,
    )
}


def open_model(name: str) -> tuple[BertPreTrainedModel, BertTokenizer]:
    """The model in fp32 and the tokenizer of a folder, a shipped checkpoint, or a name on the hub.

    Raises: `CheckpointError` for a checkpoint that cannot be found or that lacks what its config says.
    """
    checkpoint = Checkpoint.open(name)
    model = _load(checkpoint)
    return model, load_tokenizer_for(model, checkpoint)


def _load(checkpoint: Checkpoint) -> BertPreTrainedModel:
    said = saved_as(checkpoint)
    if said == "BertForMaskedLM":
        # Published files often hold the head for pairs, too, and their config does not say so.
        with contextlib.suppress(CheckpointError):
            return load_for(PURPOSE, tasks.BertForPreTraining, (said,), checkpoint)
    if said in WITH_HEAD:
        return load_for(PURPOSE, WITH_HEAD[said], (said,), checkpoint)
    return load_for(PURPOSE, BertModel, (), checkpoint)
