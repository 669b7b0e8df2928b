"""`pipeline`: from the name of a task and of a checkpoint to something that answers texts."""

from pathlib import Path

import torch

from minibert.inference.base import Pipeline
from minibert.inference.embedding import FeatureExtractionPipeline, SentenceSimilarityPipeline
from minibert.inference.fill_mask import FillMaskPipeline
from minibert.inference.loading import load_for
from minibert.inference.question_answering import QuestionAnsweringPipeline
from minibert.inference.text_classification import TextClassificationPipeline
from minibert.inference.token_classification import TokenClassificationPipeline
from minibert.model.bert import BertModel
from minibert.model.tasks import (
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)

# The pipeline of each task, its model, and what the config of a checkpoint that has the head says in `architectures`.
TASKS = {
    "fill-mask": (FillMaskPipeline, BertForMaskedLM, ("BertForMaskedLM", "BertForPreTraining")),
    "text-classification": (
        TextClassificationPipeline,
        BertForSequenceClassification,
        ("BertForSequenceClassification",),
    ),
    "token-classification": (TokenClassificationPipeline, BertForTokenClassification, ("BertForTokenClassification",)),
    "question-answering": (QuestionAnsweringPipeline, BertForQuestionAnswering, ("BertForQuestionAnswering",)),
    "feature-extraction": (FeatureExtractionPipeline, BertModel, ()),
    "sentence-similarity": (SentenceSimilarityPipeline, BertModel, ()),
}

# Other names that the reference has for two of them.
ELSEWHERE = {"ner": "token-classification", "sentiment-analysis": "text-classification"}


def pipeline(
    task: str,
    model: str | Path,
    precision: str = "auto",
    device: torch.device | str | int | None = None,
) -> Pipeline:
    """Load a checkpoint for a task: `pipeline("fill-mask", "minibert-tiny")("A list is a mutable [MASK].")`.

    Args:
        task: one of `TASKS`.
        model: a folder, a checkpoint that ships with minibert, or a name on the hub, with model and tokenizer.
        precision: "fp32"; "bf16", faster on hardware that has it, the third digit of a score may differ; "auto": bf16
            where the hardware has it.
        device: None: a CUDA GPU if there is one; -1: the CPU, as in the reference.

    Returns: an object to call with one text or with a list; what it takes and gives is told by the `run` of its class.
    Raises: `ValueError` for an unknown task or precision, `CheckpointError` for a checkpoint that cannot be found or
    was not trained for the task.
    """
    if task not in TASKS:
        hint = f", which is {ELSEWHERE[task]} here" if task in ELSEWHERE else ""
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}{hint}")
    pipeline_class, model_class, trained_as = TASKS[task]
    return pipeline_class(*load_for(task, model_class, trained_as, model, precision, device))
