"""`scripts/pretrain.py`: a checkpoint that the reference loads, or one line that says what was wrong."""

import json
import random
import re
import shlex
import shutil
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import script_runs
import torch
import transformers

import minibert
from minibert.labels import IGNORE_INDEX
from minibert.pretraining import job, options
from minibert.text.dataset import PretrainingDataset
from minibert.text.tokenizer import BertTokenizer

NOUNS, VERBS, FOOD = ("cat", "dog", "bird", "horse"), ("eats", "sees", "likes"), ("bread", "fish", "corn", "grass")
BEFORE_TRAINING = ("corpus", "vocabulary", "tokens", "model", "held", "pairs", "seen", "before")
BRIEF = ("--minutes", 0.003)


def write_corpus(path, documents=40):
    rng = random.Random(0)

    def sentence():
        return f"The {rng.choice(NOUNS)} {rng.choice(VERBS)} the {rng.choice(FOOD)} every day."

    path.write_text("\n\n".join("\n".join(sentence() for _ in range(8)) for _ in range(documents)))
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "farm.txt")


@pytest.fixture(scope="module")
def trained(corpus):
    """(how it ended, the folder it wrote) of a real run."""
    folder = corpus.parent / "run"
    arguments = ("--vocab-size", 300, "--minutes", 0.03, "--output-dir", folder)
    return script_runs.start("pretrain", "--corpus", corpus, *arguments), folder


def pretrain(capsys, folder, *arguments):
    return script_runs.call(capsys, "pretrain", *BRIEF, "--output-dir", folder, *arguments)


# --- a run


def test_what_a_user_sees(trained, corpus):
    ending, folder = trained
    assert ending.code == 0, ending.err
    # A slow machine has learnt little in so short a time, and says so.
    topics = [topic for line in ending.out.splitlines() if (topic := line.split()[0]) != "warning"]
    assert topics == [*BEFORE_TRAINING, "after", "written", *["fill"] * 5]
    assert f"{corpus}: 40 documents, 320 sentences, 2,240 words" in ending.out
    assert re.search(r"pairs .*\d+ an epoch, \d\d% next", ending.out)
    assert "held out    128 of the tokens, 5.0%, of 2 documents\n" in ending.out
    for topic in ("before", "after"):
        assert re.search(rf"{topic} .*held-out MLM loss \d+\.\d\d, MLM accuracy .*%, NSP accuracy .*%", ending.out)
    assert re.search(r"training 100%.*loss \d\.\d+, [\d,]+ tokens/s", ending.err)  # the progress bar
    assert "Warning" not in ending.err


def test_two_processes_talk_and_write_once(corpus, tmp_path):
    arguments = ("--vocab-size", 300, "--minutes", 0.03, "--output-dir", tmp_path)
    ending = script_runs.start("pretrain", "--corpus", corpus, *arguments, processes=2)
    assert ending.code == 0, ending.err
    topics = [topic for line in ending.out.splitlines() if (topic := line.split()[0]) != "warning"]
    assert topics == [*BEFORE_TRAINING, "after", "written", *["fill"] * 5]
    _, info = transformers.BertForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]


def test_what_lies_in_the_folder(trained):
    _, folder = trained
    picture = matplotlib.image.imread(folder / "loss.png")
    assert picture.shape[0] > 300 and picture.shape[1] > 600
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"step", "seconds", "loss", "mlm_loss", "nsp_loss", "learning_rate", "tokens_per_second"} <= rows[0].keys()
    assert 1.8 <= rows[-1]["seconds"] < 30  # a busy machine may be slow to notice; test_trainer.py is exact
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_reference_loads_it(trained):
    _, folder = trained
    theirs, info = transformers.BertForPreTraining.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert theirs.config.hidden_dropout_prob == theirs.config.attention_probs_dropout_prob == 0.1
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == theirs.config.max_position_embeddings
    inputs = tokenizer("The dog eats the [MASK] every day.", "The cat sees it.", return_tensors="pt")
    ours = BertTokenizer.from_pretrained(folder)
    assert (
        ours("The dog eats the [MASK] every day.", "The cat sees it.")["input_ids"] == inputs["input_ids"][0].tolist()
    )
    with torch.no_grad():
        expected = theirs.eval()(**inputs)
        found = minibert.BertForPreTraining.from_pretrained(folder)(**inputs)
    for name in ("prediction_logits", "seq_relationship_logits"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-5)


# --- from something that is there already


@pytest.mark.parametrize("form", ["folder", "vocab.txt"])
def test_with_a_vocabulary_of_ones_own(capsys, corpus, trained, tmp_path, form):
    vocabulary = trained[1] if form == "folder" else trained[1] / "vocab.txt"
    ending = pretrain(capsys, tmp_path, "--corpus", corpus, "--tokenizer", vocabulary)
    assert ending.code == 0, ending.err
    assert f"word pieces of {vocabulary}" in ending.out
    assert (tmp_path / "vocab.txt").read_bytes() == (trained[1] / "vocab.txt").read_bytes()


def test_going_on_from_a_model(capsys, corpus, trained, tmp_path):
    ending = pretrain(capsys, tmp_path, "--corpus", corpus, "--model", trained[1], "--minutes", 0.03)
    assert ending.code == 0, ending.err
    (before,) = re.findall(r"before .*loss (\d\.\d\d)", ending.out)
    (after,) = re.findall(r"after .*loss (\d\.\d\d)", trained[0].out)
    assert before == after  # its first loss is the one that it had at the end
    assert (tmp_path / "vocab.txt").read_bytes() == (trained[1] / "vocab.txt").read_bytes()
    rates = [json.loads(line)["learning_rate"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert 0 < max(rates) <= 5e-5  # gently, or it forgets what it knows


def test_several_files_and_folders(capsys, tmp_path):
    (tmp_path / "folder").mkdir()
    parts = [write_corpus(tmp_path / "folder" / "a.txt", 5), write_corpus(tmp_path / "b.txt", 5)]
    ending = pretrain(capsys, tmp_path / "run", "--corpus", parts[0].parent, parts[1], "--vocab-size", 300)
    assert ending.code == 0, ending.err
    assert "10 documents, 80 sentences" in ending.out


@pytest.mark.parametrize(
    "text",
    ["Hello there. World now.", "Hello.\n\nWorld.", "The [MASK] of the [MASK] is here today.\n" * 30],
    ids=["two sentences", "two words", "masks in the text"],
)
def test_odd_corpora(capsys, tmp_path, text):
    (tmp_path / "odd.txt").write_text(text)
    ending = pretrain(capsys, tmp_path / "run", "--corpus", tmp_path / "odd.txt", "--vocab-size", 300)
    assert ending.code == 0, ending.err
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_another_way_of_masking(capsys, corpus, tmp_path, monkeypatch):
    """Nearly all words are masked, and whole: a run that says so draws such labels."""
    built = []

    class Watched(PretrainingDataset):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            built.append(self)

    monkeypatch.setattr(job, "PretrainingDataset", Watched)
    options = ("--vocab-size", 60, "--masking-rate", 0.5, "--whole-word-masking")
    ending = pretrain(capsys, tmp_path / "run", "--corpus", corpus, *options)
    assert ending.code == 0, ending.err
    trained_on, held_out = built
    labels = [trained_on[i]["labels"] for i in range(20)]
    assert np.mean(np.concatenate(labels) != IGNORE_INDEX) > 0.4 and trained_on.whole_word_masking
    assert all((row != IGNORE_INDEX).sum() <= round(0.5 * len(row)) for row in labels)
    assert held_out.masking_rate == 0.15 and not held_out.whole_word_masking  # so that losses can be compared


def test_numbers_of_ones_own(capsys, corpus, tmp_path):
    """They make the model and the run, and are written down."""
    numbers = {"layers": 1, "hidden_size": 64, "heads": 2, "max_length": 32, "batch_size": 4, "learning_rate": 0.003}
    numbers |= {"warmup_ratio": 0.5, "weight_decay": 0.1, "masking_rate": 0.2}
    options = [part for name, number in numbers.items() for part in (f"--{name.replace('_', '-')}", number)]
    length = ("--vocab-size", 60, "--tokens", 2000)
    ending = script_runs.call(capsys, "pretrain", "--corpus", corpus, *length, *options, "--output-dir", tmp_path)
    assert ending.code == 0 and "1 layers × 64, 2 heads" in ending.out, ending.err
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert {name: settings[name] for name in numbers} == numbers and settings["tokens"] == 2000
    config = minibert.BertConfig.from_pretrained(tmp_path)
    assert (config.num_hidden_layers, config.hidden_size, config.max_position_embeddings) == (1, 64, 32)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert max(row["learning_rate"] for row in rows) <= 0.003 and 15 <= rows[-1]["step"] <= 30  # of about 100 tokens


def test_a_second_run_has_a_folder_of_its_own(capsys, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("--corpus", corpus, "--vocab-size", 60, "--tokens", 500)
    first, second, resumed = (
        script_runs.call(capsys, "pretrain", *arguments, *more) for more in ((), (), ("--resume",))
    )
    assert (first.code, second.code, resumed.code) == (0, 0, 0), (first.err, second.err, resumed.err)
    assert "folder" not in first.out
    assert f"folder      {Path('runs/pretrain-2')}: an earlier run has the default one" in second.out
    assert f"folder      {Path('runs/pretrain-2')}: the last run" in resumed.out
    assert [path.name for path in sorted(Path("runs").iterdir())] == ["pretrain", "pretrain-2"]
    named = script_runs.call(capsys, "pretrain", *arguments, "--output-dir", "runs/pretrain")
    assert "an earlier run left" in named.only_error


def test_a_run_that_goes_on_keeps_its_length(capsys, corpus, tmp_path):
    """Where none is given; another one is written down."""
    arguments = ("--corpus", corpus, "--vocab-size", 60, "--output-dir", tmp_path)
    runs = (
        (("--tokens", 500), 500),
        (("--resume",), 500),
        (("--resume", "--tokens", 20_000), 20_000),
        (("--resume",), 20_000),
    )
    steps = []
    for more, length in runs:
        ending = script_runs.call(capsys, "pretrain", *arguments, *more)
        assert ending.code == 0, ending.err
        settings = json.loads((tmp_path / "settings.json").read_text())
        assert (settings["tokens"], settings["minutes"], settings["epochs"]) == (length, None, None)
        steps.append(json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"])
        assert ("finished " in ending.out) == (more == ("--resume",))
    assert steps[0] == steps[1] < steps[2] == steps[3]


@pytest.mark.parametrize(("tokens", "is_little"), [(500, True), (60_000, False)])
def test_a_model_that_has_learnt_little_is_not_passed_off(capsys, corpus, tmp_path, tokens, is_little):
    arguments = ("--corpus", corpus, "--vocab-size", 60, "--tokens", tokens, "--output-dir", tmp_path)
    ending = script_runs.call(capsys, "pretrain", *arguments)
    assert ending.code == 0, ending.err
    assert bool(re.search(r"^warning +the loss has fallen by only 0\.\d\d: ", ending.out, re.MULTILINE)) == is_little, (
        ending
    )


def test_what_does_not_fit_the_model_is_said_before_any_text_is_read(capsys, corpus, tmp_path):
    arguments = ("--corpus", corpus, "--model", "minibert-tiny", "--max-length", 500)
    ending = pretrain(capsys, tmp_path / "run", *arguments)
    assert "--max-length 500: the model of --model has only 128 positions" in ending.only_error and not ending.out


def test_words_are_hidden_in_text_that_was_held_out(capsys, corpus, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(job, "hide_words", lambda text, *others: seen.append(text.n_tokens) or [])
    ending = script_runs.call(
        capsys, "pretrain", "--corpus", corpus, "--vocab-size", 60, "--tokens", 500, "--output-dir", tmp_path
    )
    assert f"held out    {seen[0]:,} of the tokens" in ending.out


def test_a_run_that_had_to_stop_says_how_to_go_on(capsys, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(options, "DEFAULT_LIMIT", 0.003)
    arguments = ("--corpus", corpus, "--vocab-size", 60, "--output-dir", tmp_path / "run")
    stopped = script_runs.call(capsys, "pretrain", *arguments)
    said = re.search(r"stopped +after the limit of 0.003 minutes, ([\d,]+) of 5,300,000 tokens \(0%\)", stopped.out)
    assert said and "expect " not in stopped.out, stopped  # which was measured with another text
    (command,) = re.findall(r"go on +minibert pretrain (.*)", stopped.out)
    assert "--resume" in command and str(tmp_path / "run") in command
    resumed = script_runs.call(capsys, "pretrain", *shlex.split(command))
    assert resumed.code == 0, resumed.err
    (more,) = re.findall(r"stopped .* minutes, ([\d,]+) of", resumed.out)
    assert int(more.replace(",", "")) > int(said[1].replace(",", ""))


# --- bad input


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "no sentence"),
        (b" \n\n \n", "no sentence"),
        (b"Only one sentence.", "single sentence"),
        (bytes(range(256)) * 10, "line 1: not UTF-8"),
    ],
    ids=["missing", "empty", "blank", "one sentence", "binary"],
)
def test_bad_corpus(capsys, tmp_path, content, message):
    path = tmp_path / "corpus.txt"
    if content is not None:
        path.write_bytes(content)
    error = pretrain(capsys, tmp_path / "run", "--corpus", path).only_error
    assert message in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_bad_minutes(capsys, corpus, tmp_path, minutes):
    ending = pretrain(capsys, tmp_path / "run", "--corpus", corpus, f"--minutes={minutes}")
    assert "--minutes must be above 0" in ending.only_error
    assert not ending.out  # said at once


@pytest.mark.parametrize("rate", ["0", "1.5", "nan"])
def test_bad_masking_rate(capsys, corpus, tmp_path, rate):
    ending = pretrain(capsys, tmp_path / "run", "--corpus", corpus, f"--masking-rate={rate}")
    assert "--masking-rate must be a share" in ending.only_error
    assert not ending.out


def test_bad_vocabulary_size(capsys, corpus, tmp_path):
    assert (
        "vocab_size 3 is too small"
        in pretrain(capsys, tmp_path / "run", "--corpus", corpus, "--vocab-size", 3).only_error
    )


def test_vocabulary_without_a_mask(capsys, corpus, tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\ncat\n")
    error = pretrain(capsys, tmp_path / "run", "--corpus", corpus, "--tokenizer", tmp_path / "vocab.txt").only_error
    assert "vocab.txt" in error and "[MASK]" in error


def test_vocabulary_that_knows_no_word(capsys, corpus, tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n東\n")
    ending = pretrain(capsys, tmp_path / "run", "--corpus", corpus, "--tokenizer", tmp_path / "vocab.txt")
    assert ending.code == 2 and "knows no word" in ending.err.splitlines()[-1]


def test_vocabulary_larger_than_the_models(capsys, corpus, trained, tmp_path):
    smaller = (trained[1] / "vocab.txt").read_text()
    (tmp_path / "vocab.txt").write_text(smaller + "".join(f"word{i}\n" for i in range(1000)))
    arguments = ("--corpus", corpus, "--model", trained[1], "--tokenizer", tmp_path / "vocab.txt")
    size = smaller.count("\n")
    assert re.search(
        rf"--tokenizer has {1000 + size} .* only {size}\b", pretrain(capsys, tmp_path, *arguments).only_error
    )


def test_another_vocabulary_than_the_models(capsys, corpus, trained, tmp_path):
    pieces = (trained[1] / "vocab.txt").read_text().splitlines()
    (tmp_path / "vocab.txt").write_text("\n".join([*pieces[:-2], pieces[-1], pieces[-2]]))
    arguments = ("--corpus", corpus, "--model", trained[1], "--tokenizer", tmp_path / "vocab.txt")
    assert "another vocabulary than --model" in pretrain(capsys, tmp_path / "run", *arguments).only_error


def test_nothing_to_resume(capsys, corpus, tmp_path):
    error = pretrain(capsys, tmp_path / "run", "--corpus", corpus, "--resume").only_error
    assert "no checkpoint to go on from" in error and str(tmp_path / "run") in error


def test_resuming_says_from_where(capsys, corpus, trained, tmp_path):
    shutil.copytree(trained[1], tmp_path / "run")
    arguments = ("--corpus", corpus, "--vocab-size", 300, "--resume")
    ending = pretrain(capsys, tmp_path / "run", *arguments)
    assert ending.code == 0, ending.err
    assert re.search(r"^resuming +from checkpoint-\d+, after [\d,]+ tokens$", ending.out, re.MULTILINE)
    assert "before" not in ending.out  # the model has not been loaded where that would be measured


def test_another_run_is_not_resumed(capsys, corpus, trained, tmp_path):
    shutil.copytree(trained[1], tmp_path / "run")
    options = ("--vocab-size", 300, "--resume", "--seed", 7, "--masking-rate", 0.4, "--preset", "mini")
    ending = pretrain(capsys, tmp_path / "run", "--corpus", corpus, *options)
    error = ending.err.splitlines()[-1]
    assert ending.code == 2 and "run holds another run: preset was tiny, is mini; layers was 2, is 4;" in error, ending
    for other in ("learning_rate was 0.002, is 0.001", "masking_rate was 0.3, is 0.4", "seed was 42, is 7"):
        assert other in error


def test_another_text_is_not_gone_on_with(capsys, trained, tmp_path):
    shutil.copytree(trained[1], tmp_path / "run")
    write_corpus(tmp_path / "b.txt", 39)
    ending = pretrain(capsys, tmp_path / "run", "--corpus", tmp_path / "b.txt", "--vocab-size", 60, "--resume")
    said = r"corpus was 40 documents.*, is 39 documents.*; vocabulary was \d+ word pieces .*, is 60 word pieces"
    assert ending.code == 2 and re.search(said, ending.err.splitlines()[-1]), ending
    assert (tmp_path / "run" / "vocab.txt").read_bytes() == (trained[1] / "vocab.txt").read_bytes()


@pytest.mark.parametrize("option", ["--model", "--tokenizer"])
def test_nothing_there(capsys, corpus, tmp_path, option):
    arguments = ("--corpus", corpus, option, tmp_path / "nowhere")
    assert "nowhere" in pretrain(capsys, tmp_path / "run", *arguments).only_error


@pytest.mark.parametrize("broken", ["model.safetensors", "config.json", "tokenizer.json"])
def test_broken_model(capsys, corpus, trained, tmp_path, broken):
    (tmp_path / "model").mkdir()
    for file in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "model" / file).write_bytes((trained[1] / file).read_bytes())
    (tmp_path / "model" / broken).write_bytes(b"no such thing")
    error = pretrain(capsys, tmp_path / "run", "--corpus", corpus, "--model", tmp_path / "model").only_error
    assert broken in error


def test_output_folder_that_is_a_file(capsys, corpus, tmp_path):
    (tmp_path / "run").write_text("in the way")
    ending = pretrain(capsys, tmp_path / "run", "--corpus", corpus, "--vocab-size", 300)
    assert ending.code == 2 and str(tmp_path / "run") in ending.err.splitlines()[-1]


def test_unknown_preset(capsys, corpus, tmp_path):
    ending = pretrain(capsys, tmp_path / "run", "--corpus", corpus, "--preset", "gigantic")
    assert ending.code == 2
    assert "argument --preset: invalid choice: 'gigantic'" in ending.err.splitlines()[-1]
