"""The number format that a model computes in: fp32, or bfloat16 where the machine multiplies it in hardware."""

import torch

PRECISIONS = ("auto", "fp32", "bf16")


def has_fast_bf16() -> bool:
    """Whether this machine multiplies bfloat16 matrices in hardware; where it does not, bf16 is slower than fp32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # There is no public name for these yet; without them, the answer is no.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def mixed_precision() -> dict[str, bool]:
    """The `TrainingArguments` that train fastest here: bf16, or on a GPU without it fp16, or neither."""
    bf16 = has_fast_bf16()
    return {"bf16": bf16, "fp16": torch.cuda.is_available() and not bf16}


def dtype_of(precision: str) -> torch.dtype:
    """The type for one of `PRECISIONS`; "auto" is bf16 where that is fast, else fp32.

    Raises `ValueError` for any other name.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    fast = has_fast_bf16() if precision == "auto" else precision == "bf16"
    return torch.bfloat16 if fast else torch.float32
