"""What people change in a Trainer: subclasses, losses, optimizers and loaders, beside the reference where it has it."""

import pytest
import torch
from reference import our_model
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau, StepLR
from toy_training import (
    LIBRARIES,
    Toy,
    arguments,
    assert_same_run,
    both,
    cross_entropy,
    losses,
    rows,
    trainer_of,
    weights,
)

import minibert
from minibert import Trainer

CLASS_WEIGHTS = torch.tensor([1.0, 5.0, 0.5])


# --- the loss


def weighted(base):
    class Weighted(base):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = cross_entropy(outputs["logits"], labels, weight=CLASS_WEIGHTS)
            return (loss, outputs) if return_outputs else loss

    return Weighted


def of_older_tutorials(base):
    class Older(base):
        def compute_loss(self, model, inputs, return_outputs=False):
            labels = inputs.get("labels")
            outputs = model(**inputs)
            loss = cross_entropy(outputs.get("logits"), labels, weight=CLASS_WEIGHTS)
            return (loss, outputs) if return_outputs else loss

    return Older


def on_top(base):
    class OnTop(base):
        def compute_loss(self, model, inputs, return_outputs=False, **others):
            loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **others)
            loss = loss + 0.1 * self.model.linear.weight.square().sum()
            return (loss, outputs) if return_outputs else loss

    return OnTop


@pytest.mark.parametrize("make", [lambda base: base, weighted, on_top])
def test_a_loss_of_ones_own_in_training_and_evaluation(tmp_path, make):
    assert_same_run(*both(tmp_path, make=make))


def test_the_signature_of_older_tutorials(tmp_path):
    """The reference of today calls it with an argument more."""
    newer, older = (trainer_of("minibert", tmp_path, make=make) for make in (weighted, of_older_tutorials))
    for trainer in (newer, older):
        trainer.train()
    assert torch.equal(weights(newer), weights(older)) and newer.evaluate() == older.evaluate()


def test_a_loss_function(tmp_path):
    def focal(outputs, labels, num_items_in_batch=None):
        each = cross_entropy(outputs["logits"], labels, reduction="none")
        return ((1 - torch.exp(-each)) ** 2 * each).sum() / num_items_in_batch

    theirs, ours = both(tmp_path, compute_loss_func=focal, evaluation=rows(5))  # a single batch of evaluation
    assert_same_run(theirs, ours)


def counting(reduction):
    class Counting(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            outputs = model(inputs["x"])
            loss = cross_entropy(outputs["logits"], inputs["labels"], reduction=reduction)
            if reduction == "sum":
                loss = loss / num_items_in_batch
            return (loss, outputs) if return_outputs else loss

    return lambda base: Counting


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("size", "accumulation"), [(12, 1), (3, 4), (5, 2), (1, 7)])
def test_the_mean_over_a_step_however_it_is_divided(tmp_path, reduction, size, accumulation):
    """A mean over the examples of each micro-batch, or a sum divided by `num_items_in_batch`: the same step."""
    changes = {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulation, "max_steps": 4}
    data = rows(size * accumulation + 2)  # the second step of an epoch has two examples
    whole = trainer_of(
        "minibert", tmp_path, train=data, changes=changes | {"per_device_train_batch_size": size * accumulation} | {
            "gradient_accumulation_steps": 1
        }
    )  # fmt: skip
    divided = trainer_of("minibert", tmp_path, counting(reduction), train=data, changes=changes)
    for trainer in (whole, divided):
        trainer.train()
    torch.testing.assert_close(weights(divided), weights(whole), rtol=1e-4, atol=1e-6)
    assert losses(divided) == pytest.approx(losses(whole), rel=1e-5)


def test_in_evaluation_a_sum_has_the_count_of_its_batch(tmp_path):
    mean, total = (trainer_of("minibert", tmp_path, counting(reduction)) for reduction in ("mean", "sum"))
    assert total.evaluate()["eval_loss"] == pytest.approx(mean.evaluate()["eval_loss"], rel=1e-6)


@pytest.mark.parametrize("form", ["tuple", "object", "mapping"])
def test_models_return_what_they_like(tmp_path, form):
    class Form(Toy):
        def forward(self, x, labels=None):
            outputs = super().forward(x, labels)
            if form == "tuple":
                return (outputs["loss"], outputs["logits"]) if labels is not None else (outputs["logits"],)
            return minibert.model.tasks.TaskOutput(**outputs) if form == "object" else outputs

    plain, other = (trainer_of("minibert", tmp_path, model=model) for model in (Toy(), Form()))
    for trainer in (plain, other):
        trainer.train()
    assert torch.equal(weights(plain), weights(other)) and plain.evaluate() == other.evaluate()
    unlabelled = [{"x": row["x"]} for row in rows(7)]
    assert (plain.predict(unlabelled).predictions == other.predict(unlabelled).predictions).all()


def test_without_a_loss_there_is_nothing_to_train_with(tmp_path):
    data = [{"x": row["x"]} for row in rows()]
    trainer = trainer_of("minibert", tmp_path, train=data)
    with pytest.raises(ValueError, match="Toy returned no loss for a batch of x: labels are missing, or have another"):
        trainer.train()


# --- the step


def adversarial(base):
    class Adversarial(base):
        """Every batch twice, the second time with weights that were pushed up the slope."""

        def training_step(self, model, inputs, num_items_in_batch=None):
            loss = super().training_step(model, inputs, num_items_in_batch)
            weight = self.model.linear.weight
            push = 0.1 * weight.grad / weight.grad.norm()
            weight.data += push
            super().training_step(model, inputs, num_items_in_batch)
            weight.data -= push
            return loss

    return Adversarial


def by_hand(base):
    class ByHand(base):
        def training_step(self, model, inputs):
            model.train()
            loss = self.compute_loss(model, inputs) / self.args.gradient_accumulation_steps
            loss.backward()
            return loss.detach()

    return ByHand


def test_a_step_of_ones_own(tmp_path):
    assert_same_run(*both(tmp_path, make=adversarial))


def test_a_step_with_its_own_backward(tmp_path):
    changes = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 4}
    plain, own = (trainer_of("minibert", tmp_path, make, changes=changes) for make in (lambda base: base, by_hand))
    for trainer in (plain, own):
        trainer.train()
    torch.testing.assert_close(weights(plain), weights(own))
    assert losses(own) == pytest.approx(losses(plain), rel=1e-6)


def test_a_step_of_ones_own_knows_no_scale(tmp_path):
    trainer = trainer_of("minibert", tmp_path)
    trainer.args.fp16 = True
    with pytest.raises(TypeError, match="fp16 scales the loss"):
        adversarial(Trainer)(Toy(), trainer.args)


# --- optimizers and schedules


def test_an_optimizer_with_its_schedule(tmp_path):
    def make(base):
        class Own(base):
            def __init__(self, **more):
                optimizer = torch.optim.SGD(more["model"].parameters(), lr=0.5, momentum=0.9)
                super().__init__(**more, optimizers=(optimizer, StepLR(optimizer, 2, 0.5)))

        return Own

    theirs, ours = both(tmp_path, make=make)
    assert_same_run(theirs, ours)
    assert ours.optimizer.param_groups[0]["lr"] == theirs.optimizer.param_groups[0]["lr"] == 0.5 / 8


def test_an_optimizer_with_our_schedule(tmp_path):
    def make(base):
        class Own(base):
            def __init__(self, **more):
                super().__init__(**more, optimizers=(torch.optim.SGD(more["model"].parameters(), lr=0.5), None))

        return Own

    assert_same_run(*both(tmp_path, make=make, changes={"warmup_steps": 2}))


def test_an_optimizer_is_not_worn_out_by_a_run(tmp_path):
    """The schedule ends at zero, but the second run begins at the optimizer's own rate again."""
    model = Toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    trainer = trainer_of("minibert", tmp_path, model=model, optimizers=(optimizer, None))
    rates = []
    for _ in range(2):
        trainer.train()
        rates.append([row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row])
    assert rates[0] == rates[1] == pytest.approx([0.5 * (1 - step / 6) for step in range(6)])


def test_methods_that_make_them(tmp_path):
    def make(base):
        class Own(base):
            def create_optimizer(self):
                self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.3)
                return self.optimizer

            def create_scheduler(self, num_training_steps, optimizer=None):
                self.lr_scheduler = LambdaLR(
                    optimizer or self.optimizer, lambda step: 1 / (1 + step / num_training_steps)
                )
                return self.lr_scheduler

        return Own

    assert_same_run(*both(tmp_path, make=make))


def test_one_method_that_makes_both(tmp_path):
    class Own(Trainer):
        def create_optimizer_and_scheduler(self, num_training_steps):
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.3)
            self.create_scheduler(num_training_steps=num_training_steps, optimizer=self.optimizer)

    trainer = trainer_of("minibert", tmp_path, lambda base: Own)
    trainer.train()
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    assert [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row][1] == 0.3 * 5 / 6


@pytest.mark.parametrize(
    ("name", "part", "changes", "words"),
    [
        ("create_optimizer_and_scheduler", None, {}, "create_optimizer has made nothing: it must set self.optimizer"),
        ("create_scheduler", None, {}, "create_scheduler has made nothing"),
        ("create_scheduler", ReduceLROnPlateau, {}, "ReduceLROnPlateau waits for metrics"),
        ("create_scheduler", lambda o: StepLR(o, 2), {"max_minutes": 1}, "a schedule of one's own counts steps"),
    ],
)
def test_what_cannot_set_the_rate_is_refused(tmp_path, name, part, changes, words):
    def method(self, num_training_steps, optimizer=None):
        self.lr_scheduler = part(optimizer) if part else None

    own = type("Own", (Trainer,), {name: method})
    with pytest.raises(TypeError, match=words):
        trainer_of("minibert", tmp_path, lambda base: own, changes=changes).train()


def test_a_schedule_goes_on_after_a_resume(tmp_path):
    def trainer(folder):
        torch.manual_seed(1)
        model = Toy()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
        changes = {"save_strategy": "steps", "save_steps": 3, "per_device_train_batch_size": 5}
        optimizers = (optimizer, StepLR(optimizer, 2, 0.5))
        return trainer_of("minibert", folder, model=model, changes=changes, optimizers=optimizers)

    whole, rest = trainer(tmp_path / "whole"), trainer(tmp_path / "rest")
    whole.train()
    rest.train(tmp_path / "whole" / "checkpoint-3")
    assert torch.equal(weights(whole), weights(rest))
    assert losses(whole) == losses(rest)  # those before, too


def test_a_model_for_every_run(tmp_path):
    seeds = []

    def model_init():
        seeds.append(torch.initial_seed())
        return torch.nn.Linear(4, 3)

    class Linear(torch.nn.Linear):
        def forward(self, x, labels):
            return {"loss": cross_entropy(super().forward(x), labels)}

    for make in (lambda: Linear(4, 3), lambda trial: Linear(4, 3)):
        trainer = trainer_of("minibert", tmp_path, model_init=make, changes={"seed": 5})
        trainer.train()
        first = weights(trainer)
        trainer.train()
        assert torch.equal(first, weights(trainer))  # it began anew, from the same numbers
    trainer_of("minibert", tmp_path, model_init=model_init, changes={"seed": 5})
    assert seeds == [5]


# --- what is measured and written


def test_evaluation_steps_of_ones_own(tmp_path):
    def make(base):
        class Own(base):
            def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
                loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
                return loss * 2, logits.argmax(-1) + 10, labels

        return Own

    def at_least(prediction):
        return {"lowest": int(prediction.predictions.min()), "shape": str(prediction.predictions.shape)}

    measured = []
    for library in LIBRARIES:
        trainer = trainer_of(library, tmp_path / library, make, compute_metrics=at_least)
        measured.append({name: trainer.evaluate()[f"eval_{name}"] for name in ("loss", "lowest", "shape")})
    assert measured[1].pop("loss") == pytest.approx(measured[0].pop("loss"), rel=1e-5)
    assert measured[1] == measured[0] == {"lowest": 11, "shape": "(7,)"}


def test_logs_of_ones_own(tmp_path):
    def make(base):
        class Own(base):
            def log(self, logs, start_time=None):
                super().log(logs | {"twice": 2 * logs["loss"]} if "loss" in logs else logs, start_time)

            def evaluate(self, *arguments, **named):
                return super().evaluate(*arguments, **named) | {"eval_more": 1.0}

        return Own

    for library in LIBRARIES:
        trainer = trainer_of(library, tmp_path / library, make)
        trainer.train()
        assert trainer.evaluate()["eval_more"] == 1
        doubled = [row for row in trainer.state.log_history if "twice" in row]
        assert len(doubled) == 6 and all(row["twice"] == 2 * row["loss"] for row in doubled)


def test_activations_are_computed_again(tmp_path):
    ends = []
    for wanted in (False, True):
        torch.manual_seed(1)
        model = our_model("BertForSequenceClassification", num_labels=2)
        args = arguments("minibert", tmp_path, max_steps=3, gradient_checkpointing=wanted)
        trainer = Trainer(model, args, train_dataset=[{"input_ids": [5, 6, 7], "label": i % 2} for i in range(4)])
        trainer.train()
        assert model.is_gradient_checkpointing == wanted
        ends.append(weights(trainer))
    torch.testing.assert_close(ends[1], ends[0])
    with pytest.raises(ValueError, match="gradient_checkpointing needs gradient_checkpointing_enable; Toy has none"):
        trainer_of("minibert", tmp_path, changes={"gradient_checkpointing": True}).train()
