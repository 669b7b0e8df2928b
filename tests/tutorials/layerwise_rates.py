"""A smaller learning rate for every layer further down, by the names of the parameters."""

import re

import torch
from transformers import BertForSequenceClassification, BertTokenizer

model = BertForSequenceClassification.from_pretrained("textattack/bert-base-uncased-SST-2")
top, decay, depth = 1e-3, 0.5, model.config.num_hidden_layers
groups = []
for name, param in model.named_parameters():
    layer = re.search(r"encoder\.layer\.(\d+)\.", name)
    below = depth + 1 if "embeddings" in name else depth - int(layer[1]) if layer else 0
    weight_decay = 0.0 if name.endswith(("bias", "LayerNorm.weight")) else 0.01
    groups.append({"params": [param], "lr": top * decay**below, "weight_decay": weight_decay})
optimizer = torch.optim.AdamW(groups)
tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
batch = tokenizer(["The fox", "They were there"], padding=True, return_tensors="pt")
losses = []
for _ in range(3):
    loss = model(**batch, labels=torch.tensor([1, 0])).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
rates = sorted((group["lr"], sum(p.numel() for p in group["params"]), group["weight_decay"]) for group in groups)
results = {"losses": losses, "rates": [list(rate) for rate in rates]}
