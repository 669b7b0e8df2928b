"""The five best words for [MASK], with `torch.topk`."""

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
model = AutoModelForMaskedLM.from_pretrained("bert-base-uncased")
sequence = f"The quick {tokenizer.mask_token} fox jumps."
inputs = tokenizer.encode_plus(sequence, return_tensors="pt")
mask_token_index = torch.where(inputs["input_ids"] == tokenizer.mask_token_id)[1]
token_logits = model(**inputs).logits
mask_token_logits = token_logits[0, mask_token_index, :]
top = torch.topk(mask_token_logits, 5, dim=1)
filled = [sequence.replace(tokenizer.mask_token, tokenizer.decode([token])) for token in top.indices[0].tolist()]
results = {"scores": top.values.detach(), "ids": top.indices[0].tolist(), "filled": filled}
