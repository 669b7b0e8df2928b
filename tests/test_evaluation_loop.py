"""Mean loss and predictions of a whole evaluation set, against the same computed slowly, example by example."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minibert import BertConfig, BertForMaskedLM, BertForQuestionAnswering
from minibert.training.arguments import TrainingArguments
from minibert.training.collation import DataCollatorWithPadding
from minibert.training.evaluation_loop import evaluation_loop
from minibert.training.metrics_log import METRICS_FILE, read_metrics
from minibert.training.trainer import Trainer

SIZE = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
}


@pytest.fixture
def guessing():
    """A model with dropout, and 11 sentences of different lengths, each with its first token unlabelled."""
    torch.manual_seed(3)
    model = BertForMaskedLM(BertConfig(**SIZE))
    sentences = [
        {"ids": torch.randint(5, 50, (length,)), "labels": torch.randint(50, (length,))}
        for length in torch.randint(2, 16, (11,)).tolist()
    ]
    for sentence in sentences:
        sentence["labels"][0] = -100
    return model, sentences


def collate(sentences):
    def padded(name, value):
        return nn.utils.rnn.pad_sequence([s[name] for s in sentences], batch_first=True, padding_value=value)

    ids, labels = padded("ids", 0), padded("labels", -100)
    return {
        "input_ids": ids,
        "attention_mask": (ids != 0).long(),
        "labels": labels,
        "label_count": int((labels != -100).sum()),
    }


def evaluate(model, data, collator, batch_size, keep=True):
    return evaluation_loop(model, lambda batch: model(**batch), data, collator, batch_size, keep_predictions=keep)


def slowly(model, sentences):
    """Each sentence alone: its logits, and the losses of all labelled tokens."""
    with torch.no_grad():
        logits = [model.eval()(s["ids"][None]).logits[0] for s in sentences]
    pairs = zip(logits, sentences, strict=True)
    losses = [F.cross_entropy(x, s["labels"], reduction="none")[s["labels"] != -100] for x, s in pairs]
    return logits, torch.cat(losses)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 32])
def test_token_level(guessing, batch_size):
    model, sentences = guessing
    loss, prediction = evaluate(model.train(), sentences, collate, batch_size)
    logits, losses = slowly(model, sentences)
    assert loss == pytest.approx(losses.mean().item(), rel=1e-5)  # a mean over tokens, not over batches
    longest = max(len(s["ids"]) for s in sentences)
    assert prediction.predictions.shape == (11, longest, 50)
    assert prediction.label_ids.shape == (11, longest)
    for row, (sentence, expected) in enumerate(zip(sentences, logits, strict=True)):
        length = len(sentence["ids"])
        np.testing.assert_allclose(prediction.predictions[row, :length], expected, atol=1e-5)
        assert prediction.label_ids[row, :length].tolist() == sentence["labels"].tolist()
        assert (prediction.label_ids[row, length:] == -100).all()
    if batch_size == 1:  # then all that is missing was filled in here
        rows = zip(prediction.predictions, sentences, strict=True)
        assert all((row[len(sentence["ids"]) :] == -100).all() for row, sentence in rows)


def test_without_a_label_count_examples_are_weighed(guessing):
    class Model(nn.Module):
        def forward(self, x):
            return SimpleNamespace(loss=x.mean(), logits=x)

    loss, prediction = evaluate(Model(), torch.arange(7.0), lambda xs: {"x": torch.stack(xs)}, 3, keep=False)
    assert loss == pytest.approx(3) and prediction is None


def test_several_logits_and_labels():
    model = BertForQuestionAnswering(BertConfig(**SIZE))
    data = [{"ids": torch.arange(5, 5 + n), "start_positions": n - 2, "end_positions": n - 1} for n in (4, 9, 6)]

    def collate_spans(examples):
        ids = nn.utils.rnn.pad_sequence([e["ids"] for e in examples], batch_first=True)
        spans = {n: torch.tensor([e[n] for e in examples]) for n in ("start_positions", "end_positions")}
        return {"input_ids": ids, "attention_mask": (ids != 0).long(), **spans}

    _, (predictions, labels) = evaluate(model, data, collate_spans, 2)
    assert [x.shape for x in predictions] == [(3, 9), (3, 9)]
    assert [x.tolist() for x in labels] == [[2, 7, 4], [3, 8, 5]]
    with torch.no_grad():
        alone = model(data[1]["ids"][None])
    np.testing.assert_allclose(predictions[0][1], alone.start_logits[0], atol=1e-5)
    np.testing.assert_allclose(predictions[1][1], alone.end_logits[0], atol=1e-5)


def test_no_trace_is_left(guessing):
    """No gradients, no dropout, and no random number: training goes on as if nobody had looked."""
    model, sentences = guessing
    before = torch.get_rng_state()
    first, _ = evaluate(model, sentences, collate, 4, keep=False)
    second, _ = evaluate(model, sentences, collate, 4, keep=False)
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in model.parameters())


def test_texts_of_similar_lengths_share_a_batch_and_predictions_come_in_order(guessing):
    model, sentences = guessing
    sentences = [{"input_ids": s["ids"], "labels": s["labels"]} for s in sentences]
    shapes = []

    def forward(batch):
        shapes.append(tuple(batch["input_ids"].shape))
        return model(**batch)

    loss, prediction = evaluation_loop(model, forward, sentences, DataCollatorWithPadding(), 4, keep_predictions=True)
    lengths = sorted(len(s["input_ids"]) for s in sentences)
    assert shapes == [(4, lengths[3]), (4, lengths[7]), (3, lengths[10])]
    expected, _ = evaluation_loop(model, forward, sentences, DataCollatorWithPadding(), 1, keep_predictions=True)
    assert loss == pytest.approx(expected, rel=1e-5)
    for row, sentence in enumerate(sentences):
        length = len(sentence["labels"])
        assert prediction.label_ids[row, :length].tolist() == sentence["labels"].tolist()
        with torch.no_grad():
            alone = model(sentence["input_ids"][None]).logits[0]
        np.testing.assert_allclose(prediction.predictions[row, :length], alone, atol=1e-5)


def test_what_has_no_row_for_each_example_cannot_be_put_in_order(guessing):
    model, sentences = guessing
    labelled = {"labelled_logits_only": True}
    with pytest.raises(ValueError, match=r"predictions: expected a row for each of the batch's 4 examples, found \d+"):
        evaluate(model, sentences, lambda items: collate(items) | labelled, 4)


def test_an_empty_set_is_refused(guessing):
    with pytest.raises(ValueError, match="data set with at least one example to evaluate on"):
        evaluate(guessing[0], [], collate, 4)


# --- `Trainer.evaluate`


def accuracy(prediction):
    known = prediction.label_ids != -100
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids)[known].mean())}


def test_trainer_evaluates_before_and_after(guessing, tmp_path):
    model, sentences = guessing
    args = TrainingArguments(
        tmp_path, max_steps=60, learning_rate=5e-3, per_device_eval_batch_size=4, save_strategy="no", disable_tqdm=True
    )
    trainer = Trainer(model, args, collate, sentences, sentences, compute_metrics=accuracy)
    before = trainer.evaluate()
    assert before["eval_loss"] == pytest.approx(slowly(model, sentences)[1].mean().item(), rel=1e-5)
    trainer.train()
    after = trainer.evaluate()
    assert before.keys() == after.keys() == {"eval_loss", "eval_accuracy"}
    assert after["eval_loss"] < 0.7 * before["eval_loss"] and after["eval_accuracy"] > before["eval_accuracy"]
    assert trainer.evaluate(sentences[:3])["eval_loss"] == pytest.approx(
        slowly(model, sentences[:3])[1].mean().item(), rel=1e-5
    )


def test_evaluating_on_the_way_does_not_change_the_training(guessing, tmp_path):
    model, sentences = guessing
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ends = []
    for strategy in ("no", "steps"):
        model.load_state_dict(start)
        numbers = {"max_steps": 6, "eval_strategy": strategy, "eval_steps": 2}
        args = TrainingArguments(tmp_path / strategy, save_strategy="no", disable_tqdm=True, **numbers)
        Trainer(model, args, collate, sentences, sentences).train()
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*ends)  # with dropout
    rows = [json.loads(line) for line in (tmp_path / "steps" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "eval_loss" in row] == [2, 4, 6]


def test_predict(guessing, tmp_path):
    model, sentences = guessing
    args = TrainingArguments(tmp_path, per_device_eval_batch_size=4)
    trainer = Trainer(model, args, collate, eval_dataset=sentences, compute_metrics=accuracy)
    predictions, label_ids, metrics = trainer.predict(sentences)
    assert metrics == {name.replace("eval_", "test_"): value for name, value in trainer.evaluate().items()}
    assert metrics.keys() == {"test_loss", "test_accuracy"}
    assert predictions.shape[:2] == label_ids.shape == (11, max(len(s["ids"]) for s in sentences))
    assert not (tmp_path / "metrics.jsonl").exists()


def test_predict_without_labels(tmp_path):
    model = BertForMaskedLM(BertConfig(**SIZE))
    trainer = Trainer(model, TrainingArguments(tmp_path), compute_metrics=accuracy)
    prediction = trainer.predict([{"input_ids": [5, 6, 7]}, {"input_ids": [8]}])
    assert prediction.predictions.shape == (2, 3, 50)
    assert prediction.label_ids is None and prediction.metrics == {}


@pytest.mark.parametrize("bf16", [False, True])
def test_bf16_also_in_evaluation(guessing, tmp_path, bf16):
    model, sentences = guessing
    dtypes = []
    model.mlm_head.dense.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    trainer = Trainer(model, TrainingArguments(tmp_path, bf16=bf16), collate)
    prediction = trainer.predict(sentences)
    assert set(dtypes) == {torch.bfloat16 if bf16 else torch.float32}
    assert prediction.predictions.dtype == np.float32
    assert prediction.metrics["test_loss"] == pytest.approx(slowly(model, sentences)[1].mean().item(), rel=0.02)


def test_numbers_of_numpy_can_be_written(guessing, tmp_path):
    model, sentences = guessing
    args = TrainingArguments(tmp_path, max_steps=1, eval_strategy="epoch", save_strategy="no", disable_tqdm=True)
    metrics = {"f1": np.float32(0.5), "count": np.int64(3), "mean": torch.tensor(2.0)}
    trainer = Trainer(model, args, collate, sentences[:4], sentences, compute_metrics=lambda prediction: metrics)
    trainer.train()
    (row,) = [row for row in read_metrics(tmp_path / METRICS_FILE) if "eval_f1" in row]
    assert (row["eval_f1"], row["eval_count"], row["eval_mean"]) == (0.5, 3, 2)


def test_a_run_that_will_evaluate_needs_something_to_evaluate_on(guessing, tmp_path):
    trainer = Trainer(guessing[0], TrainingArguments(tmp_path, eval_strategy="epoch"), collate, guessing[1])
    with pytest.raises(ValueError, match="train needs an eval_dataset, because eval_strategy is 'epoch'"):
        trainer.train()


def test_trainer_without_an_evaluation_set(guessing, tmp_path):
    trainer = Trainer(guessing[0], TrainingArguments(tmp_path), collate, guessing[1])
    with pytest.raises(ValueError, match="evaluate needs an eval_dataset"):
        trainer.evaluate()
