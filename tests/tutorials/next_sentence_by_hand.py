"""Does one sentence follow another? Index 0 says yes."""

import torch
from torch.nn import functional as F
from transformers import BertForNextSentencePrediction, BertTokenizer

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model = BertForNextSentencePrediction.from_pretrained("bert-base-uncased", return_dict=True)
prompt = "The quick brown fox jumps over the lazy dog."
candidates = ["Then they were there.", "The other day it was not."]
shares, losses = [], []
for candidate in candidates:
    encoding = tokenizer.encode_plus(text=prompt, text_pair=candidate, return_tensors="pt")
    outputs = model(**encoding, labels=torch.LongTensor([0]))
    shares.append(F.softmax(outputs.logits, dim=1).squeeze().tolist())
    losses.append(outputs.loss.item())
results = {"shares": shares, "losses": losses, "segments": encoding["token_type_ids"].tolist()}
