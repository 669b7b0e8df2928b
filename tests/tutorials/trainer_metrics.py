"""Trainer with `compute_metrics`, on a dataset of one's own, a batch as large as the data."""

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, set_seed

set_seed(42)
checkpoint = "textattack/bert-base-uncased-SST-2"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
model = AutoModelForSequenceClassification.from_pretrained(checkpoint)


class ReviewDataset(torch.utils.data.Dataset):
    def __init__(self, texts, labels):
        self.encodings = tokenizer(texts, truncation=True, padding=True)
        self.labels = labels

    def __getitem__(self, idx):
        item = {key: torch.tensor(val[idx]) for key, val in self.encodings.items()}
        item["labels"] = torch.tensor(self.labels[idx])
        return item

    def __len__(self):
        return len(self.labels)


def compute_metrics(pred):
    labels = pred.label_ids
    preds = pred.predictions.argmax(-1)
    return {"accuracy": float(np.mean(preds == labels)), "count": len(labels)}


train = ReviewDataset(["The fox jumps", "the dog was there", "quick fox", "they were lazy"], [1, 0, 1, 0])
test = ReviewDataset(["the quick dog", "there they were"], [1, 0])
args = TrainingArguments(
    output_dir="./results",
    num_train_epochs=5,
    per_device_train_batch_size=4,
    per_device_eval_batch_size=4,
    learning_rate=1e-3,
    weight_decay=0.01,
    eval_strategy="epoch",
    save_strategy="no",
    logging_steps=1,
    report_to="none",
    disable_tqdm=True,
    use_cpu=True,
)
trainer = Trainer(model=model, args=args, train_dataset=train, eval_dataset=test, compute_metrics=compute_metrics)
output = trainer.train()
evaluation = trainer.evaluate()
prediction = trainer.predict(test)

results = {
    "training loss": output.training_loss,
    "steps": output.global_step,
    "evaluation": {name: evaluation[name] for name in ("eval_loss", "eval_accuracy", "eval_count")},
    "predictions": torch.tensor(prediction.predictions),
    "logged losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
}
