"""`scripts/benchmark.py`: what it counts, how it times, and that it runs."""

import importlib
import importlib.util
import re

import pytest
import torch
import transformers
from script_runs import ROOT, call, start
from torch.utils.flop_counter import FlopCounterMode

from minibert import BertConfig, BertForPreTraining
from minibert.labels import IGNORE_INDEX
from minibert.model.precision import has_fast_bf16
from minibert.pretraining.preparation import prepare

TINY = ("--layers", 1, "--hidden", 32, "--vocab-size", 100, "--batch", 2, "--length", 16, "--rounds", 1)


@pytest.fixture
def benchmarks(monkeypatch):
    """Imports one of the script's modules."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_the_operations_counted_are_those_of_our_step(benchmarks):
    config = BertConfig(
        vocab_size=97,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=56,
        attn_implementation="eager",
    )
    lengths = torch.tensor([11, 7, 11, 4])
    mask = torch.arange(11) < lengths[:, None]
    ids = torch.randint(97, (4, 11))
    labelled = mask & (torch.rand(4, 11) < 0.5)
    with FlopCounterMode(display=False) as counter:
        BertForPreTraining(config)(
            ids,
            mask,
            labels=ids.masked_fill(~labelled, IGNORE_INDEX),
            next_sentence_label=torch.tensor([0, 1, 1, 0]),
            labelled_logits_only=True,
        ).loss.backward()
    counted = benchmarks("flops").pretraining_flops(config, lengths.tolist(), int(labelled.sum()))
    assert counted == counter.get_total_flops()


def test_contestants_take_turns(benchmarks):
    timing, calls = benchmarks("timing"), []
    steps = {name: (lambda batch, name=name: calls.append(name)) for name in "ab"}
    speeds = timing.speeds_in_turn(steps, [1, 2], 3, 0.0, torch.device("cpu"))
    assert "".join(calls) == "aabb" + "ab" * 3  # two steps each to warm up, then one a round
    assert all(len(rounds) == 3 and min(rounds) > 0 for rounds in speeds.values())


def test_rounds_are_compared_with_themselves(benchmarks):
    speeds = {"a": [2.0, 30.0, 4.0], "b": [1.0, 10.0, 4.0]}
    assert benchmarks("timing").median_ratio(speeds, "a", "b") == 2.0


def test_train_prints_speeds_shares_memory_and_ratios():
    ending = start("benchmark", "train", *TINY, "--seconds", 0.01)
    assert ending.code == 0, ending
    precisions = ("fp32", "bf16") if has_fast_bf16() else ("fp32",)
    assert ("bf16 is left out: this machine has no instructions for it" in ending.out) == (not has_fast_bf16())
    for library in ("minibert", "transformers", "by hand"):
        for precision in precisions:
            row = re.search(rf"^{library} {precision} +([\d,]+) +\d+% +([\d,]+) MiB$", ending.out, re.MULTILINE)
            assert row and all(float(number.replace(",", "")) > 0 for number in row.groups()), ending
    peaks = ", ".join(rf"[\d,]+ GFLOP/s in {precision}" for precision in precisions)
    assert re.search(rf"^matmul peak: {peaks}$", ending.out, re.MULTILINE), ending
    ratios = re.findall(r"^(\S+ \S+ / \S.*): [\d.]+ times the speed, [\d.]+ of the memory$", ending.out, re.MULTILINE)
    expected = [
        "minibert bf16 / transformers fp32",
        "minibert fp32 / transformers fp32",
        "minibert bf16 / transformers bf16",
        "minibert bf16 / by hand bf16",
        "minibert fp32 / by hand fp32",
    ]
    assert ratios == [ratio for ratio in expected if "bf16" not in ratio or has_fast_bf16()]


def test_the_machine_is_named(benchmarks):
    text = benchmarks("machine").describe_machine()
    assert f"PyTorch uses {torch.backends.cpu.get_cpu_capability()}), {torch.get_num_threads()} threads" in text


def test_the_reference_by_hand_has_its_own_loss_and_gradients(benchmarks):
    step = benchmarks("pretraining_step")
    work = step.Workload(layers=1, hidden=32, vocab_size=100, batch=2, length=16, attention="eager", device="cpu")
    _, theirs = step.build_models(work)
    (batch,) = work.batches(1)
    found = []
    for model in (theirs, step.LabelledLogitsByHand(theirs)):
        theirs.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        found.append([loss.detach(), *(x.grad.clone() for x in theirs.parameters() if x.grad is not None)])
    torch.testing.assert_close(found[0], found[1])


def test_trainers_are_compared(benchmarks, capsys):
    ending = call(capsys, "benchmark", "train", *TINY, "--trainer", "--steps", 2)
    assert ending.code == 0, ending
    assert re.search(r"/ transformers fp32: [\d.]+ times the speed$", ending.out, re.MULTILINE)


def test_what_is_not_installed_is_said(capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "accelerate" else found(name))
    message = "accelerate not installed, to compare with: pip install -e '.[bench]'"
    assert message in call(capsys, "benchmark", "train", *TINY).only_error


def test_a_size_that_cannot_be_is_one_line(benchmarks, capsys):
    assert "--batch must be at least 1, got 0" in call(capsys, "benchmark", "train", "--batch", 4, 0).only_error


@pytest.mark.parametrize("form", ["as-it-comes", "best"])
def test_the_race_trains_the_reference_and_saves_it(form, benchmarks, capsys, tmp_path, monkeypatch):
    text = "\n\n".join(f"The cat saw {n} dogs.\nIt ran away.\nThe dogs ran, too." for n in range(40))
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    prepare([str(tmp_path / "text.txt")], None, 60, tmp_path / "data")
    options = ("--data", tmp_path / "data", "--size", "tiny", "--form", form, "--output-dir", tmp_path / "out")
    read = []
    forward = transformers.BertModel.forward

    def watched(self, *arguments, attention_mask, **others):
        read.append(int(attention_mask.sum()))
        return forward(self, *arguments, attention_mask=attention_mask, **others)

    monkeypatch.setattr(transformers.BertModel, "forward", watched)
    said = call(capsys, "benchmark", "race", *options, "--tokens", 500).out
    assert f"{len(read):,} steps, {sum(read):,} tokens in" in said and sum(read) != 500
    model = BertForPreTraining.from_pretrained(tmp_path / "out")
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (2, 128)
