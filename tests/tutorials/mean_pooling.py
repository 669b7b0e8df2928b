"""Sentence embeddings: the mean of the last layer over the real tokens, and cosine similarity."""

import torch
import torch.nn.functional as F
from transformers import AutoModel, AutoTokenizer


def mean_pooling(model_output, attention_mask):
    token_embeddings = model_output[0]  # first element: all token embeddings
    mask = attention_mask.unsqueeze(-1).expand(token_embeddings.size()).float()
    return torch.sum(token_embeddings * mask, 1) / torch.clamp(mask.sum(1), min=1e-9)


tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
model = AutoModel.from_pretrained("bert-base-uncased")
sentences = ["The quick fox", "They were there with the lazy dog", "fox"]
encoded = tokenizer(sentences, padding=True, truncation=True, return_tensors="pt")
with torch.no_grad():
    model_output = model(**encoded)
embeddings = F.normalize(mean_pooling(model_output, encoded["attention_mask"]), p=2, dim=1)
results = {"embeddings": embeddings, "similarities": embeddings @ embeddings.T}
