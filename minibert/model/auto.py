"""The names by which scripts ask for "the model of this checkpoint, whatever it is": here it is a BERT, or refused."""

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

AutoConfig = BertConfig
AutoModel = BertModel
AutoModelForMaskedLM = BertForMaskedLM
AutoModelForMultipleChoice = BertForMultipleChoice
AutoModelForNextSentencePrediction = BertForNextSentencePrediction
AutoModelForPreTraining = BertForPreTraining
AutoModelForQuestionAnswering = BertForQuestionAnswering
AutoModelForSequenceClassification = BertForSequenceClassification
AutoModelForTokenClassification = BertForTokenClassification
