"""Several processes share a batch: the same losses as one process alone, and one of them writes (gloo, loopback)."""

import itertools
import json
import os
import signal
import socket
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training_runs import RecordingCollator, build_trainer, in_children, last_state, same

from minibert import Trainer, TrainerCallback, TrainingArguments
from minibert.pretraining.evaluation import evaluate_pretraining
from minibert.training.batch import label_count
from minibert.training.checkpointing import checkpoints
from minibert.training.distributed import Processes
from minibert.training.evaluation_loop import evaluate_batches
from minibert.training.metrics_log import METRICS_FILE, read_metrics


def in_processes(function, *args, count=2):
    """`function(rank, *args)` in `count` processes, with what `torchrun` tells them in their environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    ranks = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    codes = in_children([(function, (rank, *args), ranks[rank]) for rank in range(count)])
    assert codes == [0] * count


# --- what the processes do together


def test_one_process_needs_no_others():
    alone = Processes.join()
    assert (alone.rank, alone.count, alone.is_first) == (0, 1, True)
    assert alone.mean(2.5).item() == 2.5 and alone.gather("x") == ["x"]
    alone.wait()
    model = nn.Linear(1, 1)
    assert alone.wrap(model) is model


def test_mean_is_no_view_of_its_argument():
    value = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    mean = Processes.join().mean(value)
    mean += 1
    assert value.item() == 1 and not mean.requires_grad


def work_together(rank, folder):
    processes = Processes.join()
    assert (processes.rank, processes.count, processes.is_first) == (rank, 2, rank == 0)
    value = torch.tensor(1.5 + rank)
    assert processes.mean(value).item() == 2.0 and value.item() == 1.5 + rank
    assert processes.mean(rank).item() == 0.5
    assert processes.gather({"rank": rank}) == [{"rank": 0}, {"rank": 1}]
    model = nn.Linear(1, 1)
    torch.nn.init.constant_(model.weight, float(rank))  # a model of its own ...
    assert processes.by_first(lambda: f"done by {rank}") == "done by 0"
    shared = [number for number, _ in processes.numbered_share("abcde")]
    assert shared == [[0, 2, 4], [1, 3]][rank]
    assert processes.in_order([(n, "abcde"[n]) for n in shared]) == list("abcde")
    assert processes.scatter(["x", "y"] if rank == 0 else None) == "xy"[rank]
    wrapped = processes.wrap(model)
    assert model.weight.item() == 0  # ... until it is that of the first
    wrapped(torch.tensor([[1.0 + 2 * rank]])).sum().backward()
    assert model.weight.grad.item() == 2  # the mean of 1 and 3
    if rank == 0:
        Path(folder, "before").touch()
    processes.wait()
    assert Path(folder, "before").exists()


def test_what_two_processes_do_together(tmp_path):
    in_processes(work_together, tmp_path)


def fail_in_the_first(rank):
    def work():
        raise ValueError("expected text")

    with pytest.raises(ValueError if rank == 0 else SystemExit, match="expected text" if rank == 0 else "2"):
        Processes.join().by_first(work)


def test_what_the_first_cannot_do_ends_all():
    in_processes(fail_in_the_first)


def copy_to_other_machines(rank, folder):
    os.environ["GROUP_RANK"] = str(rank // 2)  # two machines with two processes each
    own = folder / str(rank)
    processes = Processes.join()
    if rank == 0:
        (own / "more").mkdir(parents=True)
        (own / "ids.bin").write_bytes(bytes(range(256)) * 1000)
        (own / "more" / "empty").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minibert.training.distributed.PIECE", 1000)
        found = processes.folder_of_first(own)
    assert found == folder / str(rank // 2 * 2)
    assert (found / "ids.bin").read_bytes() == bytes(range(256)) * 1000 and (found / "more" / "empty").is_file()
    processes.leave()
    assert not torch.distributed.is_initialized()


def test_a_folder_is_copied_once_to_every_other_machine(tmp_path):
    in_processes(copy_to_other_machines, tmp_path, count=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2"]


# --- evaluation


def evaluate_rank(rank, folder):
    trainer = build_trainer(folder)
    trainer.args.per_device_eval_batch_size = 7
    trainer.compute_metrics = lambda p: {"sum": float(np.asarray(p.predictions[1], dtype=np.float64).sum())}
    trainer.data_collator = WholeLogits(trainer.data_collator)
    data = trainer.train_dataset
    output = trainer.predict(data)
    pretraining = evaluate_pretraining(trainer.model, data, trainer.data_collator.own, 7)
    one = evaluate_pretraining(trainer.model, data, trainer.data_collator.own, 2 * len(data))
    torch.save([output.metrics, torch.tensor(output.predictions[1]), pretraining, one], folder / f"{rank}.pt")
    computed = []
    evaluate_batches(trainer.model, lambda batch: computed.append(1) or (None, None, None), range_of(10), False)
    assert len(computed) == len(range(trainer.processes.rank, 10, trainer.processes.count))


def range_of(count):
    return [{"x": torch.ones(2)} for _ in range(count)]


class WholeLogits:
    """Leaves a row of logits for each example."""

    def __init__(self, own):
        self.own = own

    def __call__(self, examples):
        batch = self.own(examples)
        return {name: x for name, x in batch.items() if name not in ("labelled_logits_only", "label_count")}


@pytest.mark.parametrize("count", [2, 4])
def test_evaluation_is_shared_and_its_numbers_are_those_of_one_process(tmp_path, count):
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()
    in_processes(evaluate_rank, alone, count=1)
    in_processes(evaluate_rank, together, count=count)
    expected = torch.load(alone / "0.pt", weights_only=True)
    for rank in range(count):
        assert same(torch.load(together / f"{rank}.pt", weights_only=True), expected)


# --- the same global batch, however it is divided


def train_rank(rank, folder, arguments):
    trainer = build_trainer(folder, **arguments)
    trainer.train()
    parameters = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    assert all(torch.equal(parameters, other) for other in trainer.processes.gather(parameters))


def losses(folder):
    rows = read_metrics(folder / METRICS_FILE)
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))  # every step once
    return {name: [row[name] for row in rows] for name in ("loss", "mlm_loss", "nsp_loss")}


def run_divided(folder, per_device, accumulation=1, count=1, **arguments):
    arguments = {
        "dropout": 0.0,
        "max_steps": 34,
        "learning_rate": 2e-3,
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": accumulation,
    } | arguments
    if count == 1:
        build_trainer(folder, **arguments).train()
    else:
        in_processes(train_rank, folder, arguments, count=count)
    return losses(folder) | {"tokens": [last_state(folder)["clock"]["tokens"]]}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The losses of one process with a single large batch, by the batch's size."""
    return {size: run_divided(tmp_path_factory.mktemp(f"batch of {size}"), size) for size in (8, 9)}


def test_the_last_step_of_an_epoch_is_ragged():
    """So that the tests below are about unequal shares, too: some processes and micro-batches get one example more."""
    n_examples = len(build_trainer("run").train_dataset)
    assert n_examples % 8 and n_examples % 9 and 2 * n_examples < 34 * 8


@pytest.mark.parametrize(
    ("per_device", "accumulation", "count"),
    [(2, 4, 1), (3, 3, 1), (4, 1, 2), (2, 2, 2)],
    ids=["4 micro-batches", "3 micro-batches", "2 processes", "2 processes with 2 micro-batches"],
)
def test_the_same_global_batch_gives_the_same_losses(alone, tmp_path, per_device, accumulation, count):
    divided = run_divided(tmp_path, per_device, accumulation, count)
    expected = alone[per_device * accumulation * count]
    assert len(divided["loss"]) == 34
    assert divided.pop("tokens") == expected["tokens"]  # each is counted once, although processes have other lengths
    for name, values in divided.items():
        worst = max(abs(a - b) for a, b in zip(values, expected[name], strict=True))
        assert worst <= 1e-5, f"{name}: {worst}"
    assert max(expected["loss"]) - min(expected["loss"]) > 0.1  # it does learn


def test_what_counts_for_nothing_is_not_counted(tmp_path):
    """The last step of an epoch has seven examples for nine micro-batches: two compute what another one does, too."""
    whole, divided = (run_divided(tmp_path / str(size), size, 9 // size, max_steps=9) for size in (9, 1))
    assert divided["tokens"] == whole["tokens"]


def test_only_the_mean_over_all_labels_does_that(alone, tmp_path, monkeypatch):
    """Micro-batches have different numbers of labels: the mean of their means is another number."""
    own = label_count  # each micro-batch divides by its own number of labels
    monkeypatch.setattr(
        "minibert.training.trainer.share_label_counts", lambda parts, _: [own(batch) for batch, _ in parts]
    )
    divided = run_divided(tmp_path, 2, 4, max_steps=8)
    assert max(abs(a - b) for a, b in zip(divided["loss"], alone[8]["loss"][:8], strict=True)) > 1e-4


# --- who writes, and going on


def train_apart(rank, folder, arguments, resume):
    """Every process is given a folder of its own, to see who writes."""
    own = folder if rank == 0 else f"{folder}-of-rank-{rank}"
    trainer = build_trainer(own, **arguments)
    trainer.train(resume_from_checkpoint=resume)
    trainer.save_model(Path(own, "final"))


def test_the_first_process_alone_writes_and_a_resume_is_bit_exact(tmp_path):
    # With dropout, and with Muon, which has AdamW in it.
    arguments = {"max_steps": 10, "save_steps": 4, "per_device_train_batch_size": 4, "optim": "muon"}
    in_processes(train_apart, tmp_path / "whole", arguments, None)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["whole"]
    assert [path.name for path in checkpoints(tmp_path / "whole")] == ["checkpoint-4", "checkpoint-8", "checkpoint-10"]
    assert (tmp_path / "whole" / "final" / "model.safetensors").is_file()
    in_processes(train_apart, tmp_path / "rest", arguments, tmp_path / "whole" / "checkpoint-4")
    assert same(last_state(tmp_path / "rest"), last_state(tmp_path / "whole"))
    rows = (tmp_path / "rest" / METRICS_FILE).read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == list(range(5, 11))


def train_on(rank, folder, arguments, checkpoint):
    """As `build_trainer`, and says which examples it saw after the checkpoint."""
    collator = RecordingCollator()
    trainer = build_trainer(folder, collator=collator, **arguments)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.train(resume_from_checkpoint=checkpoint)
    said = [str(warning.message) for warning in caught if "goes on with" in str(warning.message)]
    torch.save((collator.seen, said), f"{folder}-seen-by-{rank}.pt")


def examples_of(folder, count):
    """What all saw, as a sorted list of examples, and what they said."""
    seen, said = [], []
    for rank in range(count):
        batches, words = torch.load(f"{folder}-seen-by-{rank}.pt", weights_only=True)
        seen += [
            (ids[ids != 0].tolist(), label)
            for batch, _, label in batches
            for ids, label in zip(batch, label, strict=True)
        ]
        said.append(words)
    return sorted((ids, int(label)) for ids, label in seen), said


@pytest.mark.parametrize("counts", [(2, 1), (1, 2), (2, 4)], ids=str)
def test_another_number_of_processes_goes_on(tmp_path, counts):
    """With steps of the same examples, each once; without dropout the losses are those of one that was not stopped."""
    before, after = counts
    arguments = {"dropout": 0.0, "max_steps": 9, "save_steps": 3, "logging_steps": 2}
    arguments["per_device_train_batch_size"] = 8 // before
    in_processes(train_on, tmp_path / "whole", arguments, None, count=before)
    checkpoint = tmp_path / "whole" / "checkpoint-3"  # between two logs
    in_processes(train_on, tmp_path / "rest", arguments, checkpoint, count=after)
    whole, rest = ({r["step"]: r["loss"] for r in read_metrics(tmp_path / n / METRICS_FILE)} for n in ("whole", "rest"))
    assert list(rest) == [4, 6, 8, 9]
    assert rest == pytest.approx({step: whole[step] for step in rest}, abs=1e-5)
    in_processes(train_on, tmp_path / "same", arguments, checkpoint, count=before)
    seen, said = examples_of(tmp_path / "rest", after)
    assert (seen, [[]] * before) == examples_of(tmp_path / "same", before) and len(seen) == 6 * 8
    assert [len(words) for words in said] == [1] + [0] * (after - 1)
    assert f"was on {before} processes and goes on with {after}" in said[0][0]


class Stop(TrainerCallback):
    """Wants to stop, to save and to evaluate at other steps in every process."""

    def on_step_end(self, args, state, control, **others):
        rank = Processes.join().rank
        control.should_save |= state.global_step == 2 + rank
        control.should_training_stop |= rank == 1 and state.global_step == 5


def stop_by_one(rank, folder):
    trainer = build_trainer(folder, max_steps=50, save_strategy="no")
    trainer.add_callback(Stop)
    trainer.train()
    assert trainer.state.global_step == 5


def test_what_a_callback_wants_in_one_is_done_by_all(tmp_path):
    in_processes(stop_by_one, tmp_path)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-2", "checkpoint-3"]


class OwnLoader(Trainer):
    def get_train_dataloader(self):
        return [{"x": torch.ones(1)}]


def train_with_a_loader_of_ones_own(rank, folder):
    with pytest.raises(ValueError, match="get_train_dataloader: a loader of one's own feeds one process, found 2"):
        OwnLoader(nn.Linear(1, 1), TrainingArguments(folder / str(rank), use_cpu=True)).train()


def test_a_loader_of_ones_own_would_feed_all_alike(tmp_path):
    in_processes(train_with_a_loader_of_ones_own, tmp_path)


class SumOfWords(Trainer):
    """The mean over all words of the step, from a sum."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        inputs.pop("labelled_logits_only"), inputs.pop("next_sentence_label"), inputs.pop("label_count")
        logits = model(**inputs).prediction_logits
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / num_items_in_batch
        return (loss, None) if return_outputs else loss


def train_on_sums(rank, folder, arguments):
    whole = {"ddp_find_unused_parameters": True, "max_steps": 6, "save_strategy": "no"}  # the NSP head learns nothing
    made = build_trainer(folder, dropout=0.0, **whole, **arguments)
    trainer = SumOfWords(made.model, made.args, made.data_collator, made.train_dataset)
    trainer.train()


def test_the_count_for_a_loss_of_ones_own_is_that_of_all(tmp_path):
    train_on_sums(0, tmp_path / "alone", {"per_device_train_batch_size": 9})
    in_processes(
        train_on_sums, tmp_path / "together", {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2}
    )
    train_on_sums(0, tmp_path / "divided", {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 3})
    alone, divided = ([r["loss"] for r in read_metrics(tmp_path / n / METRICS_FILE)] for n in ("alone", "divided"))
    assert divided == pytest.approx(alone, abs=1e-5) and len(alone) == 6
    together = [row["loss"] for row in read_metrics(tmp_path / "together" / METRICS_FILE)]
    train_on_sums(0, tmp_path / "twelve", {"per_device_train_batch_size": 12})
    assert together == pytest.approx([r["loss"] for r in read_metrics(tmp_path / "twelve" / METRICS_FILE)], abs=1e-5)


def press_ctrl_c_in_one(rank, folder):
    trainer = build_trainer(folder, max_steps=50, save_strategy="no")
    step = trainer._step
    numbers = itertools.count(1)

    def interrupted_step(*args):
        if rank == 1 and next(numbers) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*args)

    trainer._step = interrupted_step
    with pytest.raises(KeyboardInterrupt, match="checkpoint-7"):
        trainer.train()


def test_ctrl_c_stops_all_at_the_same_step(tmp_path):
    in_processes(press_ctrl_c_in_one, tmp_path)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-7"]
    assert len(last_state(tmp_path)["generators"]) == 2
