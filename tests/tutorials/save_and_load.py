"""Saved as a folder, and as a state dict; loaded from both, into an empty model of the same config."""

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

checkpoint = "textattack/bert-base-uncased-SST-2"
tokenizer = BertTokenizer.from_pretrained(checkpoint)
model = BertForSequenceClassification.from_pretrained(checkpoint)
with torch.no_grad():
    model.classifier.bias.add_(0.5)
model.save_pretrained("./model_save/")
tokenizer.save_pretrained("./model_save/")
torch.save(model.state_dict(), "model.pt")

from_folder = BertForSequenceClassification.from_pretrained("./model_save/")
empty = BertForSequenceClassification(BertConfig.from_pretrained("./model_save/"))
keys = empty.load_state_dict(torch.load("model.pt", map_location="cpu"))
empty.eval()
batch = BertTokenizer.from_pretrained("./model_save/")("The quick fox", return_tensors="pt")
results = {
    "keys": sorted(model.state_dict()),
    "missing": list(keys.missing_keys),
    "logits": [m(**batch).logits.detach() for m in (model, from_folder, empty)],
}
