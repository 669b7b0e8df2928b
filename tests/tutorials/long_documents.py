"""A text longer than the model: overlapping windows from the tokenizer, and the mean of their logits."""

import torch
from transformers import BertForSequenceClassification, BertTokenizerFast

checkpoint = "textattack/bert-base-uncased-SST-2"
tokenizer = BertTokenizerFast.from_pretrained(checkpoint)
model = BertForSequenceClassification.from_pretrained(checkpoint)
text = " ".join(["The quick brown fox jumps over the lazy dog.", "They were there the other day."] * 6)
windows = tokenizer(
    text, max_length=24, truncation=True, stride=6, return_overflowing_tokens=True, padding="max_length",
    return_tensors="pt",
)  # fmt: skip
sample = windows.pop("overflow_to_sample_mapping")
with torch.no_grad():
    logits = model(**windows).logits
chunks = list(torch.tensor(tokenizer.encode(text, add_special_tokens=False)).split(20))
results = {
    "windows": list(windows["input_ids"].shape),
    "from": sample.tolist(),
    "mean": logits.mean(0),
    "second": tokenizer.decode(windows["input_ids"][1], skip_special_tokens=True),
    "chunks": [len(chunk) for chunk in chunks],
}
