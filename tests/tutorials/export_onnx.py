"""`torch.onnx.export` of a classifier, and its numbers in onnxruntime."""

import onnxruntime
import torch
from transformers import BertForSequenceClassification, BertTokenizer

model = BertForSequenceClassification.from_pretrained("textattack/bert-base-uncased-SST-2").eval()
inputs = BertTokenizer.from_pretrained("bert-base-uncased")("The quick fox", return_tensors="pt")
arguments = (inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"])
names = ["input_ids", "attention_mask", "token_type_ids"]
torch.onnx.export(
    model, arguments, "model.onnx", input_names=names, output_names=["logits"], dynamo=True, verbose=False
)
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
(logits,) = session.run(None, {name: inputs[name].numpy() for name in names})
results = {"logits": torch.tensor(logits)}
