"""Outputs as mappings: items, get, assignment, unpacking, and PyTorch's trees of tensors."""

import torch
from torch.utils import _pytree as pytree
from transformers import BertForSequenceClassification, BertTokenizer

model = BertForSequenceClassification.from_pretrained("textattack/bert-base-uncased-SST-2")
batch = BertTokenizer.from_pretrained("bert-base-uncased")("The quick fox", return_tensors="pt")
outputs = model(**batch, labels=torch.tensor([1]))
keys = list(outputs.keys())
items = {key: value.detach() for key, value in outputs.items()}
absent = [outputs.get("attentions"), outputs.get("logits") is not None, "hidden_states" in outputs, "loss" in outputs]
outputs["logits"] = outputs["logits"] * 2
outputs.loss = outputs.loss + 1
detached = pytree.tree_map(lambda x: x.detach() + 1, outputs)
leaves, _ = pytree.tree_flatten(outputs)
results = {
    "keys": keys,
    "items": items,
    "absent": absent,
    "assigned": [outputs.logits.detach(), outputs["loss"].item()],
    "unpacked": sorted({**outputs}),
    "values": [v.detach() for v in outputs.values()],
    "tree": [detached["logits"], len(leaves), type(detached) is type(outputs)],
    "slice": [len(outputs[:2]), outputs[1].shape[-1], len(outputs)],
    "is a mapping": isinstance(outputs, dict),
}
