"""Programs as people have them, with nothing changed but the import: with both libraries they do the same."""

import re

import numpy as np
import pytest
import torch
from reference import assert_near, reference_model, since_version_5
from reference_tokenizer import vocab_path

import minibert
from minibert import BertTokenizer


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    """A folder where bert-base-uncased stands for the hub's."""
    tokenizer = BertTokenizer(vocab_path("uncased"), model_max_length=64)
    tokenizer.save_pretrained(tmp_path / "bert-base-uncased")
    model = reference_model("BertForPreTraining", vocab_size=len(tokenizer), max_position_embeddings=64)
    model.save_pretrained(tmp_path / "bert-base-uncased")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(program, library="minibert", **given):
    """What the names of a program mean when it has run; `given` are the user's own."""
    torch.manual_seed(0)
    names = {"torch": torch, **given}
    exec(re.sub(r"\bfrom transformers import\b", f"from {library} import", program), names)
    return names


def assert_both_agree(program, *results):
    """The program leaves the same tensors under both libraries."""
    ours, theirs = run(program), run(program, "transformers")
    for result in results:
        found, expected = (eval(result, names) for names in (ours, theirs))
        if isinstance(expected, torch.Tensor):
            assert_near(found, expected, 1e-5, result)
        else:
            assert found == expected, result


def save_with_new_head(class_name, **changes):
    """Its weights are drawn; saved as my-model, both libraries have the same."""
    getattr(minibert, class_name).from_pretrained("bert-base-uncased", **changes).save_pretrained("my-model")
    BertTokenizer.from_pretrained("bert-base-uncased").save_pretrained("my-model")


# --- inference


def test_features_of_a_text(working_directory):
    program = """
from transformers import BertTokenizer, BertModel
tokenizer = BertTokenizer.from_pretrained('bert-base-uncased')
model = BertModel.from_pretrained("bert-base-uncased")
text = "Replace me by any text you'd like."
encoded_input = tokenizer(text, return_tensors='pt')
output = model(**encoded_input)
"""
    assert_both_agree(
        program, "output.last_hidden_state", "output.pooler_output", "output[0]", "output['pooler_output']"
    )


def test_a_batch_of_pairs(working_directory):
    program = """
from transformers import BertTokenizer, BertModel
tokenizer = BertTokenizer.from_pretrained('bert-base-uncased', do_lower_case=True)
model = BertModel.from_pretrained('bert-base-uncased', output_hidden_states=True, output_attentions=True,
                                  attn_implementation="eager")
model.eval()
inputs = tokenizer(["The quick fox", "They were there"], ["jumps over the lazy dog.", "then"],
                   padding=True, truncation=True, max_length=12, return_tensors="pt")
with torch.no_grad():
    outputs = model(**inputs)
real = inputs["attention_mask"].bool()
hidden_states = torch.stack(outputs.hidden_states)[:, real]
tokens = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
"""
    assert_both_agree(
        program, "inputs['input_ids']", "tokens", "hidden_states", "outputs.attentions[1][0]", "outputs.pooler_output"
    )


def test_a_fresh_bert_base():
    program = """
from transformers import BertConfig, BertModel
configuration = BertConfig()
model = BertModel(configuration)
configuration = model.config
"""
    with torch.device("meta"):  # all of it, but the memory
        names = run(program)
    assert names["model"].num_parameters() == 109_482_240
    assert names["configuration"] is names["model"].config


def test_a_masked_word(working_directory):
    program = """
from transformers import BertTokenizer, BertForMaskedLM
tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model = BertForMaskedLM.from_pretrained("bert-base-uncased")
inputs = tokenizer("The quick [MASK] fox.", return_tensors="pt")
with torch.no_grad():
    logits = model(**inputs).logits
mask_token_index = (inputs.input_ids == tokenizer.mask_token_id)[0].nonzero(as_tuple=True)[0]
predicted_token_id = logits[0, mask_token_index].argmax(axis=-1)
word = tokenizer.decode(predicted_token_id)
labels = tokenizer("The quick lazy fox.", return_tensors="pt")["input_ids"]
labels = torch.where(inputs.input_ids == tokenizer.mask_token_id, labels, -100)
outputs = model(**inputs, labels=labels)
"""
    assert_both_agree(program, "logits", "word", "outputs.loss")


def test_the_next_sentence(working_directory):
    program = """
from transformers import BertTokenizer, BertForNextSentencePrediction
tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
model = BertForNextSentencePrediction.from_pretrained("bert-base-uncased")
prompt = "The other day they were there."
next_sentence = "Then they went to the theatre."
encoding = tokenizer(prompt, next_sentence, return_tensors="pt")
outputs = model(**encoding, labels=torch.LongTensor([1]))
logits = outputs.logits
"""
    assert_both_agree(program, "logits", "outputs.loss")


@pytest.mark.parametrize(
    ("head", "labels"),
    [
        ("SequenceClassification", "torch.tensor([1])"),
        ("TokenClassification", "torch.ones_like(inputs['input_ids'])"),
    ],
)
def test_classes(working_directory, head, labels):
    save_with_new_head(f"BertFor{head}", num_labels=2)
    program = f"""
from transformers import BertTokenizer, BertFor{head}
tokenizer = BertTokenizer.from_pretrained("my-model")
model = BertFor{head}.from_pretrained("my-model")
inputs = tokenizer("Hello, my dog is quick", return_tensors="pt")
with torch.no_grad():
    logits = model(**inputs).logits
predicted_class = model.config.id2label[logits.flatten().argmax().item() % 2]
loss = model(**inputs, labels={labels}).loss
"""
    assert_both_agree(program, "logits", "loss", "predicted_class")


def test_an_answer(working_directory):
    save_with_new_head("BertForQuestionAnswering")
    program = """
from transformers import BertTokenizer, BertForQuestionAnswering
tokenizer = BertTokenizer.from_pretrained("my-model")
model = BertForQuestionAnswering.from_pretrained("my-model")
question, text = "Who was over there?", "The lazy dog was over there"
inputs = tokenizer(question, text, return_tensors="pt")
with torch.no_grad():
    outputs = model(**inputs)
answer_start_index = outputs.start_logits.argmax()
answer_end_index = outputs.end_logits.argmax()
predict_answer_tokens = inputs.input_ids[0, answer_start_index : answer_end_index + 1]
answer = tokenizer.decode(predict_answer_tokens)
loss = model(**inputs, start_positions=torch.tensor([8]), end_positions=torch.tensor([9])).loss
"""
    assert_both_agree(program, "outputs.start_logits", "outputs.end_logits", "answer", "loss")


# --- training


LOOP = """
from transformers import BertTokenizer, BertForSequenceClassification
tokenizer = BertTokenizer.from_pretrained('my-model')
model = BertForSequenceClassification.from_pretrained('my-model')
model.train()
for module in model.modules():
    if isinstance(module, torch.nn.Dropout):
        module.p = 0.0
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
losses = []
for epoch in range(5):
    batch = tokenizer(["We love the fox.", "They hate it"], padding=True, truncation=True, return_tensors="pt")
    outputs = model(**batch, labels=torch.tensor([1, 0]))
    optimizer.zero_grad()
    outputs.loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    losses.append(outputs.loss.detach())
losses = torch.stack(losses)
"""


@since_version_5  # before, a new head was drawn from other random numbers
def test_a_loop_of_ones_own(working_directory):
    save_with_new_head("BertForSequenceClassification")
    assert_both_agree(LOOP, "losses")


# The texts have different lengths, and nothing says how to pad them.
TRAINER = """
from transformers import BertForSequenceClassification, BertTokenizer, Trainer, TrainingArguments

tokenizer = BertTokenizer.from_pretrained('bert-base-uncased')
train_encodings = tokenizer(train_texts, truncation=True)
val_encodings = tokenizer(val_texts, truncation=True)

class IMDbDataset(torch.utils.data.Dataset):
    def __init__(self, encodings, labels):
        self.encodings = encodings
        self.labels = labels

    def __getitem__(self, idx):
        item = {key: torch.tensor(val[idx]) for key, val in self.encodings.items()}
        item['labels'] = torch.tensor(self.labels[idx])
        return item

    def __len__(self):
        return len(self.labels)

train_dataset = IMDbDataset(train_encodings, train_labels)
eval_dataset = IMDbDataset(val_encodings, val_labels)

model = BertForSequenceClassification.from_pretrained('bert-base-uncased', num_labels=2)

training_args = TrainingArguments(
    output_dir='./results',          # output directory
    num_train_epochs=3,              # total number of training epochs
    per_device_train_batch_size=16,  # batch size per device during training
    per_device_eval_batch_size=64,   # batch size for evaluation
    warmup_steps=500,                # number of warmup steps for learning rate scheduler
    weight_decay=0.01,               # strength of weight decay
    logging_dir='./logs',            # directory for storing logs
)

trainer = Trainer(
    model=model,                         # the instantiated Transformers model to be trained
    args=training_args,                  # training arguments, defined above
    train_dataset=train_dataset,         # training dataset
    eval_dataset=eval_dataset            # evaluation dataset
)

training = trainer.train()
evaluation = trainer.evaluate()
prediction = trainer.predict(eval_dataset)
trainer.save_model('./my-model')

reloaded = BertForSequenceClassification.from_pretrained('./my-model')
"""


@pytest.mark.filterwarnings("ignore:warmup_steps is 500, but the run has only 9 steps")
def test_the_trainer(working_directory):
    texts = ["They were there", "the quick brown fox jumps over the lazy dog", "we saw it", "Theatre"] * 12
    labels = [0, 1, 0, 1] * 12
    names = run(TRAINER, train_texts=texts, val_texts=texts[:7], train_labels=labels, val_labels=labels[:7])
    assert names["training"].global_step == 9 and names["training"].training_loss > 0
    loss = names["evaluation"]["eval_loss"]
    prediction = names["prediction"]
    assert prediction.predictions.shape == (7, 2) and prediction.label_ids.tolist() == labels[:7]
    assert prediction.metrics["test_loss"] == pytest.approx(loss, rel=1e-6)
    shares = torch.from_numpy(prediction.predictions).log_softmax(-1)
    assert -np.mean([shares[i, label] for i, label in enumerate(labels[:7])]) == pytest.approx(loss, rel=1e-5)
    with torch.no_grad():  # what was saved is what was trained, and it predicts the same alone
        alone = [names["reloaded"](**names["tokenizer"](text, return_tensors="pt")).logits[0] for text in texts[:7]]
    assert_near(torch.stack(alone), torch.from_numpy(prediction.predictions), 1e-5)
    assert (working_directory / "results" / "checkpoint-9" / "model.safetensors").is_file()
    assert (working_directory / "logs" / "metrics.jsonl").is_file()


OLDER = """
from transformers import BertForSequenceClassification, BertTokenizer, DataCollatorWithPadding
from transformers import Trainer, TrainingArguments
import numpy as np

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
tokenized = [{**tokenizer(text), "label": label} for text, label in zip(texts, labels)]
data_collator = DataCollatorWithPadding(tokenizer=tokenizer)

def compute_metrics(eval_pred):
    predictions, labels = eval_pred
    predictions = np.argmax(predictions, axis=1)
    return {"accuracy": (predictions == labels).mean()}

id2label = {0: "NEGATIVE", 1: "POSITIVE"}
label2id = {"NEGATIVE": 0, "POSITIVE": 1}
model = BertForSequenceClassification.from_pretrained(
    "bert-base-uncased", num_labels=2, id2label=id2label, label2id=label2id
)
training_args = TrainingArguments(
    output_dir="my_awesome_model",
    learning_rate=2e-3,
    per_device_train_batch_size=16,
    per_device_eval_batch_size=16,
    num_train_epochs=4,
    weight_decay=0.01,
    warmup_ratio=0.1,
    evaluation_strategy="epoch",
    save_strategy="epoch",
    load_best_model_at_end=True,
    metric_for_best_model="accuracy",
)
trainer = Trainer(
    model=model,
    args=training_args,
    train_dataset=tokenized,
    eval_dataset=tokenized,
    tokenizer=tokenizer,
    data_collator=data_collator,
    compute_metrics=compute_metrics,
)
trainer.train()
results = trainer.evaluate()
"""


def test_the_trainer_in_its_older_form(working_directory):
    """With `tokenizer` and `evaluation_strategy`, as tutorials still have them."""
    texts = ["They were there", "the quick brown fox jumps over the lazy dog"] * 24
    names = run(OLDER, texts=texts, labels=[0, 1] * 24)
    assert names["results"].keys() == {"eval_loss", "eval_accuracy"} and names["results"]["eval_accuracy"] == 1
    assert names["trainer"].best.metric == 1
    best = minibert.BertForSequenceClassification.from_pretrained(names["trainer"].best.checkpoint)
    assert best.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    assert len(BertTokenizer.from_pretrained(names["trainer"].best.checkpoint)) == len(names["tokenizer"])
