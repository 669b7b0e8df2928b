"""Callbacks hear the same events, in the same order, as those of the reference, and change a run as they do there."""

import dataclasses
import random
from types import SimpleNamespace

import pytest
import torch
import transformers
from toy_training import LIBRARIES, rows, trainer_of, weights

from minibert import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from minibert.training.callbacks import EVENTS


def recorder(library, seen, actions=None):
    """A callback that writes down every event; `actions`: what it does at some of them, by event and step."""

    class Recorder(LIBRARIES[library].TrainerCallback):
        pass

    def listen(event):
        def method(self, args, state, control, **others):
            numbers = others.get("logs") or others.get("metrics") or {}
            measured = sorted({"loss", "eval_loss", "train_loss", "test_loss"} & numbers.keys())
            seen.append((event, state.global_step, round(state.epoch or 0, 6), *measured))
            if (event, state.global_step) in (actions or {}):
                setattr(control, actions[event, state.global_step], True)

        return method

    for event in EVENTS:
        setattr(Recorder, event, listen(event))
    return Recorder()


def events_of(library, folder, actions=None, **changes):
    seen = []
    changes = {"per_device_train_batch_size": 4, "logging_steps": 2} | changes
    trainer = trainer_of(library, folder, callbacks=[recorder(library, seen, actions)], changes=changes)
    trainer.train()
    trainer.predict(rows(3))
    return seen, trainer


RUNS = {
    "steps": {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 3},
    "epochs": {"max_steps": -1, "num_train_epochs": 2, "logging_strategy": "epoch", "eval_strategy": "epoch"},
    "saved by epoch": {
        "max_steps": -1,
        "num_train_epochs": 2,
        "save_strategy": "epoch",
        "eval_strategy": "epoch",
        "logging_steps": 3,
        "load_best_model_at_end": True,
    },
    "accumulation": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3, "logging_first_step": True},
    "no logs": {"logging_strategy": "no"},
}


@pytest.mark.parametrize("name", RUNS)
def test_events_are_those_of_the_reference(tmp_path, name):
    theirs, ours = (events_of(library, tmp_path / library, **RUNS[name])[0] for library in LIBRARIES)
    assert ours == theirs
    assert len({event for event, *_ in ours}) > 10


def test_a_checkpoint_is_written_last_of_all(tmp_path):
    """With steps the reference saves before it tells of the end of the epoch; who resumes here has that behind him."""
    changes = {"save_strategy": "steps", "save_steps": 3, "logging_steps": 3}
    theirs, ours = (events_of(library, tmp_path / library, **changes)[0] for library in LIBRARIES)
    assert sorted(ours) == sorted(theirs)
    at_three = [event for event, step, *_ in ours if step == 3]
    assert at_three[:4] == ["on_step_end", "on_log", "on_epoch_end", "on_save"]


@pytest.mark.parametrize(
    "actions",
    [
        {("on_step_end", 2): "should_training_stop"},
        {("on_step_begin", 2): "should_log"},
        {("on_step_end", 1): "should_evaluate"},
        {("on_step_end", 2): "should_epoch_stop", ("on_step_end", 4): "should_epoch_stop"},
        {("on_epoch_end", 3): "should_evaluate", ("on_epoch_begin", 3): "should_log"},
        {("on_epoch_end", 3): "should_training_stop"},
    ],
    ids=lambda actions: ", ".join(f"{flag} at {event}" for (event, _), flag in actions.items()),
)
def test_control_is_that_of_the_reference(tmp_path, actions):
    theirs, ours = (
        events_of(library, tmp_path / library, actions, max_steps=-1, num_train_epochs=2)[0] for library in LIBRARIES
    )
    assert ours == theirs


def test_a_callback_saves(tmp_path):
    events, _ = events_of("minibert", tmp_path, {("on_step_end", 2): "should_save"})
    assert (tmp_path / "checkpoint-2" / "training_state.pt").is_file()
    assert [step for event, step, *_ in events if event == "on_save"] == [2]


def test_a_stopped_epoch_is_over_also_after_a_resume(tmp_path):
    """Step 2 is the last of the first epoch; the checkpoint says so."""
    actions = {("on_step_end", 2): "should_epoch_stop"}
    changes = {"save_strategy": "steps", "save_steps": 2, "max_steps": 5}
    _, whole = events_of("minibert", tmp_path / "whole", actions, **changes)
    rest = trainer_of("minibert", tmp_path / "rest", changes={"per_device_train_batch_size": 4} | changes)
    rest.train(tmp_path / "whole" / "checkpoint-2")
    assert rest.state.epoch == whole.state.epoch == 2
    assert torch.equal(weights(rest), weights(whole))


def test_what_a_callback_is_given(tmp_path):
    given = {}

    class Look(TrainerCallback):
        def on_step_end(self, args, state, control, **others):
            given.update(others, args=args, state=state)
            return TrainerControl(should_training_stop=True)  # another object will do

    trainer = trainer_of("minibert", tmp_path, callbacks=[Look])  # so will the class
    trainer.train()
    assert trainer.state.global_step == 1
    names = ("model", "processing_class", "optimizer", "lr_scheduler", "train_dataloader")
    assert all(given[name] is getattr(trainer, name) for name in (*names, "args", "state"))


def test_looking_on_does_not_change_the_training(tmp_path):
    """A callback that evaluates leaves the model without dropout: the next step has it again."""

    class Evaluate(TrainerCallback):
        def on_step_end(self, args, state, control, **others):
            trainer.evaluate()

    class Dropout(torch.nn.Sequential):
        def forward(self, x, labels):
            logits = super().forward(x)
            return SimpleNamespace(loss=torch.nn.functional.cross_entropy(logits, labels), logits=logits)

    ends = []
    for callbacks in ([], [Evaluate]):
        torch.manual_seed(3)
        model = Dropout(torch.nn.Dropout(0.5), torch.nn.Linear(4, 3))
        trainer = trainer_of("minibert", tmp_path, model=model, callbacks=callbacks)
        trainer.train()
        ends.append(weights(trainer))
    assert torch.equal(*ends)


def test_callbacks_of_the_reference_are_heard(tmp_path):
    class Theirs(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **others):
            heard.append(logs.get("loss"))

    heard = []
    trainer = trainer_of("minibert", tmp_path, callbacks=[Theirs()], changes={"max_steps": 2})
    trainer.train()
    assert len(heard) == 3 and heard[-1] is None and all(loss > 0 for loss in heard[:2])


def test_a_method_that_is_no_event_is_refused(tmp_path):
    class Mistyped(TrainerCallback):
        def on_epoch_ends(self, args, state, control, **others):
            pass

    with pytest.raises(TypeError, match="Mistyped.on_epoch_ends would never be called; the events are on_epoch_begin"):
        trainer_of("minibert", tmp_path, callbacks=[Mistyped()])


def test_callbacks_come_and_go(tmp_path):
    trainer = trainer_of("minibert", tmp_path)
    first, second = TrainerCallback(), TrainerCallback()
    trainer.add_callback(first)
    trainer.add_callback(second)
    assert trainer.pop_callback(TrainerCallback) is first
    trainer.remove_callback(second)
    trainer.remove_callback(TrainerCallback)  # there is none
    assert trainer.pop_callback(second) is None and trainer.callbacks.all == []


# --- the state


def test_the_state_is_that_of_the_reference(tmp_path):
    changes = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    states = {library: events_of(library, tmp_path / library, **changes)[1].state for library in LIBRARIES}
    names = {field.name for field in dataclasses.fields(TrainerState)} - {"seconds", "num_input_tokens_seen"}
    for name in names - {"log_history", "best_model_checkpoint", "best_metric", "eval_steps"}:
        assert getattr(states["minibert"], name) == getattr(states["transformers"], name), name
    assert states["minibert"].best_metric == pytest.approx(states["transformers"].best_metric, abs=0.1)
    for library, state in states.items():
        assert state.best_model_checkpoint == str(tmp_path / library / f"checkpoint-{state.best_global_step}")
    ours, theirs = ([set(row) for row in states[library].log_history] for library in ("minibert", "transformers"))
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert {"step", "epoch"} <= our
        assert {"loss", "eval_loss", "train_loss", "learning_rate"} & our == (
            {"loss", "eval_loss", "train_loss", "learning_rate"} & their
        )


def test_of_a_run_of_minutes_nobody_knows_the_steps(tmp_path):
    trainer = trainer_of("minibert", tmp_path, changes={"max_minutes": 0.01 / 60})
    trainer.train()
    assert trainer.state.max_steps == trainer.state.num_train_epochs == 0 < trainer.state.global_step


def test_tokens_are_counted(tmp_path):
    def collate(items):
        mask = torch.tensor([[1, 1, 0]] * len(items))
        return torch.utils.data.default_collate(items) | {"attention_mask": mask}

    class Masked(torch.nn.Linear):
        def forward(self, x, labels, attention_mask):
            return {"loss": super().forward(x).square().mean()}

    trainer = trainer_of("minibert", tmp_path, model=Masked(4, 1), data_collator=collate, changes={"max_steps": 3})
    trainer.train()
    assert trainer.state.num_input_tokens_seen == 3 * 12 * 2


def test_the_state_in_a_file(tmp_path):
    state = TrainerState(epoch=1.5, global_step=7, log_history=[{"step": 7, "loss": 0.5}])
    state.save_to_json(tmp_path / "state.json")
    assert TrainerState.load_from_json(tmp_path / "state.json") == state
    assert transformers.TrainerState().log_history == TrainerState().log_history == []


# --- stopping early


def stops_after(callback, values, greater, args):
    """After how many evaluations a callback stops the run; both libraries tell it of them in the same way."""
    state, control = TrainerState(), TrainerControl()
    for number, value in enumerate(values, start=1):
        state.log_history.append({"eval_score": value})
        callback.on_evaluate(args, state, control, metrics={"eval_score": value})
        if control.should_training_stop:
            return number
        if state.best_metric is None or (value > state.best_metric if greater else value < state.best_metric):
            state.best_metric = value
    return None


@pytest.mark.parametrize("greater", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.15])
def test_early_stopping_is_that_of_the_reference(greater, threshold):
    rng, stopped = random.Random(0), set()
    args = TrainingArguments("run", eval_strategy="epoch", metric_for_best_model="score", greater_is_better=greater)
    for _ in range(100):
        patience, values = rng.randint(1, 4), [rng.choice([0.1, 0.2, 0.3, 0.4, 0.5]) for _ in range(10)]
        theirs = stops_after(transformers.EarlyStoppingCallback(patience, threshold), values, greater, args)
        ours = stops_after(EarlyStoppingCallback(patience, threshold), values, greater, args)
        assert ours == theirs, (patience, values)
        stopped.add(ours)
    assert len(stopped) > 4


def test_early_stopping_needs_evaluations_and_a_metric(tmp_path):
    with pytest.raises(ValueError, match="EarlyStoppingCallback needs evaluations, but eval_strategy is 'no'"):
        trainer_of("minibert", tmp_path, callbacks=[EarlyStoppingCallback()]).train()
    changes = {"eval_strategy": "epoch", "metric_for_best_model": "f1"}
    with pytest.raises(ValueError, match="metric_for_best_model: expected one of eval_loss, found eval_f1"):
        trainer_of("minibert", tmp_path, callbacks=[EarlyStoppingCallback()], changes=changes).train()


@pytest.mark.parametrize("withdrawn", [False, True])
def test_the_last_checkpoint_can_be_withdrawn(tmp_path, withdrawn):
    class Withdraws(TrainerCallback):
        def on_step_end(self, args, state, control, **others):
            control.should_save &= not withdrawn

    changes = {"max_steps": 2, "save_strategy": "steps", "save_steps": 100}
    trainer_of("minibert", tmp_path, callbacks=[Withdraws()], changes=changes).train()
    assert bool(list(tmp_path.glob("checkpoint-*"))) != withdrawn


def test_an_event_that_never_comes_is_refused(tmp_path):
    class Waits(TrainerCallback):
        def on_push_begin(self, args, state, control, **others):
            pass

    with pytest.raises(TypeError, match="Waits.on_push_begin would never be called"):
        trainer_of("minibert", tmp_path, callbacks=[Waits()])
