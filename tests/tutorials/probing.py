"""A linear probe on frozen features, of every layer, and a forward hook that records the pooler."""

import torch
from torch import nn
from transformers import BertModel, BertTokenizer

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model = BertModel.from_pretrained("bert-base-uncased", output_hidden_states=True).eval()
recorded = []
handle = model.pooler.register_forward_hook(lambda module, args, output: recorded.append(output.detach()))
texts, labels = ["The fox", "they were lazy", "a quick dog", "it was not there"], torch.tensor([1, 0, 1, 0])
batch = tokenizer(texts, padding=True, return_tensors="pt")
with torch.no_grad():
    states = model(**batch).hidden_states
handle.remove()
losses = []
for state in states:
    torch.manual_seed(0)
    probe = nn.Linear(state.shape[-1], 2)
    optimizer = torch.optim.SGD(probe.parameters(), lr=0.1)
    for _ in range(5):
        loss = nn.functional.cross_entropy(probe(state[:, 0]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    losses.append(loss.item())
results = {"losses": losses, "pooled": recorded[0], "calls": len(recorded)}
