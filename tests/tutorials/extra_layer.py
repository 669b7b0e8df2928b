"""A task model with one layer more, by inheritance; the layer is saved and loaded with it."""

import torch
from torch import nn
from transformers import BertForSequenceClassification, BertTokenizer


class WithExtraLayer(BertForSequenceClassification):
    def __init__(self, config):
        super().__init__(config)
        self.extra = nn.Linear(config.num_labels, config.num_labels)

    def forward(self, *args, **kwargs):
        outputs = super().forward(*args, **kwargs)
        outputs.logits = self.extra(outputs.logits)
        return outputs


model = WithExtraLayer.from_pretrained("textattack/bert-base-uncased-SST-2")
torch.manual_seed(5)
nn.init.normal_(model.extra.weight)
nn.init.normal_(model.extra.bias)
model.save_pretrained("extra")
again = WithExtraLayer.from_pretrained("extra")
batch = BertTokenizer.from_pretrained("bert-base-uncased")(["The fox", "a lazy dog"], padding=True, return_tensors="pt")
results = {"before": model(**batch).logits.detach(), "after": again(**batch).logits.detach()}
