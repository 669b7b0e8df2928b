"""Question answering: from the answer's characters to positions, a step of training, and the best span."""

import torch
from transformers import BertForQuestionAnswering, BertTokenizerFast

checkpoint = "deepset/bert-base-uncased-squad2"
tokenizer = BertTokenizerFast.from_pretrained(checkpoint)
model = BertForQuestionAnswering.from_pretrained(checkpoint)
contexts = ["The lazy dog was over there with the fox.", "They were in Tokyo the other day."]
questions = ["Who was there?", "When were they in Tokyo?"]
answers = [{"text": "lazy dog", "answer_start": 4}, {"text": "the other day", "answer_start": 19}]

encodings = tokenizer(contexts, questions, truncation=True, padding=True)
starts, ends = [], []
for i, answer in enumerate(answers):
    start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    starts.append(encodings.char_to_token(i, start))
    ends.append(encodings.char_to_token(i, end - 1))
encodings.update({"start_positions": starts, "end_positions": ends})

batch = {key: torch.tensor(val) for key, val in encodings.items()}
optim = torch.optim.AdamW(model.parameters(), lr=1e-3)
model.train()
losses = []
for i in range(2):  # one by one, so that nothing is padded
    real = batch["attention_mask"][i].bool()
    inputs = {k: v[i : i + 1, real] if v.ndim == 2 else v[i : i + 1] for k, v in batch.items()}
    outputs = model(**inputs)
    outputs[0].backward()
    optim.step()
    optim.zero_grad()
    losses.append(outputs.loss.item())

model.eval()
inputs = tokenizer(questions[0], contexts[0], return_tensors="pt", return_offsets_mapping=True)
offsets = inputs.pop("offset_mapping")[0]
with torch.no_grad():
    outputs = model(**inputs)
start, end = outputs.start_logits.argmax().item(), outputs.end_logits.argmax().item()
results = {
    "positions": [starts, ends],
    "losses": losses,
    "span": [start, end],
    "characters": offsets.tolist(),
    "answer": tokenizer.convert_tokens_to_string(
        tokenizer.convert_ids_to_tokens(inputs["input_ids"][0][start : end + 1])
    ),
}
