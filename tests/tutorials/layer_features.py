"""Features of words from several layers: the last four summed or concatenated, as in the paper's section 5.3."""

import torch
from transformers import BertModel, BertTokenizer

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model = BertModel.from_pretrained("bert-base-uncased", output_hidden_states=True)
model.eval()

marked = "[CLS] " + "The quick brown fox jumps over the lazy dog." + " [SEP]"
tokenized = tokenizer.tokenize(marked)
indexed = tokenizer.convert_tokens_to_ids(tokenized)
tokens_tensor = torch.tensor([indexed])
segments_tensors = torch.tensor([[1] * len(tokenized)])
with torch.no_grad():
    outputs = model(tokens_tensor, segments_tensors.new_ones(segments_tensors.shape), segments_tensors)
    hidden_states = outputs[2]

token_embeddings = torch.stack(hidden_states, dim=0).squeeze(dim=1).permute(1, 0, 2)
summed = [torch.sum(token[-2:], dim=0) for token in token_embeddings]
concatenated = [torch.cat((token[-1], token[-2]), dim=0) for token in token_embeddings]
sentence = torch.mean(hidden_states[-2][0], dim=0)
results = {
    "tokens": tokenized,
    "layers": len(hidden_states),
    "summed": torch.stack(summed),
    "concatenated": torch.stack(concatenated),
    "sentence": sentence,
    "cls": outputs.last_hidden_state[:, 0, :],
}
