"""A Trainer whose loss weighs the classes, by overriding `compute_loss`."""

import torch
from torch import nn
from transformers import BertForSequenceClassification, BertTokenizer, Trainer, TrainingArguments

checkpoint = "textattack/bert-base-uncased-SST-2"
tokenizer = BertTokenizer.from_pretrained(checkpoint)
model = BertForSequenceClassification.from_pretrained(checkpoint)
texts, labels = ["The fox", "the lazy dog", "they were there", "quick"], [0, 0, 0, 1]
dataset = [{**tokenizer(text), "labels": label} for text, label in zip(texts, labels, strict=True)]


class WeightedTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        logits = outputs.get("logits")
        weight = torch.tensor([1.0, 7.0], device=logits.device)
        loss = nn.CrossEntropyLoss(weight=weight)(logits.view(-1, self.model.config.num_labels), labels.view(-1))
        return (loss, outputs) if return_outputs else loss


args = TrainingArguments(
    "weighted", per_device_train_batch_size=4, num_train_epochs=6, learning_rate=1e-3, save_strategy="no",
    logging_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True,
)  # fmt: skip
trainer = WeightedTrainer(model=model, args=args, train_dataset=dataset, processing_class=tokenizer)
output = trainer.train()
results = {
    "training loss": output.training_loss,
    "evaluation": trainer.evaluate(dataset)["eval_loss"],
    "probabilities": torch.tensor(trainer.predict(dataset).predictions).softmax(-1),
}
