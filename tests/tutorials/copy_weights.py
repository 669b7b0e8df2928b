"""A student of one layer takes weights from its teacher, by the names of a state dict, and learns from its logits."""

import torch
import torch.nn.functional as F
from transformers import BertConfig, BertForMaskedLM, BertTokenizer

teacher = BertForMaskedLM.from_pretrained("bert-base-uncased")
config = BertConfig.from_pretrained("bert-base-uncased", num_hidden_layers=1)
student = BertForMaskedLM(config)
weights = teacher.state_dict()
compressed = {}
for name in ("word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm"):
    for kind in ("weight", "bias"):
        if f"bert.embeddings.{name}.{kind}" in weights:
            compressed[f"bert.embeddings.{name}.{kind}"] = weights[f"bert.embeddings.{name}.{kind}"]
for part in ("self.query", "self.key", "self.value", "output.dense", "output.LayerNorm"):
    for kind in ("weight", "bias"):
        key = f"attention.{part}.{kind}"
        compressed[f"bert.encoder.layer.0.{key}"] = weights[f"bert.encoder.layer.1.{key}"]
for part in ("intermediate.dense", "output.dense", "output.LayerNorm"):
    for kind in ("weight", "bias"):
        compressed[f"bert.encoder.layer.0.{part}.{kind}"] = weights[f"bert.encoder.layer.1.{part}.{kind}"]
compressed.update({name: value for name, value in weights.items() if name.startswith("cls.")})
loaded = student.load_state_dict(compressed, strict=False)

teacher.eval()
student.eval()
tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
batch = tokenizer(["The quick [MASK]", "They were [MASK] with the dog"], padding=True, return_tensors="pt")
real = batch["attention_mask"].bool()
with torch.no_grad():
    soft = teacher(**batch).logits[real]
logits = student(**batch).logits[real]
loss = F.kl_div(F.log_softmax(logits / 2, dim=-1), F.softmax(soft / 2, dim=-1), reduction="batchmean") * 4
loss.backward()
results = {
    "missing": sorted(loaded.missing_keys),
    "unexpected": list(loaded.unexpected_keys),
    "student": logits.detach(),
    "loss": loss.item(),
}
