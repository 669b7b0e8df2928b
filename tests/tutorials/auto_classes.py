"""Auto classes for every task, and what they make of a config."""

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForNextSentencePrediction,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased", use_fast=True)
inputs = tokenizer("The quick [MASK] fox", "there they were", return_tensors="pt")
found = {}
for auto, checkpoint in (
    (AutoModel, "bert-base-uncased"),
    (AutoModelForMaskedLM, "bert-base-uncased"),
    (AutoModelForNextSentencePrediction, "bert-base-uncased"),
    (AutoModelForPreTraining, "bert-base-uncased"),
    (AutoModelForQuestionAnswering, "deepset/bert-base-uncased-squad2"),
    (AutoModelForTokenClassification, "dslim/bert-base-NER"),
):
    model = auto.from_pretrained(checkpoint)
    with torch.no_grad():
        found[type(model).__name__] = model(**inputs)[0]
config = AutoConfig.from_pretrained("bert-base-uncased")
fresh = AutoModel.from_config(config)
results = {
    "outputs": found,
    "fresh": [type(fresh).__name__, sum(p.numel() for p in fresh.parameters())],
    "config": [type(config).__name__, config.model_type, config.hidden_size],
}
