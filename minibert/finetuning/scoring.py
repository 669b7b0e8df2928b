"""Scores of a model that is trained already, on a labelled file of the forms that fine-tuning reads."""

from typing import Any

from minibert.finetuning.classification import classification_task
from minibert.finetuning.examples import Columns
from minibert.finetuning.question_answering import question_answering_task
from minibert.finetuning.regression import regression_task
from minibert.finetuning.tagging import tagging_task
from minibert.finetuning.task import Split
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.tasks import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minibert.text.tokenizer import BertTokenizer
from minibert.training.collation import DataCollatorWithPadding
from minibert.training.evaluation_loop import evaluation_loop

LONGEST_QUESTION_WINDOW = 384  # tokens, as in fine-tuning, where the model does not say


def labelled_split(
    model: BertPreTrainedModel,
    tokenizer: BertTokenizer,
    file: str,
    columns: Columns | None = None,
    max_length: int | None = None,
) -> Split:
    """The examples of a file, which need not have every class of the model.

    Args:
        columns: what its columns hold, as for fine-tuning.
        max_length: how many tokens the model reads of each; None: as many as in fine-tuning, which the tokenizer
            remembers as its `model_max_length`.

    Raises: `ValueError` for a model without a task that has scores, or naming file and line of what does not fit it.
    """
    config, columns = model.config, columns or Columns()
    longest = config.max_position_embeddings
    if max_length is not None and not 0 < max_length <= longest:
        raise ValueError(f"--max-length must be from 1 to the {longest} tokens that the model reads, got {max_length}")
    length = max_length or min(tokenizer.model_max_length, longest)
    files, labels = {"train": file}, [name for _, name in sorted((config.id2label or {}).items())]
    if isinstance(model, BertForQuestionAnswering):
        length = max_length or min(length, LONGEST_QUESTION_WINDOW)
        return question_answering_task(files, columns, tokenizer, length).splits["train"]
    if isinstance(model, BertForTokenClassification):
        return tagging_task(files, columns, tokenizer, length, labels).splits["train"]
    if not isinstance(model, BertForSequenceClassification):
        raise ValueError(f"--eval: {type(model).__name__} has no task with a score; leave it out")
    if config.num_labels == 1:
        return regression_task(files, columns, tokenizer, length).splits["train"]
    task = classification_task(files, columns, tokenizer, length, labels)
    has_several = config.problem_type == "multi_label_classification"
    if has_several != (task.config["problem_type"] == "multi_label_classification"):
        expected = "several labels, for which there is --label-separator" if has_several else "one label"
        raise ValueError(f"--eval {file}: the model gives a text {expected}; the file does not")
    return task.splits["train"]


def score(model: Any, tokenizer: BertTokenizer, split: Split) -> dict[str, float]:
    """The scores of a model, or of an exported file, on a split."""
    collate = DataCollatorWithPadding(tokenizer)
    _, prediction = evaluation_loop(model, lambda batch: model(**batch), split.items, collate, 32, True)
    assert prediction is not None  # it was asked for
    return split.score(prediction)
