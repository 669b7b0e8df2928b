"""`torch.export` of a model whose outputs are named."""

import torch
from transformers import BertModel, BertTokenizer

model = BertModel.from_pretrained("bert-base-uncased").eval()
inputs = BertTokenizer.from_pretrained("bert-base-uncased")("The quick fox", return_tensors="pt")
program = torch.export.export(model, args=(), kwargs=dict(inputs))
outputs = program.module()(**inputs)
results = {"last": outputs["last_hidden_state"], "pooled": outputs.pooler_output}
