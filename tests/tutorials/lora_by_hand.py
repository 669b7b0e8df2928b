"""LoRA in twenty lines: query and value of every layer get a low-rank detour, and everything else is frozen."""

import torch
from torch import nn
from transformers import BertForSequenceClassification, BertTokenizer


class LoRALinear(nn.Module):
    def __init__(self, linear, rank=2, alpha=4):
        super().__init__()
        self.linear = linear
        self.a = nn.Parameter(torch.linspace(-0.1, 0.1, rank * linear.in_features).view(rank, -1))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x):
        return self.linear(x) + x @ self.a.T @ self.b.T * self.scale


model = BertForSequenceClassification.from_pretrained("textattack/bert-base-uncased-SST-2")
for param in model.parameters():
    param.requires_grad = False
for layer in model.bert.encoder.layer:
    layer.attention.self.query = LoRALinear(layer.attention.self.query)
    layer.attention.self.value = LoRALinear(layer.attention.self.value)

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
batch = tokenizer(["The fox", "They were there with the dog"], padding=True, return_tensors="pt")
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
losses = []
for _ in range(4):
    loss = model(**batch, labels=torch.tensor([1, 0])).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
results = {
    "losses": losses,
    "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
    "logits": model(**batch).logits.detach(),
}
