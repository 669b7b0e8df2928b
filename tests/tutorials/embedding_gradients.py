"""Integrated gradients over `inputs_embeds`, from a baseline of padding tokens."""

import torch
from transformers import BertForSequenceClassification, BertTokenizer

checkpoint = "textattack/bert-base-uncased-SST-2"
tokenizer = BertTokenizer.from_pretrained(checkpoint)
model = BertForSequenceClassification.from_pretrained(checkpoint)
model.eval()

encoding = tokenizer("The lazy dog jumps over", return_tensors="pt")
input_ids, mask = encoding["input_ids"], encoding["attention_mask"]
embed = model.get_input_embeddings()
inputs, baseline = embed(input_ids).detach(), embed(torch.full_like(input_ids, tokenizer.pad_token_id)).detach()
total = torch.zeros_like(inputs)
for step in range(1, 9):
    point = (baseline + step / 8 * (inputs - baseline)).requires_grad_()
    score = model(inputs_embeds=point, attention_mask=mask).logits.softmax(-1)[0, 1]
    total += torch.autograd.grad(score, point)[0] / 8
attributions = ((inputs - baseline) * total).sum(-1).squeeze(0)
tokens = tokenizer.convert_ids_to_tokens(input_ids[0])
results = {"attributions": dict(zip([f"{i} {t}" for i, t in enumerate(tokens)], attributions.tolist(), strict=True))}
