"""Several labels at once, and regression: the loss follows from `problem_type` and the labels."""

import torch
from transformers import BertForSequenceClassification, BertTokenizer

checkpoint = "textattack/bert-base-uncased-SST-2"
batch = BertTokenizer.from_pretrained(checkpoint)(["The fox", "a lazy dog"], padding=True, return_tensors="pt")
tags = BertForSequenceClassification.from_pretrained(checkpoint, problem_type="multi_label_classification")
several = tags(**batch, labels=torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
several.loss.backward()
scores = BertForSequenceClassification.from_pretrained("regression")
one = scores(**batch, labels=torch.tensor([0.3, 2.5]))
results = {
    "tags": [several.loss.item(), several.logits.detach()],
    "on": (several.logits.sigmoid() > 0.5).tolist(),
    "score": [one.loss.item(), one.logits.squeeze(-1).detach()],
    "types": [tags.config.problem_type, scores.config.num_labels],
}
