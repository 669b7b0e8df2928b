"""Less memory with gradient checkpointing, and accumulated gradients: the same gradients."""

import torch
from transformers import BertForSequenceClassification, BertTokenizer

model = BertForSequenceClassification.from_pretrained("textattack/bert-base-uncased-SST-2")
tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
model.train()
for text, label in (("The quick fox", 1), ("They were there", 0)):
    loss = model(**tokenizer(text, return_tensors="pt"), labels=torch.tensor([label])).loss / 2
    loss.backward()
gradients = {name: p.grad.norm().item() for name, p in model.named_parameters()}
enabled = model.is_gradient_checkpointing
model.gradient_checkpointing_disable()
results = {"loss": loss.item(), "gradients": gradients, "flags": [enabled, model.is_gradient_checkpointing]}
