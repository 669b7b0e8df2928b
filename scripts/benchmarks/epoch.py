"""What it costs to begin an epoch of pretraining: its pairs are drawn, and put into an order, grouped by length.

    python scripts/benchmarks/epoch.py --tokens 100_000_000

The corpus is made up: documents of 1 to 60 sentences, which have 3 to 50 tokens, as many as natural text has. What the
tokens are does not matter, so only where sentences and documents begin is held in memory.
"""

import argparse
import resource
import time

import numpy as np

from minibert.text.packed import PackedCorpus
from minibert.text.pairs import N_SPECIAL, draw_pairs
from minibert.training.arguments import TrainingArguments
from minibert.training.batches import StepSampler
from minibert.training.distributed import Processes

MAX_LENGTH = 128


class Lengths:
    """Examples of which nothing is known but how long they are."""

    def __init__(self, pairs: np.ndarray):
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def lengths(self) -> np.ndarray:
        """(n,) tokens."""
        a_start, a_end, b_start, b_end, _ = self.pairs.T
        return a_end - a_start + b_end - b_start + N_SPECIAL


def made_up_corpus(n_tokens: int) -> PackedCorpus:
    """A corpus of about so many tokens."""
    rng = np.random.default_rng(0)
    starts = np.concatenate([[0], np.cumsum(rng.integers(3, 51, n_tokens * 2 // 53))])
    ends = np.cumsum(rng.integers(1, 61, len(starts) // 20))
    ends = ends[ends < len(starts)]
    return PackedCorpus(np.empty(0, np.uint16), starts, np.stack([np.append(0, ends[:-1]), ends], axis=1))


def peak() -> float:
    """Memory that this process has used at most so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[10_000_000, 100_000_000], help="of each corpus")
    for n_tokens in parser.parse_args().tokens:
        corpus = made_up_corpus(n_tokens)
        before, began, processor = peak(), time.perf_counter(), time.process_time()
        pairs = draw_pairs(corpus, MAX_LENGTH, seed=0, epoch=1)
        drawn, drawn_processor = time.perf_counter() - began, time.process_time() - processor
        arguments = TrainingArguments("run", per_device_train_batch_size=64, group_by_length=True, use_cpu=True)
        began, processor = time.perf_counter(), time.process_time()
        next(iter(StepSampler(Lengths(pairs), arguments, Processes.join(use_cpu=True))))
        ordered, ordered_processor = time.perf_counter() - began, time.process_time() - processor
        print(
            f"{corpus.n_tokens:,} tokens, {corpus.n_documents:,} documents: {len(pairs):,} pairs of"
            f" {pairs.nbytes / 1e9:.3f} GB in {drawn:.2f} s (processor {drawn_processor:.2f} s), their order in"
            f" {ordered:.2f} s (processor {ordered_processor:.2f} s), at most {peak() - before:.2f} GB more"
        )


if __name__ == "__main__":
    main()
