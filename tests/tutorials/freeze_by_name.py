"""Training the classifier and the last layer only: everything else is frozen by its name."""

import torch
from transformers import BertForSequenceClassification, BertTokenizer

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model = BertForSequenceClassification.from_pretrained("textattack/bert-base-uncased-SST-2")

for name, param in model.named_parameters():
    if not name.startswith("classifier") and "encoder.layer.1" not in name:
        param.requires_grad = False
for param in model.bert.embeddings.parameters():
    assert not param.requires_grad
trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)

before = {name: value.clone() for name, value in model.state_dict().items()}
optimizer = torch.optim.AdamW(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-3)
batch = tokenizer(["The fox", "the lazy dog"], padding=True, return_tensors="pt")
loss = model(**batch, labels=torch.tensor([0, 1])).loss
loss.backward()
optimizer.step()
changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]

results = {"trainable": trainable, "loss": loss.item(), "changed": sorted(changed)}
