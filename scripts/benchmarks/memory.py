"""The memory that a training step takes at its peak, measured in a process of its own."""

import resource
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from benchmarks.pretraining_step import Workload, build_step


def peak_memory(names: Iterable[str], work: Workload) -> dict[str, int]:
    """For each contestant, the bytes that weights, gradients, optimizer and activations take at most."""
    # Every process is forked from a server that has imported the libraries and done nothing: it starts with a peak of
    # just these. A process that is started from anew would take the peak of the one that started it for its own.
    context = get_context("forkserver")
    context.set_forkserver_preload(["torch", "transformers.models.bert.modeling_bert", "minibert"])
    peaks = {}
    for name in names:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            peaks[name] = pool.submit(_peak_of_three_steps, name, work, torch.get_num_threads()).result()
    return peaks


def _peak_of_three_steps(name: str, work: Workload, threads: int) -> int:
    torch.set_num_threads(threads)
    before = _peak()
    step = build_step(name, work)
    for batch in work.batches(3):  # the optimizer's state comes with the first
        step(batch)
    return torch.cuda.max_memory_allocated() if work.device == "cuda" else _peak() - before


def _peak() -> int:
    """The largest resident size that this process has had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
