"""A training loop of one's own: two groups of weight decay, a linear schedule with warm-up, clipping."""

import torch
from torch.optim import AdamW
from torch.utils.data import DataLoader, SequentialSampler, TensorDataset
from transformers import BertForSequenceClassification, BertTokenizer, get_linear_schedule_with_warmup

texts = ["The fox jumps", "the lazy dog was there", "quick brown", "they were not there"] * 2
labels = [1, 0, 1, 0] * 2
epochs = 3

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased", do_lower_case=True)
encoded = tokenizer(
    texts,
    add_special_tokens=True,
    max_length=16,
    padding="max_length",
    truncation=True,
    return_attention_mask=True,
    return_tensors="pt",
)
dataset = TensorDataset(encoded["input_ids"], encoded["attention_mask"], torch.tensor(labels))
loader = DataLoader(dataset, sampler=SequentialSampler(dataset), batch_size=4)

model = BertForSequenceClassification.from_pretrained(
    "textattack/bert-base-uncased-SST-2", num_labels=2, output_attentions=False, output_hidden_states=False
)
no_decay = ["bias", "LayerNorm.weight"]
grouped = [
    {"params": [p for n, p in model.named_parameters() if not any(nd in n for nd in no_decay)], "weight_decay": 0.01},
    {"params": [p for n, p in model.named_parameters() if any(nd in n for nd in no_decay)], "weight_decay": 0.0},
]
optimizer = AdamW(grouped, lr=2e-3, eps=1e-8)
scheduler = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=2, num_training_steps=len(loader) * epochs)

losses, rates = [], []
for _ in range(epochs):
    model.train()
    for input_ids, mask, target in loader:
        model.zero_grad()
        outputs = model(input_ids, token_type_ids=None, attention_mask=mask, labels=target)
        loss, logits = outputs[0], outputs[1]
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])

results = {
    "losses": losses,
    "rates": rates,
    "sizes of the groups": [sum(p.numel() for p in group["params"]) for group in grouped],
    "numbers of the groups": [len(group["params"]) for group in grouped],
}
