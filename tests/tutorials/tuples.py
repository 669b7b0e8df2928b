"""`return_dict=False`, as in code of before 2020: outputs are tuples."""

import torch
from transformers import BertForSequenceClassification, BertModel, BertTokenizer

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
batch = tokenizer("The quick fox", return_tensors="pt")
encoder = BertModel.from_pretrained("bert-base-uncased")
sequence_output, pooled_output = encoder(**batch, return_dict=False)
classifier = BertForSequenceClassification.from_pretrained("textattack/bert-base-uncased-SST-2", return_dict=False)
loss, logits, hidden_states = classifier(**batch, labels=torch.tensor([1]), output_hidden_states=True)
(only,) = classifier(**batch)
as_tuple = encoder(**batch).to_tuple()
results = {
    "types": [type(encoder(**batch, return_dict=False)).__name__, type(as_tuple).__name__],
    "sequence": sequence_output.detach(),
    "pooled": pooled_output.detach(),
    "loss": loss.item(),
    "logits": [logits.detach(), only.detach()],
    "states": len(hidden_states),
}
