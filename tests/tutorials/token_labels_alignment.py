"""Tags of words become labels of pieces with `word_ids`; a tagger learns from them."""

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, DataCollatorForTokenClassification

checkpoint = "dslim/bert-base-NER"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
model = AutoModelForTokenClassification.from_pretrained(checkpoint)
examples = {
    "tokens": [["Zürich", "is", "unaffable"], ["The", "quick", "fox", "of", "Tokyo", "jumped"]],
    "ner_tags": [[3, 0, 0], [0, 0, 1, 2, 2, 0]],
}
label_all_tokens = False


def tokenize_and_align_labels(examples):
    tokenized_inputs = tokenizer(examples["tokens"], truncation=True, is_split_into_words=True)
    labels = []
    for i, label in enumerate(examples["ner_tags"]):
        word_ids = tokenized_inputs.word_ids(batch_index=i)
        previous_word_idx = None
        label_ids = []
        for word_idx in word_ids:
            if word_idx is None:
                label_ids.append(-100)
            elif word_idx != previous_word_idx:
                label_ids.append(label[word_idx])
            else:
                label_ids.append(label[word_idx] if label_all_tokens else -100)
            previous_word_idx = word_idx
        labels.append(label_ids)
    tokenized_inputs["labels"] = labels
    return tokenized_inputs


encoded = tokenize_and_align_labels(examples)
features = [{key: encoded[key][i] for key in encoded} for i in range(2)]
batch = DataCollatorForTokenClassification(tokenizer)(features)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
losses = []
for _ in range(3):
    outputs = model(**batch)
    outputs.loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(outputs.loss.item())
predictions = outputs.logits.argmax(-1)
tags = [
    [model.config.id2label[p.item()] for p, label in zip(prediction, row, strict=True) if label != -100]
    for prediction, row in zip(predictions, batch["labels"], strict=True)
]
results = {"labels": batch["labels"].tolist(), "losses": losses, "tags": tags}
