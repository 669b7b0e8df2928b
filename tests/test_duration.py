"""How long a run will take, and where it stopped: what is said of the three kinds of length."""

import pytest
from training_runs import build_trainer

from minibert.pretraining.duration import SayDuration, forecast, say_if_stopped, what_to_expect
from minibert.pretraining.options import PretrainingOptions
from minibert.training.arguments import TrainingArguments
from minibert.training.callbacks import TrainerControl, TrainerState
from minibert.training.clock import RunClock
from minibert.training.distributed import Processes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_tokens": 13_000}, "200 tokens/s: the 13,000 tokens will be done in 1.0 minutes"),
        ({"max_tokens": 13_000, "max_minutes": 2}, "the 13,000 tokens will be done in 1.0 minutes"),
        (
            {"max_tokens": 13_000, "max_minutes": 0.5},
            "the 13,000 tokens would take 1.0 minutes, but the run ends after 0.5, at about 38% of them;"
            " --tokens 13000 waits for all",
        ),
        ({"max_tokens": 10**7}, "in 13.9 hours"),
        ({"max_minutes": 2}, "200 tokens/s: 2 minutes are 23,000 tokens, 11.5 epochs"),
        ({"num_train_epochs": 3.5}, "the 3.5 epochs will be done in 30 seconds"),
        ({"max_tokens": 900}, "the 900 tokens will be done in 0 seconds"),
    ],
)
def test_forecast(arguments, said):
    state = TrainerState(epoch=0.5, seconds=10.0, num_input_tokens_seen=1000)
    assert said in forecast(TrainingArguments("run", **arguments), state, 200.0, 0.1)


def test_a_limit_is_for_the_part_that_goes_on():
    """Of half a minute, 10 of the 610 seconds are gone; the 20 that are left are for 4,000 tokens."""
    state = TrainerState(epoch=0.5, seconds=610.0, num_input_tokens_seen=1000)
    arguments = TrainingArguments("run", max_tokens=10_000, max_minutes=0.5)
    assert "at about 50% of them" in forecast(arguments, state, 200.0, 0.1, began=600.0)


def test_where_a_run_goes_on_is_said(capsys):
    state = TrainerState(global_step=12, seconds=600.0, num_input_tokens_seen=24_000)
    callback = SayDuration()
    callback.on_train_begin(TrainingArguments("run"), state, TrainerControl())
    assert capsys.readouterr().out == "resuming    from checkpoint-12, after 24,000 tokens\n" and callback.began == 600


@pytest.mark.parametrize(
    ("options", "is_expected"), [({}, True), ({"preset": "mini"}, False), ({"corpus": ["a"]}, False)]
)
def test_what_was_measured_is_expected_of_no_other_run(capsys, options, is_expected):
    arguments = TrainingArguments("run", max_tokens=10_000, max_minutes=0.5)
    clock = RunClock(arguments, 100, Processes.join())
    clock.tick(200)
    say_if_stopped(clock, PretrainingOptions(**options), steps_taken=1)
    assert ("expect " in capsys.readouterr().out) == is_expected


def test_it_is_said_once_and_the_first_step_does_not_count(capsys):
    callback, args, state = SayDuration(), TrainingArguments("run", max_tokens=10_000), TrainerState()
    for seconds, tokens in ((100.0, 100), (104.0, 500), (110.0, 1100), (120.0, 2000)):
        state.seconds, state.num_input_tokens_seen = seconds, tokens
        callback.on_step_end(args, state, TrainerControl())
    assert capsys.readouterr().out == "speed       100 tokens/s: the 10,000 tokens will be done in 1.5 minutes\n"


def test_a_trainer_tells_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("minibert.pretraining.duration.MEASURED_SECONDS", 0.0)
    trainer = build_trainer(tmp_path, max_steps=3)
    trainer.add_callback(SayDuration())
    trainer.train()
    assert capsys.readouterr().out.count("speed ") == 1


def test_what_to_expect():
    assert 'such as "the"' in what_to_expect(50_000)
    assert "between 6.6 and 4.0" in what_to_expect(1_000_000)
