"""Multiple choice: a question and four endings, one row of the batch each."""

import torch
from transformers import AutoModelForMultipleChoice, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("bert-multiple-choice")
model = AutoModelForMultipleChoice.from_pretrained("bert-multiple-choice")
prompt = "The quick brown fox jumps"
choices = ["over the lazy dog", "there", "and is not quick", "the other day"]
encoding = tokenizer([prompt] * len(choices), choices, return_tensors="pt", padding=True)
outputs = model(**{k: v.unsqueeze(0) for k, v in encoding.items()}, labels=torch.tensor(0).unsqueeze(0))
outputs.loss.backward()
results = {
    "loss": outputs.loss.item(),
    "logits": outputs.logits.detach(),
    "gradient": model.classifier.weight.grad,
}
