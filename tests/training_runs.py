"""Small pretraining runs for the tests, in this process or in one of their own that may be killed."""

import functools
import multiprocessing
import os
import random
import signal
import sys
import threading
from pathlib import Path

import torch

from minibert import BertConfig, BertForPreTraining
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer
from minibert.training.arguments import TrainingArguments
from minibert.training.checkpointing import STATE_FILE, checkpoints
from minibert.training.metrics_log import METRICS_FILE, read_metrics
from minibert.training.trainer import Trainer


@functools.cache
def corpus():
    rng = random.Random(0)
    words = [chr(97 + i % 26) + chr(97 + i // 26) for i in range(100)]
    documents = [[" ".join(rng.choices(words, k=rng.randint(3, 8))) for _ in range(10)] for _ in range(24)]
    tokenizer = BertTokenizer.train((s for document in documents for s in document), 200)
    return PackedCorpus.from_documents(documents, tokenizer), tokenizer


def build_trainer(folder, dropout=0.1, collator=None, **arguments):
    """A tiny BERT before its pretraining; 16 steps, unless `arguments` say otherwise."""
    packed, tokenizer = corpus()
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    numbers = {
        "max_steps": 16,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-3,
        "save_steps": 4,
        "logging_steps": 1,
        "disable_tqdm": True,
    }
    return Trainer(
        BertForPreTraining(config),
        TrainingArguments(folder, **(numbers | arguments)),
        collator or PretrainingCollator(tokenizer.pad_token_id),
        PretrainingDataset(packed, tokenizer, 32, seed=2),
        processing_class=tokenizer,
    )


class RecordingCollator(PretrainingCollator):
    """Remembers what it made: the ids, masked afresh, and the labels."""

    def __init__(self):
        super().__init__(corpus()[1].pad_token_id)
        self.seen = []

    def __call__(self, examples):
        batch = super().__call__(examples)
        self.seen.append((batch["input_ids"].clone(), batch["labels"].clone(), batch["next_sentence_label"].clone()))
        return batch


def train_to_the_end(folder, **arguments):
    """What one types again after an interruption: go on from the last checkpoint, if there is one."""
    build_trainer(folder, **arguments).train(resume_from_checkpoint=bool(checkpoints(Path(folder))))


def last_state(folder):
    """All that the last checkpoint holds, but the time that the run took."""
    state = torch.load(checkpoints(Path(folder))[-1] / STATE_FILE, weights_only=True)
    del state["clock"]["seconds"]
    for row in state["log_history"]:
        del row["seconds"], row["tokens_per_second"]
    return state


def same(a, b):
    """Equal to the last bit, however deep."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def steps_of(folder):
    """The steps in the metrics file, in order."""
    return [row["step"] for row in read_metrics(Path(folder) / METRICS_FILE)]


def names(folder):
    """The files and folders in `folder`, but TensorBoard's."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("events."))


# --- processes of their own

# One server imports everything once; its children begin with all of that, but have computed nothing yet.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["pytest", "torch._dynamo", "minibert.training.trainer", "minibert"])


def in_child(function, *args, environment=None, stderr=None, timeout=60):
    """Run `function(*args)` in a process of its own; returns its exit code, -9 if it was killed."""
    return in_children([(function, args, environment)], stderr, timeout)[0]


def in_children(jobs, stderr=None, timeout=60):
    """The same for several at once: `jobs` are (function, args, environment)."""
    started = [_PROCESSES.Process(target=_child, args=(*job, stderr)) for job in jobs]
    for process in started:
        process.start()
    for process in started:
        process.join(timeout)
    late = [process for process in started if process.is_alive()]
    for process in late:
        process.kill()
        process.join()
    assert not late, f"{len(late)} of {len(started)} processes did not end within {timeout} s"
    return [process.exitcode for process in started]


def _child(function, args, environment, stderr):
    torch.set_num_threads(1)
    os.environ.update(environment or {})
    if stderr is not None:
        os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    function(*args)


class Lines:
    """Counts the lines of Python that are executed in certain files, and sends this process a signal at one of them."""

    def __init__(self, files, number=None, signal_number=signal.SIGKILL):
        self.files, self.number, self.signal_number = tuple(files), number, signal_number
        self.count = 0

    def __enter__(self):
        assert threading.current_thread() is threading.main_thread()
        sys.settrace(self._call)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _call(self, frame, event, argument):
        return self._line if frame.f_code.co_filename.endswith(self.files) else None

    def _line(self, frame, event, argument):
        if event == "line":
            self.count += 1
            if self.count == self.number:
                os.kill(os.getpid(), self.signal_number)
        return self._line
