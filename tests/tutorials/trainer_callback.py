"""Watching a Trainer with a callback, and giving it an optimizer and a schedule of one's own."""

import torch
from transformers import BertForSequenceClassification, BertTokenizer, Trainer, TrainerCallback, TrainingArguments

checkpoint = "textattack/bert-base-uncased-SST-2"
tokenizer = BertTokenizer.from_pretrained(checkpoint)
model = BertForSequenceClassification.from_pretrained(checkpoint)
dataset = [{**tokenizer(text), "labels": label} for text, label in [("The fox", 1), ("a lazy dog", 0)]]
seen = []


class Watch(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        seen.append("begin")

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= 4:
            control.should_training_stop = True

    def on_epoch_end(self, args, state, control, **kwargs):
        seen.append(f"epoch ends at step {state.global_step}")

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            seen.append(round(logs["loss"], 4))

    def on_train_end(self, args, state, control, **kwargs):
        seen.append("end")


optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
args = TrainingArguments(
    "watched", per_device_train_batch_size=2, num_train_epochs=6, logging_steps=1, save_strategy="no",
    report_to="none", disable_tqdm=True, use_cpu=True,
)  # fmt: skip
trainer = Trainer(
    model=model,
    args=args,
    train_dataset=dataset,
    processing_class=tokenizer,
    callbacks=[Watch()],
    optimizers=(optimizer, schedule),
)
trainer.train()
results = {"seen": seen, "steps": trainer.state.global_step}
