"""Attention and hidden states asked for in the config, once for all calls."""

import torch
from transformers import BertConfig, BertModel, BertTokenizer

config = BertConfig.from_pretrained(
    "bert-base-uncased", output_attentions=True, output_hidden_states=True, attn_implementation="eager"
)
model = BertModel.from_pretrained("bert-base-uncased", config=config)
inputs = BertTokenizer.from_pretrained("bert-base-uncased").encode("The quick brown fox", return_tensors="pt")
with torch.no_grad():
    outputs = model(inputs)
attention = outputs.attentions
model.config.output_attentions = False
results = {
    "states": len(outputs.hidden_states),
    "attention": torch.stack(attention),
    "sums": attention[0].sum(-1),
    "heads": model.config.num_attention_heads,
    "afterwards": model(inputs).attentions is None,
}
