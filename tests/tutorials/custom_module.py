"""A classifier of one's own around `BertModel`, as a plain `nn.Module`."""

import torch
from torch import nn
from transformers import BertModel, BertTokenizer


class SentimentClassifier(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.bert = BertModel.from_pretrained("bert-base-uncased", return_dict=False)
        self.drop = nn.Dropout(p=0.0)
        self.out = nn.Linear(self.bert.config.hidden_size, n_classes)

    def forward(self, input_ids, attention_mask):
        _, pooled_output = self.bert(input_ids=input_ids, attention_mask=attention_mask)
        return self.out(self.drop(pooled_output))


tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model = SentimentClassifier(3)
torch.manual_seed(3)
nn.init.normal_(model.out.weight)
nn.init.zeros_(model.out.bias)
batch = tokenizer.batch_encode_plus(
    ["The fox", "They were with the lazy dog"], max_length=12, padding="max_length", truncation=True,
    return_token_type_ids=False, return_tensors="pt",
)  # fmt: skip
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
loss_fn = nn.CrossEntropyLoss()
losses = []
for _ in range(3):
    loss = loss_fn(model(batch["input_ids"], batch["attention_mask"]), torch.tensor([2, 0]))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
torch.save(model.state_dict(), "best_model_state.bin")
again = SentimentClassifier(3)
again.load_state_dict(torch.load("best_model_state.bin"))
results = {"losses": losses, "names": sorted(model.state_dict()), "logits": again(**batch).detach()}
