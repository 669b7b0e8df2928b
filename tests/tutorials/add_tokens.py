"""New words and markers: the tokenizer learns them, the embeddings grow, and both are saved together."""

import torch
from transformers import AutoTokenizer, BertForMaskedLM

tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
model = BertForMaskedLM.from_pretrained("bert-base-uncased")
before = len(tokenizer)
added = tokenizer.add_tokens(["covid", "zoomcall", "fox"])
special = tokenizer.add_special_tokens({"additional_special_tokens": ["[E1]", "[/E1]"]})
model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
with torch.no_grad():
    for token in ("covid", "zoomcall", "[E1]", "[/E1]"):
        embeddings = model.get_input_embeddings().weight
        embeddings[tokenizer.convert_tokens_to_ids(token)] = embeddings[:before].mean(0)
        model.cls.predictions.bias[tokenizer.convert_tokens_to_ids(token)] = 0

text = "The [E1] covid [/E1] fox [MASK] the zoomcall"
inputs = tokenizer(text, return_tensors="pt")
logits = model(**inputs).logits.detach()
tokenizer.save_pretrained("grown")
model.save_pretrained("grown")
again = AutoTokenizer.from_pretrained("grown")
loaded = BertForMaskedLM.from_pretrained("grown")
results = {
    "added": [added - 0, special],
    "sizes": [len(tokenizer), model.config.vocab_size, len(again)],
    "tokens": tokenizer.tokenize(text),
    "tokens again": again.tokenize(text),
    "decoded": again.decode(inputs["input_ids"][0], skip_special_tokens=True),
    "logits": logits,
    "loaded": loaded(**again(text, return_tensors="pt")).logits.detach(),
}
