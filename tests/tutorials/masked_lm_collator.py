"""Masks drawn by `DataCollatorForLanguageModeling`, and a Trainer that learns from them."""

import math

import torch
from transformers import (
    BertForMaskedLM,
    BertTokenizerFast,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
)

tokenizer = BertTokenizerFast.from_pretrained("bert-base-uncased")
model = BertForMaskedLM.from_pretrained("bert-base-uncased")
texts = ["The quick brown fox jumps over the lazy dog.", "They were there."] * 20
dataset = [tokenizer(text, truncation=True, max_length=24, return_special_tokens_mask=True) for text in texts]
collator = DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm=True, mlm_probability=0.15)

torch.manual_seed(0)
batch = collator(dataset)
hidden = batch["labels"] != -100
share = hidden.sum().item() / sum(len(row["input_ids"]) - 2 for row in dataset)
assert 0.1 < share < 0.2, share
ids = torch.tensor(tokenizer.pad(dataset, return_tensors="pt")["input_ids"].tolist())
assert torch.equal(batch["labels"][hidden], ids[hidden])
assert torch.equal(batch["input_ids"][~hidden], ids[~hidden])

args = TrainingArguments(
    "mlm", max_steps=3, per_device_train_batch_size=8, save_strategy="no", report_to="none", disable_tqdm=True,
    use_cpu=True,
)  # fmt: skip
trainer = Trainer(model=model, args=args, data_collator=collator, train_dataset=dataset, eval_dataset=dataset)
output = trainer.train()
perplexity = math.exp(trainer.evaluate()["eval_loss"])
assert 1 < perplexity < 10 * len(tokenizer)
results = {"keys": sorted(batch.keys()), "shape": list(batch["input_ids"].shape), "steps": output.global_step}
