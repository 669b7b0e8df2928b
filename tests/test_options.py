"""The options of a run: what is refused, what follows from what, and the command that makes the same run."""

import argparse
import shlex

import pytest

import minibert
from minibert.commands import pretrain
from minibert.pretraining.options import ADAPTING_RATE, DEFAULT_LIMIT, DEFAULT_TOKENS, PretrainingOptions


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"tokens": 5, "minutes": 1.0}, "--tokens and --minutes both say how long the run is"),
        ({"minutes": 1.0, "epochs": 2.0}, "--minutes and --epochs both"),
        ({"tokens": 0}, "--tokens must be above 0, got 0"),
        ({"epochs": float("inf")}, "--epochs must be above 0, got inf"),
        ({"learning_rate": -1.0}, "--learning-rate must be above 0, got -1.0"),
        ({"batch_size": 0}, "--batch-size must be above 0, got 0"),
        ({"max_length": 4}, "--max-length must be at least 8 tokens"),
        ({"warmup_ratio": 1.0}, "--warmup-ratio must be a share of the run"),
        ({"weight_decay": float("nan")}, "--weight-decay must be at least 0, got nan"),
        ({"hidden_size": 32}, "--hidden-size must be above 32"),
        ({"hidden_size": 130}, "--hidden-size 130 cannot be shared by 4 heads"),
        ({"heads": 3}, "--hidden-size 128 cannot be shared by 3 heads"),
        ({"heads": 128}, "--hidden-size 128 cannot be shared by 128 heads, at least two dimensions each"),
        ({"model": "minibert-tiny", "preset": "tiny"}, "--preset is the size of a new model, but --model has one"),
        ({"model": "minibert-tiny", "layers": 2}, "--layers is the size of a new model, but --model has one"),
        ({"corpus": ["a"], "data": "b"}, "--data and --corpus"),
        ({"vocab_size": 300, "data": "b"}, "--vocab-size is that of a new vocabulary, but --data has one"),
        ({"vocab_size": 300, "tokenizer": "b"}, "but --tokenizer has one: leave one of them out"),
        ({"vocab_size": 10**20}, r"--vocab-size must be below 10\^15, got 1000"),
        ({"tokens": 10**400}, r"--tokens must be below 10\^15, got 1000"),
        ({"seed": -1}, r"--seed must be at least 0 and below 2\^63, got -1"),
        ({"preset": "gigantic"}, "--preset must be one of tiny, mini, small, medium, base, got 'gigantic'"),
    ],
)
def test_what_cannot_be(chosen, message):
    with pytest.raises(ValueError, match=message):
        PretrainingOptions(**chosen).check()


def test_numbers_follow_the_size_that_was_chosen():
    recipe = PretrainingOptions(hidden_size=256, weight_decay=0.0, batch_size=8).recipe()
    assert recipe.config["num_hidden_layers"] == 2 and recipe.config["intermediate_size"] == 1024
    assert (recipe.arguments["learning_rate"], recipe.arguments["weight_decay"], recipe.batch_size) == (1e-3, 0, 8)
    assert PretrainingOptions(hidden_size=256, learning_rate=0.5).recipe().arguments["learning_rate"] == 0.5


def test_going_on_from_a_model():
    config = minibert.BertConfig(max_position_embeddings=64)
    recipe = PretrainingOptions(model="m").recipe(config)
    assert (recipe.max_length, recipe.arguments["learning_rate"]) == (64, ADAPTING_RATE)
    assert recipe.arguments["optim"] == "adamw_torch_fused"  # the rate is one for AdamW
    assert PretrainingOptions(model="m", max_length=32, learning_rate=1e-3).recipe(config).max_length == 32
    with pytest.raises(ValueError, match="--max-length 65: the model of --model has only 64 positions"):
        PretrainingOptions(model="m", max_length=65).recipe(config)


def test_length():
    assert PretrainingOptions().length == {"max_tokens": DEFAULT_TOKENS, "max_minutes": DEFAULT_LIMIT}
    assert PretrainingOptions(minutes=3.0).length == {"max_tokens": None, "max_minutes": 3}
    assert PretrainingOptions(tokens=9).length == {"max_tokens": 9, "max_minutes": None}
    assert PretrainingOptions(epochs=0.5).length == {"num_train_epochs": 0.5}


def test_a_run_that_goes_on_has_the_length_with_which_it_began():
    for length in ({"tokens": 9}, {"minutes": 3.0}, {"epochs": 0.5}, {}):
        begun = PretrainingOptions(**length)
        assert PretrainingOptions(seed=7).with_length_of(begun.length_settings) == PretrainingOptions(seed=7, **length)
        assert PretrainingOptions(tokens=5).with_length_of(begun.length_settings) == PretrainingOptions(tokens=5)
    assert PretrainingOptions().with_length_of({}) == PretrainingOptions()


def test_the_command_makes_the_same_options(tmp_path):
    options = PretrainingOptions(
        corpus=["a b.txt", "c.txt"], preset="mini", masking_rate=0.2, whole_word_masking=True, output_dir=tmp_path
    )
    parser = argparse.ArgumentParser()
    pretrain.add_options(parser)
    words = shlex.split(options.command(resume=True))
    assert words[:2] == ["minibert", "pretrain"]
    parsed = vars(parser.parse_args(words[2:]))
    assert PretrainingOptions(**parsed | {"resume": False}) == options and parsed["resume"]
