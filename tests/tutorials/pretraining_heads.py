"""Both pre-training heads at once, and their loss."""

import torch
from transformers import BertForPreTraining, BertTokenizer

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model = BertForPreTraining.from_pretrained("bert-base-uncased")
inputs = tokenizer("The quick [MASK] fox", "jumps over the lazy dog", return_tensors="pt")
labels = torch.full_like(inputs.input_ids, -100)
labels[inputs.input_ids == tokenizer.mask_token_id] = tokenizer.convert_tokens_to_ids("the")
outputs = model(**inputs, labels=labels, next_sentence_label=torch.tensor([0]))
outputs.loss.backward()
decoder = model.cls.predictions.decoder
results = {
    "loss": outputs.loss.item(),
    "words": outputs.prediction_logits.detach(),
    "next": outputs.seq_relationship_logits.detach(),
    "tied": decoder.weight is model.bert.embeddings.word_embeddings.weight,
    "gradient": model.bert.embeddings.word_embeddings.weight.grad.norm().item(),
    "output embeddings": model.get_output_embeddings() is decoder,
}
