"""`benchmark.py train`: the pretraining step of both libraries, side by side."""

import argparse
import statistics
from collections.abc import Sequence

import torch
import transformers

from benchmarks.flops import matmul_speed
from benchmarks.machine import describe_machine
from benchmarks.memory import peak_memory
from benchmarks.pretraining_step import CONTESTANTS, Workload, build_step
from benchmarks.timing import Speeds, median_ratio, speeds_in_turn
from benchmarks.trainers import compare_trainers
from minibert.model.precision import has_fast_bf16

COMPARISONS = (
    ("minibert bf16", "transformers fp32"),
    ("minibert fp32", "transformers fp32"),
    ("minibert bf16", "transformers bf16"),
    ("minibert bf16", "by hand bf16"),
    ("minibert fp32", "by hand fp32"),
)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
DIFFERENT_BATCHES = 4
# fp32: rounding differs. bf16 rounds every activation to 8 bits.
LOSS_TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add `train` and its options."""
    text = "tokens per second, share of the machine's matmul peak and memory of a pretraining step (MLM + NSP, AdamW)"
    parser = commands.add_parser("train", help=text, description=text)
    cuda = torch.cuda.is_available()
    parser.add_argument("--layers", type=int, default=4, help="(%(default)s)")
    parser.add_argument("--hidden", type=int, default=256, help="(%(default)s)")
    parser.add_argument("--vocab-size", type=int, default=30522, help="(%(default)s)")
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        default=[32],
        help="sequences in a batch; each of several is measured (32)",
    )
    parser.add_argument("--length", type=int, default=128, help="tokens in a sequence (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each contestant in each round (%(default)s)")
    parser.add_argument(
        "--attn", choices=("eager", "sdpa"), default="sdpa" if cuda else "eager", help="of minibert (%(default)s)"
    )
    parser.add_argument("--trainer", action="store_true", help="compare the Trainers instead, with all they do")
    parser.add_argument("--steps", type=int, default=50, help="of a Trainer's run (%(default)s)")
    parser.set_defaults(measure=measure, device="cuda" if cuda else "cpu")


def measure(options: argparse.Namespace) -> None:
    """Measure, and print."""
    for name in ("layers", "hidden", "vocab_size", "length", "rounds", "steps"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(options, name)}")
    if min(options.batch) < 1:
        raise ValueError(f"--batch must be at least 1, got {min(options.batch)}")
    for batch in options.batch:
        work = Workload(
            layers=options.layers,
            hidden=options.hidden,
            vocab_size=options.vocab_size,
            batch=batch,
            length=options.length,
            attention=options.attn,
            device=options.device,
        )
        _print_setting(work)
        if options.trainer:
            _compare_trainers(work, options.rounds, options.steps)
        else:
            _compare_steps(work, options.rounds, options.seconds)


def _compare_trainers(work: Workload, rounds: int, steps: int) -> None:
    speeds = compare_trainers(work, rounds, steps)
    _print_speeds(speeds, work)
    _print_ratios(speeds)


def _compare_steps(work: Workload, rounds: int, seconds: float) -> None:
    dtypes, names = DTYPES, list(CONTESTANTS)
    if not has_fast_bf16():  # a minute a step
        print("bf16 is left out: this machine has no instructions for it")
        dtypes, names = {"fp32": torch.float32}, [name for name in names if name.endswith("fp32")]
    memory = peak_memory(names, work)
    device = torch.device(work.device)
    peaks = {name: matmul_speed(dtype, device) for name, dtype in dtypes.items()}
    speeds = _measure_steps(names, work, rounds, seconds)
    # Once more: the peak of a machine is its best moment.
    peaks = {name: max(peaks[name], matmul_speed(dtype, device)) for name, dtype in dtypes.items()}
    print("matmul peak: " + ", ".join(f"{peak / 1e9:,.0f} GFLOP/s in {name}" for name, peak in peaks.items()))
    _print_speeds(speeds, work, peaks, memory)
    _print_ratios(speeds, memory)


def _measure_steps(names: Sequence[str], work: Workload, rounds: int, seconds: float) -> Speeds:
    """Raises `ValueError` if the contestants do not compute the same loss: they could not be compared."""
    steps = {name: build_step(name, work) for name in names}
    batches = work.batches(DIFFERENT_BATCHES)
    losses = {name: step(batches[0]).item() for name, step in steps.items()}
    expected = losses["transformers fp32"]
    for name, loss in losses.items():
        if not abs(loss - expected) <= LOSS_TOLERANCE[name.split()[-1]] * expected:
            raise ValueError(f"the first loss of {name} is {loss}, that of transformers fp32 {expected}")
    return speeds_in_turn(steps, batches, rounds, seconds, torch.device(work.device))


def _print_setting(work: Workload) -> None:
    print(describe_machine())
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    print(
        f"{work.layers} layers × {work.hidden}, vocabulary {work.vocab_size:,}, batches of {work.batch} ×"
        f" {work.length} tokens, {work.batch * work.labels_per_sequence:,} labels,"
        f" {work.flops / 1e9:,.1f} GFLOP needed in a step"
    )


def _print_speeds(
    speeds: Speeds, work: Workload, peaks: dict[str, float] | None = None, memory: dict[str, int] | None = None
) -> None:
    print(f"\n{'':24}{'tokens/s':>12}" + (f"{'of matmul peak':>18}{'peak memory':>15}" if peaks else ""))
    for name, rounds in speeds.items():
        steps_per_second = statistics.median(rounds)
        row = f"{name:24}{steps_per_second * work.tokens:12,.0f}"
        if peaks:
            share = steps_per_second * work.flops / peaks[name.split()[-1]]
            row += f"{share:18.0%}{memory[name] / 2**20:11,.0f} MiB"
        print(row)


def _print_ratios(speeds: Speeds, memory: dict[str, int] | None = None) -> None:
    for name, other in COMPARISONS:
        if name in speeds and other in speeds:
            row = f"{name} / {other}: {median_ratio(speeds, name, other):.2f} times the speed"
            print(row + (f", {memory[name] / memory[other]:.2f} of the memory" if memory else ""))
    print()
