"""The number format that a model computes in: fp32; bfloat16 where the machine multiplies it in hardware; or int8."""

import functools
import time
import warnings
from typing import Any

import torch

PRECISIONS = ("auto", "fp32", "bf16", "int8")


def has_fast_bf16() -> bool:
    """Whether this machine multiplies bfloat16 matrices in hardware; where it does not, bf16 is slower than fp32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # There is no public name for these yet; without them, the answer is no. And what the processor has, oneDNN may have
    # been told not to use (ONEDNN_MAX_CPU_ISA).
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    has_instructions = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return has_instructions and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def mixed_precision() -> dict[str, Any]:
    """The `TrainingArguments` that train fastest here: bf16, or on a GPU without it fp16, or neither."""
    bf16 = has_fast_bf16()
    return {"bf16": bf16, "fp16": torch.cuda.is_available() and not bf16}


@functools.cache  # to be said once
def warn_where_bf16_is_emulated() -> None:
    """Tell whoever asks for bf16 on a machine without it what that costs there, measured."""
    if has_fast_bf16():
        return
    seconds = [_seconds_of_products(dtype) for dtype in (torch.bfloat16, torch.float32)]
    warnings.warn(
        "bf16: this machine has no instructions for it; it takes"
        f" {seconds[0] / seconds[1]:.1f} times as long as fp32 for a product of matrices. Ask for fp32, or int8",
        stacklevel=3,
    )


def _seconds_of_products(dtype: torch.dtype) -> float:
    matrix = torch.ones(512, 512, dtype=dtype, device="cuda" if torch.cuda.is_available() else "cpu")
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # which waits for a GPU
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def dtype_of(precision: str) -> torch.dtype:
    """The type for one of `PRECISIONS`; "auto" is bf16 where that is fast, else fp32, and never int8.

    Raises `ValueError` for any other name. Warns once where "bf16" is emulated.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "int8":
        return torch.int8
    if precision == "bf16":
        warn_where_bf16_is_emulated()
    fast = has_fast_bf16() if precision == "auto" else precision == "bf16"
    return torch.bfloat16 if fast else torch.float32
