"""minibert: BERT written by hand in pure PyTorch."""

from minibert.inference.pipelines import pipeline
from minibert.model.bert import BertModel
from minibert.model.config import BertConfig
from minibert.model.tasks import (
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minibert.text.tokenizer import BertTokenizer, BertTokenizerFast
from minibert.training.arguments import TrainingArguments
from minibert.training.collation import DataCollatorWithPadding
from minibert.training.trainer import Trainer

__all__ = [
    "BertConfig",
    "BertForMaskedLM",
    "BertForMultipleChoice",
    "BertForNextSentencePrediction",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "BertTokenizer",
    "BertTokenizerFast",
    "DataCollatorWithPadding",
    "Trainer",
    "TrainingArguments",
    "pipeline",
]
