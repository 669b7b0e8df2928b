"""A GPU must not wait for the processor: how often a forward pass, a loss and a step of training make it."""

from collections import Counter

import pytest
import torch
from forced_gpu import Waits, copied_to_gpu, force_gpu
from reference import assert_near, mask_of, our_model, task_batch
from torch.utils.data import Dataset

from minibert.training.arguments import TrainingArguments
from minibert.training.failures import TrainingError
from minibert.training.trainer import Trainer


@pytest.fixture
def on_gpu(monkeypatch) -> None:
    force_gpu(monkeypatch)


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        ("BertForPreTraining", {}, 1),
        ("BertForPreTraining", {"labelled_logits_only": True}, 2),
        ("BertForPreTraining", {"labelled_logits_only": True, "label_count": 5.0}, 2),
        ("BertForSequenceClassification", {}, 1),
        ("BertForTokenClassification", {}, 1),
        ("BertForQuestionAnswering", {}, 1),
    ],
)
def test_a_forward_and_a_loss(name, options, most, on_gpu):
    model = our_model(name)
    batch = task_batch(name, model.config, mask_of("right"))
    with Waits() as waits:
        outputs = model(**batch, **options)
        if "loss" in outputs:
            outputs.loss.backward()
    assert waits.count.total() <= most, waits.count
    assert waits.count  # the packing has to know how many tokens there are: else nothing was counted


def test_a_forward_without_labels(on_gpu):
    model = our_model("BertModel")
    with Waits() as waits:
        model(input_ids=torch.tensor([[1, 2, 3], [4, 5, 0]]), attention_mask=torch.tensor([[1, 1, 1], [1, 1, 0]]))
    assert waits.count == {"nonzero": 1}
    with Waits() as waits:
        model(input_ids=torch.tensor([[1, 2, 3]]))
    assert not waits.count


# --- a step of training


class Texts(Dataset):
    """Sequences of 3 to 12 tokens, with a class, or with some hidden words."""

    def __init__(self, per_token: bool) -> None:
        self.per_token = per_token

    def __len__(self) -> int:
        return 64

    def __getitem__(self, number: int) -> dict:
        ids = [1 + (number + i) % 90 for i in range(3 + number % 10)]
        labels = [x if i % 3 == 0 else -100 for i, x in enumerate(ids)] if self.per_token else number % 2
        return {"input_ids": ids, "labels": labels}


class MyTrainer(Trainer):
    """Computes vocabulary logits where there are labels alone, as pretraining does."""

    def compute_loss(self, model, inputs, **options):
        wish = {"labelled_logits_only": True} if inputs["labels"].ndim == 2 else {}
        return super().compute_loss(model, {**inputs, **wish}, **options)


@pytest.fixture
def waits(on_gpu, monkeypatch) -> list[Counter]:
    """Of every step of all trainers: where it waits, from its first batch until the next step's are asked for."""
    step, after_step, found = Trainer._step, Trainer._after_step, []

    def counted_step(self, model, micro_batches):
        self.counting = Waits(*(x for batch, _ in micro_batches for x in batch.values()))
        with self.counting:
            return step(self, model, micro_batches)

    def counted_after_step(self, *values):
        with self.counting:
            after_step(self, *values)
        found.append(self.counting.count)

    monkeypatch.setattr(Trainer, "_step", counted_step)
    monkeypatch.setattr(Trainer, "_after_step", counted_after_step)
    monkeypatch.setattr("minibert.training.trainer.to_device", copied_to_gpu)
    return found


def run(folder, name, model=None, **arguments) -> None:
    quiet = {"save_strategy": "no", "logging_strategy": "no", "report_to": "none", "disable_tqdm": True}
    args = TrainingArguments(folder, per_device_train_batch_size=8, **(quiet | {"max_steps": 45} | arguments))
    MyTrainer(model or our_model(name), args, train_dataset=Texts("LM" in name)).train()


@pytest.mark.parametrize(("name", "most"), [("BertForMaskedLM", 2), ("BertForSequenceClassification", 1)])
def test_a_step_of_training(name, most, waits, tmp_path):
    run(tmp_path, name)
    counts = [step.total() for step in waits]
    assert len(counts) == 45
    # Every 20 steps a run looks at its losses, at all of them at once.
    assert counts == [most + (step in (20, 40)) for step in range(1, 46)]


def test_the_counter_itself():
    x, at_hand = torch.tensor([1, 0, 2]), {"y": torch.tensor([1, 0])}
    with Waits(at_hand, None) as waits:
        y = at_hand["y"] + 1
        y.tolist(), int(y.sum()), y[y > 1], torch.equal(y, y)
    assert not waits.count
    for operation in (
        lambda: x.tolist(),
        lambda: int(x.sum()),
        lambda: bool(x.any()),
        lambda: x[x > 0],
        lambda: x.nonzero(),
        lambda: x.unique(),
        lambda: torch.equal(x, x),
        lambda: x.cpu(),
        lambda: x.masked_select(x > 0),
        lambda: float(x[0] + y[0]),
    ):
        with waits:
            operation()
        assert waits.count.total() == 1, waits.count
        waits.count.clear()


def test_what_is_not_a_number_is_found_before_it_is_saved(on_gpu, tmp_path):
    class Exploding(type(our_model("BertForMaskedLM"))):
        def forward(self, *inputs, **others):
            outputs = super().forward(*inputs, **others)
            self.calls = getattr(self, "calls", 0) + 1
            outputs.loss = outputs.loss * (float("nan") if self.calls == 7 else 1)
            return outputs

    def explode(**arguments) -> str:
        with pytest.raises(TrainingError) as error:
            run(tmp_path, "BertForMaskedLM", Exploding(our_model("BertForMaskedLM").config), **arguments)
        return str(error.value)

    every_5 = {"save_strategy": "steps", "save_steps": 5}
    assert "at step 7, seen after step 10;" in explode(**every_5)
    assert [folder.name for folder in tmp_path.glob("checkpoint-*")] == ["checkpoint-5"]
    every_3 = {"logging_strategy": "steps", "logging_steps": 3}
    assert "at step 7, seen after step 9;" in explode(**every_3)
    assert "nan" not in (tmp_path / "metrics.jsonl").read_text().lower()
    assert "at step 7, seen after step 20;" in explode()
    assert "at step 7, seen after step 11;" in explode(max_steps=11)


# --- where there is one

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, found none")
FLAT, PADDED, FULL = ("bfloat16", "right"), ("float32", "right"), ("bfloat16", None)


@needs_gpu
@pytest.mark.parametrize(("dtype", "mask"), [FLAT, PADDED, FULL], ids=["flat", "padded", "full"])
@pytest.mark.parametrize("compile_layers", [False, True], ids=["eager", "compiled"])
def test_the_three_ways_to_attend_on_a_gpu(dtype, mask, compile_layers):
    model = our_model("BertForPreTraining")
    batch = task_batch("BertForPreTraining", model.config, None if mask is None else mask_of(mask))
    expected = model(**batch)
    gradients = torch.autograd.grad(expected.loss, list(model.parameters()))
    model.to("cuda", getattr(torch, dtype))
    if compile_layers:
        model.compile()
    found = model(**{name: x.cuda() for name, x in batch.items()})
    tolerance = 1e-4 if dtype == "float32" else 5e-2
    for key in ("loss", "prediction_logits", "seq_relationship_logits"):
        assert_near(found[key].cpu().float(), expected[key], tolerance, key)
    largest = max(float(x.abs().max()) for x in gradients)
    for x, y in zip(torch.autograd.grad(found.loss, list(model.parameters())), gradients, strict=True):
        assert float((x.cpu().float() - y).abs().max()) <= tolerance * largest


@needs_gpu
@pytest.mark.parametrize(
    "changes", [{"bf16": True}, {"fp16": True}, {"tf32": True}, {"bf16": True, "torch_compile": True}]
)
def test_a_gpu_learns_and_goes_on_from_a_checkpoint(changes, tmp_path):
    changes |= {"save_strategy": "steps", "save_steps": 25}
    run(tmp_path / "whole", "BertForMaskedLM", model := our_model("BertForMaskedLM"), **changes)
    rest = our_model("BertForMaskedLM")
    run(
        tmp_path / "rest",
        "BertForMaskedLM",
        rest,
        max_steps=50,
        resume_from_checkpoint=tmp_path / "whole/checkpoint-25",
        **changes,
    )
    for x, y in zip(model.parameters(), rest.parameters(), strict=True):
        assert_near(x.cpu(), y.cpu(), 1e-2)


@needs_gpu
def test_pytorch_counts_as_many_waits():
    model = our_model("BertForPreTraining").to("cuda", torch.bfloat16)
    batch = {name: x.cuda() for name, x in task_batch("BertForPreTraining", model.config, mask_of("right")).items()}
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing") as warned:
            model(**batch, labelled_logits_only=True, label_count=5.0).loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len([w for w in warned if "synchronizing" in str(w.message)]) <= 2
