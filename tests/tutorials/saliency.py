"""Which tokens matter: gradients at hidden states and attentions, kept with `retain_grad`."""

from transformers import BertForSequenceClassification, BertTokenizer

checkpoint = "textattack/bert-base-uncased-SST-2"
tokenizer = BertTokenizer.from_pretrained(checkpoint)
model = BertForSequenceClassification.from_pretrained(checkpoint, attn_implementation="eager")
model.eval()

inputs = tokenizer(["The quick brown fox was there", "Then it was not"], padding=True, return_tensors="pt")
real = inputs["attention_mask"].bool()
outputs = model(**inputs, output_hidden_states=True, output_attentions=True)
for tensor in (*outputs.hidden_states, *outputs.attentions):
    tensor.retain_grad()
outputs.logits[:, 1].sum().backward()

results = {
    "gradient x input": [(h.grad * h).sum(-1).detach()[real] for h in outputs.hidden_states],
    "attention x gradient": [(a.grad * a).sum(1).detach()[real] for a in outputs.attentions],
}
