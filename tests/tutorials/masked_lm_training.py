"""Going on with masked language modelling on a text of one's own, masks drawn by hand."""

import torch
from transformers import BertForMaskedLM, BertTokenizer

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model = BertForMaskedLM.from_pretrained("bert-base-uncased")
text = ["The quick brown fox jumps over the lazy dog.", "They were there the other day.", "It was not the fox."]
inputs = tokenizer(text, return_tensors="pt", max_length=24, truncation=True, padding="max_length")
inputs["labels"] = inputs.input_ids.detach().clone()

torch.manual_seed(1)
rand = torch.rand(inputs.input_ids.shape)
special = (inputs.input_ids == tokenizer.cls_token_id) | (inputs.input_ids == tokenizer.sep_token_id)
mask_arr = (rand < 0.15) & ~special & (inputs.input_ids != tokenizer.pad_token_id)
inputs.input_ids[mask_arr] = tokenizer.mask_token_id
inputs["labels"][~mask_arr] = -100

model.train()
optim = torch.optim.AdamW(model.parameters(), lr=5e-3)
losses = []
for _ in range(4):
    optim.zero_grad()
    outputs = model(inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=inputs["labels"])
    outputs.loss.backward()
    optim.step()
    losses.append(outputs.loss.item())
model.eval()
results = {"losses": losses, "perplexity": torch.exp(model(**inputs).loss).item()}
