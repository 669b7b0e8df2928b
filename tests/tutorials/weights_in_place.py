"""Looking at weights by their usual places, and setting them: query, embeddings, pooler, norms."""

import torch
from transformers import BertForMaskedLM, BertModel, BertTokenizer

model = BertModel.from_pretrained("bert-base-uncased")
layer = model.encoder.layer[0]
query, key = layer.attention.self.query.weight, layer.attention.self.key.weight
head = model.config.hidden_size // model.config.num_attention_heads
products = [(query[i * head : (i + 1) * head].T @ key[i * head : (i + 1) * head]).norm().item() for i in range(2)]
norms = {
    "up": layer.intermediate.dense.weight.norm().item(),
    "down": layer.output.dense.weight.norm().item(),
    "attention output": layer.attention.output.dense.bias.norm().item(),
    "norm": layer.output.LayerNorm.weight.norm().item(),
    "positions": model.embeddings.position_embeddings.weight.norm().item(),
    "segments": model.embeddings.token_type_embeddings.weight.norm().item(),
    "pooler": model.pooler.dense.weight.norm().item(),
}
with torch.no_grad():
    model.embeddings.word_embeddings.weight[5:].mul_(0.5)
    for block in model.encoder.layer[-1:]:
        block.output.LayerNorm.bias.zero_()
for module in model.modules():
    if isinstance(module, torch.nn.Dropout):
        module.p = 0.2
model.eval()
batch = BertTokenizer.from_pretrained("bert-base-uncased")("The quick fox", return_tensors="pt")
masked = BertForMaskedLM.from_pretrained("bert-base-uncased")
masked.bert = model  # another encoder under the same head
masked.tie_weights()
results = {
    "products": products,
    "norms": norms,
    "changed": model(**batch).last_hidden_state.detach(),
    "head": masked.cls.predictions.transform.dense.weight.norm().item(),
    "base": [model.base_model is model, masked.base_model is model, masked.base_model_prefix],
}
