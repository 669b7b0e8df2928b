"""What a Trainer measures without training: several sets, names, outputs and labels, beside the reference."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from toy_training import LIBRARIES, Toy, arguments, rows, trainer_of

from minibert import Trainer
from minibert.training.evaluator import Evaluator


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def measured(tmp_path, look, **how):
    """What `look` finds in the trainer of each library, theirs first."""
    return [look(trainer_of(library, tmp_path / library, **how)) for library in LIBRARIES]


def without_times(metrics):
    times = ("runtime", "samples_per_second", "steps_per_second", "model_preparation_time")
    return {name: value for name, value in metrics.items() if not name.endswith(times) and name != "epoch"}


def assert_same_metrics(theirs, ours):
    theirs = without_times(theirs)
    assert ours.keys() == theirs.keys() and len(ours) > 0
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_several_sets_by_name(tmp_path):
    sets = {"first": rows(5), "second": rows(9)}
    how = {"evaluation": sets, "compute_metrics": accuracy}
    theirs, ours = measured(tmp_path, lambda trainer: trainer.evaluate(), **how)
    assert_same_metrics(theirs, ours)
    assert {"eval_first_loss", "eval_second_accuracy"} <= ours.keys()
    theirs, ours = measured(tmp_path, lambda trainer: trainer.evaluate({"x": rows(3)}))
    assert_same_metrics(theirs, ours)


def test_the_best_by_one_of_several_sets(tmp_path):
    changes = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    changes |= {"metric_for_best_model": "second_loss"}
    trainer = trainer_of("minibert", tmp_path, evaluation={"first": rows(5), "second": rows(9)}, changes=changes)
    trainer.train()
    assert trainer.state.best_metric == min(row.get("eval_second_loss", 9) for row in trainer.state.log_history)


@pytest.mark.parametrize("prefix", ["eval", "valid"])
def test_names_begin_as_one_likes(tmp_path, prefix):
    look = lambda trainer: trainer.evaluate(metric_key_prefix=prefix)  # noqa: E731
    assert_same_metrics(*measured(tmp_path, look, compute_metrics=accuracy))
    look = lambda trainer: trainer.predict(rows(6), metric_key_prefix=prefix).metrics  # noqa: E731
    assert_same_metrics(*measured(tmp_path, look, compute_metrics=accuracy))


def test_what_is_kept_of_the_logits(tmp_path):
    def keep(logits, labels):
        shapes.add((tuple(logits.shape[1:]), tuple(labels.shape[1:])))
        return logits.argmax(-1)

    shapes = set()
    look = lambda trainer: trainer.predict(rows(7)).predictions.tolist()  # noqa: E731
    theirs, ours = measured(tmp_path, look, preprocess_logits_for_metrics=keep)
    assert ours == theirs and len(ours) == 7 and shapes == {((3,), ())}


def test_the_loss_alone(tmp_path):
    how = {"changes": {"prediction_loss_only": True}, "compute_metrics": accuracy}
    assert_same_metrics(*measured(tmp_path, lambda trainer: trainer.evaluate(), **how))


# --- outputs


class Returns(nn.Module):
    """Whatever it is made with, from a batch of x."""

    def __init__(self, make):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.make = make

    def forward(self, x, labels=None):
        return self.make(self.linear(x), labels)


def predictions(tmp_path, make, **options):
    model = Returns(make)
    trainer = Trainer(model, arguments("minibert", tmp_path), compute_metrics=lambda prediction: {"n": 1})
    return trainer.predict(rows(7), **options), model.linear(torch.stack([row["x"] for row in rows(7)])).detach()


def test_outputs_called_logits_are_the_predictions(tmp_path):
    def make(x, labels):
        return SimpleNamespace(loss=x.mean(), first_logits=x, second_logits=2 * x, hidden=3 * x, name="x")

    (first, second), expected = predictions(tmp_path, make)[0].predictions, predictions(tmp_path, make)[1]
    assert first.shape == expected.shape and np.allclose(second, 2 * first)


def test_without_such_names_all_are(tmp_path):
    def make(x, labels):
        return {"loss": x.mean(), "scores": x, "norms": x.norm(dim=1), "scale": torch.tensor(1.0), "layers": (x, x)}

    found, expected = predictions(tmp_path, make)
    scores, norms = found.predictions
    assert np.allclose(scores, expected, atol=1e-6) and np.allclose(norms, expected.norm(dim=1), atol=1e-6)
    alone, expected = predictions(tmp_path, make, ignore_keys=["norms"])
    assert np.allclose(alone.predictions, expected, atol=1e-6)


def test_a_tensor_alone(tmp_path):
    trainer = Trainer(Returns(lambda x, labels: x), arguments("minibert", tmp_path))
    unlabelled = [{"x": row["x"]} for row in rows(7)]
    prediction = trainer.predict(unlabelled)
    assert prediction.predictions.shape == (7, 3) and prediction.metrics == {}


def test_labels_of_other_names(tmp_path):
    class Named(Toy):
        def forward(self, x, target=None, other=None):
            return super().forward(x, target)

    data = [{"x": row["x"], "target": row["labels"], "other": torch.tensor(1)} for row in rows(7)]
    how = {"model": Named(), "train": data, "evaluation": data, "changes": {"label_names": ["target"]}}
    look = lambda trainer: trainer.predict(data)  # noqa: E731
    theirs, ours = measured(tmp_path, look, **how)
    assert ours.label_ids.tolist() == theirs.label_ids.tolist() == [row["labels"].item() for row in rows(7)]
    assert ours.metrics["test_loss"] == pytest.approx(theirs.metrics["test_loss"], rel=1e-5)


def test_a_batch_without_labels_counts_for_nothing(tmp_path):
    """The loss of nothing is no number; it must not spoil the mean of the others."""

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(10, 3)

        def forward(self, input_ids, labels, attention_mask):
            logits = self.embedding(input_ids)
            return {"loss": nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}

    data = [{"input_ids": [1, 2], "labels": [0, 1]}, {"input_ids": [1, 2], "labels": [-100, -100]}]
    data += [{"input_ids": [3, 4], "labels": [2, -100]}]
    args = arguments("minibert", tmp_path, per_device_eval_batch_size=1)
    trainer = Trainer(Tagger(), args)
    expected = nn.functional.cross_entropy(trainer.model.embedding.weight[[1, 2, 3]], torch.tensor([0, 1, 2]))
    assert trainer.evaluate(data)["eval_loss"] == pytest.approx(expected.item(), rel=1e-6)


def test_the_loss_is_that_of_the_whole_set_in_any_batches(tmp_path):
    losses = set()
    for size in (1, 2, 5, 7):
        trainer = trainer_of("minibert", tmp_path, changes={"per_device_eval_batch_size": size})
        losses.add(round(trainer.evaluate()["eval_loss"], 5))
    assert len(losses) == 1


# --- what it is made with


def test_a_cpu_although_there_is_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("use_cpu", "no_cuda"):
        args = arguments("minibert", tmp_path, **({"use_cpu": False} | {name: True}))
        assert args.device == Trainer(Toy(), args).processes.device == torch.device("cpu")


def test_the_level_of_the_log(tmp_path):
    logger = logging.getLogger("minibert")
    try:
        Trainer(Toy(), arguments("minibert", tmp_path, log_level="error"))
        assert logger.level == logging.ERROR
        Trainer(Toy(), arguments("minibert", tmp_path))
        assert logger.level == logging.ERROR  # as it is
    finally:
        logger.setLevel(logging.NOTSET)


def test_it_is_what_a_trainer_is_without_training():
    assert issubclass(Trainer, Evaluator) and not hasattr(Evaluator, "train")


class _OwnEvaluation(Trainer):
    def get_eval_dataloader(self, eval_dataset=None):
        return super().get_eval_dataloader(rows(7))  # whatever it is asked for, as many tutorials do


def test_an_own_loader_for_evaluation_is_not_that_of_predict(tmp_path):
    trainer = _OwnEvaluation(Toy(), arguments("minibert", tmp_path), eval_dataset=rows(3))
    assert len(trainer.predict(rows(5)).predictions) == 5


def test_a_loss_alone_where_outputs_are_wanted_is_refused(tmp_path):
    class Alone(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            return model(**inputs)["loss"]

    with pytest.raises(TypeError, match=r"Alone.compute_loss must return \(loss, outputs\).*it returned a Tensor"):
        Alone(Toy(), arguments("minibert", tmp_path), eval_dataset=rows(3)).evaluate()


def test_metrics_without_predictions_are_refused(tmp_path):
    class Silent(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            loss = model(**inputs)["loss"]
            return (loss, {"loss": loss}) if return_outputs else loss

    trainer = Silent(Toy(), arguments("minibert", tmp_path), eval_dataset=rows(3), compute_metrics=accuracy)
    with pytest.raises(ValueError, match="compute_metrics needs predictions, but the outputs hold no tensor"):
        trainer.evaluate()
