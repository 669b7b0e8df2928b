"""`Batcher`: texts of many requests through one model, together.

A forward pass over one short text keeps a processor busy with everything but arithmetic. While it runs, other requests
arrive; so they wait in a queue, and the next pass takes as many of them as fill a batch. Nobody waits for a batch to
become full: when the model is free, it takes what is there. Padding is never computed, so a batch is measured in
tokens, and texts of any lengths can share one.

    request 1 ── tokenize ──┐                            ┌──▶ request 1
    request 2 ── tokenize ──┼──▶ rows that wait ──▶ model ┼──▶ request 2
    request 3 ── tokenize ──┘      (one thread)          └──▶ request 3
"""

import math
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from minibert.inference.batching import BATCH_TOKENS, padded_batch, token_batches
from minibert.serving.limits import Refused, too_late

Compute = Callable[[dict[str, Tensor]], Sequence[Any] | Tensor]

LOOK_AHEAD = 8  # batches' worth of waiting rows, among which those of similar lengths are put together


class ModelFailed(RuntimeError):
    """The model could not compute a text that was checked and accepted: the fault is not the sender's."""


@dataclass(eq=False)
class Row:
    """A text that waits: its columns, and what is to be made of them."""

    columns: Mapping[str, Sequence[int]]  # input_ids, token_type_ids
    compute: Compute
    key: Hashable
    result: Future = field(default_factory=Future)

    @property
    def length(self) -> int:
        """Its tokens."""
        return len(self.columns["input_ids"])


class Batcher:
    """The queue before a model, and the one thread that calls the model.

    Args:
        device: where the model is.
        max_waiting: so many tokens may wait; a request that would exceed this is refused.
        max_tokens: of a batch; None: the device's `BATCH_TOKENS`.
        observe: is told, after each batch, how many rows and tokens it had, and the seconds that it took.
    """

    def __init__(
        self,
        device: torch.device,
        max_waiting: int,
        max_tokens: int | None = None,
        observe: Callable[[int, int, float], None] = lambda rows, tokens, seconds: None,
    ) -> None:
        self.device = device
        self.max_waiting = max_waiting
        self.max_tokens = max_tokens or BATCH_TOKENS["cpu" if device.type == "cpu" else "cuda"]
        self.observe = observe
        self.waiting_tokens = 0
        self._rows: list[Row] = []  # those that wait, the oldest first
        self._changed = threading.Condition()
        self._is_closed = False
        self._tokens_per_second = 0.0  # of the latest batches; 0 before the first
        self._thread = threading.Thread(target=self._work, name="minibert-model", daemon=True)
        self._thread.start()

    def run(self, texts: Mapping[str, Sequence[Sequence[int]]], compute: Compute, key: Hashable, until: float) -> list:
        """What `compute` makes of each text, in order; waits for it, while other threads may call the same.

        Args:
            texts, compute: as for `batching.run_in_batches`.
            key: texts with equal ones may be computed by the `compute` of any of them.
            until: when to give up, on the clock of `time.monotonic`.

        Raises: `Refused` if too much waits, if time is over, or after `close`; `ModelFailed` for an error in `compute`.
        """
        names = [name for name in ("input_ids", "token_type_ids") if name in texts]
        rows = [
            Row(dict(zip(names, columns, strict=True)), compute, key)
            for columns in zip(*(texts[name] for name in names), strict=True)
        ]
        self._accept(rows)
        try:
            return [row.result.result(timeout=until - time.monotonic()) for row in rows]
        except (TimeoutError, CancelledError):
            self._forget(rows)
            raise too_late() from None

    def close(self, seconds: float | None = None) -> None:
        """Compute what was accepted, and end the thread; after so many seconds, do not wait for it any longer."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def _accept(self, rows: list[Row]) -> None:
        tokens = sum(row.length for row in rows)
        if tokens > self.max_waiting:
            raise Refused(413, f"the request has {tokens:,} tokens, at most {self.max_waiting:,} may wait; split it")
        with self._changed:
            if self._is_closed:
                raise Refused(503, "the service is being stopped", retry_after=5)
            if self.waiting_tokens + tokens > self.max_waiting:
                message = f"{self.waiting_tokens:,} tokens of other requests wait already; try again later"
                raise Refused(429, message, self._seconds_to_wait())
            self._rows += rows
            self.waiting_tokens += tokens
            self._changed.notify()

    def _forget(self, rows: list[Row]) -> None:
        """Those of the rows that still wait shall not be computed."""
        with self._changed:
            self._take([row for row in rows if row.result.cancel()])

    def _seconds_to_wait(self) -> int:
        """Until about half of what waits has been computed."""
        return max(1, math.ceil(self.waiting_tokens / 2 / self._tokens_per_second)) if self._tokens_per_second else 1

    # --- in the thread

    def _work(self) -> None:
        while batch := self._next_batch():
            start, tokens = time.perf_counter(), sum(row.length for row in batch)
            self._answer(batch)
            seconds = time.perf_counter() - start
            newest = 0.1 if self._tokens_per_second else 1.0
            self._tokens_per_second += newest * (tokens / seconds - self._tokens_per_second)
            self.observe(len(batch), tokens, seconds)

    def _next_batch(self) -> list[Row]:
        """The row that has waited longest, and those that fit to it; none after `close`, when all are done."""
        with self._changed:
            self._changed.wait_for(lambda: self._rows or self._is_closed)
            if not self._rows:
                return []
            alike = [row for row in self._rows if row.key == self._rows[0].key]
            sums = accumulate(row.length for row in alike)
            near = [row for row, end in zip(alike, sums, strict=True) if end <= LOOK_AHEAD * self.max_tokens]
            near = near or alike[:1]  # one longer than all that
            batches = token_batches([row.length for row in near], self.max_tokens)
            chosen = next(batch for batch in batches if 0 in batch)
            batch = [near[number] for number in chosen]
            self._take(batch)
            for row in batch:
                row.result.set_running_or_notify_cancel()  # from here on it cannot be cancelled
            return batch

    def _take(self, rows: list[Row]) -> None:
        taken = set(map(id, rows))
        self._rows = [row for row in self._rows if id(row) not in taken]
        self.waiting_tokens -= sum(row.length for row in rows)

    def _answer(self, batch: list[Row]) -> None:
        """Give each row its result. If there is an error, each is computed alone: the others are not to blame."""
        try:
            results = self._compute(batch)
        except Exception as error:
            if len(batch) == 1:
                failed = ModelFailed(f"{type(error).__name__}: {error}")
                failed.__cause__ = error
                batch[0].result.set_exception(failed)
                return
            for row in batch:
                self._answer([row])
            return
        for row, result in zip(batch, results, strict=True):
            row.result.set_result(result)

    @torch.inference_mode()
    def _compute(self, batch: list[Row]) -> Sequence[Any] | Tensor:
        columns = {name: [row.columns[name] for row in batch] for name in batch[0].columns}
        return batch[0].compute(padded_batch(columns, list(range(len(batch))), self.device))
