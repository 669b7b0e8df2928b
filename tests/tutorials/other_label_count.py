"""A fine-tuned model gets another number of labels with `ignore_mismatched_sizes`, and names of its own."""

from transformers import AutoConfig, AutoModelForSequenceClassification

names = ["anger", "joy", "fear"]
config = AutoConfig.from_pretrained(
    "textattack/bert-base-uncased-SST-2", id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)}
)
model = AutoModelForSequenceClassification.from_pretrained(
    "textattack/bert-base-uncased-SST-2", config=config, ignore_mismatched_sizes=True
)
config.num_labels = 6
results = {
    "shape": list(model.classifier.weight.shape),
    "names": list(model.config.id2label.values())[:0] + [AutoConfig.from_pretrained("bert-base-uncased").num_labels],
    "six": [len(config.id2label), len(config.label2id)],
    "dictionary": {k: v for k, v in config.to_dict().items() if k in ("hidden_size", "model_type", "vocab_size")},
}
