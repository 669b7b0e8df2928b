"""Timing in turn: what disturbs the machine for a while disturbs everyone alike."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.flops import synchronize

Speeds = dict[str, list[float]]  # of each contestant, one number per round


def speeds_in_turn(
    steps: dict[str, Callable[[Any], Any]], batches: Sequence, rounds: int, seconds: float, device: torch.device
) -> Speeds:
    """Steps per second of every contestant in every round; each runs for `seconds` (at least one step) at a time."""
    for step in steps.values():  # what happens once only: buffers, the optimizer's state, compilation
        for batch in batches[:2]:
            step(batch)
    speeds: Speeds = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            speeds[name].append(_speed(step, batches, seconds, device))
    return speeds


def _speed(step: Callable[[Any], Any], batches: Sequence, seconds: float, device: torch.device) -> float:
    synchronize(device)
    start, count, elapsed = time.perf_counter(), 0, 0.0
    while count == 0 or elapsed < seconds:
        step(batches[count % len(batches)])
        synchronize(device)
        count += 1
        elapsed = time.perf_counter() - start
    return count / elapsed


def median_ratio(speeds: Speeds, name: str, other: str) -> float:
    """How many times as fast `name` is as `other`: the median over the rounds, each compared with itself."""
    return statistics.median(a / b for a, b in zip(speeds[name], speeds[other], strict=True))
