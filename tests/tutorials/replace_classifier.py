"""Another number of classes: the head is replaced by hand, trained, saved and loaded."""

import torch
from torch import nn
from transformers import BertForSequenceClassification, BertTokenizer

model = BertForSequenceClassification.from_pretrained("textattack/bert-base-uncased-SST-2")
torch.manual_seed(1)
model.classifier = nn.Linear(model.config.hidden_size, 5)
nn.init.normal_(model.classifier.weight)
nn.init.zeros_(model.classifier.bias)
model.num_labels = 5
model.config.num_labels = 5

batch = BertTokenizer.from_pretrained("bert-base-uncased")(["The fox", "a dog"], padding=True, return_tensors="pt")
outputs = model(**batch, labels=torch.tensor([4, 2]))
outputs.loss.backward()
model.save_pretrained("five")
again = BertForSequenceClassification.from_pretrained("five")
results = {
    "loss": outputs.loss.item(),
    "logits": outputs.logits.detach(),
    "loaded": again(**batch).logits.detach(),
    "labels": again.config.id2label,
    "gradient": model.classifier.weight.grad,
}
