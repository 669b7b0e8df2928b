"""Dynamic padding in a DataLoader, half precision, and predictions in the order of the data."""

import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

checkpoint = "textattack/bert-base-uncased-SST-2"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
texts = ["The fox", "the lazy dog was over there", "quick", "They were not there the other day"]
encoded = tokenizer(texts, truncation=True)
features = [{"input_ids": ids, "attention_mask": mask, "label": i % 2} for i, (ids, mask) in
            enumerate(zip(encoded["input_ids"], encoded["attention_mask"], strict=True))]  # fmt: skip
loader = DataLoader(features, batch_size=2, collate_fn=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8))
model = AutoModelForSequenceClassification.from_pretrained(checkpoint, torch_dtype=torch.float32)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model.to(device).eval()
logits, losses, shapes = [], [], []
for batch in loader:
    batch = batch.to(device)
    shapes.append(list(batch["input_ids"].shape))
    with torch.no_grad():
        outputs = model(**batch)
    logits.append(outputs.logits.cpu())
    losses.append(outputs.loss.item())
low = AutoModelForSequenceClassification.from_pretrained(checkpoint, torch_dtype=torch.bfloat16)
results = {
    "shapes": shapes,
    "logits": torch.cat(logits),
    "losses": losses,
    "keys": sorted(batch.keys()),
    "dtypes": [str(model.dtype), str(low.dtype), str(model.device)],
}
